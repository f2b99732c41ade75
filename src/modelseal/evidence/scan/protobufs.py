# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Files in protobuf: ONNX models, TensorFlow graphs, SentencePiece vocabularies.

None of them carries a mark, so the fields tell: onnx.proto3, saved_model.proto, graph.proto,
sentencepiece_model.proto.
"""

import re
from collections.abc import Callable, Iterator

from modelseal.evidence.scan.context import Item
from modelseal.evidence.scan.protobuf import Wire, WireError
from modelseal.evidence.scan.source import Source, chunks_of

_MAX_NESTING = 32
_DOMAINS = frozenset(
    {
        "", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview",
        "ai.onnx.preview.training", "com.microsoft", "com.microsoft.experimental",
        "com.microsoft.nchwc", "com.ms.internal.nhwc",
    }
)  # fmt: skip
_TENSORFLOW = (
    b"ReadFile WriteFile PyFunc EagerPyFunc PyFuncStateless MatchingFiles Save SaveV2 SaveSlices "
    b"MergeV2Checkpoints PrintV2 DebugIdentity LookupTableExport LoadLibrary "
    b"IteratorFromStringHandle TextLineDataset TFRecordDataset RpcCall TryRpc ShardedFilename"
).split()
_OPERATOR = re.compile(
    b"|".join(
        re.escape(b"\x12" + bytes([len(name)]) + name) for name in sorted(_TENSORFLOW, key=len)
    )
)
_OVERLAP = 64


def scan_protobuf(item: Item) -> bool:
    """Look at a file in protobuf; False when it is none of those that are known."""
    wire = Wire(item.source)
    fields = _first_fields(item.source)
    if _is_onnx(fields):
        item.found.formats.add("onnx")
        _scan_onnx(item, wire)
        return True
    if _is_saved_model(fields) or _is_graph(item.source, fields):
        item.found.formats.add("tensorflow")
        _scan_tensorflow(item)
        return True
    if _is_sentencepiece(item.source, fields):
        item.found.formats.add("sentencepiece")
        return True
    return False


def _first_fields(source: Source) -> list[tuple[int, int | range]]:
    return list(Wire(source).fields(range(source.size)))


def _is_onnx(fields: list[tuple[int, int | range]]) -> bool:
    numbers = {number for number, _ in fields}
    version = next((value for number, value in fields if number == 1), None)
    graph = any(number == 7 and isinstance(value, range) for number, value in fields)  # noqa: PLR2004
    return isinstance(version, int) and graph and numbers <= {*range(1, 9), 14, 20, 25, 26}


def _is_saved_model(fields: list[tuple[int, int | range]]) -> bool:
    match fields:
        case [(1, int()), (2, range()), *others]:
            return all(number == 2 and isinstance(value, range) for number, value in others)  # noqa: PLR2004
        case _:
            return False


def _is_graph(source: Source, fields: list[tuple[int, int | range]]) -> bool:
    """Tell whether it is a GraphDef: nodes, each with a name and an operator."""
    if not fields or not {number for number, _ in fields} <= {1, 2, 3, 4, 5}:
        return False
    first = fields[0]
    if first[0] != 1 or isinstance(first[1], int):
        return False
    try:
        node = dict(Wire(source).message(first[1]))
    except WireError:
        return False
    return all(isinstance(node.get(number), range) for number in (1, 2)) and max(node) <= 7  # noqa: PLR2004


def _is_sentencepiece(source: Source, fields: list[tuple[int, int | range]]) -> bool:
    """Tell whether it is a ModelProto: pieces, then specifications."""
    pieces = [value for number, value in fields if number == 1]
    if not pieces or not {number for number, _ in fields} <= {1, 2, 3, 4, 5}:
        return False
    wire = Wire(source)
    try:
        for value in pieces[:64]:
            for number, inner in wire.message(value):
                if number not in (1, 2, 3) or (number == 3) != isinstance(inner, int):  # noqa: PLR2004
                    return False
    except WireError:
        return False
    return any(number == 2 for number, _ in fields)  # noqa: PLR2004 - trainer_spec


def _scan_tensorflow(item: Item) -> None:
    item.add("tensorflow-graph", "a TensorFlow graph may do whatever TensorFlow can")
    before, start = b"", 0
    for chunk in chunks_of(item.source):
        window = before + chunk
        for match in _OPERATOR.finditer(window):
            name = match[0][2:].decode()
            message = f"the TensorFlow graph holds the operator {name}, which reads, writes or runs"
            item.add("tensorflow-dangerous-operator", message, start - len(before) + match.start())
        start += len(chunk)
        before = window[-_OVERLAP:]


def _scan_onnx(item: Item, wire: Wire) -> None:
    try:
        for number, value in wire.fields(range(item.source.size)):
            match number:
                case 7:
                    _graph(item, wire, value, 0)
                case 8:
                    _check_domain(item, _opset(wire, value), value)
                case 20:
                    for _, inner in _of(wire, value, 1, 2):
                        _graph(item, wire, inner, 0)
                case 25:
                    _nodes(item, wire, value, 7, 0)
                case _:
                    pass
    except WireError as error:
        item.add("onnx-broken", f"the ONNX model cannot be read: {error.why}", error.offset)


def _of(wire: Wire, value: int | range, *numbers: int) -> Iterator[tuple[int, int | range]]:
    return (pair for pair in wire.message(value) if pair[0] in numbers)


def _opset(wire: Wire, value: int | range) -> str:
    return next((wire.text(inner) for _, inner in _of(wire, value, 1)), "")


def _check_domain(item: Item, domain: str, value: int | range) -> None:
    if domain not in _DOMAINS:
        message = f"the model needs the operators of {domain[:100]!r}, which a library has to bring"
        item.add("onnx-custom-operators", message, value.start if isinstance(value, range) else 0)


def _graph(item: Item, wire: Wire, value: int | range, depth: int) -> None:
    if depth > _MAX_NESTING:
        raise WireError(
            "its graphs are nested too deep", value.start if isinstance(value, range) else 0
        )
    for number, inner in wire.message(value):
        match number:
            case 1:
                _node(item, wire, inner, depth)
            case 5:
                _tensor(item, wire, inner)
            case 15:
                _sparse(item, wire, inner)
            case _:
                pass


def _nodes(item: Item, wire: Wire, value: int | range, field: int, depth: int) -> None:
    for _, node in _of(wire, value, field):
        _node(item, wire, node, depth)


def _node(item: Item, wire: Wire, value: int | range, depth: int) -> None:
    for number, inner in wire.message(value):
        if number == 7:  # noqa: PLR2004 - NodeProto.domain
            _check_domain(item, wire.text(inner), inner)
        elif number == 5:  # noqa: PLR2004 - NodeProto.attribute
            for part, content in wire.message(inner):
                handler = _ATTRIBUTE.get(part)
                if handler is not None and isinstance(content, range):
                    handler(item, wire, content, depth + 1)


def _tensor(item: Item, wire: Wire, value: int | range, _depth: int = 0) -> None:
    for _, entry in _of(wire, value, 13):
        pair = {number: wire.text(inner) for number, inner in _of(wire, entry, 1, 2)}
        if pair.get(1) == "location":
            _external(item, pair.get(2, ""), entry)


def _sparse(item: Item, wire: Wire, value: int | range, _depth: int = 0) -> None:
    for _, inner in _of(wire, value, 1, 2):
        _tensor(item, wire, inner)


def _external(item: Item, location: str, entry: int | range) -> None:
    parts = re.split(r"[/\\]", location)
    unsafe = not location or ".." in parts or "" in parts or "\x00" in location or ":" in parts[0]
    if unsafe:
        message = f"the model takes weights from {location[:200]!r}, outside of its directory"
        item.add("onnx-external-path", message, entry.start if isinstance(entry, range) else 0)
    else:
        item.found.external.add(location)


_ATTRIBUTE: dict[int, Callable[[Item, Wire, int | range, int], None]] = {
    5: _tensor,
    6: _graph,
    10: _tensor,
    11: _graph,
    22: _sparse,
    23: _sparse,
}
