# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What every store promises, held on each: memory, OCI layout, registry."""

import io
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import pytest
from tests.support.fake_registry import FakeRegistry
from tests.support.registries import NAMES

from modelseal.errors import ContentMismatchError, Error, InvalidDocumentError, NotFoundError
from modelseal.oci.content import BytesContent, FileContent
from modelseal.oci.descriptor import (
    EMPTY_BYTES,
    EMPTY_DESCRIPTOR,
    MANIFEST,
    OCTET_STREAM,
    Descriptor,
    Digest,
)
from modelseal.oci.layout import LayoutStore
from modelseal.oci.manifest import Manifest
from modelseal.oci.memory import MemoryStore
from modelseal.oci.reference import Repository
from modelseal.oci.registry.store import RegistryStore
from modelseal.oci.store import Store, fetch_bytes, fetch_manifest, push_bytes

ARTIFACT = "application/vnd.example.test.v1"


@pytest.fixture(params=["memory", "layout", "fake", "fake-without-referrers", *NAMES])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    name = f"contract/{os.urandom(6).hex()}"
    match request.param:
        case "memory":
            yield MemoryStore()
        case "layout":
            yield LayoutStore(tmp_path / "layout")
        case "fake" | "fake-without-referrers" as kind:
            with FakeRegistry(referrers_api=kind == "fake") as fake:
                yield RegistryStore(Repository(fake.host, name))
        case real:
            serve = request.getfixturevalue("serve_registry")
            yield RegistryStore(Repository(serve(real).host, name))


def pushed_manifest(
    store: Store, data: bytes = b"weights", *, subject: Descriptor | None = None
) -> Manifest:
    layer = push_bytes(store, data, OCTET_STREAM)
    store.push(EMPTY_DESCRIPTOR, BytesContent(EMPTY_BYTES))
    manifest = Manifest.build(
        artifact_type=ARTIFACT, layers=[layer], subject=subject, annotations={"about": "test"}
    )
    store.push(manifest.descriptor, BytesContent(manifest.raw))
    return manifest


def test_content_comes_back_as_it_was_pushed(store: Store) -> None:
    blob = push_bytes(store, b"weights", OCTET_STREAM)
    assert store.exists(blob)
    assert fetch_bytes(store, blob, limit=100) == b"weights"


def test_empty_content_is_content(store: Store) -> None:
    blob = push_bytes(store, b"", OCTET_STREAM)
    assert store.exists(blob)
    assert fetch_bytes(store, blob, limit=100) == b""


def test_content_larger_than_a_buffer_comes_back(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "weights"
    data = os.urandom(1 << 20) * 5 + b"tail"
    path.write_bytes(data)
    blob = Descriptor.of(data, OCTET_STREAM)
    store.push(blob, FileContent(path))
    with store.fetch(blob) as stream:
        assert stream.read() == data


def test_content_under_a_wrong_digest_is_refused(store: Store) -> None:
    # Of chance, here and below: some registries share blobs between repositories, and content
    # that is there already is not read.
    blob = Descriptor.of(os.urandom(7), OCTET_STREAM)
    with pytest.raises(ContentMismatchError):
        store.push(blob, BytesContent(b"poison!"))
    assert not store.exists(blob)


@pytest.mark.parametrize("size", [6, 16])
def test_content_of_a_wrong_size_is_refused(store: Store, size: int) -> None:
    data = os.urandom(16)
    blob = Descriptor.of(data[:7], OCTET_STREAM)
    with pytest.raises(ContentMismatchError):
        store.push(blob, BytesContent(data[:size]))
    assert not store.exists(blob)


def test_absent_content_is_not_found(store: Store) -> None:
    pushed_manifest(store)
    absent = Descriptor.of(b"nobody pushed this", OCTET_STREAM)
    assert not store.exists(absent)
    with pytest.raises(NotFoundError), store.fetch(absent) as stream:
        stream.read()


def test_a_tag_resolves_to_the_manifest(store: Store) -> None:
    manifest = pushed_manifest(store)
    store.tag(manifest.descriptor, "v1")
    assert store.resolve("v1") == manifest.descriptor
    assert fetch_manifest(store, store.resolve("v1")).raw == manifest.raw


def test_a_manifest_resolves_by_digest(store: Store) -> None:
    manifest = pushed_manifest(store)
    assert store.resolve(manifest.descriptor.digest) == manifest.descriptor


def test_an_unknown_tag_and_digest_are_not_found(store: Store) -> None:
    pushed_manifest(store)
    with pytest.raises(NotFoundError):
        store.resolve("never")
    with pytest.raises(NotFoundError):
        store.resolve(Digest.of(b"never"))


def test_a_tag_moves_and_the_old_manifest_stays(store: Store) -> None:
    first, second = pushed_manifest(store, b"one"), pushed_manifest(store, b"two")
    store.tag(first.descriptor, "v1")
    store.tag(second.descriptor, "v1")
    store.tag(second.descriptor, "v2")
    assert store.resolve("v1") == second.descriptor
    assert store.resolve(first.descriptor.digest) == first.descriptor
    assert list(store.tags()) == ["v1", "v2"]


def test_pushing_again_changes_nothing(store: Store) -> None:
    manifest = pushed_manifest(store)
    store.tag(manifest.descriptor, "v1")
    again = pushed_manifest(store)
    store.tag(again.descriptor, "v1")
    assert store.resolve("v1") == manifest.descriptor
    assert list(store.tags()) == ["v1"]


def test_a_manifest_that_is_none_is_refused(store: Store) -> None:
    garbage = Descriptor.of(b"not json", MANIFEST)
    with pytest.raises(Error):
        store.push(garbage, BytesContent(b"not json"))
    with pytest.raises((NotFoundError, InvalidDocumentError)):
        store.resolve(garbage.digest)


def test_referrers_are_listed_with_type_and_annotations(store: Store) -> None:
    subject = pushed_manifest(store).descriptor
    other = pushed_manifest(store, b"another").descriptor
    first = pushed_manifest(store, b"one", subject=subject).descriptor
    second = pushed_manifest(store, b"two", subject=subject).descriptor
    pushed_manifest(store, b"three", subject=other)
    found = {entry.digest: entry for entry in store.referrers(subject)}
    assert set(found) == {first.digest, second.digest}
    assert found[first.digest].artifact_type == ARTIFACT
    assert found[first.digest].annotations == {"about": "test"}
    assert found[first.digest].media_type == MANIFEST
    assert found[first.digest].size == first.size


def test_a_referrer_that_is_pushed_twice_is_listed_once(store: Store) -> None:
    subject = pushed_manifest(store).descriptor
    pushed_manifest(store, b"one", subject=subject)
    pushed_manifest(store, b"one", subject=subject)
    assert len(list(store.referrers(subject))) == 1


def test_nothing_refers_to_a_fresh_manifest(store: Store) -> None:
    assert list(store.referrers(pushed_manifest(store).descriptor)) == []


def test_referrers_are_not_tags(store: Store) -> None:
    subject = pushed_manifest(store).descriptor
    store.tag(subject, "v1")
    pushed_manifest(store, b"one", subject=subject)
    assert list(store.tags()) == ["v1"]


def test_eight_writers_at_once_lose_no_referrer(store: Store) -> None:
    subject = pushed_manifest(store).descriptor

    def attach(number: int) -> Digest:
        return pushed_manifest(store, b"%d" % number, subject=subject).descriptor.digest

    with ThreadPoolExecutor(8) as pool:
        made = set(pool.map(attach, range(8)))
    assert {entry.digest for entry in store.referrers(subject)} == made


class _Twice:
    """Content whose first reading breaks off, as a file on a flaky disk does."""

    def __init__(self, openers: list[Callable[[], BinaryIO]]) -> None:
        self._openers = openers

    def open(self) -> BinaryIO:
        return self._openers.pop(0)()


def test_a_failed_push_leaves_room_for_the_next(store: Store) -> None:
    data = os.urandom(7)
    blob = Descriptor.of(data, OCTET_STREAM)
    content = _Twice([lambda: io.BytesIO(b"poison!"), lambda: io.BytesIO(data)])
    with pytest.raises(ContentMismatchError):
        store.push(blob, content)
    store.push(blob, content)
    assert fetch_bytes(store, blob, limit=100) == data
