# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Zip archives: PyTorch's, NumPy's, Keras's and plain ones."""

import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

from modelseal.evidence.scan._zip_reader import (
    ZipMember,
    ZipProblemError,
    directory_of,
    located,
    problem_of_flags,
)
from modelseal.evidence.scan.context import Item
from modelseal.evidence.scan.pickles import scan_pickles
from modelseal.evidence.scan.source import Part, Source, Spool, chunks_of

FREE_EXPANSION = 64 << 20
"""Bytes that a member may always become."""

MAX_EXPANSION = 200
"""Most times that a member of more than that may grow."""
_STORAGE = re.compile(r"(?:.*/)?data/[0-9]+")
_DATA_PICKLE = re.compile(r"(.*/)?data\.pkl")
_PROGRAM = re.compile(r"(?:.*/)?(?:constants\.pkl|code/.*)")
_UNSAFE = re.compile(r"(^|[/\\])\.\.([/\\]|$)|^[/\\]|^[A-Za-z]:|[\x00\\]")


def scan_zip(item: Item) -> None:
    """Look at every member, and at how the archive is made."""
    item.found.formats.add("zip")
    try:
        members, directory = directory_of(item.source)
        _check_names(item, members)
        placed = _placed(item, members, directory)
    except ZipProblemError as error:
        item.add(error.rule, error.message, error.offset)
        return
    names = {member.name for member in members}
    torch = any(map(_DATA_PICKLE.fullmatch, names))
    if torch:
        item.found.formats.add("pytorch")
        program = next(filter(_PROGRAM.fullmatch, sorted(names)), None)
        if program is not None:
            item.add("torchscript", f"the archive holds a TorchScript program: {program[:200]!r}")
    for member in placed:
        if not member.name.endswith("/"):
            item.count_member()
            _scan_member(item, member, torch=torch)


def _check_names(item: Item, members: list[ZipMember]) -> None:
    seen: set[str] = set()
    for member in members:
        shown = repr(member.name[:200])
        if member.name in seen:
            item.add("zip-duplicate-name", f"{shown} stands in the archive twice", member.header)
        seen.add(member.name)
        if _UNSAFE.search(member.name) or not member.name:
            item.add("archive-unsafe-path", f"{shown} is no path below a directory", member.header)
        kind = stat.S_IFMT(member.attributes)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            item.add("archive-link", f"{shown} is a link or a device", member.header)


def _placed(item: Item, members: list[ZipMember], directory: int) -> list[ZipMember]:
    """Return the members with the places of their bytes; see that no byte is hidden or shared."""
    placed: list[ZipMember] = []
    at = 0
    for member in sorted(members, key=lambda one: one.header):
        wrong = problem_of_flags(member)
        if wrong is not None:
            item.add(wrong.rule, wrong.message, wrong.offset)
            continue
        if member.header < at:
            message = f"{member.name[:200]!r} begins within the member before it"
            raise ZipProblemError("zip-hidden-data", message, member.header)
        data = located(item.source, member)
        # Between two members there may be the sizes of the first, where its flags say so.
        before = at
        at = data + member.compressed
        if member.header > before:
            allowed = placed and _descriptor_fits(item.source, placed[-1], before, member.header)
            if not allowed:
                message = f"{member.header - before} bytes stand between members"
                raise ZipProblemError("zip-hidden-data", message, before)
        placed.append(replace(member, data=data))
    if at > directory:
        raise ZipProblemError("zip-hidden-data", "a member reaches into the directory", directory)
    if (
        at < directory
        and not (placed and _descriptor_fits(item.source, placed[-1], at, directory))
        and len(placed) == len(members)
    ):
        message = f"{directory - at} bytes stand between the members and the directory"
        raise ZipProblemError("zip-hidden-data", message, at)
    return placed


def _descriptor_fits(source: Source, member: ZipMember, start: int, stop: int) -> bool:
    """Tell whether exactly a data descriptor of the member stands there (APPNOTE 4.3.9)."""
    if not member.flags & 0x0008 or stop - start not in (12, 16, 20, 24):
        return False
    raw = source.read_at(start, stop - start)
    if raw.startswith(b"PK\x07\x08") and len(raw) in (16, 24):
        raw = raw[4:]
    width = (len(raw) - 4) // 2
    told = (
        int.from_bytes(raw[:4], "little"),
        int.from_bytes(raw[4 : 4 + width], "little"),
        int.from_bytes(raw[4 + width :], "little"),
    )
    return told == (member.crc, member.compressed, member.size)


def _scan_member(item: Item, member: ZipMember, *, torch: bool) -> None:
    packed = Part(item.source, member.data, member.compressed)
    if packed.size < member.compressed:
        item.add("zip-broken", f"{member.name[:200]!r} is cut off", member.header)
        return
    if member.method == 0:
        crc = 0
        for chunk in chunks_of(packed):
            crc = zlib.crc32(chunk, crc)
        _check_crc(item, member, crc)
        _scan_content(item, member, packed, torch=torch)
        return
    try:
        spool = Spool(_inflated(item, member, packed))
    except (zlib.error, ZipProblemError) as error:
        rule = error.rule if isinstance(error, ZipProblemError) else "zip-broken"
        item.add(rule, f"{member.name[:200]!r} cannot be unpacked: {error}", member.header)
        return
    with closing(spool):
        if spool.size != member.size:
            message = f"{member.name[:200]!r} has {spool.size} bytes and says {member.size}"
            item.add("zip-header-mismatch", message, member.header)
        _check_crc(item, member, spool.crc)
        _scan_content(item, member, spool, torch=torch)


def _check_crc(item: Item, member: ZipMember, crc: int) -> None:
    if crc != member.crc:
        message = f"{member.name[:200]!r} has the checksum {crc:08x} and says {member.crc:08x}"
        item.add("zip-crc-mismatch", message, member.header)


def _scan_content(item: Item, member: ZipMember, source: Source, *, torch: bool) -> None:
    if torch and _STORAGE.fullmatch(member.name):
        return  # numbers: the loader maps them, and takes them for nothing else
    inner = item.inside(source, member.name)
    if torch and _DATA_PICKLE.fullmatch(member.name):
        scan_pickles(inner, storages=True)
        return
    item.scan(inner)


def _inflated(item: Item, member: ZipMember, packed: Source) -> Iterator[bytes]:
    limit = max(FREE_EXPANSION, member.compressed * MAX_EXPANSION)
    inflater, went = zlib.decompressobj(-zlib.MAX_WBITS), 0
    for chunk in chunks_of(packed):
        data = chunk
        while data and not inflater.eof:
            part = inflater.decompress(data, 1 << 20)
            data = inflater.unconsumed_tail
            went += len(part)
            item.count_unpacked(len(part))
            if went > limit:
                raise ZipProblemError(
                    "archive-bomb", f"it becomes more than {limit} bytes", member.header
                )
            yield part
    if not inflater.eof or inflater.unused_data:
        raise ZipProblemError(
            "zip-broken", "its compressed bytes do not end where they say", member.data
        )
