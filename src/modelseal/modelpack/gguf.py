# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The header of a GGUF file: its metadata and what its tensors are, never the data.

Source: ggml, docs/gguf.md, versions 2 and 3, little-endian. Texts in lists (a vocabulary has
hundreds of thousands) are counted and skipped.
"""

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from modelseal.errors import InvalidDocumentError, LimitExceededError, StorageError
from modelseal.modelpack.plain_files import open_plain

MAX_HEADER_BYTES = 256 << 20
"""Largest header; a vocabulary of a million tokens takes some 30 MiB."""
MAX_ITEMS = 4_000_000
"""Most metadata, elements of lists, and tensors that are read over."""

_MAX_TEXT = 65_535
_MAX_DIMENSIONS = 4
_MAX_SIZE = 1 << 50
_BUFFER = 1 << 16
_ALIGNMENT = 32
_STRING, _ARRAY = 8, 9
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
_SCALARS[12] = "d"

# ggml_type: name, elements of a block, bytes of a block.
_TYPES: Mapping[int, tuple[str, int, int]] = {
    0: ("F32", 1, 4),
    1: ("F16", 1, 2),
    2: ("Q4_0", 32, 18),
    3: ("Q4_1", 32, 20),
    6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24),
    8: ("Q8_0", 32, 34),
    9: ("Q8_1", 32, 36),
    10: ("Q2_K", 256, 84),
    11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144),
    13: ("Q5_K", 256, 176),
    14: ("Q6_K", 256, 210),
    15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66),
    17: ("IQ2_XS", 256, 74),
    18: ("IQ3_XXS", 256, 98),
    19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18),
    21: ("IQ3_S", 256, 110),
    22: ("IQ2_S", 256, 82),
    23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1),
    25: ("I16", 1, 2),
    26: ("I32", 1, 4),
    27: ("I64", 1, 8),
    28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56),
    30: ("BF16", 1, 2),
    34: ("TQ1_0", 256, 54),
    35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17),
}

Value = int | float | bool | str | list[int]
"""A scalar or a text; of a list its length, in a list of one number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GgufHeader:
    """What the file says."""

    version: int
    metadata: Mapping[str, Value]
    tensors: int
    types: Mapping[str, int]
    """Numbers of elements by ggml type (`Q4_K`); a type that is not known is its number."""
    shapes: Mapping[str, tuple[int, ...]]
    """Of the tensors, by name, as the file writes them: the fastest dimension first."""


def read_gguf(path: Path) -> GgufHeader:
    """Read the header of the file `path`.

    Raises:
        InvalidDocumentError: it is not a whole GGUF file.
        LimitExceededError: its header is larger than is read.
        InvalidProjectError, StorageError: it cannot be read.
    """
    try:
        with open_plain(path, buffering=_BUFFER) as file:
            return _header(_Bytes(file, path.name), os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error


class _Bytes:
    """Bytes in a row, counted."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._items = 0
        self.at = 0

    def take(self, count: int) -> bytes:
        data = self._file.read(self._step(count))
        if len(data) < count:
            raise self.broken()
        return data

    def skip(self, count: int) -> None:
        self._file.seek(self._step(count), os.SEEK_CUR)

    def number(self, form: str) -> int:
        (value,) = struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))
        return int(value)

    def text(self) -> str:
        length = self.number("Q")
        if length > MAX_HEADER_BYTES:
            raise self.broken()
        kept = self.take(min(length, _MAX_TEXT))
        self.skip(length - len(kept))
        return kept.decode("utf-8", "replace")

    def count(self, items: int) -> int:
        self._items += items
        if self._items > MAX_ITEMS:
            raise LimitExceededError(f"{self._name} has more than {MAX_ITEMS} items in its header")
        return items

    def broken(self) -> InvalidDocumentError:
        return InvalidDocumentError(f"{self._name} is not a GGUF file, or is cut off")

    def _step(self, count: int) -> int:
        self.at += count
        if self.at > MAX_HEADER_BYTES:
            raise LimitExceededError(f"{self._name} has a header of over {MAX_HEADER_BYTES} bytes")
        return count


def _header(data: _Bytes, size: int) -> GgufHeader:
    if data.take(4) != b"GGUF":
        raise data.broken()
    version = data.number("I")
    if version not in {2, 3}:
        raise data.broken()
    tensors, pairs = data.number("Q"), data.number("Q")
    data.count(tensors)
    metadata: dict[str, Value] = {}
    for _ in range(data.count(pairs)):
        key = data.text()
        if key in metadata:
            raise data.broken()
        metadata[key] = _value(data, data.number("I"))
    types: dict[str, int] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    end = 0
    for _ in range(tensors):
        name, shape, kind, offset = _tensor(data)
        if name in shapes:
            raise data.broken()
        shapes[name] = shape
        elements = math.prod(shape)
        called, block, width = _TYPES.get(kind, (str(kind), 0, 0))
        types[called] = types.get(called, 0) + elements
        end = max(end, offset + (elements // block * width if block else 0))
    alignment = metadata.get("general.alignment", _ALIGNMENT)
    if type(alignment) is not int or not 0 < alignment <= 1 << 20:
        raise data.broken()
    if end and -(-data.at // alignment) * alignment + end > size:
        raise data.broken()
    return GgufHeader(
        version=version, metadata=metadata, tensors=tensors, types=types, shapes=shapes
    )


def _tensor(data: _Bytes) -> tuple[str, tuple[int, ...], int, int]:
    name, dimensions = data.text(), data.number("I")
    if dimensions > _MAX_DIMENSIONS:
        raise data.broken()
    shape = tuple(data.number("Q") for _ in range(dimensions))
    kind, offset = data.number("I"), data.number("Q")
    if offset > _MAX_SIZE or any(item > _MAX_SIZE for item in shape):
        raise data.broken()
    return name, shape, kind, offset


def _value(data: _Bytes, kind: int) -> Value:
    if kind == _STRING:
        return data.text()
    if kind == _ARRAY:
        return [_array(data, 1)]
    form = _SCALARS.get(kind)
    if form is None:
        raise data.broken()
    (value,) = struct.unpack(f"<{form}", data.take(struct.calcsize(f"<{form}")))
    found: int | float | bool = value
    return found


def _array(data: _Bytes, depth: int) -> int:
    kind, length = data.number("I"), data.number("Q")
    data.count(length)
    form = _SCALARS.get(kind)
    if form is not None:
        data.skip(length * struct.calcsize(f"<{form}"))
    elif kind == _STRING:
        for _ in range(length):
            data.skip(data.number("Q"))
    elif kind == _ARRAY and depth < _MAX_DIMENSIONS:
        for _ in range(length):
            _array(data, depth + 1)
    else:
        raise data.broken()
    return length
