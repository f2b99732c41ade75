# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The header of a safetensors file: names, element types and shapes, never the data.

Source: https://huggingface.co/docs/safetensors, "Format": eight bytes with the length of the
header, little-endian; a JSON object; the data.
"""

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from modelseal.documents import parse_json_object
from modelseal.errors import InvalidDocumentError, LimitExceededError, StorageError
from modelseal.modelpack.plain_files import open_plain

MAX_HEADER_BYTES = 16 << 20
"""Largest header that is read; the format itself allows 100 MB."""

_MAX_DIMENSIONS = 64
_MAX_SIZE = 1 << 50
_LENGTH_BYTES = 8
_METADATA = "__metadata__"

_TYPES: Mapping[str, tuple[str, int]] = {
    "F64": ("float64", 8),
    "F32": ("float32", 4),
    "F16": ("float16", 2),
    "BF16": ("bfloat16", 2),
    "F8_E4M3": ("float8_e4m3", 1),
    "F8_E5M2": ("float8_e5m2", 1),
    "I64": ("int64", 8),
    "I32": ("int32", 4),
    "I16": ("int16", 2),
    "I8": ("int8", 1),
    "U64": ("uint64", 8),
    "U32": ("uint32", 4),
    "U16": ("uint16", 2),
    "U8": ("uint8", 1),
    "BOOL": ("bool", 1),
    "C64": ("complex64", 8),
}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a file."""

    type: str
    """In ModelPack's words (`float32`); empty for one that they do not have."""
    shape: tuple[int, ...]
    size: int
    """In bytes."""


@dataclass(frozen=True, slots=True)
class SafetensorsHeader:
    """What the header says."""

    tensors: int
    parameters: Mapping[str, int]
    """Numbers of elements by element type, in ModelPack's words (`float32`)."""
    metadata: Mapping[str, str]
    stored: Mapping[str, StoredTensor] = field(default_factory=dict)
    """The tensors, by name."""


def read_safetensors(path: Path) -> SafetensorsHeader:
    """Read the header of the file `path`.

    Raises:
        InvalidDocumentError: it is not a whole safetensors file.
        LimitExceededError: its header is larger than 16 MiB.
        InvalidProjectError, StorageError: it cannot be read.
    """
    try:
        with open_plain(path) as file:
            size = os.fstat(file.fileno()).st_size
            header = _header(file, size, path.name)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(
        isinstance(item, str) for item in metadata.values()
    ):
        raise InvalidDocumentError(f"{path.name}: its metadata is not text")
    stored = {key: _stored(item, path.name) for key, item in header.items()}
    return SafetensorsHeader(len(header), _count(stored.values()), metadata, stored)


def _header(file: BinaryIO, size: int, name: str) -> dict[str, object]:
    start = file.read(_LENGTH_BYTES)
    length = int.from_bytes(start, "little")
    if len(start) < _LENGTH_BYTES or length > size - _LENGTH_BYTES:
        raise InvalidDocumentError(f"{name} is not a safetensors file, or is cut off")
    if length > MAX_HEADER_BYTES:
        raise LimitExceededError(f"{name} has a header of {length} bytes")
    raw = b""
    while len(raw) < length and (part := file.read(length - len(raw))):
        raw += part
    header = parse_json_object(raw, f"the header of {name}")
    end = _data_end(header, name)
    if end != size - _LENGTH_BYTES - length:
        raise InvalidDocumentError(f"{name} has another size than its header says")
    return header


def _data_end(header: Mapping[str, object], name: str) -> int:
    """Check that the tensors follow each other without a gap; return where they end."""
    spans = sorted(_span(item, name) for key, item in header.items() if key != _METADATA)
    end = 0
    for start, stop in spans:
        if start != end or stop < start:
            raise InvalidDocumentError(f"{name}: its tensors overlap, or leave a gap")
        end = stop
    return end


def _span(item: object, name: str) -> tuple[int, int]:
    offsets = item.get("data_offsets") if isinstance(item, dict) else None
    match offsets:
        case [int(start), int(stop)] if 0 <= start <= stop <= _MAX_SIZE:
            return start, stop
    raise InvalidDocumentError(f"{name}: a tensor has no data_offsets")


def _stored(item: object, name: str) -> StoredTensor:
    assert isinstance(item, dict)  # `_span` has seen them all
    dtype, shape = item.get("dtype"), _shape(item.get("shape"))
    if not isinstance(dtype, str) or shape is None:
        raise InvalidDocumentError(f"{name}: a tensor has no dtype or shape")
    known, width = _TYPES.get(dtype, ("", 0))
    start, stop = _span(item, name)
    if known and stop - start != math.prod(shape) * width:
        raise InvalidDocumentError(f"{name}: a tensor's shape does not fit its size")
    return StoredTensor(known, tuple(shape), stop - start)


def _count(tensors: Iterable[StoredTensor]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for tensor in tensors:
        counts[tensor.type] = counts.get(tensor.type, 0) + math.prod(tensor.shape)
    return counts


def _shape(value: object) -> list[int] | None:
    if not isinstance(value, list) or len(value) > _MAX_DIMENSIONS:
        return None
    if not all(type(item) is int and 0 <= item <= _MAX_SIZE for item in value):
        return None
    return value
