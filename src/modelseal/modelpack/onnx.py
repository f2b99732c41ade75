# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What an ONNX file says about itself, read without its weights.

A reader of the protobuf wire format that skips what it does not want by seeking: a file of many
GiB costs some kilobytes. Numbers of fields: onnx.proto3. Counts and lengths are bounded, since the
file may be anything.
"""

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from modelseal.errors import InvalidDocumentError, LimitExceededError, StorageError
from modelseal.modelpack.plain_files import open_plain
from modelseal.modelpack.project import Tensor

MAX_FIELDS = 300_000
"""Most protobuf fields, and numbers in packed fields, that are looked at in one file."""

_MAX_TEXT = 1024
_MAX_TENSORS = 64
_MAX_EXTERNAL = 10_000
_MAX_DIMENSIONS = 64
_MAX_SIZE = 1 << 50
_MAX_VARINT_BYTES = 10
_BUFFER = 1 << 16

# TensorProto.DataType
_TYPES: Mapping[int, str] = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "string",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
    16: "bfloat16",
    17: "float8_e4m3",
    19: "float8_e5m2",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxHeader:
    """What the file says."""

    ir_version: int
    producer: str
    opset: int
    """Version of the standard operator set; 0 when only others are used."""
    graph: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    parameters: Mapping[str, int]
    """Numbers of elements of the initializers, by element type."""
    external: tuple[str, ...] = ()
    """Files beside this one that hold weights, as it names them; sorted."""


def read_onnx(path: Path) -> OnnxHeader:
    """Read the file `path`.

    Raises:
        InvalidDocumentError: it is not an ONNX model.
        LimitExceededError: it has more fields than are looked at.
        InvalidProjectError, StorageError: it cannot be read.
    """
    try:
        with open_plain(path, buffering=_BUFFER) as file:
            return _model(_Wire(file, path.name), os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error


class _Wire:
    """Protobuf's wire format: https://protobuf.dev/programming-guides/encoding."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file = file
        self._name = name
        self._at = 0
        self._left = MAX_FIELDS

    def fields(self, span: range) -> Iterator[tuple[int, int | range]]:
        """Yield the fields of the message in `span`: a number, or where the bytes stand."""
        at = span.start
        while at < span.stop:
            self._count()
            self._seek(at)
            key = self._varint()
            match key & 7:
                case 0:
                    value: int | range = self._varint()
                    at = self._at
                case 1 | 5 as wire:
                    value = range(self._at, self._at + (8 if wire == 1 else 4))
                    at = value.stop
                case 2:
                    length = self._varint()
                    value = range(self._at, self._at + length)
                    at = value.stop
                case _:
                    raise self.broken()
            if key >> 3 == 0 or at > span.stop:
                raise self.broken()
            yield key >> 3, value

    def text(self, span: int | range) -> str:
        """Read text; what is too long is cut."""
        if isinstance(span, int):
            raise self.broken()
        self._seek(span.start)
        return self._read(min(len(span), _MAX_TEXT)).decode("utf-8", "replace")

    def numbers(self, value: int | range) -> list[int]:
        """Read a repeated number, which may be packed."""
        if isinstance(value, int):
            return [value]
        if len(value) > _MAX_DIMENSIONS * _MAX_VARINT_BYTES:
            raise self.broken()
        self._seek(value.start)
        found = []
        while self._at < value.stop:
            self._count()
            found.append(self._varint())
        return found

    def message(self, value: int | range) -> Iterator[tuple[int, int | range]]:
        """Yield the fields of a message in a field."""
        if isinstance(value, int):
            raise self.broken()
        return self.fields(value)

    def broken(self) -> InvalidDocumentError:
        """Return the error for what is not protobuf, or not ONNX."""
        return InvalidDocumentError(f"{self._name} is not an ONNX model, or is cut off")

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise LimitExceededError(f"{self._name} has more than {MAX_FIELDS} fields")

    def _varint(self) -> int:
        value = 0
        for place in range(_MAX_VARINT_BYTES):
            byte = self._read(1)[0]
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
                return value
        raise self.broken()

    def _read(self, count: int) -> bytes:
        data = self._file.read(count)
        if len(data) < count:
            raise self.broken()
        self._at += count
        return data

    def _seek(self, at: int) -> None:
        if at != self._at:
            self._file.seek(at)
            self._at = at


@dataclass(slots=True)
class _Graph:
    name: str = ""
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    initializers: set[str] = field(default_factory=set)
    parameters: dict[str, int] = field(default_factory=dict)
    external: set[str] = field(default_factory=set)


def _model(wire: _Wire, size: int) -> OnnxHeader:
    ir_version, opset, producer = 0, 0, ["", ""]
    graph: _Graph | None = None
    for number, value in wire.fields(range(size)):
        match number:
            case 1 if isinstance(value, int):
                ir_version = value
            case 2 | 3:
                producer[number - 2] = wire.text(value)
            case 7:
                graph = _graph(wire, value)
            case 8:
                opset = max(opset, _opset(wire, value))
            case _:
                pass
    if not ir_version or graph is None:
        raise wire.broken()
    return OnnxHeader(
        ir_version=ir_version,
        producer=" ".join(filter(None, producer)),
        opset=opset,
        graph=graph.name,
        # Before IR version 4 every initializer was an input as well.
        inputs=tuple(item for item in graph.inputs if item.name not in graph.initializers),
        outputs=tuple(graph.outputs),
        parameters=graph.parameters,
        external=tuple(sorted(graph.external)),
    )


def _opset(wire: _Wire, value: int | range) -> int:
    domain, version = "", 0
    for number, item in wire.message(value):
        if number == 1:
            domain = wire.text(item)
        elif number == 2 and isinstance(item, int):  # noqa: PLR2004 - OperatorSetIdProto.version
            version = item
    return version if domain in ("", "ai.onnx") else 0


def _graph(wire: _Wire, value: int | range) -> _Graph:
    graph = _Graph()
    for number, item in wire.message(value):
        match number:
            case 2:
                graph.name = wire.text(item)
            case 5:
                _initializer(wire, item, graph)
            case 11 if len(graph.inputs) < _MAX_TENSORS + len(graph.initializers):
                graph.inputs.append(_value_info(wire, item))
            case 12 if len(graph.outputs) < _MAX_TENSORS:
                graph.outputs.append(_value_info(wire, item))
            case _:
                pass
    return graph


def _initializer(wire: _Wire, value: int | range, graph: _Graph) -> None:
    dims: list[int] = []
    element = ""
    for number, item in wire.message(value):
        match number:
            case 1:
                dims += wire.numbers(item)
            case 2 if isinstance(item, int):
                element = _TYPES.get(item, "")
            case 8:
                graph.initializers.add(wire.text(item))
            case 13:
                _external(wire, item, graph)
            case _:
                pass
    if len(dims) > _MAX_DIMENSIONS or any(dim > _MAX_SIZE for dim in dims):
        raise wire.broken()
    graph.parameters[element] = graph.parameters.get(element, 0) + math.prod(dims)


def _external(wire: _Wire, value: int | range, graph: _Graph) -> None:
    entry = ["", ""]
    for number, item in wire.message(value):
        if number in {1, 2}:  # StringStringEntryProto.key and .value
            entry[number - 1] = wire.text(item)
    if entry[0] == "location" and len(graph.external) < _MAX_EXTERNAL:
        graph.external.add(entry[1])


def _value_info(wire: _Wire, value: int | range) -> Tensor:
    name, kind = "", ""
    shape: tuple[int | str, ...] | None = None
    for number, item in wire.message(value):
        if number == 1:
            name = wire.text(item)
        elif number == 2:  # noqa: PLR2004 - ValueInfoProto.type
            kind, shape = _type(wire, item)
    return Tensor(name=name, type=kind, shape=shape)


def _type(wire: _Wire, value: int | range) -> tuple[str, tuple[int | str, ...] | None]:
    kinds = {4: "sequence", 5: "map", 8: "sparse", 9: "optional"}
    kind = ""
    shape: tuple[int | str, ...] | None = None
    for number, item in wire.message(value):
        if number != 1:
            kind = kinds.get(number, kind)
            continue
        for inner, part in wire.message(item):
            if inner == 1 and isinstance(part, int):
                kind = _TYPES.get(part, "")
            elif inner == 2:  # noqa: PLR2004 - TypeProto.Tensor.shape
                shape = tuple(_shape(wire, part))
    return kind, shape


def _shape(wire: _Wire, value: int | range) -> Iterator[int | str]:
    for place, (number, item) in enumerate(wire.message(value)):
        if place >= _MAX_DIMENSIONS:
            raise wire.broken()
        if number == 1:
            yield _dimension(wire, item, place)


def _dimension(wire: _Wire, value: int | range, place: int) -> int | str:
    found: int | str = f"dim_{place}"
    for number, item in wire.message(value):
        if number == 1 and isinstance(item, int) and 0 <= item <= _MAX_SIZE:
            found = item
        elif number == 2:  # noqa: PLR2004 - TensorShapeProto.Dimension.dim_param
            found = wire.text(item) or found
    return found
