# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a pickle's stack holds, as far as it decides anything: names, texts, small tuples and dicts.

Text is kept as its UTF-8 bytes, bytes are not kept at all. Everything else is `OPAQUE`.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

OPAQUE: Final = object()
"""A value that decides nothing."""

TEXT_KEPT = 256
_MAX_KEYS = 64
_TYPE = re.compile(rb"([bBhHiIlLqQefdgFDGSaUVmMOcu?])([0-9]{0,9})")
_HAS_OBJECT = 1  # NPY_ITEM_HASOBJECT
_FIELDS, _FLAGS = 4, 7  # in the state of a numpy.dtype
_MAX_FIELDS_DEEP = 8
FIRST_OPCODE = 0x28  # MARK: no byte below begins an instruction


@dataclass(frozen=True, slots=True)
class Global:
    """Something that was imported."""

    module: str
    name: str


@dataclass(slots=True, eq=False)
class Made:
    """What a call gave."""

    by: Global
    arguments: object = OPAQUE
    state: object = OPAQUE


@dataclass(slots=True, eq=False)
class Table:
    """A dict with a few texts as keys; one that has more is not `whole`."""

    values: dict[bytes, object] = field(default_factory=dict)
    whole: bool = True

    def put(self, key: object, value: object) -> None:
        """Set a key, if there is room."""
        if isinstance(key, bytes) and len(self.values) < _MAX_KEYS:
            self.values[key] = value
        else:
            self.whole = False


ARRAY_WRAPPER: Final = Global("joblib.numpy_pickle", "NumpyArrayWrapper")
_DTYPE: Final = Global("numpy", "dtype")


@dataclass(frozen=True, slots=True)
class RawArray:
    """The bytes that joblib puts behind a wrapper; `size` is None when a pickle stands there."""

    size: int | None
    aligned: bool


def raw_array(wrapper: Made) -> RawArray | None:
    """Return what stands behind a `NumpyArrayWrapper`; None when it cannot be told.

    Source: joblib, `numpy_pickle.py`, `NumpyArrayWrapper.read_array`.
    """
    state = wrapper.state
    if not isinstance(state, Table) or not state.whole:
        return None
    item = _item(state.values.get(b"dtype"))
    shape = state.values.get(b"shape")
    alignment = state.values.get(b"numpy_array_alignment_bytes")
    if item is None or not isinstance(shape, tuple):
        return None
    sizes = [size for size in shape if type(size) is int and 0 <= size < 1 << 50]
    if len(sizes) != len(shape):
        return None
    if item == 0:
        return RawArray(None, aligned=False)
    # Without the byte that says how many bytes of padding follow (joblib before 1.2), the array
    # itself would be read as instructions by who takes the file for a plain pickle.
    if type(alignment) is not int or not 0 < alignment < FIRST_OPCODE:
        return None
    return RawArray(item * math.prod(sizes), aligned=True)


def _item(dtype: object) -> int | None:
    """Return the bytes of one element, 0 for objects, or None."""
    if not isinstance(dtype, Made) or dtype.by != _DTYPE or not isinstance(dtype.arguments, tuple):
        return None
    name = dtype.arguments[0] if dtype.arguments else None
    match = _TYPE.fullmatch(name) if isinstance(name, bytes) else None
    if match is None:
        return None
    kind, width = match[1], int(match[2] or b"1")
    objects = _has_objects(dtype)
    if objects is None:
        return None
    if objects:
        return 0
    return width * 4 if kind == b"U" else width


def _has_objects(dtype: object, depth: int = 0) -> bool | None:
    if depth > _MAX_FIELDS_DEEP or not isinstance(dtype, Made) or dtype.by != _DTYPE:
        return None
    arguments, state = dtype.arguments, dtype.state
    if not isinstance(arguments, tuple) or not arguments or not isinstance(arguments[0], bytes):
        return None
    found = arguments[0].startswith(b"O")
    if isinstance(state, tuple) and len(state) > _FLAGS:
        for part in _parts(state):
            inner = _has_objects(part, depth + 1)
            if inner is None:
                return None
            found = found or inner
        flags = state[_FLAGS]
        if type(flags) is not int or bool(flags & _HAS_OBJECT) != found:
            return None
    return found


def _parts(state: tuple[object, ...]) -> list[object]:
    """Return the types of the fields of a structured type, and that of a sub-array."""
    fields: object = state[_FIELDS]
    values: Mapping[bytes, object] = fields.values if isinstance(fields, Table) else {}
    parts = [
        value[0] if isinstance(value, tuple) and value else OPAQUE for value in values.values()
    ]
    if isinstance(fields, Table) and not fields.whole:
        parts.append(OPAQUE)
    sub = state[2]
    if isinstance(sub, tuple) and sub:
        parts.append(sub[0])
    return parts
