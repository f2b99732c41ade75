# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Which files of a directory belong to the model, what each is for, and what is in it.

The rules of `spec.files` come first, the first that matches wins; then the defaults by name. Left
out by default are hidden files, version control, caches, virtual environments and private keys. A
pattern is a path from the top of the directory, where `**` stands for any number of directories.
As in a shell, a wildcard that includes does not mean hidden names (nor `venv` and its like).

Links, devices, pipes and sockets are refused by name unless they are left out: a link could bring
in a file from elsewhere. What is found does not depend on the order in which the disk lists it.
"""

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

from modelseal.errors import InvalidProjectError, StorageError, UnsafePathError
from modelseal.modelpack._patterns import Rules
from modelseal.modelpack.digests import DigestCache
from modelseal.modelpack.media_types import LayerKind
from modelseal.modelpack.paths import MAX_DEPTH, check_paths
from modelseal.modelpack.plain_files import hash_plain
from modelseal.modelpack.project import FILE_NAME, Project
from modelseal.oci.content import FileIdentity
from modelseal.oci.descriptor import Digest

MAX_FILES = 10_000
"""Most files of one model; a manifest of 4 MiB does not hold more."""

_MAX_ENTRIES = 200_000
_WORKERS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file of the model, as it was read."""

    path: str
    """Below the directory, with `/`."""
    kind: LayerKind
    guessed: bool
    """Whether the kind comes from the name, not from a rule of the project."""
    size: int
    digest: Digest
    location: Path
    identity: FileIdentity | None = None
    """The file as it was hashed just now, if every later change would show in it."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """The files of a model, sorted by the code points of their paths."""

    files: tuple[SourceFile, ...]
    left_out: tuple[str, ...]
    """What stands in the directory and is not packed; a directory ends in `/`."""

    @property
    def size(self) -> int:
        """Bytes in all files."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class ListedFile:
    """One file of the model, before it is read."""

    path: str
    kind: LayerKind
    guessed: bool
    location: Path
    size: int


def scan(
    directory: Path,
    project: Project,
    *,
    on_plan: Callable[[Sequence[tuple[str, int]]], None] = lambda _: None,
    on_file: Callable[[SourceFile], None] = lambda _: None,
    known: DigestCache | None = None,
    workers: int = _WORKERS,
) -> Inventory:
    """List and read the files of the model in `directory`.

    Args:
        directory: where `modelseal.yaml` stands.
        project: its rules.
        on_plan: called once with the path and the bytes of each file, before they are read.
        on_file: called here, in this thread, after each file was read, in no certain order.
        known: digests of files that need not be read; what is read is added to it.
        workers: files that are read at once.

    Raises:
        InvalidProjectError: a name or a file that cannot be packed, no file, no weights, or a
            file that changed while it was read.
        StorageError: the disk refused.
    """
    left_out: list[str] = []
    found = sorted(_walk(directory, Rules(project.files), left_out), key=lambda item: item.path)
    _check(directory, found)
    on_plan([(item.path, item.size) for item in found])
    files = _read(found, on_file, known, workers)
    return Inventory(files, tuple(sorted(left_out)))


def list_files(directory: Path, project: Project) -> tuple[ListedFile, ...]:
    """List the files of the model in `directory`, in the order of `scan`, without reading them.

    Raises:
        InvalidProjectError, StorageError: as `scan` does.
    """
    found = sorted(_walk(directory, Rules(project.files), []), key=lambda item: item.path)
    _check(directory, found)
    return tuple(found)


def _walk(directory: Path, rules: Rules, left_out: list[str]) -> Iterator[ListedFile]:
    waiting, seen, count = [("", directory)], 0, 0
    while waiting:
        prefix, place = waiting.pop()
        for entry in _entries(place):
            seen += 1
            path = prefix + entry.name
            if seen > _MAX_ENTRIES:
                raise _too_many(directory)
            if entry.is_dir(follow_symlinks=False):
                if rules.skips_directory(path):
                    left_out.append(f"{path}/")
                else:
                    _check_depth(path)
                    waiting.append((f"{path}/", place / entry.name))
                continue
            verdict = rules.verdict(path)
            if verdict is None:
                left_out.append(path)
                continue
            size = _check_plain(entry, path)
            count += 1
            if count > MAX_FILES:
                raise _too_many(directory)
            yield ListedFile(path, verdict.kind, verdict.guessed, place / entry.name, size)


def _entries(place: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(place) as entries:
            return list(entries)
    except OSError as error:
        raise StorageError(f"cannot read {place}: {error.strerror}") from error


def _check_depth(path: str) -> None:
    if path.count("/") >= MAX_DEPTH:
        raise InvalidProjectError(f"{path[:200]!r} is nested deeper than {MAX_DEPTH} directories")


def _check_plain(entry: os.DirEntry[str], path: str) -> int:
    """Return the size of a plain file; refuse everything else."""
    if entry.is_symlink():
        raise InvalidProjectError(
            f"{path!r} is a symbolic link",
            hint="put the file itself there (cp -rL copies what links point at), or exclude it",
        )
    if not entry.is_file(follow_symlinks=False):
        raise InvalidProjectError(
            f"{path!r} is a device, a pipe or a socket", hint="remove it, or exclude it"
        )
    try:
        return entry.stat(follow_symlinks=False).st_size
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error


def _too_many(directory: Path) -> InvalidProjectError:
    return InvalidProjectError(
        f"{directory} has more than {MAX_FILES} files to pack",
        hint=f"leave some out in {FILE_NAME}, spec.files; data sets are better named by digest",
    )


def _check(directory: Path, found: list[ListedFile]) -> None:
    if not any(item.path != FILE_NAME for item in found):
        raise InvalidProjectError(
            f"{directory} has no file to pack",
            hint="put the model's files there; what spec.files excludes, and hidden files, do "
            "not count",
        )
    try:
        check_paths(item.path for item in found)
    except UnsafePathError as error:
        raise InvalidProjectError(f"{directory}: {error}", hint=error.hint) from error
    if not any(item.kind is LayerKind.WEIGHT for item in found):
        raise InvalidProjectError(
            f"{directory} has no weight file",
            hint=f'name it in {FILE_NAME}, spec.files: {{include: "model.dat", kind: weight}}',
        )


def _read(
    found: list[ListedFile],
    on_file: Callable[[SourceFile], None],
    known: DigestCache | None,
    workers: int,
) -> tuple[SourceFile, ...]:
    stop = threading.Event()
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="modelseal-hash")
    try:
        # The largest first: they would be the last to arrive.
        order = sorted(found, key=lambda item: item.size, reverse=True)
        futures = {item.path: pool.submit(_read_file, item, known, stop) for item in order}
        for future in as_completed(futures.values()):
            on_file(future.result())
        return tuple(futures[item.path].result() for item in found)
    finally:
        # After an error, or Ctrl-C, the other files are not read to their end.
        stop.set()
        pool.shutdown(cancel_futures=True)


def _read_file(item: ListedFile, known: DigestCache | None, stop: threading.Event) -> SourceFile:
    found = hash_plain(item.location, stopped=stop.is_set, known=known)
    return SourceFile(
        path=item.path,
        kind=item.kind,
        guessed=item.guessed,
        size=found.size,
        digest=found.digest,
        location=item.location,
        identity=found.identity,
    )
