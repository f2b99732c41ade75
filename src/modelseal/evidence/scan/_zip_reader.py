# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The members of a zip archive, by a reader that tolerates nothing.

Readers of zip archives disagree, and what a scanner does not see a loader may take (CVE-2025-1944,
-1945, -10156). So both headers of a member have to say the same, every byte has to belong to one,
and a name stands there once. Source: PKWARE, APPNOTE.TXT 6.3.10, section 4.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from modelseal.evidence.scan.source import Source

_END = b"PK\x05\x06"
_END64 = b"PK\x06\x06"
_LOCATOR64 = b"PK\x06\x07"
_CENTRAL = b"PK\x01\x02"
_LOCAL = b"PK\x03\x04"
_TAIL = (1 << 16) + 22
_MAX_DIRECTORY = 64 << 20
_FULL32 = 0xFFFFFFFF
_ENCRYPTED = 0x2041  # bits 0, 6 and 13
_DESCRIPTOR = 0x0008
_KNOWN_FLAGS = 0x080E  # UTF-8 names, sizes behind the data, how hard deflate tried


class ZipProblemError(Exception):
    """A rule that an archive breaks. Never leaves this package."""

    def __init__(self, rule: str, message: str, offset: int) -> None:
        """Say which rule, what, and where."""
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.offset = offset


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipMember:
    """A member, as its entry in the directory has it."""

    name: str
    flags: int
    method: int
    crc: int
    compressed: int
    size: int
    header: int
    """Where its local header stands."""
    attributes: int
    data: int = 0
    """Where its bytes begin, once the local header was read."""


def directory_of(source: Source) -> tuple[list[ZipMember], int]:
    """Return the members in the order of the directory, and where the directory begins.

    Raises:
        ZipProblemError: it cannot be read in one way only.
    """
    start = max(0, source.size - _TAIL)
    tail = source.read_at(start, _TAIL)
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < 22:  # noqa: PLR2004 - the record without a comment
        raise ZipProblemError("zip-broken", "the archive has no directory", 0)
    end = start + at
    disk, first, here, total, size, offset, comment = struct.unpack_from("<HHHHLLH", tail, at + 4)
    if at + 22 + comment != len(tail):
        raise ZipProblemError("zip-broken", "something stands behind the archive's end", end)
    if tail.count(_END) > 1 and comment:
        raise ZipProblemError("zip-broken", "the archive has two ends", end)
    if disk or first or here != total:
        raise ZipProblemError("zip-broken", "the archive is cut into volumes", end)
    stop = end
    if source.read_at(end - 20, 4) == _LOCATOR64:
        total, size, offset, stop = _large(source, end)
    if size > _MAX_DIRECTORY:
        raise ZipProblemError("too-much", f"the archive's directory has {size} bytes", end)
    if offset + size != stop:
        rule = "zip-prepended-data" if offset + size < stop else "zip-broken"
        more = stop - offset - size
        message = f"the archive's directory is not where it says ({offset}): {more} bytes more"
        raise ZipProblemError(rule, message, 0)
    raw = source.read_at(offset, size)
    members = list(_entries(raw, offset))
    if len(members) != total:
        message = f"the archive has {len(members)} members and says {total}"
        raise ZipProblemError("zip-broken", message, offset)
    return members, offset


def _large(source: Source, end: int) -> tuple[int, int, int, int]:
    where = int.from_bytes(source.read_at(end - 12, 8), "little")
    record = source.read_at(where, 56)
    if len(record) < 56 or record[:4] != _END64:  # noqa: PLR2004 - its length
        raise ZipProblemError("zip-broken", "the archive's zip64 end is not where it says", end)
    here, total, size, offset = struct.unpack_from("<QQQQ", record, 24)
    length = int.from_bytes(record[4:12], "little")
    if here != total or where + 12 + length != end - 20:
        raise ZipProblemError("zip-broken", "the archive's zip64 end does not hold", where)
    return total, size, offset, where


def _entries(raw: bytes, offset: int) -> Iterator[ZipMember]:
    at = 0
    while at < len(raw):
        if raw[at : at + 4] != _CENTRAL or len(raw) - at < 46:  # noqa: PLR2004 - the fixed part
            raise ZipProblemError("zip-broken", "the archive's directory is broken", offset + at)
        (
            flags, method, _, _, crc, compressed, size, names, extras, comments, _, _, attributes,
            header,
        ) = struct.unpack_from("<HHHHLLLHHHHHLL", raw, at + 8)  # fmt: skip
        name = raw[at + 46 : at + 46 + names]
        extra = raw[at + 46 + names : at + 46 + names + extras]
        if len(extra) < extras:
            raise ZipProblemError("zip-broken", "the archive's directory is cut off", offset + at)
        size, compressed, header = _wide(extra, [size, compressed, header], offset + at)
        yield ZipMember(
            name=_text(name, offset + at),
            flags=flags,
            method=method,
            crc=crc,
            compressed=compressed,
            size=size,
            header=header,
            attributes=attributes >> 16,
        )
        at += 46 + names + extras + comments


def _wide(extra: bytes, values: list[int], offset: int) -> list[int]:
    """Take the values that do not fit into 32 bits from the zip64 extra field (4.5.3)."""
    fields = [(ident, data) for ident, data in _extras(extra, offset) if ident == 1]
    if len(fields) > 1:
        raise ZipProblemError("zip-broken", "a member has two zip64 fields", offset)
    data = fields[0][1] if fields else b""
    at = 0
    for place, value in enumerate(values):
        if value != _FULL32:
            continue
        if len(data) < at + 8:
            raise ZipProblemError("zip-broken", "a member lacks its zip64 field", offset)
        values[place] = int.from_bytes(data[at : at + 8], "little")
        at += 8
    return values


def _extras(extra: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(extra):
        ident, length = struct.unpack_from("<HH", extra, at)
        if at + 4 + length > len(extra):
            raise ZipProblemError("zip-broken", "an extra field is cut off", offset)
        yield ident, extra[at + 4 : at + 4 + length]
        at += 4 + length


def _text(name: bytes, offset: int) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        raise ZipProblemError("zip-broken", "a member's name is not UTF-8", offset) from None


def located(source: Source, member: ZipMember) -> int:
    """Return where the member's bytes begin.

    Raises:
        ZipProblemError: its local header says something else than the directory.
    """
    raw = source.read_at(member.header, 30)
    if len(raw) < 30 or raw[:4] != _LOCAL:  # noqa: PLR2004 - the fixed part
        raise ZipProblemError(
            "zip-broken", f"{member.name[:200]!r} has no local header", member.header
        )
    flags, method, _, _, crc, compressed, size, names, extras = struct.unpack_from(
        "<HHHHLLLHH", raw, 6
    )
    name = source.read_at(member.header + 30, names)
    extra = source.read_at(member.header + 30 + names, extras)
    if _FULL32 in (size, compressed):
        size, compressed = _wide(extra, [size, compressed], member.header)
    later = bool(flags & _DESCRIPTOR)
    pairs = {
        "name": (name, member.name.encode()),
        "flags": (flags, member.flags),
        "method": (method, member.method),
        "checksum": (crc, member.crc) if not (later and crc == 0) else (0, 0),
        "size": (size, member.size) if not (later and size == 0) else (0, 0),
        "packed size": (compressed, member.compressed)
        if not (later and compressed == 0)
        else (0, 0),
    }
    other = [what for what, (local, central) in pairs.items() if local != central]
    if other:
        message = f"{member.name[:200]!r} has another {', '.join(other)} in its own header"
        raise ZipProblemError("zip-header-mismatch", message, member.header)
    return member.header + 30 + int(names) + int(extras)


def problem_of_flags(member: ZipMember) -> ZipProblemError | None:
    """Return what is wrong with the flags and the method."""
    if member.flags & _ENCRYPTED:
        return ZipProblemError(
            "zip-encrypted", f"{member.name[:200]!r} is encrypted", member.header
        )
    if member.flags & ~_KNOWN_FLAGS:
        message = f"{member.name[:200]!r} has flags that are not known: 0x{member.flags:04x}"
        return ZipProblemError("zip-broken", message, member.header)
    if member.method not in (0, 8):
        message = f"{member.name[:200]!r} is compressed by method {member.method}"
        return ZipProblemError("zip-method", message, member.header)
    if member.method == 0 and member.size != member.compressed:
        message = f"{member.name[:200]!r} is not compressed and has two sizes"
        return ZipProblemError("zip-header-mismatch", message, member.header)
    return None
