# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The bytes of a pickle, read in windows: what is long is passed over, not read."""

from modelseal.evidence.scan.source import Source

WINDOW = 1 << 20
MARGIN = 300
"""Bytes that are there at each instruction, as far as the file goes: any short one fits in."""
_MAX_LINE = 4096


class BrokenPickleError(Exception):
    """It cannot be read on. Never leaves this package."""

    def __init__(self, offset: int, why: str) -> None:
        """Say where, and why."""
        super().__init__(why)
        self.offset = offset
        self.why = why


class Window:
    """A window on the source; `pos` is in it, `base` is where it begins."""

    def __init__(self, source: Source, start: int) -> None:
        """Begin at `start`."""
        self._source = source
        self.base = start
        self.pos = 0
        self.buf = b""
        self.size = source.size

    @property
    def offset(self) -> int:
        """Where we are, from the beginning of the source."""
        return self.base + self.pos

    def refill(self) -> None:
        """Have at least `MARGIN` bytes from `pos` on, if there are so many."""
        self.base += self.pos
        self.pos = 0
        self.buf = self._source.read_at(self.base, WINDOW)

    def take(self, count: int) -> bytes:
        """Return the next few bytes."""
        if self.pos + count > len(self.buf):
            self.refill()
        data = self.buf[self.pos : self.pos + count]
        if len(data) < count:
            raise BrokenPickleError(self.offset, "it is cut off")
        self.pos += count
        return data

    def skip(self, count: int) -> None:
        """Pass over bytes."""
        if count > self.size - self.offset:
            raise BrokenPickleError(self.offset, "it is cut off")
        self.pos += count
        if self.pos > len(self.buf):
            self.refill()

    def line(self) -> bytes | None:
        """Return a line without its end; None, and pass over it, when it is long."""
        found = self.buf.find(b"\n", self.pos)
        if found < 0:
            self.refill()
            found = self.buf.find(b"\n")
        if found >= 0:
            data = self.buf[self.pos : found]
            self.pos = found + 1
            return data if len(data) <= _MAX_LINE else None
        while found < 0:
            self.pos = len(self.buf)
            self.refill()
            if not self.buf:
                raise BrokenPickleError(self.offset, "it is cut off in a line")
            found = self.buf.find(b"\n")
        self.pos = found + 1
        return None
