# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Reading that checks while it streams."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelseal.errors import ContentMismatchError, LimitExceededError
from modelseal.oci.content import BytesContent, verifying
from modelseal.oci.descriptor import OCTET_STREAM, Descriptor
from modelseal.oci.events import (
    BytesMoved,
    TransferEvent,
    TransferFinished,
    TransferPlanned,
    TransferStarted,
)
from modelseal.oci.memory import MemoryStore
from modelseal.oci.store import fetch_bytes
from modelseal.oci.transfer import CountingReader, push_all


@given(st.binary(max_size=3000), st.integers(1, 700))
def test_right_bytes_come_through_in_any_pieces(data: bytes, step: int) -> None:
    stream = verifying(io.BytesIO(data), Descriptor.of(data, OCTET_STREAM))
    found = b""
    while piece := stream.read(step):
        found += piece
    assert found == data


@given(st.binary(min_size=1, max_size=500), st.binary(max_size=500))
def test_other_bytes_are_never_read_to_the_end(data: bytes, other: bytes) -> None:
    stream = verifying(io.BytesIO(other), Descriptor.of(data, OCTET_STREAM))
    if other == data:
        return
    with pytest.raises(ContentMismatchError):
        stream.read()


def test_the_last_bytes_of_changed_content_are_not_handed_out() -> None:
    expected = Descriptor.of(b"weights", OCTET_STREAM)
    stream = verifying(io.BytesIO(b"weighty"), expected)
    with pytest.raises(ContentMismatchError):
        stream.read(expected.size)  # no read beyond the end is needed to notice


def test_large_content_is_not_read_into_memory() -> None:
    store = MemoryStore()
    blob = Descriptor.of(b"weights", OCTET_STREAM)
    store.push(blob, BytesContent(b"weights"))
    with pytest.raises(LimitExceededError, match="at most 6"):
        fetch_bytes(store, blob, limit=6)


def test_a_transfer_tells_what_moved_and_what_was_there() -> None:
    store = MemoryStore()
    blob = Descriptor.of(b"weights", OCTET_STREAM)
    told: list[TransferEvent] = []
    push_all(store, [(blob, BytesContent(b"weights"))], told.append)
    push_all(store, [(blob, BytesContent(b"weights"))], told.append)
    assert told == [
        TransferPlanned(1, 7),
        TransferStarted(blob),
        BytesMoved(blob, 7),
        TransferFinished(blob, skipped=False),
        TransferPlanned(1, 7),
        TransferFinished(blob, skipped=True),
    ]


def test_equal_blobs_go_once() -> None:
    blob = Descriptor.of(b"weights", OCTET_STREAM)
    told: list[TransferEvent] = []
    push_all(MemoryStore(), [(blob, BytesContent(b"weights"))] * 3, told.append)
    assert told.count(TransferStarted(blob)) == 1


def test_a_failed_transfer_raises_what_failed() -> None:
    store = MemoryStore()
    good = Descriptor.of(b"good", OCTET_STREAM)
    bad = Descriptor.of(b"weights", OCTET_STREAM)
    with pytest.raises(ContentMismatchError):
        push_all(store, [(bad, BytesContent(b"poison!")), (good, BytesContent(b"good"))])
    assert not store.exists(bad)


def test_counting_reads_through() -> None:
    store = MemoryStore()
    blob = Descriptor.of(b"weights", OCTET_STREAM)
    store.push(blob, BytesContent(b"weights"))
    told: list[TransferEvent] = []
    with CountingReader(store, told.append).fetch(blob) as stream:
        assert stream.read() == b"weights"
    assert told == [
        TransferStarted(blob),
        BytesMoved(blob, 7),
        TransferFinished(blob, skipped=False),
    ]
