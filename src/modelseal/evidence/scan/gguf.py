# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""GGUF: metadata and tensor descriptions; the data is not read.

Source: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

import math
import struct
from collections.abc import Mapping

from modelseal.evidence.scan.context import Item
from modelseal.evidence.scan.source import Source
from modelseal.evidence.scan.templates import scan_template

MAX_KEYS = 100_000
"""Most keys, and most tensors, of one file."""
MAX_ARRAY = 5_000_000
"""Most items of one array."""

_MAX_KEY = 1 << 16
_MAX_STRING = 64 << 20
_MAX_DIMENSIONS = 8
_WINDOW = 1 << 20
_STRING, _ARRAY = 8, 9
_WIDTHS: Mapping[int, int] = {
    0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8,
}  # fmt: skip
# Items and bytes of a block, by `ggml_type`.
_BLOCKS: Mapping[int, tuple[int, int]] = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4), 27: (1, 8),
    28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
}  # fmt: skip


class _HeaderError(Exception):
    pass


def scan_gguf(item: Item) -> None:
    """Check metadata and tensors; look at the chat templates."""
    item.found.formats.add("gguf")
    reader = _Reader(item.source)
    try:
        _scan(item, reader)
    except _HeaderError as error:
        item.add("gguf-broken", f"the GGUF file does not hold: {error}", reader.at)


def _scan(item: Item, reader: "_Reader") -> None:
    version = reader.number(4)
    if version not in (2, 3):
        raise _HeaderError(f"version {version} is not known")
    tensors, keys = reader.number(8), reader.number(8)
    if max(tensors, keys) > MAX_KEYS:
        raise _HeaderError(f"it says that it has {tensors} tensors and {keys} keys")
    seen: set[bytes] = set()
    alignment = 32
    for _ in range(keys):
        key = reader.string(_MAX_KEY)
        if key in seen:
            raise _HeaderError(f"the key {key[:80]!r} stands there twice")
        seen.add(key)
        where = reader.at
        value = _value(reader, reader.number(4), b"chat_template" in key)
        if isinstance(value, bytes):
            text = value.decode("utf-8", "replace")
            scan_template(item, text, key.decode("utf-8", "replace")[:80], where)
        if key == b"general.alignment" and isinstance(value, int):
            alignment = value
    if alignment < 1 or alignment > 1 << 20 or alignment & (alignment - 1):
        raise _HeaderError(f"an alignment of {alignment} bytes")
    _tensors(reader, tensors, alignment)


def _value(reader: "_Reader", kind: int, wanted: bool) -> bytes | int | None:  # noqa: FBT001 - private
    if kind == _STRING:
        if wanted:
            return reader.string(_MAX_STRING)
        reader.skip_string()
        return None
    if kind == _ARRAY:
        _array(reader, 0)
        return None
    width = _WIDTHS.get(kind)
    if width is None:
        raise _HeaderError(f"a value of the unknown type {kind}")
    return reader.number(width)


def _array(reader: "_Reader", depth: int) -> None:
    kind, count = reader.number(4), reader.number(8)
    if count > MAX_ARRAY or depth > 4:  # noqa: PLR2004 - writers do not nest at all
        raise _HeaderError(f"an array of {count} items, {depth} deep")
    if kind == _STRING:
        for _ in range(count):
            reader.skip_string()
    elif kind == _ARRAY:
        for _ in range(count):
            _array(reader, depth + 1)
    elif kind in _WIDTHS:
        reader.skip(count * _WIDTHS[kind])
    else:
        raise _HeaderError(f"an array of the unknown type {kind}")


def _tensors(reader: "_Reader", count: int, alignment: int) -> None:
    seen: set[bytes] = set()
    spans: list[tuple[int, int]] = []
    for _ in range(count):
        name = reader.string(_MAX_KEY)
        if name in seen:
            raise _HeaderError(f"the tensor {name[:80]!r} stands there twice")
        seen.add(name)
        dimensions = reader.number(4)
        if dimensions > _MAX_DIMENSIONS:
            raise _HeaderError(f"the tensor {name[:80]!r} has {dimensions} dimensions")
        items = math.prod(reader.number(8) for _ in range(dimensions))
        kind, offset = reader.number(4), reader.number(8)
        if offset % alignment or items >= 1 << 50:
            raise _HeaderError(f"the tensor {name[:80]!r} has no place that can be")
        block, width = _BLOCKS.get(kind, (0, 0))
        if block and items % block:
            raise _HeaderError(f"the tensor {name[:80]!r} is not a whole number of blocks")
        spans.append((offset, offset + (items // block * width if block else 0)))
    data = -(-reader.at // alignment) * alignment
    end = 0
    for start, stop in sorted(spans):
        if start < end:
            raise _HeaderError(f"two tensors overlap at byte {start} of the data")
        end = max(end, stop)
    if spans and data + end > reader.size:
        raise _HeaderError(f"its tensors end at byte {data + end}, and it has {reader.size}")


class _Reader:
    """A window on the file."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._base = 0
        self._buf = b""
        self.size = source.size
        self.at = 4

    def _take(self, count: int) -> bytes:
        place = self.at - self._base
        if place < 0 or place + count > len(self._buf):
            self._base, place = self.at, 0
            self._buf = self._source.read_at(self.at, max(count, _WINDOW))
        data = self._buf[place : place + count]
        if len(data) < count:
            raise _HeaderError("it is cut off")
        self.at += count
        return data

    def number(self, width: int) -> int:
        return int.from_bytes(self._take(width), "little")

    def string(self, limit: int) -> bytes:
        length = self.number(8)
        if length > limit:
            raise _HeaderError(f"a text of {length} bytes")
        return self._take(length)

    def skip_string(self) -> None:
        place = self.at - self._base
        if 0 <= place <= len(self._buf) - 8:
            (length,) = struct.unpack_from("<Q", self._buf, place)
            self.at += 8
        else:
            length = self.number(8)
        self.skip(length)

    def skip(self, count: int) -> None:
        if count > self.size - self.at:
            raise _HeaderError("it is cut off")
        self.at += count
