# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The git working tree that a model stands in: its commit, what differs from it, and its remote."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import Any, Final

from modelseal.evidence.programs import PROGRAM_TIMEOUT, ProgramError, find_program
from modelseal.evidence.source.remotes import public_remote
from modelseal.evidence.source.scratch import Scratch

MAX_CHANGED_FILES: Final = 100
"""Most files that are named of those that differ; of the others the number is told."""

_UNTRACKED: Final = "??"
_NO_FILTER: Final = frozenset({"unspecified", "unset", "set"})


class Relation(StrEnum):
    """How a commit stands to the one that is checked out."""

    SAME = "same"
    EARLIER = "earlier"
    """It is one of the checked-out commit's ancestors."""
    OTHER = "other"
    """It is in the repository, and no ancestor."""
    ABSENT = "absent"
    """It is not in the repository."""
    UNKNOWN = "unknown"
    """A shallow clone does not have it, or git did not answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingTree:
    """What git says. Paths are from the root of the working tree."""

    root: Path
    commit: str
    ref: str = ""
    """`refs/heads/main`; empty when no branch is checked out."""
    remote: str = ""
    """Without credentials; empty when there is none, or it is a path."""
    changed: tuple[str, ...] = ()
    """Tracked files that are not as in the commit."""
    untracked: tuple[str, ...] = ()
    """What is outside of the model, neither tracked nor ignored."""
    not_compared: tuple[str, ...] = ()
    """Files that go through a filter such as Git LFS, which is not run."""
    unknown: str = ""
    """Why it is not known what differs; empty when it is known."""
    relation: Relation | None = None
    """How the commit that was asked for stands to this one."""

    @property
    def clean(self) -> bool:
        """Whether everything is known to be as in the commit."""
        return not (self.changed or self.untracked or self.not_compared or self.unknown)

    def to_json(self) -> dict[str, Any]:
        """Return it as it stands in a provenance: without where it is on this disk."""
        value: dict[str, Any] = {
            "commit": self.commit,
            "ref": self.ref,
            "remote": self.remote,
            "changed": list(self.changed[:MAX_CHANGED_FILES]),
            "untracked": list(self.untracked[:MAX_CHANGED_FILES]),
            "notCompared": list(self.not_compared[:MAX_CHANGED_FILES]),
        }
        filled = {key: item for key, item in value.items() if item}
        if self.unknown:
            return filled
        counts = {
            "changedFiles": len(self.changed),
            "untrackedFiles": len(self.untracked),
            "notComparedFiles": len(self.not_compared),
        }
        told = {key: str(count) for key, count in counts.items() if count}
        return {**filled, **told, "clean": self.clean}


@dataclass(frozen=True, slots=True)
class NoWorkingTree:
    """There is none, or git could not be asked; `why` says which."""

    why: str
    is_missing: bool = False
    """Whether there simply is none."""


def read_working_tree(
    directory: Path,
    environment: Mapping[str, str],
    *,
    compared_with: str = "",
    timeout: float = PROGRAM_TIMEOUT,
) -> WorkingTree | NoWorkingTree:
    """Ask git about the working tree that `directory` is in. Nothing of the repository is run.

    Args:
        directory: the model directory.
        environment: of the process; its PATH tells where git is.
        compared_with: a commit; how it stands to the one that is checked out is told.
        timeout: seconds that one answer of git may take.
    """
    model = directory.resolve()
    root = _root_of(model)
    if root is None:
        return NoWorkingTree("the model stands in no git working tree", is_missing=True)
    program = find_program("git", environment)
    if program is None:
        return NoWorkingTree("the model stands in a git working tree, and git is not installed")
    try:
        if not _is_ours(root):
            return NoWorkingTree("the git repository around the model belongs to somebody else")
        with tempfile.TemporaryDirectory(prefix="modelseal-git-") as home:
            scratch = Scratch(program, root, Path(home), timeout=timeout)
            return _look(scratch, root, model, compared_with)
    except ProgramError as error:
        return NoWorkingTree(f"the model stands in a git working tree that cannot be read: {error}")
    except OSError as error:
        return NoWorkingTree(f"git cannot be asked: {error.strerror}")


def _root_of(model: Path) -> Path | None:
    return next((place for place in (model, *model.parents) if (place / ".git").exists()), None)


def _is_ours(root: Path) -> bool:
    """Tell whether who owns the place has made the repository: nobody else's `/tmp/.git` counts."""
    made = (root / ".git").stat().st_uid
    return made in {os.geteuid(), root.stat().st_uid}


def _look(scratch: Scratch, root: Path, model: Path, compared_with: str) -> WorkingTree:
    unknown, entries, filtered = "", [], set[str]()
    try:
        entries = list(_status(scratch))
        changed = [path for state, path in entries if state != _UNTRACKED]
        filtered = set(_filtered(scratch, changed[:MAX_CHANGED_FILES]))
    except ProgramError as error:
        unknown, entries = str(error), []
    inside = PurePosixPath(model.relative_to(root))
    return WorkingTree(
        root=root,
        commit=scratch.commit,
        ref=scratch.branch(),
        remote=_remote(dict(scratch.setting(r"^remote\..*\.url$"))),
        changed=tuple(
            path for state, path in entries if state != _UNTRACKED and path not in filtered
        ),
        untracked=tuple(
            path
            for state, path in entries
            if state == _UNTRACKED and not _is_the_models(PurePosixPath(path), inside)
        ),
        not_compared=tuple(sorted(filtered)),
        unknown=unknown,
        relation=_relation(scratch, compared_with) if compared_with else None,
    )


def _status(scratch: Scratch) -> Iterator[tuple[str, str]]:
    """Yield the state and the path of everything that is not as in the commit."""
    _, answer = scratch.ask(
        *("status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=normal"),
        "--ignore-submodules=dirty",  # what is inside of one has a configuration of its own
    )
    for entry in answer.split(b"\0"):
        if entry:
            yield (
                entry[:2].decode("ascii", "replace"),
                entry[3:].decode("utf-8", "backslashreplace"),
            )


def _filtered(scratch: Scratch, paths: Sequence[str]) -> Iterator[str]:
    """Yield those of the paths whose content git has only through a filter."""
    if not paths:
        return
    _, answer = scratch.ask("check-attr", "-z", "filter", "--", *paths)
    fields = answer.decode("utf-8", "backslashreplace").split("\0")
    for path, _, value in zip(fields[::3], fields[1::3], fields[2::3], strict=False):
        if value not in _NO_FILTER:
            yield path


def _is_the_models(path: PurePosixPath, model: PurePosixPath) -> bool:
    """Tell whether an untracked path is the model's, or a directory that was made for it."""
    return path == model or model in path.parents or path in model.parents


def _remote(urls: Mapping[str, str]) -> str:
    if "remote.origin.url" in urls:
        return public_remote(urls["remote.origin.url"])
    return public_remote(next(iter(urls.values()))) if len(urls) == 1 else ""


def _relation(scratch: Scratch, commit: str) -> Relation:
    if commit == scratch.commit:
        return Relation.SAME
    try:
        missing, _ = scratch.ask("cat-file", "-e", f"{commit}^{{commit}}", answers=(0, 1, 128))
        if missing:
            return Relation.UNKNOWN if scratch.shallow else Relation.ABSENT
        other, _ = scratch.ask(
            *("merge-base", "--is-ancestor", commit, scratch.commit), answers=(0, 1)
        )
    except ProgramError:
        return Relation.UNKNOWN
    if not other:
        return Relation.EARLIER
    return Relation.UNKNOWN if scratch.shallow else Relation.OTHER
