# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Compressed files and tar archives: unpacked within limits, and looked into."""

import bz2
import io
import lzma
import zlib
from collections.abc import Iterator
from contextlib import closing
from typing import BinaryIO, Protocol, cast

from modelseal.errors import ContentError, LimitExceededError
from modelseal.evidence.scan.context import Item
from modelseal.evidence.scan.source import Part, Source, Spool, chunks_of
from modelseal.modelpack.decompress import Decompressed
from modelseal.modelpack.readers.layer import Compression
from modelseal.modelpack.tar import MemberType, TarReader

MAX_EXPANSION = 200
"""Most times that a compressed file may grow."""
FREE_EXPANSION = 64 << 20
"""Bytes that a compressed file may always become."""

_MEMORY = 256 << 20
_STEP = 1 << 20
_UNSAFE = ("/", "\\")


class _Inflater(Protocol):
    def decompress(self, data: bytes, max_length: int) -> bytes: ...

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...


class _Zlib:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj()

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


def scan_compressed(item: Item) -> None:
    """Unpack a compressed file, and look at what comes out."""
    head = item.source.read_at(0, 8)
    name = _name(head)
    if name == "lz4":
        item.add("archive-unsupported", "an lz4 frame, which is not looked into")
        return
    item.found.formats.add(name)
    try:
        spool = Spool(_unpacked(item, name))
    except (ContentError, zlib.error, OSError, EOFError, lzma.LZMAError, ValueError) as error:
        bomb = isinstance(error, LimitExceededError | _BombError)
        item.add("archive-bomb" if bomb else "archive-broken", f"the {name} file: {error}")
        return
    with closing(spool):
        item.scan(item.inside(spool, "", also=f"({name})"))


def scan_tar(item: Item) -> None:
    """Look at every member of a tar archive."""
    item.found.formats.add("tar")
    stream = _Stream(item.source)
    reader = TarReader(cast("BinaryIO", stream), "the archive")
    try:
        for member in reader:
            item.count_member()
            shown = repr(member.name[:200])
            if member.type not in (MemberType.FILE, MemberType.DIRECTORY):
                item.add("archive-link", f"{shown} is {member.type.value}", stream.tell())
            parts = member.name.replace("\\", "/").split("/")
            if member.name.startswith(_UNSAFE) or ".." in parts or ":" in parts[0]:
                message = f"{shown} is no path below a directory"
                item.add("archive-unsafe-path", message, stream.tell())
            if member.type is MemberType.FILE:
                content = Part(item.source, stream.tell(), member.size)
                item.scan(item.inside(content, member.name))
    except ContentError as error:
        item.add("archive-broken", f"the tar archive: {error}", stream.tell())


class _BombError(ValueError):
    pass


def _name(head: bytes) -> str:
    names = {
        b"\x1f\x8b": "gzip",
        b"BZh": "bzip2",
        b"\xfd7zXZ": "xz",
        b"\x5d\x00\x00": "lzma",
        b"\x28\xb5\x2f\xfd": "zstd",
        b"\x04\x22\x4d\x18": "lz4",
    }
    return next((name for magic, name in names.items() if head.startswith(magic)), "zlib")


def _unpacked(item: Item, name: str) -> Iterator[bytes]:
    went = 0
    limit = max(FREE_EXPANSION, item.source.size * MAX_EXPANSION)
    for part in _parts(item.source, name):
        went += len(part)
        item.count_unpacked(len(part))
        if went > limit:
            raise _BombError(f"it becomes more than {MAX_EXPANSION} times as large")
        yield part


def _parts(source: Source, name: str) -> Iterator[bytes]:
    if name in ("gzip", "zstd"):
        kind = Compression.GZIP if name == "gzip" else Compression.ZSTD
        content = Decompressed(cast("BinaryIO", _Stream(source)), kind, name)
        while part := content.read(_STEP):
            yield part
        return
    inflater = _inflater(name)
    for chunk in chunks_of(source):
        if inflater.eof:
            raise ValueError("something stands behind its end")
        data = chunk
        while True:
            part = inflater.decompress(data, _STEP)
            data = b""
            yield part
            if len(part) < _STEP or _ended(inflater):
                break
    if not inflater.eof:
        raise ValueError("it is cut off")
    if inflater.unused_data:
        raise ValueError("something stands behind its end")


def _ended(inflater: _Inflater) -> bool:
    return inflater.eof


def _inflater(name: str) -> _Inflater:
    match name:
        case "bzip2":
            return bz2.BZ2Decompressor()
        case "xz":
            return lzma.LZMADecompressor(lzma.FORMAT_XZ, _MEMORY)
        case "lzma":
            return lzma.LZMADecompressor(lzma.FORMAT_ALONE, _MEMORY)
        case _:
            return _Zlib()


class _Stream(io.RawIOBase):
    """A source as a file that is read from the beginning."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._at, self._source.size)[whence]
        self._at = base + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        count = self._source.size if size is None or size < 0 else size
        data = self._source.read_at(self._at, count)
        self._at += len(data)
        return data

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # what io hands over
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)
