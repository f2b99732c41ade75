# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Scan: look into a model's files, and deny it when one of them is not harmless."""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelseal.errors import DeniedError, InvalidProjectError, StorageError, UsageError
from modelseal.evidence.facts import Level
from modelseal.evidence.scan.allowed import BUILT_IN, Allowed
from modelseal.evidence.scan.finding import ScanFinding
from modelseal.evidence.scan.pickles import is_pickle
from modelseal.evidence.scan.report import Report, ScannedFile
from modelseal.evidence.scan.scanner import scan_file, settle
from modelseal.modelpack.inventory import list_files
from modelseal.modelpack.media_types import LayerKind
from modelseal.modelpack.project import FILE_NAME, Project
from modelseal.modelpack.project_file import load_project
from modelseal.oci.content import FileIdentity
from modelseal.oci.events import discard
from modelseal.workflows.events import EventSink, StepFinished, StepStarted

MAX_SCANNED_FILES = 200_000
"""Most files below a directory that has no `modelseal.yaml`."""

_NEVER = frozenset({".git", ".hg", ".svn"})
_DATA = frozenset({LayerKind.DOC, LayerKind.DATASET})


@dataclass(frozen=True, slots=True)
class ScanChoice:
    """What a caller chose about scanning."""

    allowed: Allowed = BUILT_IN
    accepted: str = ""
    """Why findings that deny the model are to be accepted; it is signed along."""


SCAN_ALL = ScanChoice()
"""Nothing is allowed but what is built in, and nothing accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanned:
    """A model directory that was looked into, as it was then."""

    directory: Path
    report: Report
    accepted: str = ""
    identities: dict[str, FileIdentity] = field(default_factory=dict)

    def require_harmless(self) -> None:
        """Raise `HostileModelError` when a finding denies the model and nobody accepted it."""
        if self.report.denied and not self.accepted:
            raise HostileModelError(str(self.directory), self.report)

    def require_unchanged(self) -> None:
        """See that the files are those that were looked into.

        Raises:
            InvalidProjectError: one is not.
        """
        for path, identity in self.identities.items():
            try:
                now = FileIdentity.of((self.directory / path).lstat())
            except OSError:
                now = None
            if now != identity:
                raise InvalidProjectError(
                    f"{self.directory / path} changed after it was scanned",
                    hint="wait until whatever writes there has finished, and try again",
                )


class HostileModelError(DeniedError):
    """A finding denies the model; `report` has them all."""

    code = "hostile-model"

    def __init__(self, what: str, report: Report) -> None:
        """Name the worst findings of `report` about `what`."""
        worst = [one for one in report.findings if one.level is Level.ERROR]
        told = "; ".join(f"{one.place} at byte {one.offset}: {one.message}" for one in worst[:3])
        more = f"; and {len(worst) - 3} more" if len(worst) > 3 else ""  # noqa: PLR2004 - told above
        super().__init__(f"{what} is denied: {told}{more}", hint=worst[0].hint)
        self.report = report


def scan_model(
    directory: Path,
    choice: ScanChoice,
    on_event: EventSink = discard,
    *,
    project: Project | None = None,
) -> Scanned:
    """Look into every file of the model in `directory` that `modelseal.yaml` packs.

    Raises:
        InvalidProjectError, StorageError: a file cannot be read, or is no plain file.
    """
    on_event(StepStarted("scan", str(directory)))
    project = load_project(directory) if project is None else project
    listed = list_files(directory, project)
    identities: dict[str, FileIdentity] = {}
    files = []
    for one in listed:
        identities[one.path] = _identity(one.location)
        data_only = one.kind in _DATA and not one.guessed
        files.append(scan_file(one.location, one.path, allowed=choice.allowed, data_only=data_only))
    report = Report(files=settle(files, choice.allowed), allowed=choice.allowed)
    count = len(report.findings)
    on_event(StepFinished("scan", f"{len(files)} files, {count} finding{'s' * (count != 1)}"))
    return Scanned(
        directory=directory, report=report, accepted=choice.accepted, identities=identities
    )


def scan_paths(paths: Iterable[Path], allowed: Allowed = BUILT_IN) -> Report:
    """Look into files, and into all files below directories.

    A directory with a `modelseal.yaml` is looked into as `publish` would; of any other, every
    file is, hidden ones too. Links are not followed.

    Raises:
        UsageError: there is nothing at a path.
        Error: as `scan_model` does.
    """
    files: list[ScannedFile] = []
    for path in paths:
        if (path / FILE_NAME).is_file():
            files += scan_model(path, ScanChoice(allowed)).report.files
        else:
            files += settle(_scan_all(path, allowed), allowed)
    return Report(files=tuple(files), allowed=allowed)


def _scan_all(path: Path, allowed: Allowed) -> Iterator[ScannedFile]:
    if not os.path.lexists(path):
        raise UsageError(f"there is nothing at {path}", hint="name a file or a directory")
    if not path.is_dir():
        yield scan_file(path, path.as_posix(), allowed=allowed)
        return
    for count, (location, name) in enumerate(_below(path)):
        if count >= MAX_SCANNED_FILES:
            raise UsageError(f"{path} has more than {MAX_SCANNED_FILES} files")
        if location.is_symlink():
            finding = ScanFinding(
                rule="link", file=name, message=f"a link to {str(location.readlink())[:200]!r}"
            )
            yield ScannedFile(path=name, size=0, findings=(finding,))
        else:
            yield scan_file(location, name, allowed=allowed)


def _below(directory: Path) -> Iterator[tuple[Path, str]]:
    def failed(error: OSError) -> None:
        raise StorageError(f"cannot read {error.filename}: {error.strerror}") from error

    for place, directories, names in os.walk(directory, onerror=failed):
        linked = [name for name in directories if (Path(place) / name).is_symlink()]
        directories[:] = sorted(set(directories) - _NEVER - set(linked))
        for name in sorted([*names, *linked]):
            location = Path(place) / name
            yield location, location.relative_to(directory).as_posix()


def _identity(path: Path) -> FileIdentity:
    try:
        return FileIdentity.of(path.lstat())
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error


def second_opinion(paths: Iterable[Path]) -> tuple[str, ...]:
    """Ask `modelaudit-picklescan` about every pickle; return a line for each that it doubts.

    Its verdict depends on what is installed here, so it stands beside ours and decides nothing.

    Raises:
        UsageError: it is not installed.
    """
    try:
        from modelaudit_picklescan import scan_file as ask
    except ImportError as error:
        raise UsageError(
            "the second opinion is not installed", hint="pip install 'modelseal[picklescan]'"
        ) from error
    files = [
        one
        for path in paths
        for one in ([found for found, _ in _below(path)] if path.is_dir() else [path])
    ]
    return tuple(line for one in files if _is_pickle_file(one) for line in _asked(ask, one))


def _is_pickle_file(path: Path) -> bool:
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return is_pickle(file.read(2))


def _asked(ask: Callable[[Path], Any], path: Path) -> Iterator[str]:
    try:
        report = ask(path)
    except Exception as error:  # noqa: BLE001 - its failure is an opinion, too
        yield f"{path}: it failed with {type(error).__name__}"
        return
    if str(report.verdict.value) != "clean":
        told = "; ".join(str(finding.message) for finding in report.findings[:3])
        yield f"{path}: {report.verdict.value}: {told}"
