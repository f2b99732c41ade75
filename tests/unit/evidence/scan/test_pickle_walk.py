# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The walk through a pickle, beside the standard library's own reading of one."""

import io
import pickle
import pickletools
import struct
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.vectors.scan.hostile import hostile_files
from tests.vectors.scan.pickle_code import call, tensor_pickle

from modelseal.evidence.scan._pickle_reader import WINDOW
from modelseal.evidence.scan._pickle_walk import MAX_OBJECTS, walk
from modelseal.evidence.scan.source import BytesSource

BENIGN = Path(__file__).parents[3] / "vectors" / "scan" / "benign"

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=300)
    | st.binary(max_size=300),
    lambda inner: (
        st.lists(inner, max_size=9)
        | st.dictionaries(st.text(max_size=9), inner, max_size=9)
        | st.tuples(inner, inner, inner, inner)
        | st.frozensets(st.integers())
    ),
    max_leaves=30,
)
INSTRUCTIONS = [bytes([code]) for code in range(256)]
PIECES = st.lists(
    st.sampled_from(
        [
            *INSTRUCTIONS,
            b"\x80\x04",
            b"\x8c\x02os",
            b"\x8c\x06system",
            b"cos\nsystem\n",
            b"(K\x01t",
            b")R",
            b"h\x00",
            b"q\x00",
            b"I1\n",
            b"S'a'\n",
            b"Va\n",
            b"G" + bytes(8),
            b"X\x01\0\0\0x",
        ]
    ),
    max_size=25,
)


@settings(max_examples=80, deadline=None)
@given(VALUES, st.integers(0, 5))
def test_what_pickle_writes_is_read_to_its_end(value: object, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    walked = walk(BytesSource(data + b"rest"))
    assert walked.broken is None
    assert walked.end == len(data)
    assert not walked.problems
    assert {f"{one.module} {one.name}" for one in walked.imports} == names_in(data)


def names_in(data: bytes) -> set[str]:
    """Return what the standard library's reader sees imported by GLOBAL, or by the two texts."""
    texts: list[str] = []
    names = set()
    for opcode, argument, _ in pickletools.genops(io.BytesIO(data)):
        if opcode.name == "GLOBAL":
            names.add(str(argument))
        elif opcode.name == "STACK_GLOBAL":
            names.add(" ".join(texts[-2:]))
        elif isinstance(argument, str):
            texts.append(argument)
    return names


@settings(max_examples=250, deadline=None)
@given(PIECES)
def test_nothing_is_whole_that_pickletools_cannot_read(pieces: list[bytes]) -> None:
    data = b"".join(pieces) + b"."
    walked = walk(BytesSource(data))
    try:
        ends = [position for _, _, position in pickletools.genops(io.BytesIO(data))]
    except Exception:  # noqa: BLE001 - it raises many kinds
        assert walked.broken is not None
        return
    if walked.broken is None:
        assert ends[-1] is not None
        assert walked.end == ends[-1] + 1


@pytest.mark.parametrize("path", sorted(BENIGN.glob("*.pkl")), ids=lambda path: path.name)
def test_real_pickles_import_what_pickletools_sees(path: Path) -> None:
    data = path.read_bytes()
    walked = walk(BytesSource(data))
    assert walked.broken is None
    assert walked.end == len(data)
    seen = {name for name in names_in(data) if "." in name or " " in name}
    # Where pickle takes a name from its memo, genops alone cannot tell it.
    told = {f"{one.module} {one.name}" for one in walked.imports}
    assert told >= {name for name in seen if name.partition(" ")[0] in {"numpy", "sklearn"}}
    assert all(len(name.split()) == 2 for name in told)


def test_a_long_pickle_is_read_across_windows() -> None:
    value = [{"n": n, "t": str(n) * 9, "f": n / 3, "b": bytes(n % 400)} for n in range(7_000)]
    for protocol in (0, 2, 5):
        data = pickle.dumps(value, protocol)
        assert len(data) > WINDOW
        walked = walk(BytesSource(data))
        assert (walked.broken, walked.end) == (None, len(data))
        evil = data[:-1] + call("os", "system", "x")[2:]
        assert [one.name for one in walk(BytesSource(evil)).imports][-1:] == ["system"]


@pytest.mark.parametrize("shift", [0, 7, 120, 299])
def test_a_name_at_the_edge_of_a_window_is_seen(shift: int) -> None:
    padding = b"N0" * ((WINDOW - shift) // 2)
    walked = walk(BytesSource(b"\x80\x04" + padding + call("os", "system", "x")[2:]))
    assert [(one.module, one.name) for one in walked.imports] == [("os", "system")]


def test_large_data_is_passed_over_and_not_read() -> None:
    class Counting(BytesSource):
        read = 0

        def read_at(self, offset: int, count: int) -> bytes:
            found = super().read_at(offset, count)
            self.read += len(found)
            return found

    source = Counting(pickle.dumps([bytes(50 << 20), "end"], 5))
    assert walk(source).broken is None
    assert source.read < 4 * WINDOW


def test_a_stack_without_end_is_refused() -> None:
    walked = walk(BytesSource(b"N" * (MAX_OBJECTS + (3 << 20)) + b"."))
    assert walked.broken is not None
    assert "values" in walked.broken.why


def test_a_pickle_that_grows_by_doubling_is_walked_at_once() -> None:
    data = b"\x80\x04N" + b"2\x86" * 100_000 + b"."
    began = time.monotonic()
    assert walk(BytesSource(data)).broken is None
    assert time.monotonic() - began < 5


def test_storages_are_taken_from_pytorchs_loader_only() -> None:
    source = BytesSource(tensor_pickle())
    assert not walk(source, storages=True).problems
    assert {rule for rule, _ in walk(source).problems} == {"pickle-persistent-id"}


def test_no_prefix_of_a_hostile_pickle_after_its_call_passes() -> None:
    data = call("os", "system", "echo")
    for end in range(data.index(b"\x93") + 1, len(data)):
        walked = walk(BytesSource(data[:end]))
        assert [one.name for one in walked.imports] == ["system"]
        assert walked.broken is not None


def test_every_byte_of_the_hostile_pickles_can_be_wrong_without_a_failure() -> None:
    small = [
        one.data for one in hostile_files() if one.name.endswith(".pkl") and len(one.data) < 90
    ]
    assert len(small) > 40
    for data in small[::8]:
        for place in range(len(data)):
            walk(BytesSource(data[:place] + bytes([data[place] ^ 0x15]) + data[place + 1 :]))


def test_lengths_beyond_the_end_are_refused() -> None:
    for code in (b"\x8d", b"\x8e", b"\x96"):
        walked = walk(BytesSource(b"\x80\x04" + code + struct.pack("<Q", 1 << 63) + b"."))
        assert walked.broken is not None
