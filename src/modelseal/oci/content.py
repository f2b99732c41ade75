# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Content that can be read again, and reading that checks while it streams.

Bytes are the truth: nothing leaves this package without its size and digest having been compared
with the descriptor, and nothing unbounded is read into memory.
"""

import hashlib
import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, Self, cast

from modelseal.errors import ContentMismatchError, StorageError
from modelseal.oci.descriptor import Descriptor

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

CHUNK = 1 << 20
"""Bytes that are read at once; the only buffer that a transfer holds."""


HASH_CHUNK = 64 << 10
"""Bytes that are read at once to be hashed: they stay in the core's cache. Measured beside 1 MiB,
the system's time to read a file is halved."""


class Content(Protocol):
    """Bytes that can be read from their start as often as a retry needs it."""

    def open(self) -> BinaryIO:
        """Open the bytes at their start. Raises `StorageError`."""
        ...


@dataclass(frozen=True, slots=True)
class BytesContent:
    """Content that is at hand."""

    data: bytes

    def open(self) -> BinaryIO:
        """Open the bytes at their start."""
        return io.BytesIO(self.data)


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What changes when a file is written to, or another is put in its place."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """Read it from what `os.stat` says."""
        return cls(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        )


class HashedContent(Protocol):
    """Content that may be in a file whose digest this process has just computed."""

    def hashed_file(self) -> "FileContent | None":
        """Return the file, if it is so; then nobody needs to hash it again to send it."""
        ...

    def reached(self, position: int) -> None:
        """Say how far the file was sent, in bytes, when it is not read through `open`."""
        ...


def hashed_file(content: Content) -> "FileContent | None":
    """Return the file of `content`, if it is `HashedContent` and has one."""
    if isinstance(content, FileContent):  # what nearly all content is
        return content.hashed_file()
    # To look whether something keeps a protocol takes longer than to hash a small file.
    method = getattr(content, "hashed_file", None)
    return None if method is None else cast("HashedContent", content).hashed_file()


@dataclass(frozen=True, slots=True)
class FileContent:
    """Content in a file.

    Attributes:
        path: the file.
        hashed: what the file was when this process computed its digest. It is given only when
            every later change would show in it. Without it the file is hashed while it is sent.
    """

    path: Path
    hashed: FileIdentity | None = None

    def hashed_file(self) -> "FileContent | None":
        """Return this, if the digest was computed just now."""
        return self if self.hashed is not None else None

    def reached(self, position: int) -> None:
        """Ignore it."""

    def open(self) -> BinaryIO:
        """Open the file at its start. Raises `StorageError`."""
        try:
            return open_plain(self.path)
        except OSError as error:
            raise StorageError(f"cannot read {self.path}: {error.strerror}") from error


def open_plain(path: Path, *, buffering: int = 0, flags: int = 0) -> BinaryIO:
    """Open a plain file, unbuffered unless told how many bytes to buffer.

    A stranger's layout may hold a pipe under the name of a blob: to open it would never end.

    Args:
        path: the file, or a link to it.
        buffering: as of `open`.
        flags: more flags of `os.open`, as `O_NOFOLLOW`.

    Raises:
        OSError: it cannot be opened.
        StorageError: it is a pipe, a device, a socket or a directory.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | flags)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise StorageError(f"cannot read {path}: it is not a plain file")
    return os.fdopen(handle, "rb", buffering)


class VerifyingReader(io.RawIOBase):
    """A stream that hands out its last bytes only if it was what its descriptor says.

    `ContentMismatchError` comes instead of the last chunk when the digest differs, and at the
    first byte too few or too many: a caller that reads to the end has read the right bytes.
    What was read before that is vouched for by nobody.
    """

    def __init__(self, source: BinaryIO, expected: Descriptor) -> None:
        """Read `source`, which is closed with this stream."""
        self._source = source
        self._expected = expected
        self._hasher = hashlib.new(expected.digest.algorithm)
        self._seen = 0
        self._done = False

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill `buffer` with the next bytes; 0 at the verified end."""
        if self._done:
            return 0
        view = memoryview(buffer).cast("B")
        count = readinto(self._source, view)
        self._seen += count
        self._hasher.update(view[:count])
        if self._seen > self._expected.size:
            raise self._mismatch("goes on after its size")
        if count == 0 and self._seen < self._expected.size:
            raise self._mismatch(f"ends after {self._seen} bytes")
        if self._seen == self._expected.size:
            self._check_digest()
        self._done = count == 0
        return count

    def _check_digest(self) -> None:
        if self._hasher.hexdigest() != self._expected.digest.encoded:
            raise self._mismatch("has another digest")

    def _mismatch(self, how: str) -> ContentMismatchError:
        return ContentMismatchError(
            f"{self._expected.name}: the content {how}; expected {self._expected.size} bytes "
            f"with {self._expected.digest}",
            hint="the store or the network changed it; fetch it again, or from another mirror",
        )

    def close(self) -> None:
        """Close the source too."""
        if not self.closed:
            self._source.close()
        super().close()


def readinto(source: BinaryIO, view: memoryview) -> int:
    """Fill `view` with the next bytes of any stream; return how many, 0 at the end."""
    into = getattr(source, "readinto", None)
    if into is not None:
        return int(into(view) or 0)
    data = source.read(len(view))
    view[: len(data)] = data
    return len(data)


def verifying(source: BinaryIO, expected: Descriptor) -> BinaryIO:
    """Return `source` as a stream that checks itself against `expected`."""
    return io.BufferedReader(VerifyingReader(source, expected), CHUNK)
