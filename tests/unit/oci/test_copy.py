# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Copying: bytes as they were, one read for all, nobody suffers for another, strangers' limits."""

import io
import os
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.fake_registry import FakeRegistry, Fault
from tests.support.registry_store import push_model, store_at

from modelseal.documents import canonical_json
from modelseal.errors import (
    ContentMismatchError,
    Error,
    InvalidDocumentError,
    LimitExceededError,
    NotFoundError,
    StorageError,
    UnavailableError,
    UsageError,
)
from modelseal.oci import fan_out
from modelseal.oci.content import BytesContent, Content, verifying
from modelseal.oci.copy import Destination, Outcome, copy_graph
from modelseal.oci.descriptor import INDEX, MANIFEST, OCTET_STREAM, Descriptor, Digest
from modelseal.oci.events import BytesMoved, TransferEvent, TransferFinished, TransferPlanned
from modelseal.oci.graph import MAX_LEVELS, read_graph, select_platform
from modelseal.oci.layout import LayoutStore
from modelseal.oci.manifest import Index, Manifest
from modelseal.oci.memory import MemoryStore
from modelseal.oci.reference import Repository
from modelseal.oci.registry.store import RegistryStore
from modelseal.oci.store import ReadableStore, Store, fetch_bytes, push_bytes


class Reads(MemoryStore):
    """A store that counts how often each blob is opened, and may serve a wrong byte."""

    def __init__(self) -> None:
        super().__init__()
        self.opened: list[Digest] = []
        self.spoilt: set[Digest] = set()

    def fetch(self, target: Descriptor) -> AbstractContextManager[BinaryIO]:
        if not target.is_manifest:
            self.opened.append(target.digest)
        if target.digest not in self.spoilt:
            return super().fetch(target)
        with super().fetch(target) as stream:
            data = bytearray(stream.read())
        data[len(data) // 2] ^= 1
        return verifying(io.BytesIO(bytes(data)), target)


class Broken(MemoryStore):
    """A destination whose disk is full after some bytes, or that stalls until it is let go."""

    def __init__(self, *, after: int = 0, stall: threading.Event | None = None) -> None:
        super().__init__()
        self.after = after
        self.stall = stall

    def push(self, expected: Descriptor, content: Content) -> None:
        if expected.is_manifest or expected.size <= self.after:
            super().push(expected, content)
            return
        with content.open() as stream:
            stream.read(self.after)
            if self.stall is None:
                raise StorageError("the disk is full")
            assert self.stall.wait(10)
            rest = stream.read()
        assert len(rest) == expected.size - self.after
        super().push(expected, content)


def copied(
    source: ReadableStore, root: Descriptor, *targets: Store, recursive: bool = True
) -> tuple[Outcome, ...]:
    graph = read_graph(source, root, recursive=recursive)
    return copy_graph(source, graph, [Destination(store=one, tag="v1") for one in targets])


def everything(store: Store, root: Descriptor) -> dict[str, bytes]:
    """Return all bytes that hang together, by digest, as the store serves them."""
    graph = read_graph(store, root, recursive=True)
    found = {str(blob.digest): fetch_bytes(store, blob, limit=1 << 30) for blob in graph.blobs}
    return found | {str(manifest.digest): raw for manifest, raw in graph.manifests}


@pytest.fixture(params=["memory", "layout", "referrers", "fallback"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    match request.param:
        case "memory":
            yield MemoryStore()
        case "layout":
            yield LayoutStore(tmp_path / "layout")
        case kind:
            with FakeRegistry(referrers_api=kind == "referrers") as fake:
                yield store_at(fake.host)


def signed_model(store: Store, size: int = 3_000_000) -> Descriptor:
    """Push a model, a statement about it, and a statement about the statement."""
    model = push_model(store, os.urandom(size)).descriptor
    statement = push_model(store, b"signed", subject=model).descriptor
    push_model(store, b"countersigned", subject=statement)
    return model


def test_every_byte_arrives_with_referrers_of_referrers(target: Store) -> None:
    source = MemoryStore()
    model = signed_model(source)
    (outcome,) = copied(source, model, target)
    assert outcome.error is None
    assert target.resolve("v1") == model
    assert everything(target, model) == everything(source, model)
    (statement,) = target.referrers(model)
    assert statement.annotations == {"about": "test"}
    assert statement.artifact_type
    (counter,) = target.referrers(statement)
    assert fetch_bytes(target, counter, limit=10_000) == fetch_bytes(source, counter, limit=10_000)


def test_manifests_are_not_written_anew(target: Store) -> None:
    """Spaces, an unknown field, another order of keys: the digest is over the bytes."""
    source = MemoryStore()
    layer = push_bytes(source, b"weights", OCTET_STREAM)
    config = push_bytes(source, b"{}", "application/vnd.oci.empty.v1+json")
    raw = b'{ "schemaVersion" : 2,\n"x-own": [1.0, 1e2], "layers": [%s], "config": %s}'
    raw %= (canonical_json(layer.to_json()), canonical_json(config.to_json()))
    manifest = push_bytes(source, raw, MANIFEST)
    copied(source, manifest, target)
    assert fetch_bytes(target, target.resolve("v1"), limit=10_000) == raw


def test_an_index_goes_with_all_its_manifests_and_their_statements(target: Store) -> None:
    source = MemoryStore()
    children = [push_model(source, data).descriptor for data in (b"amd64", b"arm64")]
    push_model(source, b"about arm64", subject=children[1])
    index = Index.build(children)
    source.push(index.descriptor, BytesContent(index.raw))
    copied(source, index.descriptor, target)
    assert target.resolve("v1") == index.descriptor
    assert everything(target, index.descriptor) == everything(source, index.descriptor)
    assert len(list(target.referrers(children[1]))) == 1


def platform_index(store: Store) -> tuple[Descriptor, list[Descriptor]]:
    children = [push_model(store, data).descriptor for data in (b"one", b"two")]
    names = ({"os": "linux", "architecture": "amd64"}, {"os": "linux", "architecture": "arm64"})
    entries = [
        {**child.to_json(), "platform": name} for child, name in zip(children, names, strict=True)
    ]
    raw = canonical_json({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
    return push_bytes(store, raw, INDEX), children


def test_one_platform_of_an_index_is_chosen() -> None:
    store = MemoryStore()
    index, children = platform_index(store)
    assert select_platform(store, index, "linux/arm64") == children[1]
    with pytest.raises(NotFoundError) as caught:
        select_platform(store, index, "linux/s390x")
    assert caught.value.hint == "it has: linux/amd64, linux/arm64"
    with pytest.raises(UsageError):
        select_platform(store, index, "arm64")
    with pytest.raises(UsageError):
        select_platform(store, children[0], "linux/arm64")


def test_several_destinations_are_served_by_one_read() -> None:
    source = Reads()
    model = signed_model(source)
    targets = [MemoryStore(), MemoryStore(), MemoryStore()]
    outcomes = copied(source, model, *targets)
    assert [outcome.error for outcome in outcomes] == [None] * 3
    assert len(source.opened) == len(set(source.opened))
    for target in targets:
        assert everything(target, model) == everything(source, model)


def test_a_destination_that_fails_takes_nothing_from_the_others() -> None:
    source = Reads()
    model = signed_model(source)
    good, full, also_good = MemoryStore(), Broken(after=1_500_000), MemoryStore()
    outcomes = copied(source, model, good, full, also_good)
    assert len(source.opened) == len(set(source.opened))
    assert [type(outcome.error) for outcome in outcomes] == [type(None), StorageError, type(None)]
    for target in (good, also_good):
        assert everything(target, model) == everything(source, model)
    assert list(full.tags()) == []


def test_a_destination_that_stalls_is_waited_for_no_longer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The stalled one is let go when the good one has it all; it then reads for itself."""
    monkeypatch.setattr(fan_out, "PATIENCE", 0.05)
    let_go = threading.Event()
    source = Reads()
    model = push_model(source, os.urandom(12_000_000)).descriptor
    stalled = Broken(after=1_000_000, stall=let_go)

    class LetsGo(MemoryStore):
        def push(self, expected: Descriptor, content: Content) -> None:
            super().push(expected, content)
            if expected.size > 1_000_000:
                let_go.set()

    good = LetsGo()
    outcomes = copied(source, model, stalled, good)
    assert [outcome.error for outcome in outcomes] == [None, None]
    assert everything(stalled, model) == everything(good, model) == everything(source, model)


def test_few_bytes_are_held_when_one_destination_is_slow() -> None:
    """The reader is never more than a few chunks ahead of the slowest."""
    source = MemoryStore()
    model = push_model(source, os.urandom(24 << 20)).descriptor
    moved = 0
    ahead: list[int] = []

    class Slow(MemoryStore):
        def push(self, expected: Descriptor, content: Content) -> None:
            if expected.size < 1 << 20:
                super().push(expected, content)
                return
            seen = 0
            with content.open() as stream:
                while chunk := stream.read(1 << 20):
                    seen += len(chunk)
                    ahead.append(moved - seen)
            self._content[expected.digest] = b"".ljust(expected.size)

    def count(event: TransferEvent) -> None:
        nonlocal moved
        if isinstance(event, BytesMoved) and event.descriptor.size > 1 << 20:
            moved += event.count

    graph = read_graph(source, model, recursive=False)
    copy_graph(source, graph, [Destination(store=Slow()), Destination(store=MemoryStore())], count)
    assert max(ahead) <= 8 << 20


def test_a_wrong_byte_at_the_source_arrives_nowhere(target: Store) -> None:
    source = Reads()
    model = push_model(source, os.urandom(2_500_000)).descriptor
    layer = Manifest.parse(fetch_bytes(source, model, limit=10_000)).layers[0]
    source.spoilt.add(layer.digest)
    other = MemoryStore()
    outcomes = copied(source, model, target, other)
    assert [type(outcome.error) for outcome in outcomes] == [ContentMismatchError] * 2
    assert not target.exists(layer)
    assert not other.exists(layer)
    with pytest.raises(NotFoundError):
        target.resolve("v1")


def test_what_is_there_is_not_sent_again(target: Store) -> None:
    source = Reads()
    model = signed_model(source, size=1000)
    copied(source, model, target)
    source.opened.clear()
    (outcome,) = copied(source, model, target)
    assert source.opened == []
    assert (outcome.sent, outcome.sent_bytes) == (0, 0)
    assert outcome.present == 4


def test_layers_that_are_kept_elsewhere_are_refused() -> None:
    source = MemoryStore()
    config = push_bytes(source, b"{}", "application/vnd.oci.empty.v1+json")
    there = Descriptor.of(b"elsewhere", OCTET_STREAM).to_json()
    foreign = "application/vnd.oci.image.layer.nondistributable.v1.tar"
    for layer in ({**there, "urls": ["https://else.example/x"]}, {**there, "mediaType": foreign}):
        raw = canonical_json(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST,
                "config": config.to_json(),
                "layers": [layer],
            }
        )
        root = push_bytes(source, raw, MANIFEST)
        with pytest.raises(InvalidDocumentError, match="kept elsewhere"):
            read_graph(source, root, recursive=False)


def test_without_recursive_it_is_told_how_many_stay_behind() -> None:
    source = MemoryStore()
    model = signed_model(source, size=10)
    graph = read_graph(source, model, recursive=False)
    assert graph.left_out == 1
    assert [manifest for manifest, _ in graph.manifests] == [model]
    assert read_graph(source, model, recursive=True).left_out == 0


def test_junk_in_a_list_of_referrers_keeps_nothing_from_being_copied() -> None:
    with FakeRegistry(referrers_api=False) as fake:
        source = store_at(fake.host)
        model = push_model(source).descriptor
        other = push_model(source, b"other").descriptor
        about_other = push_model(source, b"about other", subject=other).descriptor
        good = push_model(source, b"good", subject=model).descriptor
        gone = Descriptor.of(b"gone", MANIFEST)
        junk = [one.to_json() for one in (about_other, gone, good)]
        fake.put_referrers("acme/model", str(model.digest), [*junk, "no entry"])
        graph = read_graph(store_at(fake.host), model, recursive=True)
    assert [referrer.digest for referrer in graph.referrers] == [good.digest]
    assert {one.referrer for one in graph.unreadable} == {gone.digest, about_other.digest}


def test_endless_statements_about_statements_end() -> None:
    source = MemoryStore()
    root = subject = push_model(source).descriptor
    for number in range(MAX_LEVELS):
        subject = push_model(source, b"%d" % number, subject=subject).descriptor
    with pytest.raises(LimitExceededError, match="levels"):
        read_graph(source, root, recursive=True)


def test_indexes_in_indexes_end() -> None:
    source = MemoryStore()
    inner = push_model(source).descriptor
    for _ in range(MAX_LEVELS + 1):
        index = Index.build([inner])
        inner = push_bytes(source, index.raw, INDEX)
    with pytest.raises(LimitExceededError, match="deep"):
        read_graph(source, inner, recursive=False)


def test_within_one_registry_no_layer_moves() -> None:
    with FakeRegistry() as fake:
        here, there = Repository(fake.host, "team/model"), Repository(fake.host, "prod/model")
        model = signed_model(RegistryStore(here), size=100_000)
        fake.requests.clear()
        source, store = RegistryStore(here), RegistryStore(there)
        graph = read_graph(source, model, recursive=True)
        (outcome,) = copy_graph(source, graph, [Destination(store=store, tag="v1", neighbour=here)])
        assert (outcome.sent, outcome.mounted) == (0, 4)
        assert sum(request.body_size for request in fake.asked(path="/blobs/")) == 0
        assert fake.asked("GET", "/blobs/") == []
        assert store.resolve("v1") == model


def test_a_dead_registry_is_told_and_the_layout_beside_it_is_whole(tmp_path: Path) -> None:
    source = MemoryStore()
    model = signed_model(source)
    with FakeRegistry(faults=[Fault(status=503)]) as fake:
        layout = LayoutStore(tmp_path / "layout")
        outcomes = copied(source, model, store_at(fake.host, attempts=2), layout)
    assert [type(outcome.error) for outcome in outcomes] == [UnavailableError, type(None)]
    assert everything(layout, model) == everything(source, model)


def test_a_destination_that_drops_an_upload_begins_it_again() -> None:
    source = Reads()
    model = push_model(source, os.urandom(3_000_000)).descriptor
    with FakeRegistry(faults=[Fault(method="PUT", path="/uploads/", drop=True, times=1)]) as fake:
        target = store_at(fake.host)
        other = MemoryStore()
        outcomes = copied(source, model, target, other)
        assert [outcome.error for outcome in outcomes] == [None, None]
        assert everything(target, model) == everything(other, model) == everything(source, model)


def test_events_tell_the_plan_and_each_blob_once() -> None:
    source = MemoryStore()
    model = signed_model(source, size=2_000_000)
    graph = read_graph(source, model, recursive=True)
    events: list[TransferEvent] = []
    targets = [Destination(store=MemoryStore()), Destination(store=MemoryStore())]
    copy_graph(source, graph, targets, events.append)
    assert events[0] == TransferPlanned(len(graph.blobs), graph.size)
    moved = sum(event.count for event in events if isinstance(event, BytesMoved))
    assert moved == graph.size
    finished = [event.descriptor for event in events if isinstance(event, TransferFinished)]
    assert sorted(finished, key=str) == sorted(graph.blobs, key=str)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(0, 5_000), min_size=1, max_size=5),
    st.lists(st.integers(0, 6_000), min_size=1, max_size=4),
)
def test_whoever_fails_wherever_the_others_are_whole(sizes: list[int], fails: list[int]) -> None:
    source = Reads()
    layers = [push_bytes(source, os.urandom(size), OCTET_STREAM) for size in sizes]
    manifest = Manifest.build(
        artifact_type="application/vnd.example", layers=layers, config=layers[0]
    )
    source.push(manifest.descriptor, BytesContent(manifest.raw))
    targets = [Broken(after=after) for after in fails]
    for target, outcome in zip(targets, copied(source, manifest.descriptor, *targets), strict=True):
        if max(sizes) > target.after:
            assert isinstance(outcome.error, Error)
            assert list(target.tags()) == []
        else:
            assert outcome.error is None
            assert everything(target, manifest.descriptor) == everything(
                source, manifest.descriptor
            )
