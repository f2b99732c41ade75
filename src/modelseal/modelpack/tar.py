# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Reading of tar archives by strangers: one pass, constant memory, nothing but files.

A strict reader of its own, because the lenient ones disagree with each other (and one file that two
tools see differently is what an attacker wants), and because the library's reads extended headers
of any size into memory. What is odd is refused: sparse files, two extended headers for one member,
a keyword twice, sizes that contradict each other, anything but zeros after the end.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format"; GNU tar manual,
"Basic Tar Format", for long names and large numbers.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import BinaryIO

from modelseal.errors import InvalidDocumentError, LimitExceededError
from modelseal.oci.content import CHUNK
from modelseal.oci.descriptor import MAX_SIZE

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
MAX_EXTENDED_HEADER_BYTES = 64 << 10
"""Largest extended header of an archive that is read, in bytes."""
_MAX_RECORDS = 500  # of one extended header; writers need a dozen, and each costs time
_MAX_EXTENDED_HEADERS = 2  # a global one and one of the member
_RECORD_LENGTH = re.compile(rb"[1-9][0-9]{0,6} ")
_OCTAL = re.compile(rb" *([0-7]*)[ \0]*")
_DECIMAL = re.compile(r"[0-9]{1,18}")
_LARGE_NUMBER = 0x80  # GNU: the rest of the field is a binary number
_POSIX, _GNU = b"ustar\x0000", b"ustar  \x00"


class MemberType(Enum):
    """What a member of an archive is."""

    FILE = "a file"
    DIRECTORY = "a directory"
    HARD_LINK = "a hard link"
    SYMBOLIC_LINK = "a symbolic link"
    CHARACTER_DEVICE = "a character device"
    BLOCK_DEVICE = "a block device"
    PIPE = "a named pipe"


_TYPES = {
    b"0": MemberType.FILE,
    b"\0": MemberType.FILE,
    b"1": MemberType.HARD_LINK,
    b"2": MemberType.SYMBOLIC_LINK,
    b"3": MemberType.CHARACTER_DEVICE,
    b"4": MemberType.BLOCK_DEVICE,
    b"5": MemberType.DIRECTORY,
    b"6": MemberType.PIPE,
}


@dataclass(frozen=True, slots=True)
class Member:
    """A member as its headers describe it; modes, owners and times are not read."""

    name: str
    """As it stands there; `.` and `..` included."""
    type: MemberType
    size: int


@dataclass(slots=True)
class _Extended:
    """What comes before a header, and counts for it."""

    path: str | None = None
    size: int | None = None
    seen: list[bytes] = field(default_factory=list)


class TarReader:
    """The members of one archive, in their order; `chunks` reads the one that came last."""

    def __init__(self, source: BinaryIO, name: str) -> None:
        """Read `source`, whose `read(n)` gives n bytes unless it ends; `name` is for errors."""
        self._source = source
        self._name = name
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        """Yield the members; the archive was read to its end, and was right, when this ends.

        Raises:
            InvalidDocumentError: it is broken, cut off, or has what is not read here.
            LimitExceededError: an extended header is too large.
        """
        while (member := self._next()) is not None:
            yield member
            for _ in self.chunks():
                pass
        self._read_end()

    def chunks(self) -> Iterator[bytes]:
        """Yield what is left of the member's content. Raises `InvalidDocumentError`."""
        while self._left:
            data = self._exactly(min(self._left, CHUNK))
            self._left -= len(data)
            yield data
        self._skip_padding()

    def _next(self) -> Member | None:
        extended = _Extended()
        while True:
            block = self._exactly(_BLOCK)
            if block == _ZEROS:
                if extended.seen:
                    raise self._broken("ends after an extended header")
                return None
            kind, size = self._check(block)
            if kind in _TYPES:
                return self._member(block, kind, size, extended)
            self._extend(extended, kind, size)

    def _member(self, block: bytes, kind: bytes, size: int, extended: _Extended) -> Member:
        member_type = _TYPES[kind]
        name = self._text(_path(block)) if extended.path is None else extended.path
        if member_type is MemberType.FILE and name.endswith("/"):
            raise self._broken(f"has a file called {name[:200]!r}, which is a directory's name")
        if extended.size is not None:
            size = extended.size
        if member_type is not MemberType.FILE and size:
            # Some readers skip that many bytes, others do not.
            raise self._broken(f"gives a size to {name[:200]!r}, which is {member_type.value}")
        self._left = size
        self._padding = -size % _BLOCK
        return Member(name, member_type, size)

    def _check(self, block: bytes) -> tuple[bytes, int]:
        if block[257:265] not in (_POSIX, _GNU):
            raise self._broken("is no tar archive, or is broken")
        expected = sum(block) - sum(block[148:156]) + 8 * ord(" ")
        if self._number(block[148:156]) != expected:
            raise self._broken("has a header with a wrong checksum")
        size = self._number(block[124:136])
        if size > MAX_SIZE:
            raise self._broken("has a member of an impossible size")
        return block[156:157], size

    def _number(self, data: bytes) -> int:
        if data[0] == _LARGE_NUMBER:
            return int.from_bytes(data[1:], "big")
        match = _OCTAL.fullmatch(data)
        if match is None:
            raise self._broken("has a header with a broken number")
        return int(match[1] or b"0", 8)

    def _extend(self, extended: _Extended, kind: bytes, size: int) -> None:
        if kind not in (b"x", b"g", b"L"):
            raise self._broken(f"has a member of the type {kind!r}, which is not read here")
        if kind in extended.seen or len(extended.seen) >= _MAX_EXTENDED_HEADERS:
            raise self._broken("has two extended headers for one member")
        if size > MAX_EXTENDED_HEADER_BYTES:
            raise LimitExceededError(
                f"{self._name} has an extended header of {size} bytes; at most "
                f"{MAX_EXTENDED_HEADER_BYTES} are read"
            )
        extended.seen.append(kind)
        data = self._exactly(size)
        self._padding = -size % _BLOCK
        self._skip_padding()
        if kind == b"L":
            self._set_path(extended, data.removesuffix(b"\0"))
        else:
            self._read_records(extended, data, only_comments=kind == b"g")

    def _set_path(self, extended: _Extended, data: bytes) -> None:
        if extended.path is not None:
            raise self._broken("has two names for one member")
        extended.path = self._text(data)

    def _read_records(self, extended: _Extended, data: bytes, *, only_comments: bool) -> None:
        seen: set[bytes] = set()
        start = 0
        while start < len(data):
            match = _RECORD_LENGTH.match(data, start)
            length = int(match[0]) if match else 0
            record = data[match.end() if match else start : start + length]
            keyword, separator, value = record.partition(b"=")
            start += length
            if not separator or start > len(data) or not value.endswith(b"\n"):
                raise self._broken("has a broken extended header")
            if len(seen) >= _MAX_RECORDS:
                raise LimitExceededError(
                    f"{self._name} has an extended header with more than {_MAX_RECORDS} keywords"
                )
            if keyword in seen:
                raise self._broken(f"has the keyword {keyword[:40]!r} twice in one header")
            seen.add(keyword)
            if only_comments and keyword in (b"path", b"size"):
                raise self._broken("has a name or size for all members")
            self._apply(extended, keyword, value[:-1])

    def _apply(self, extended: _Extended, keyword: bytes, value: bytes) -> None:
        if keyword.startswith(b"GNU.sparse"):
            raise self._broken("has a sparse file")
        if keyword == b"hdrcharset":
            raise self._broken("has names in a character set of their own")
        if keyword == b"path":
            self._set_path(extended, value)
        if keyword == b"size":
            text = self._text(value)
            if not _DECIMAL.fullmatch(text) or int(text) > MAX_SIZE:
                raise self._broken("has a member of an impossible size")
            extended.size = int(text)

    def _text(self, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise self._broken(f"has a name that is not UTF-8: {data[:200]!r}") from error

    def _exactly(self, count: int) -> bytes:
        data = self._source.read(count)
        if len(data) != count:
            raise self._broken("is cut off")
        return data

    def _skip_padding(self) -> None:
        padding, self._padding = self._padding, 0
        if padding:
            self._exactly(padding)

    def _read_end(self) -> None:
        # At least one block of zeros was read. Writers pad to all sorts of sizes, with zeros.
        while data := self._source.read(CHUNK):
            if data.count(0) != len(data):
                raise self._broken("goes on after its end")

    def _broken(self, why: str) -> InvalidDocumentError:
        return InvalidDocumentError(f"the archive {self._name!r} {why}")


def _path(block: bytes) -> bytes:
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0] if block[257:265] == _POSIX else b""
    return prefix + b"/" + name if prefix else name
