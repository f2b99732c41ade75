# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Bytes that are looked at by their place, without being held: a file, a part of one, or some."""

import os
import tempfile
import zlib
from collections.abc import Iterable
from typing import BinaryIO, Protocol

CHUNK = 1 << 20
_IN_MEMORY = 32 << 20


class Source(Protocol):
    """Bytes that can be read anywhere."""

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def read_at(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes; fewer only at the end. Raises `OSError`."""
        ...


class FileSource:
    """An open plain file."""

    def __init__(self, file: BinaryIO) -> None:
        """Read `file`, which stays open."""
        self._fd = file.fileno()
        self.size = os.fstat(self._fd).st_size

    def read_at(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes."""
        found = os.pread(self._fd, max(0, min(count, self.size - offset)), offset)
        while len(found) < min(count, self.size - offset):
            more = os.pread(
                self._fd, min(count, self.size - offset) - len(found), offset + len(found)
            )
            if not more:
                break  # it became shorter meanwhile; whoever needs the bytes says so
            found += more
        return found


class BytesSource:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        """Take `data`."""
        self._data = data
        self.size = len(data)

    def read_at(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes."""
        return self._data[offset : offset + count]


class Part:
    """A part of another source."""

    def __init__(self, whole: Source, start: int, size: int) -> None:
        """Show `size` bytes of `whole` from `start`."""
        self._whole = whole
        self._start = start
        self.size = max(0, min(size, whole.size - start))

    def read_at(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes."""
        return self._whole.read_at(self._start + offset, max(0, min(count, self.size - offset)))


class Spool:
    """Unpacked bytes: in memory, or in a file without a name when there are many."""

    def __init__(self, chunks: Iterable[bytes]) -> None:
        """Take what `chunks` yields."""
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - see close
        self.size = 0
        self.crc = 0
        try:
            for chunk in chunks:
                self._file.write(chunk)
                self.size += len(chunk)
                self.crc = zlib.crc32(chunk, self.crc)
        except BaseException:
            self._file.close()
            raise

    def read_at(self, offset: int, count: int) -> bytes:
        """Return up to `count` bytes."""
        self._file.seek(offset)
        return self._file.read(count)

    def close(self) -> None:
        """Give the bytes up."""
        self._file.close()


def chunks_of(source: Source, start: int = 0, stop: int | None = None) -> Iterable[bytes]:
    """Yield the bytes from `start` to `stop`, in pieces."""
    end = source.size if stop is None else min(stop, source.size)
    while start < end:
        chunk = source.read_at(start, min(CHUNK, end - start))
        if not chunk:
            raise OSError("it became shorter while it was read")
        yield chunk
        start += len(chunk)
