# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""NumPy's .npy files: a header that accounts for every byte, or a pickle behind it.

Source: NEP 1, and `numpy.lib.format`.
"""

import ast
import math
import re

from modelseal.evidence.scan.context import Item
from modelseal.evidence.scan.pickles import scan_pickles

_MAGIC = 6
_MAX_HEADER = 1 << 20
_TYPE = re.compile(r"[<>=|]?([bBhHiIlLqQefdgFDGSaUVmMcu?])([0-9]{0,9})(\[[^\]]{1,20}\])?")
_OBJECT = re.compile(r"[<>=|]?O([0-9]*)")
_MAX_NESTING = 8


class _HeaderError(Exception):
    pass


def scan_numpy(item: Item) -> None:
    """Check the header; look at the pickle of an array of objects."""
    item.found.formats.add("numpy")
    try:
        start, shape, width = _header(item)
    except (_HeaderError, ValueError, SyntaxError, RecursionError, MemoryError) as error:
        item.add("npy-broken", f"the header of the NumPy file does not hold: {error}"[:300])
        return
    if width is None:
        scan_pickles(item, start)
        return
    size = math.prod(shape) * width
    if start + size != item.source.size:
        message = f"the array has {item.source.size - start} bytes, and its header says {size}"
        item.add("npy-broken", message, start)


def _header(item: Item) -> tuple[int, tuple[int, ...], int | None]:
    """Return where the data begins, the shape, and the bytes of an element; None for objects."""
    head = item.source.read_at(_MAGIC, 6)
    if len(head) < 4 or head[0] not in (1, 2, 3) or head[1] != 0:  # noqa: PLR2004 - versions
        raise _HeaderError("an unknown version")
    width = 2 if head[0] == 1 else 4
    length = int.from_bytes(head[2 : 2 + width], "little")
    begin = _MAGIC + 2 + width
    if length > min(_MAX_HEADER, item.source.size - begin):
        raise _HeaderError(f"it is {length} bytes long")
    header = ast.literal_eval(item.source.read_at(begin, length).decode("utf-8").strip())
    match header:
        case {"descr": descr, "fortran_order": bool(), "shape": tuple(shape)} if len(header) == 3:  # noqa: PLR2004
            pass
        case _:
            raise _HeaderError("it is not descr, fortran_order and shape")
    if not all(type(size) is int and 0 <= size < 1 << 50 for size in shape):
        raise _HeaderError("the shape cannot be")
    return begin + length, shape, _width(descr, 0)


def _width(descr: object, depth: int) -> int | None:
    if depth > _MAX_NESTING:
        raise _HeaderError("the type is nested too deep")
    match descr:
        case str():
            return _simple(descr)
        case (inner, tuple(shape)) | (inner, int(shape)):
            return _times(_width(inner, depth + 1), shape)
        case list():
            return _sum([_field(one, depth) for one in descr])
        case _:
            raise _HeaderError("the type cannot be told")


def _field(field: object, depth: int) -> int | None:
    match field:
        case (_, inner):
            return _width(inner, depth + 1)
        case (_, inner, tuple(shape)) | (_, inner, int(shape)):
            return _times(_width(inner, depth + 1), shape)
        case _:
            raise _HeaderError("a field cannot be told")


def _simple(text: str) -> int | None:
    if _OBJECT.fullmatch(text):
        return None
    match = _TYPE.fullmatch(text)
    if match is None:
        raise _HeaderError(f"the type {text[:40]!r} is not known")
    return int(match[2] or 1) * (4 if match[1] == "U" else 1)


def _times(width: int | None, shape: object) -> int | None:
    sizes = shape if isinstance(shape, tuple) else (shape,)
    if not all(type(size) is int and size >= 0 for size in sizes):
        raise _HeaderError("the shape of a field cannot be")
    return None if width is None else width * math.prod(sizes)


def _sum(widths: list[int | None]) -> int | None:
    known = [width for width in widths if width is not None]
    return sum(known) if len(known) == len(widths) else None
