# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Digests of data at hand: of one file, and of a directory.

The digest of a directory is in-toto's `dirHash` (DigestSet v1.1), which is Go's `Hash1` in hex: the
SHA-256 of `sha256sum`'s own list of all files. Whoever has coreutils can make it.
"""

import hashlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelseal.errors import InvalidProjectError, LimitExceededError, StorageError
from modelseal.modelpack.digests import DigestCache
from modelseal.modelpack.plain_files import hash_plain, open_plain
from modelseal.oci.content import CHUNK

MAX_DATA_FILES: Final = 200_000
"""Most files of one dataset that are hashed."""
MAX_DATA_DEPTH: Final = 32
"""Most levels of directories in one dataset."""

_LARGE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DataDigest:
    """The digest of data: `sha256` of a file, `dirHash` of a directory; hex digits."""

    algorithm: str
    encoded: str
    files: int
    size: int
    """Bytes in all."""

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"


def hash_data(
    path: Path, known: DigestCache | None = None, *, algorithm: str = "sha256"
) -> DataDigest:
    """Hash a file or all that is in a directory, in constant memory for each file.

    Args:
        path: the file or directory.
        known: digests of files that need not be read again.
        algorithm: of a file; `sha256` or `sha512`.

    Raises:
        InvalidProjectError: something in it is a link or no plain file, or changes meanwhile.
        LimitExceededError: it has over `MAX_DATA_FILES` files or `MAX_DATA_DEPTH` levels.
        StorageError: the disk refused.
    """
    if not path.is_dir():
        if algorithm == "sha512":
            return _sha512(path)
        found = hash_plain(path, known=known)
        return DataDigest(
            algorithm="sha256", encoded=found.digest.encoded, files=1, size=found.size
        )
    entries: list[tuple[str, str]] = []
    size = 0
    for name, file in _files(path, "", 0):
        if len(entries) >= MAX_DATA_FILES:
            raise LimitExceededError(f"{path} has over {MAX_DATA_FILES} files")
        found = hash_plain(file, known=known if _is_large(file) else None)
        size += found.size
        entries.append((name, found.digest.encoded))
    return DataDigest(algorithm="dirHash", encoded=dir_hash(entries), files=len(entries), size=size)


def _is_large(file: Path) -> bool:
    """Tell whether to remember a digest: of many small files others would be forgotten."""
    try:
        return file.lstat().st_size >= _LARGE
    except OSError as error:
        raise StorageError(f"cannot look at {file}: {error.strerror}") from error


def _sha512(path: Path) -> DataDigest:
    try:
        with open_plain(path) as file:
            hasher = hashlib.sha512()
            while chunk := file.read(CHUNK):
                hasher.update(chunk)
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    return DataDigest(algorithm="sha512", encoded=hasher.hexdigest(), files=1, size=size)


def dir_hash(entries: Iterable[tuple[str, str]]) -> str:
    """Return the `dirHash` of files: pairs of a path below the directory and SHA-256 in hex.

    Raises:
        InvalidProjectError: a path has a line break, which the list could not tell apart.
    """
    hasher = hashlib.sha256()
    for name, encoded in sorted((os.fsencode(name), encoded) for name, encoded in entries):
        if b"\n" in name:
            raise InvalidProjectError(f"the file name {os.fsdecode(name)!r} has a line break")
        hasher.update(encoded.encode() + b"  " + name + b"\n")
    return hasher.hexdigest()


def _files(directory: Path, prefix: str, depth: int) -> Iterator[tuple[str, Path]]:
    if depth > MAX_DATA_DEPTH:
        raise LimitExceededError(f"{directory} is deeper than {MAX_DATA_DEPTH} levels")
    try:
        with os.scandir(directory) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise StorageError(f"cannot read {directory}: {error.strerror}") from error
    for entry in entries:
        name = f"{prefix}{entry.name}"
        if entry.is_symlink():
            raise InvalidProjectError(
                f"{entry.path} is a link, and what it leads to is not hashed",
                hint="put the data themselves there",
            )
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path), f"{name}/", depth + 1)
        else:
            yield name, Path(entry.path)
