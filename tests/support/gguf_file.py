# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Small GGUF files. Format: ggml, docs/gguf.md, version 3."""

import math
import struct
from collections.abc import Mapping, Sequence

UINT32, STRING, ARRAY = 4, 8, 9
# ggml_type: number, elements of a block, bytes of a block.
F32, Q4_K = (0, 1, 4), (12, 256, 144)
Kind = tuple[int, int, int]


def gguf_file(
    metadata: Mapping[str, int | str | list[str]],
    tensors: Mapping[str, tuple[Kind, Sequence[int]]],
) -> bytes:
    """Return a GGUF file whose tensors are zeros: name to type and shape, fastest size first."""
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata))
    for key, value in metadata.items():
        head += _text(key) + _value(value)
    offset = 0
    for name, ((number, block, width), shape) in tensors.items():
        sizes = struct.pack(f"<{len(shape)}Q", *shape)
        head += _text(name) + struct.pack("<I", len(shape)) + sizes
        head += struct.pack("<IQ", number, offset)
        offset += -(-(math.prod(shape) // block * width) // 32) * 32
    return head + b"\0" * (-len(head) % 32) + b"\0" * offset


def _value(value: int | str | list[str]) -> bytes:
    if isinstance(value, int):
        return struct.pack("<II", UINT32, value)
    if isinstance(value, str):
        return struct.pack("<I", STRING) + _text(value)
    items = b"".join(map(_text, value))
    return struct.pack("<IIQ", ARRAY, STRING, len(value)) + items


def _text(value: str) -> bytes:
    data = value.encode()
    return struct.pack("<Q", len(data)) + data
