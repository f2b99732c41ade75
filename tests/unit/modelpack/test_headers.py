# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The bounded readers of safetensors and ONNX headers, on real, broken and hostile files."""

import json
import os
import struct
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.gguf_file import F32, Q4_K, gguf_file
from tests.support.model_factory import onnx_file, safetensors_file

from modelseal.errors import (
    Error,
    InvalidDocumentError,
    InvalidProjectError,
    LimitExceededError,
)
from modelseal.modelpack import onnx
from modelseal.modelpack.gguf import read_gguf
from modelseal.modelpack.onnx import read_onnx
from modelseal.modelpack.project import Tensor
from modelseal.modelpack.safetensors import read_safetensors

VECTORS = Path(__file__).parents[2] / "vectors" / "modelpack"


def file_with(directory: Path, data: bytes, name: str = "model.bin") -> Path:
    path = directory / name
    path.write_bytes(data)
    return path


def safetensors_with(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_a_file_of_the_real_safetensors_library_is_read() -> None:
    header = read_safetensors(VECTORS / "mixed-safetensors-0.8.safetensors")
    assert header.tensors == 4
    assert dict(header.parameters) == {"float16": 6, "float32": 5, "int64": 1}
    assert dict(header.metadata) == {"format": "np"}


def test_a_model_of_the_real_skl2onnx_is_read() -> None:
    header = read_onnx(VECTORS / "digits-skl2onnx-1.20.onnx")
    assert (header.ir_version, header.opset, header.graph) == (8, 17, "digits")
    assert header.producer == "skl2onnx 1.20.0"
    assert header.inputs == (Tensor(name="pixels", type="float32", shape=("dim_0", 64)),)
    assert header.outputs == (
        Tensor(name="label", type="int64", shape=("dim_0",)),
        Tensor(name="probabilities", type="float32", shape=("dim_0", 10)),
    )
    assert header.parameters["float32"] == 64 * 32 + 32 + 32 * 10 + 10


def test_an_unknown_element_type_is_counted_under_no_name(tmp_path: Path) -> None:
    path = file_with(tmp_path, safetensors_file({"w": ("F4", (4,), b"\0\0")}))
    assert dict(read_safetensors(path).parameters) == {"": 4}


def entry(**changes: object) -> dict[str, object]:
    return {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} | changes


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a safetensors file, or is cut off"),
        (b"\x10\0\0", "cut off"),
        (struct.pack("<Q", 1 << 62) + b"{}", "cut off"),
        (b"PK\x03\x04 a zip archive of a pickle", "cut off"),
        (safetensors_with(b"not json"), "not valid JSON"),
        (safetensors_with(b"[]"), "not a JSON object"),
        (safetensors_with(b'{"w":{},"w":{}}'), "stands there twice"),
        (safetensors_with({"w": 1}), "no data_offsets"),
        (safetensors_with({"w": entry(data_offsets=[0])}, bytes(4)), "no data_offsets"),
        (safetensors_with({"w": entry(data_offsets=[-4, 0])}, bytes(4)), "no data_offsets"),
        (safetensors_with({"w": entry(data_offsets=[4, 0])}, bytes(4)), "no data_offsets"),
        (safetensors_with({"w": entry(data_offsets=["0", "4"])}, bytes(4)), "no data_offsets"),
        (safetensors_with({"w": entry()}, bytes(3)), "another size than its header says"),
        (safetensors_with({"w": entry()}, bytes(5)), "another size than its header says"),
        (safetensors_with({"w": entry(data_offsets=[4, 8])}, bytes(8)), "leave a gap"),
        (safetensors_with({"v": entry(), "w": entry()}, bytes(4)), "overlap"),
        (safetensors_with({"w": entry(shape=[2])}, bytes(4)), "does not fit its size"),
        (safetensors_with({"w": entry(shape=[-1])}, bytes(4)), "no dtype or shape"),
        (safetensors_with({"w": entry(shape=[True])}, bytes(4)), "no dtype or shape"),
        (safetensors_with({"w": entry(shape=[1] * 65)}, bytes(4)), "no dtype or shape"),
        (safetensors_with({"w": entry(dtype=7)}, bytes(4)), "no dtype or shape"),
        (safetensors_with({"__metadata__": {"a": 1}}), "metadata is not text"),
        (safetensors_with({"__metadata__": []}), "metadata is not text"),
    ],
)
def test_a_broken_safetensors_file_is_said(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(InvalidDocumentError, match=message):
        read_safetensors(file_with(tmp_path, data))


def test_a_huge_safetensors_header_is_not_read(tmp_path: Path) -> None:
    path = file_with(tmp_path, struct.pack("<Q", 1 << 30))
    os.truncate(path, 1 << 31)
    with pytest.raises(LimitExceededError, match="header of 1073741824 bytes"):
        read_safetensors(path)


@pytest.mark.parametrize("read", [read_safetensors, read_onnx])
def test_a_link_or_a_pipe_is_not_read(tmp_path: Path, read: Callable[[Path], object]) -> None:
    file_with(tmp_path, onnx_file(), "real")
    (tmp_path / "link").symlink_to("real")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        with pytest.raises(InvalidProjectError, match="not a plain file"):
            read(tmp_path / name)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an ONNX model"),
        (b"\x08", "cut off"),
        (b"\x08\x08", "not an ONNX model"),
        (b"\xff" * 64, "not an ONNX model"),
        (b"\x0b\x0c", "not an ONNX model"),
        (b"\x00\x01", "not an ONNX model"),
        (b"\x3a\xff\xff\xff\xff\x0f", "cut off"),
        (b"\x38\x01", "not an ONNX model"),
        (b"just some text that is no protobuf", "not an ONNX model"),
        (onnx_file()[:-40], "cut off"),
    ],
)
def test_a_broken_onnx_file_is_said(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(InvalidDocumentError, match=message):
        read_onnx(file_with(tmp_path, data))


def test_the_weights_of_an_onnx_file_are_not_read(tmp_path: Path) -> None:
    """The raw data of a tensor of 8 GiB is a hole in the file: to read it would take a while."""
    huge = 8 << 30
    tensor = b"\x08" + _number(huge // 4) + b"\x10\x01" + _head(9, huge)
    graph = b"\x12\x01g" + _head(5, len(tensor) + huge) + tensor
    path = file_with(tmp_path, b"\x08\x08" + _head(7, len(graph) + huge) + graph)
    os.truncate(path, path.stat().st_size + huge)
    header = read_onnx(path)
    assert header.graph == "g"
    assert header.parameters == {"float32": huge // 4}


def test_more_fields_than_are_looked_at_are_refused(tmp_path: Path) -> None:
    path = file_with(tmp_path, b"\x28\x01" * (onnx.MAX_FIELDS + 1))
    with pytest.raises(LimitExceededError, match="more than 300000 fields"):
        read_onnx(path)


def test_numbers_in_packed_fields_count_as_fields(tmp_path: Path) -> None:
    # 60 dimensions in each of 6 000 initializers are few fields, and 360 000 numbers.
    initializer = _message(5, _message(1, _number(1 << 48) * 60))
    path = file_with(tmp_path, b"\x08\x07" + _message(7, initializer * 6_000))
    with pytest.raises(LimitExceededError, match="more than 300000 fields"):
        read_onnx(path)


def _message(field: int, data: bytes) -> bytes:
    return _number(field << 3 | 2) + _number(len(data)) + data


def _number(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*data, value])


def _head(field: int, length: int) -> bytes:
    return _number(field << 3 | 2) + _number(length)


def _outcome(read: Callable[[Path], object], data: bytes) -> object:
    with tempfile.TemporaryDirectory() as place:
        try:
            return read(file_with(Path(place), data))
        except Error as error:
            return error


_MUTATIONS = st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=6)


def _mutated(data: bytes, changes: list[tuple[int, int]]) -> bytes:
    changed = bytearray(data)
    for place, value in changes:
        changed[place % len(changed)] = value
    return bytes(changed)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_header_or_our_error(data: bytes) -> None:
    assert isinstance(_outcome(read_safetensors, data), Error)  # no such file is this short
    assert _outcome(read_onnx, data) is not None


@given(_MUTATIONS)
def test_a_changed_safetensors_file_is_a_header_or_our_error(
    changes: list[tuple[int, int]],
) -> None:
    data = safetensors_file({"v": ("I8", (2,), b"ab"), "w": ("F32", (2, 1), bytes(8))}, {"a": "b"})
    assert _outcome(read_safetensors, _mutated(data, changes)) is not None


@given(_MUTATIONS)
def test_a_changed_onnx_file_is_a_header_or_our_error(changes: list[tuple[int, int]]) -> None:
    assert _outcome(read_onnx, _mutated(onnx_file(), changes)) is not None


@given(_MUTATIONS)
def test_a_changed_gguf_file_is_a_header_or_our_error(changes: list[tuple[int, int]]) -> None:
    metadata: dict[str, int | str | list[str]] = {"a": 1, "b": "text", "c": ["d", "e"]}
    data = gguf_file(metadata, {"w": (F32, (2, 1)), "q": (Q4_K, (256, 2))})
    assert _outcome(read_gguf, _mutated(data, changes)) is not None


def test_a_gguf_file_is_read_and_one_that_is_cut_off_is_not(tmp_path: Path) -> None:
    metadata: dict[str, int | str | list[str]] = {"a": 1, "b": "text", "c": ["d", "e"]}
    data = gguf_file(metadata, {"w": (F32, (2, 1)), "q": (Q4_K, (256, 2))})
    header = read_gguf(file_with(tmp_path, data))
    assert header.metadata == {"a": 1, "b": "text", "c": [2]}
    assert header.types == {"F32": 2, "Q4_K": 512}
    for end in (3, 20, 60, len(data) - 32):
        with pytest.raises(InvalidDocumentError, match="not a GGUF file, or is cut off"):
            read_gguf(file_with(tmp_path, data[:end]))


def test_a_gguf_header_that_never_ends_is_refused(tmp_path: Path) -> None:
    endless = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", 1) + b"a"
    endless += struct.pack("<IIQ", 9, 8, 1 << 40)
    with pytest.raises(LimitExceededError):
        read_gguf(file_with(tmp_path, endless))
