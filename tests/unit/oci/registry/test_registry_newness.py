# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Small blobs go to a repository that the registry does not know without being asked for."""

from tests.support.fake_registry import Answer, FakeRegistry, Recorded, digest_of
from tests.support.registry_store import NAME, push_model, store_at

from modelseal.oci.content import BytesContent
from modelseal.oci.descriptor import OCTET_STREAM, Descriptor
from modelseal.oci.transfer import push_all

FILES = [f"file {number}".encode() for number in range(100)]
MANY = [(Descriptor.of(data, OCTET_STREAM), BytesContent(data)) for data in FILES]


def asked_for(fake: FakeRegistry) -> int:
    """Return of how many blobs the registry was asked whether it has them."""
    return sum(request.method == "HEAD" for request in fake.requests)


def test_a_new_repository_is_not_asked_for_every_small_blob() -> None:
    with FakeRegistry() as fake:
        push_all(store_at(fake.host), MANY)
        assert {digest for name, digest in fake.blobs if name == NAME} == set(map(digest_of, FILES))
        assert asked_for(fake) < 50
        assert [request.path for request in fake.requests if "tags" in request.path] == [
            f"/v2/{NAME}/tags/list?n=1"
        ]


def test_a_repository_that_is_known_is_asked_for_each() -> None:
    with FakeRegistry() as fake:
        push_model(store_at(fake.host))
        fake.requests.clear()
        push_all(store_at(fake.host), MANY)
        assert asked_for(fake) == len(MANY)


def test_what_a_push_that_broke_off_has_sent_is_not_sent_again() -> None:
    with FakeRegistry() as fake:
        push_all(store_at(fake.host), MANY[:50])  # no manifest, no tag: the repository is unknown
        fake.requests.clear()
        push_all(store_at(fake.host), MANY)
        assert asked_for(fake) == len(MANY)
        assert sum(request.method == "PUT" for request in fake.requests) == 50


def test_what_was_sent_is_there() -> None:
    with FakeRegistry() as fake:
        store = store_at(fake.host)
        push_all(store, MANY)
        assert all(store.exists(blob) for blob, _ in MANY)


def test_a_large_blob_is_asked_for_in_any_repository() -> None:
    data = bytes(1 << 20)
    large = Descriptor.of(data, OCTET_STREAM)
    with FakeRegistry() as fake:
        store = store_at(fake.host)
        push_all(store, MANY)
        fake.requests.clear()
        push_all(store, [(large, BytesContent(data))])
        assert asked_for(fake) == 1


def test_a_registry_that_does_not_say_counts_as_knowing_the_repository() -> None:
    def refuse(request: Recorded, answer: Answer) -> None:
        if "tags/list" in request.path:
            answer.status, answer.body = 403, b"no"

    with FakeRegistry() as fake:
        fake.before_answer = refuse
        push_all(store_at(fake.host), MANY)
        assert asked_for(fake) == len(MANY)
