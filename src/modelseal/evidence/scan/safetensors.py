# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Safetensors: a header that has to account for every byte of the file; the data is not read.

Source: https://huggingface.co/docs/safetensors, "Format".
"""

import math
from collections.abc import Mapping

from modelseal.documents import parse_json_object
from modelseal.errors import ContentError
from modelseal.evidence.scan.context import Item

MAX_HEADER_BYTES = 100 << 20
"""Largest header; the format's own limit is 100 MB."""

_LENGTH = 8
_METADATA = "__metadata__"
_MAX_DIMENSIONS = 64
_MAX_SIZE = 1 << 50
_BITS: Mapping[str, int] = {
    "F64": 64, "I64": 64, "U64": 64, "C64": 64,
    "F32": 32, "I32": 32, "U32": 32,
    "F16": 16, "BF16": 16, "I16": 16, "U16": 16,
    "I8": 8, "U8": 8, "BOOL": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "F6_E2M3": 6, "F6_E3M2": 6, "F4": 4,
}  # fmt: skip


def scan_safetensors(item: Item) -> None:
    """Check the header of a file."""
    item.found.formats.add("safetensors")
    why = _broken(item)
    if why:
        item.add("safetensors-broken", f"the header of the safetensors file does not hold: {why}")


def _broken(item: Item) -> str:  # noqa: PLR0911 - one reason a line
    """Return what is wrong, or nothing."""
    source = item.source
    length = int.from_bytes(source.read_at(0, _LENGTH), "little")
    if length > min(MAX_HEADER_BYTES, source.size - _LENGTH):
        return f"it is {length} bytes long"
    raw = source.read_at(_LENGTH, length)
    try:
        header = parse_json_object(raw, "it")
    except ContentError as error:
        return str(error)
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(one, str) for one in metadata.values()):
        return "its metadata is not text"
    spans = []
    for name, tensor in header.items():
        span = _span(tensor)
        if isinstance(span, str):
            return f"the tensor {name[:80]!r} {span}"
        spans.append(span)
    end = 0
    for start, stop in sorted(spans):
        if start != end:
            return f"its tensors {'overlap' if start < end else 'leave a gap'} at byte {start}"
        end = stop
    if end != source.size - _LENGTH - length:
        return f"its tensors end at byte {end} of {source.size - _LENGTH - length}"
    return ""


def _span(tensor: object) -> tuple[int, int] | str:  # noqa: PLR0911 - one reason a line
    if not isinstance(tensor, dict):
        return "is no object"
    match tensor:
        case {"dtype": str(dtype), "shape": list(shape), "data_offsets": [int(start), int(stop)]}:
            pass
        case _:
            return "has no dtype, shape and data_offsets"
    if len(tensor) != 3:  # noqa: PLR2004 - exactly these
        return "has other fields than dtype, shape and data_offsets"
    if len(shape) > _MAX_DIMENSIONS or not all(
        type(size) is int and 0 <= size <= _MAX_SIZE for size in shape
    ):
        return "has no shape that can be"
    bits = _BITS.get(dtype)
    if bits is None:
        return f"has the unknown dtype {dtype[:40]!r}"
    if not 0 <= start <= stop <= _MAX_SIZE:
        return "has no place that can be"
    if (stop - start) * 8 != math.prod(shape) * bits:
        return f"has {stop - start} bytes, which do not fit its dtype and shape"
    return start, stop
