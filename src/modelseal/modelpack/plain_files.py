# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Reading of plain files: never through a link, never from a device or a pipe."""

import errno
import hashlib
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from modelseal.errors import InvalidProjectError, StorageError
from modelseal.modelpack.digests import DigestCache, now_ns, settled
from modelseal.oci.content import CHUNK, HASH_CHUNK, FileIdentity, readinto
from modelseal.oci.descriptor import Digest

# O_NONBLOCK: to open a pipe must not wait for whoever writes into it.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def open_plain(path: Path, *, buffering: int = 0) -> BinaryIO:
    """Open the plain file `path`, unbuffered unless told how many bytes to buffer.

    Raises:
        InvalidProjectError: it is a link, a directory, a device, a pipe or a socket.
        StorageError: the disk refused.
        FileNotFoundError: it is not there.
    """
    try:
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise InvalidProjectError(f"{path} is not a plain file") from error
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    file = os.fdopen(descriptor, "rb", buffering)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise InvalidProjectError(f"{path} is not a plain file")
    return file


def read_small(directory: Path, name: str, *, limit: int) -> bytes | None:
    """Return the bytes of a file; None when it is not there.

    Raises:
        InvalidProjectError: it is not a plain file, or has more than `limit` bytes.
        StorageError: the disk refused.
    """
    path = directory / name
    try:
        with open_plain(path) as file:
            # One byte more than the limit tells whether there is more.
            data = _read_up_to(file, limit + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > limit:
        raise InvalidProjectError(f"{path} is larger than {limit} bytes")
    return data


def _read_up_to(file: BinaryIO, count: int) -> bytes:
    parts: list[bytes] = []
    while count > 0 and (part := file.read(min(count, CHUNK))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


@dataclass(frozen=True, slots=True)
class HashedFile:
    """What is in a file."""

    digest: Digest
    size: int
    identity: FileIdentity | None
    """The file as it was hashed just now, if every later change would show in it."""


def hash_plain(
    path: Path,
    *,
    stopped: Callable[[], bool] = lambda: False,
    known: DigestCache | None = None,
) -> HashedFile:
    """Return the SHA-256 digest and the size of a file, read in constant memory.

    Args:
        path: the file.
        stopped: asked between two chunks; True ends the work with an error.
        known: digests of files that need not be read.

    Raises:
        InvalidProjectError: not a plain file, gone, or changed while it was read.
        StorageError: the disk refused.
    """
    try:
        with open_plain(path) as file:
            before = FileIdentity.of(os.fstat(file.fileno()))
            digest = known.get(before) if known is not None else None
            if digest is not None:
                return HashedFile(digest, before.size, None)
            began = now_ns()
            digest = _hash(path, file, before.size, stopped)
            after = FileIdentity.of(os.fstat(file.fileno()))
            # The name, too: a file that was put in its place has to be read anew.
            named = FileIdentity.of(path.lstat())
    except FileNotFoundError as error:
        raise _changed(path) from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    # A link to it, or its mode, changes the time of the inode only: that is no other content.
    if not _content(before) == _content(after) == _content(named):
        raise _changed(path)
    if known is not None and before == after:
        known.put(after, digest, began)
    sure = before == after and settled(after, began)
    return HashedFile(digest, before.size, after if sure else None)


def _hash(path: Path, file: BinaryIO, size: int, stopped: Callable[[], bool]) -> Digest:
    hasher = hashlib.sha256()
    view = memoryview(bytearray(HASH_CHUNK))
    seen = 0
    while count := readinto(file, view):
        hasher.update(view[:count])
        seen += count
        if seen > size:
            raise _changed(path)  # or a file that grows would never end
        if stopped():
            raise InvalidProjectError(f"{path} was not read to its end")
    if seen != size:
        raise _changed(path)
    return Digest("sha256", hasher.hexdigest())


def _content(identity: FileIdentity) -> tuple[int, int, int, int]:
    return identity.size, identity.mtime_ns, identity.inode, identity.device


def _changed(path: Path) -> InvalidProjectError:
    return InvalidProjectError(
        f"{path} changed while it was read",
        hint="wait until whatever writes there has finished, and try again",
    )
