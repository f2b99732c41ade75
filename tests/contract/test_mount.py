# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Blobs go from one repository of a registry to another without their bytes, on real ones too."""

import os
from collections.abc import Callable, Iterator

import pytest
from tests.support.fake_registry import FakeRegistry
from tests.support.registries import NAMES, Registry

from modelseal.oci.content import BytesContent
from modelseal.oci.descriptor import OCTET_STREAM, Descriptor
from modelseal.oci.reference import Repository
from modelseal.oci.registry.store import RegistryStore
from modelseal.oci.store import BlobMounter, fetch_bytes, push_bytes


@pytest.fixture(params=["fake", *NAMES])
def host(request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "fake":
        with FakeRegistry() as fake:
            yield fake.host
    else:
        serve: Callable[[str], Registry] = request.getfixturevalue("serve_registry")
        yield serve(request.param).host


def new_repository(host: str) -> Repository:
    return Repository(host, f"mount/{os.urandom(6).hex()}")


def test_a_blob_is_taken_over_from_a_neighbour(host: str, request: pytest.FixtureRequest) -> None:
    source, target = new_repository(host), new_repository(host)
    blob = push_bytes(RegistryStore(source), data := os.urandom(1000), OCTET_STREAM)
    store = RegistryStore(target)
    assert isinstance(store, BlobMounter)
    # The registry of crane keeps one heap of blobs for all repositories: it need not mount.
    in_common = request.node.callspec.params["host"] == "crane"
    assert store.mount(blob, source) is not in_common
    assert store.exists(blob)
    assert fetch_bytes(store, blob, limit=1000) == data


def test_what_cannot_be_mounted_is_pushed(host: str) -> None:
    source, target = new_repository(host), new_repository(host)
    push_bytes(RegistryStore(source), b"the repository is there", OCTET_STREAM)
    data = os.urandom(1000)
    blob = Descriptor.of(data, OCTET_STREAM)
    with RegistryStore(target) as store:
        assert not store.mount(blob, source)
        assert not store.exists(blob)
        store.push(blob, BytesContent(data))
        assert fetch_bytes(store, blob, limit=1000) == data


def test_a_mount_that_is_not_followed_by_a_push_leaves_nothing_behind(host: str) -> None:
    source, target = new_repository(host), new_repository(host)
    push_bytes(RegistryStore(source), b"the repository is there", OCTET_STREAM)
    blob = Descriptor.of(os.urandom(10), OCTET_STREAM)
    with RegistryStore(target) as store:
        assert not store.mount(blob, source)
    assert not store._sessions
    assert not store.exists(blob)
