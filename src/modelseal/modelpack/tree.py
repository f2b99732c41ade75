# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The files of any directory as they stand there, and the digests of them or of parts of them.

Other than `inventory`, it knows no project and leaves nothing out but what the caller says. Links
are followed only when the caller asks; what else is no plain file or directory is refused.
"""

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelseal.errors import InvalidProjectError, LimitExceededError, StorageError
from modelseal.modelpack.paths import MAX_DEPTH, MAX_ENTRIES
from modelseal.oci.content import HASH_CHUNK, readinto

HASHES: Final = ("sha256", "blake2b")
"""What is computed here; blake3 is not in Python's standard library."""

_WORKERS = min(8, os.cpu_count() or 1)


@dataclass(frozen=True, slots=True)
class Part:
    """The bytes `start` to `end` of a file below a directory; `end` is None for its end."""

    path: str
    start: int = 0
    end: int | None = None


def list_files(
    top: Path, *, skips: Callable[[str], bool], follow_links: bool = False
) -> dict[str, int]:
    """Return the size of every file below `top`, by its path with `/`.

    Args:
        top: a directory, or a single file, which has its own name as path then.
        skips: tells of a path, of a file or a directory, whether it is left out.
        follow_links: take what links point at; otherwise one link refuses the whole.

    Raises:
        InvalidProjectError: a link, a device, a pipe or a socket.
        LimitExceededError: too many entries, or nested too deep (a link may lead back up).
        StorageError: the disk refused.
    """
    if not top.is_dir():
        return {top.name: _status(top, top.name, follow_links=follow_links).st_size}
    return dict(_walk(top, skips, follow_links=follow_links))


def _walk(
    top: Path, skips: Callable[[str], bool], *, follow_links: bool
) -> Iterator[tuple[str, int]]:
    waiting, seen = [""], 0
    while waiting:
        prefix = waiting.pop()
        try:
            with os.scandir(top / prefix) as entries:
                names = [entry.name for entry in entries]
        except OSError as error:
            raise StorageError(f"cannot read {top / prefix}: {error.strerror}") from error
        for name in names:
            path, seen = prefix + name, seen + 1
            if seen > MAX_ENTRIES or path.count("/") >= MAX_DEPTH:
                raise LimitExceededError(f"{top} has too many files, or too deep ones")
            if skips(path):
                continue
            status = _status(top / path, path, follow_links=follow_links)
            if stat.S_ISDIR(status.st_mode):
                waiting.append(f"{path}/")
            else:
                yield path, status.st_size


def _status(place: Path, path: str, *, follow_links: bool) -> os.stat_result:
    try:
        status = place.stat(follow_symlinks=follow_links)
    except OSError as error:
        raise StorageError(f"cannot read {path!r}: {error.strerror}") from error
    if stat.S_ISLNK(status.st_mode):
        raise InvalidProjectError(
            f"{path!r} is a symbolic link", hint="put the file itself there (cp -rL)"
        )
    if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
        raise InvalidProjectError(f"{path!r} is a device, a pipe or a socket", hint="remove it")
    return status


def hash_parts(
    top: Path, parts: Sequence[Part], algorithm: str, *, follow_links: bool = False
) -> list[str]:
    """Return the digest of each part in hex, in order; several files are read at once.

    Raises:
        InvalidProjectError: not a plain file, or it changed while it was read.
        StorageError: the disk refused.
    """
    stop = threading.Event()

    def one(part: Part) -> str:
        place = top / part.path if top.is_dir() else top
        return _hash(place, part, algorithm, follow_links=follow_links, stop=stop)

    pool = ThreadPoolExecutor(_WORKERS, thread_name_prefix="modelseal-hash")
    try:
        return list(pool.map(one, parts))
    finally:
        stop.set()  # after an error, or Ctrl-C, the other files are not read to their end
        pool.shutdown(cancel_futures=True)


def _hash(
    place: Path, part: Part, algorithm: str, *, follow_links: bool, stop: threading.Event
) -> str:
    assert algorithm in HASHES
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (0 if follow_links else os.O_NOFOLLOW)
    try:
        with os.fdopen(os.open(place, flags), "rb", 0) as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise InvalidProjectError(f"{place} is not a plain file")
            file.seek(part.start)
            left = (before.st_size if part.end is None else part.end) - part.start
            hasher = hashlib.new(algorithm)
            view = memoryview(bytearray(HASH_CHUNK))
            while left > 0 and (count := readinto(file, view[: min(left, HASH_CHUNK)])):
                hasher.update(view[:count])
                left -= count
                if stop.is_set():
                    raise StorageError(f"{place} was not read to its end")
            after = os.fstat(file.fileno())
    except OSError as error:
        raise StorageError(f"cannot read {place}: {error.strerror}") from error
    if left or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise InvalidProjectError(
            f"{place} changed while it was read", hint="wait until nobody writes there"
        )
    return hasher.hexdigest()
