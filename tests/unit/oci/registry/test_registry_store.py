# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Reading and writing one repository, and what a registry may get wrong about it."""

import hashlib
import io
import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import BinaryIO
from urllib.parse import quote

import pytest
from tests.support.fake_registry import INDEX, Answer, FakeRegistry, Fault, Recorded, digest_of
from tests.support.registry_store import NAME, push_model, store_at

from modelseal.errors import (
    AccessDeniedError,
    ContentError,
    ContentMismatchError,
    InvalidDocumentError,
    InvalidReferenceError,
    LimitExceededError,
    NotFoundError,
    StorageError,
    UnavailableError,
)
from modelseal.oci.content import CHUNK, BytesContent
from modelseal.oci.descriptor import MANIFEST, OCTET_STREAM, Descriptor, Digest
from modelseal.oci.manifest import Manifest
from modelseal.oci.reference import Repository
from modelseal.oci.registry.answers import Answer as Reply
from modelseal.oci.registry.hosts import Origin, Target
from modelseal.oci.registry.referrers import next_page
from modelseal.oci.registry.store import RegistryStore, _ManifestCache
from modelseal.oci.store import fetch_bytes, fetch_manifest, push_bytes

BLOB = Descriptor.of(b"weights", OCTET_STREAM)


def holding(fake: FakeRegistry, data: bytes = b"weights") -> Descriptor:
    """Put a blob into the registry's storage."""
    fake.blobs[NAME, digest_of(data)] = data
    return Descriptor.of(data, OCTET_STREAM)


# Manifests


def test_to_resolve_and_to_fetch_is_one_request() -> None:
    with FakeRegistry() as fake:
        manifest = push_model(store_at(fake.host))
        store = store_at(fake.host)
        fake.requests.clear()
        found = store.resolve(manifest.descriptor.digest)
        assert fetch_manifest(store, found).raw == manifest.raw
        assert len(fake.requests) == 1


def test_what_was_pushed_is_asked_for_before_it_is_believed() -> None:
    with FakeRegistry() as fake:
        store = store_at(fake.host)
        manifest = push_model(store)
        fake.manifests.clear()
        with pytest.raises(NotFoundError):
            fetch_manifest(store, manifest.descriptor)


def test_a_tag_is_asked_for_every_time() -> None:
    with FakeRegistry() as fake:
        store = store_at(fake.host)
        first, second = push_model(store, b"one"), push_model(store, b"two")
        store.tag(first.descriptor, "v1")
        assert store.resolve("v1") == first.descriptor
        fake.tags[NAME, "v1"] = str(second.descriptor.digest)
        assert store.resolve("v1") == second.descriptor


def test_to_tag_what_was_just_pushed_reads_nothing() -> None:
    with FakeRegistry() as fake:
        store = store_at(fake.host)
        manifest = push_model(store)
        fake.requests.clear()
        store.tag(manifest.descriptor, "v1")
        assert [(r.method, r.path) for r in fake.requests] == [("PUT", f"/v2/{NAME}/manifests/v1")]


def test_to_tag_what_is_not_there_is_not_found() -> None:
    with FakeRegistry() as fake, pytest.raises(NotFoundError):
        store_at(fake.host).tag(Descriptor.of(b"{}", MANIFEST), "v1")


@pytest.mark.parametrize("tag", ["", "a/b", "../x", "a b", "v1?x", "\n"])
def test_a_tag_is_checked_before_it_goes_into_a_path(tag: str) -> None:
    with FakeRegistry() as fake:
        store = store_at(fake.host)
        with pytest.raises(InvalidReferenceError):
            store.resolve(tag)
        with pytest.raises(InvalidReferenceError):
            store.tag(BLOB, tag)
        assert fake.requests == []


@pytest.mark.parametrize("name", ["by digest", "by tag"])
def test_a_manifest_that_was_changed_is_refused(name: str) -> None:
    with FakeRegistry() as fake:
        manifest = push_model(store_at(fake.host))
        store_at(fake.host).tag(manifest.descriptor, "v1")
        fake.faults.append(Fault(method="GET", path="/manifests/", corrupt=True))
        with pytest.raises(ContentError):
            store_at(fake.host).resolve("v1" if name == "by tag" else manifest.descriptor.digest)


def test_a_lying_digest_header_is_not_believed() -> None:
    lie = str(Digest.of(b"lie"))
    with FakeRegistry() as fake:
        manifest = push_model(store_at(fake.host))
        store_at(fake.host).tag(manifest.descriptor, "v1")
        fake.faults.append(Fault(headers={"Docker-Content-Digest": lie}))
        for name in ("v1", manifest.descriptor.digest):
            with pytest.raises(ContentMismatchError, match=str(manifest.descriptor.digest)):
                store_at(fake.host).resolve(name)


@pytest.mark.parametrize("header", [None, "", "garbage", "sha256:zz"])
def test_without_a_digest_header_the_bytes_say_it(header: str | None) -> None:
    with FakeRegistry() as fake:
        manifest = push_model(store_at(fake.host))
        store_at(fake.host).tag(manifest.descriptor, "v1")
        fake.faults.append(Fault(headers={"Docker-Content-Digest": header}))
        assert store_at(fake.host).resolve("v1") == manifest.descriptor


def test_a_sha512_digest_is_computed_as_such() -> None:
    with FakeRegistry() as fake:
        manifest = push_model(store_at(fake.host))
        digest = Digest("sha512", hashlib.sha512(manifest.raw).hexdigest())
        descriptor = Descriptor(MANIFEST, digest, len(manifest.raw))
        store = store_at(fake.host)
        store.push(descriptor, BytesContent(manifest.raw))
        assert store_at(fake.host).resolve(digest) == descriptor


@pytest.mark.parametrize(
    "served", ["", "text/html", "application/json", INDEX, "application/vnd.oci.image.layer.v1.tar"]
)
def test_a_manifest_served_as_something_else_is_refused(served: str) -> None:
    with FakeRegistry() as fake:
        manifest = push_model(store_at(fake.host))
        fake.faults.append(Fault(method="GET", headers={"Content-Type": served}))
        with pytest.raises(InvalidDocumentError):
            store_at(fake.host).resolve(manifest.descriptor.digest)


def test_a_charset_beside_the_media_type_changes_nothing() -> None:
    with FakeRegistry() as fake:
        manifest = push_model(store_at(fake.host))
        served = f"{MANIFEST}; charset=utf-8"
        fake.faults.append(Fault(method="GET", headers={"Content-Type": served}))
        assert store_at(fake.host).resolve(manifest.descriptor.digest) == manifest.descriptor


def test_a_document_asked_for_as_another_kind_is_refused() -> None:
    with FakeRegistry() as fake:
        manifest = push_model(store_at(fake.host)).descriptor
        wrong = Descriptor(INDEX, manifest.digest, manifest.size)
        with pytest.raises(InvalidDocumentError, match="not a"):
            fetch_bytes(store_at(fake.host), wrong, limit=10_000)


def test_a_manifest_of_another_size_than_its_descriptor_is_refused() -> None:
    with FakeRegistry() as fake:
        manifest = push_model(store_at(fake.host)).descriptor
        wrong = Descriptor(MANIFEST, manifest.digest, manifest.size + 1)
        with pytest.raises(ContentMismatchError):
            fetch_bytes(store_at(fake.host), wrong, limit=10_000)


def test_a_manifest_over_4_mib_is_not_sent() -> None:
    with FakeRegistry() as fake:
        huge = Descriptor(MANIFEST, Digest.of(b"x"), (4 << 20) + 1)
        with pytest.raises(LimitExceededError):
            store_at(fake.host).push(huge, BytesContent(b"x"))
        assert fake.requests == []


def test_a_registry_that_stores_a_manifest_under_another_digest_is_found_out() -> None:
    lie = str(Digest.of(b"lie"))
    with FakeRegistry() as fake:
        fake.faults.append(
            Fault(method="PUT", path="/manifests/", headers={"Docker-Content-Digest": lie})
        )
        with pytest.raises(ContentMismatchError, match=lie):
            push_model(store_at(fake.host))


# Blobs


def test_a_blob_that_was_changed_is_refused_before_its_last_byte() -> None:
    data = os.urandom(CHUNK * 2 + 5)
    with FakeRegistry(faults=[Fault(path="/blobs/", corrupt=True)]) as fake:
        blob = holding(fake, data)
        with store_at(fake.host).fetch(blob) as stream:
            assert len(stream.read(CHUNK)) == CHUNK
            with pytest.raises(ContentMismatchError, match="another digest"):
                stream.read()


def test_a_blob_cut_short_each_time_is_an_error() -> None:
    with FakeRegistry(faults=[Fault(path="/blobs/", cut_after=1)]) as fake:
        blob = holding(fake)
        with pytest.raises(UnavailableError, match="broke off after"):
            fetch_bytes(store_at(fake.host), blob, limit=100)


def test_a_blob_cut_short_that_says_so_is_an_error() -> None:
    with FakeRegistry() as fake:
        blob = holding(fake)
        fake.blobs[NAME, str(blob.digest)] = b"weig"
        with pytest.raises(ContentMismatchError, match="4 bytes, not 7"):
            fetch_bytes(store_at(fake.host), blob, limit=100)


def test_a_wrong_length_is_refused_before_a_byte_is_read() -> None:
    with FakeRegistry() as fake:
        blob = holding(fake)
        wrong = Descriptor(OCTET_STREAM, blob.digest, 8)
        with pytest.raises(ContentMismatchError, match="7 bytes, not 8"):
            store_at(fake.host).fetch(wrong)


@pytest.mark.parametrize(
    ("sent", "good"), [(b"7\r\nweights\r\n0\r\n\r\n", True), (b"8\r\nweights!\r\n0\r\n\r\n", False)]
)
def test_a_blob_of_unknown_length_is_counted(sent: bytes, *, good: bool) -> None:
    chunked = Fault(path="/blobs/", headers={"Transfer-Encoding": "chunked"}, body=sent)
    with FakeRegistry(faults=[chunked]) as fake:
        blob, store = holding(fake), store_at(fake.host)
        if good:
            assert fetch_bytes(store, blob, limit=100) == b"weights"
        else:
            with pytest.raises(ContentMismatchError):
                fetch_bytes(store, blob, limit=100)


def test_a_blob_that_is_not_there_is_named() -> None:
    with FakeRegistry() as fake, pytest.raises(NotFoundError, match=str(BLOB.digest)):
        store_at(fake.host).fetch(BLOB)


def test_a_blob_left_half_read_spoils_nothing() -> None:
    data = os.urandom(CHUNK * 3)
    with FakeRegistry() as fake:
        blob, store = holding(fake, data), store_at(fake.host)
        with store.fetch(blob) as stream:
            stream.read(10)
        assert fetch_bytes(store, blob, limit=CHUNK * 4) == data


def test_the_urls_of_a_descriptor_are_never_followed() -> None:
    with FakeRegistry() as fake, FakeRegistry() as other:
        foreign = Descriptor(OCTET_STREAM, BLOB.digest, 7, urls=(f"{other.url}/weights",))
        with pytest.raises(NotFoundError):
            store_at(fake.host).fetch(foreign)
        assert other.requests == []


def test_many_threads_share_a_store() -> None:
    parts = [os.urandom(50_000) for _ in range(24)]
    with FakeRegistry(auth="bearer", password="pw") as fake:
        store = store_at(fake.host, user=("user", "pw"))
        with ThreadPoolExecutor(8) as pool:
            blobs = list(pool.map(lambda data: push_bytes(store, data, OCTET_STREAM), parts))
            got = list(pool.map(lambda blob: fetch_bytes(store, blob, limit=50_000), blobs))
        assert got == parts
        assert len(fake.asked("GET", "/token")) == 2
        store.close()


# Pushing


def test_a_blob_that_is_there_is_not_sent() -> None:
    with FakeRegistry() as fake:
        store_at(fake.host).push(holding(fake), BytesContent(b"weights"))
        assert [request.method for request in fake.requests] == ["HEAD"]


def test_a_blob_that_is_there_at_another_size_is_sent() -> None:
    with FakeRegistry() as fake:
        fake.blobs[NAME, str(BLOB.digest)] = b"weig"
        store_at(fake.host).push(BLOB, BytesContent(b"weights"))
        assert fake.blobs[NAME, str(BLOB.digest)] == b"weights"


def test_to_ask_and_then_to_push_asks_once() -> None:
    with FakeRegistry() as fake:
        store = store_at(fake.host)
        assert not store.exists(BLOB)
        store.push(BLOB, BytesContent(b"weights"))
        assert [request.method for request in fake.requests] == ["HEAD", "POST", "PUT"]
        assert store.exists(BLOB)


@dataclass(slots=True)
class Watched:
    """Content that tells how it was read."""

    data: bytes
    opened: int = 0
    sizes: list[int] = field(default_factory=list)

    def open(self) -> BinaryIO:
        self.opened += 1
        watched = self

        class Stream(io.BytesIO):
            def readinto(self, buffer: object, /) -> int:
                count = super().readinto(buffer)  # type: ignore[arg-type] # any buffer will do
                watched.sizes.append(count)
                return count

        return Stream(self.data)


def test_a_large_blob_goes_in_one_put_and_in_small_reads() -> None:
    data = os.urandom(CHUNK * 3 + 1)
    with FakeRegistry() as fake:
        content = Watched(data)
        blob = Descriptor.of(data, OCTET_STREAM)
        store_at(fake.host).push(blob, content)
        (put,) = fake.asked("PUT")
        assert put.headers["content-length"] == str(len(data))
        assert "transfer-encoding" not in put.headers
        assert max(content.sizes) <= CHUNK
        assert content.opened == 1
        assert fake.blobs[NAME, str(blob.digest)] == data


def test_upload_locations_keep_their_query() -> None:
    with FakeRegistry() as fake:
        push_bytes(store_at(fake.host), b"weights", OCTET_STREAM)
        (put,) = fake.asked("PUT")
        digest = str(BLOB.digest).replace(":", "%3A")
        assert put.path.endswith(f"?_state=opaque%2Fstate&digest={digest}")


@pytest.mark.parametrize("absolute", [True, False])
def test_upload_locations_may_be_relative_or_absolute(*, absolute: bool) -> None:
    with FakeRegistry() as fake:

        def rewrite(request: Recorded, answer: Answer) -> None:
            if request.method == "POST" and absolute:
                answer.headers["Location"] = fake.url + answer.headers["Location"]

        fake.before_answer = rewrite
        assert fetch_bytes(
            store_at(fake.host), push_bytes(store_at(fake.host), b"w", OCTET_STREAM), limit=9
        )


def test_c13_an_upload_location_at_another_host_gets_no_authorization() -> None:
    with FakeRegistry(auth="basic") as fake, FakeRegistry() as other:
        fake.username, fake.password = "user", "pass-word"
        other.uploads["0"] = b""
        fake.faults.append(
            Fault(method="POST", headers={"Location": f"{other.url}/v2/{NAME}/blobs/uploads/0"})
        )
        store = store_at(fake.host, user=("user", "pass-word"))
        push_bytes(store, b"weights", OCTET_STREAM)
        assert other.blobs[NAME, str(BLOB.digest)] == b"weights"
        assert [request.authorization for request in other.requests] == [""]


@pytest.mark.parametrize(
    "location", ["http://169.254.169.254/x", "http://u:p@127.0.0.1/x", "", "http://127.1/", "x:y"]
)
def test_c13_an_upload_location_that_is_not_safe_is_refused(location: str) -> None:
    with FakeRegistry() as fake:
        fake.faults.append(Fault(method="POST", headers={"Location": location}))
        with pytest.raises(UnavailableError):
            push_bytes(store_at(fake.host), b"weights", OCTET_STREAM)
        assert fake.asked("PUT") == []


def test_a_lost_upload_session_is_begun_anew() -> None:
    with FakeRegistry(faults=[Fault(method="PUT", status=404, times=1)]) as fake:
        content = Watched(b"weights")
        store_at(fake.host).push(BLOB, content)
        assert content.opened == 2
        assert fake.blobs[NAME, str(BLOB.digest)] == b"weights"


def test_an_upload_whose_answer_was_lost_is_not_sent_again() -> None:
    with FakeRegistry(faults=[Fault(method="PUT", drop=True, times=1)]) as fake:
        content = Watched(b"weights")
        store_at(fake.host).push(BLOB, content)
        assert content.opened == 1
        assert [request.method for request in fake.requests] == ["HEAD", "POST", "PUT", "HEAD"]


def test_a_token_that_dies_before_the_put_costs_one_more_put() -> None:
    with FakeRegistry(auth="bearer", password="pw") as fake:

        def expire(request: Recorded, _answer: Answer) -> None:
            if request.method == "POST":
                fake.tokens.clear()

        fake.before_answer = expire
        store = store_at(fake.host, user=("user", "pw"))
        push_bytes(store, b"weights", OCTET_STREAM)
        assert fake.blobs[NAME, str(BLOB.digest)] == b"weights"
        assert len(fake.asked("PUT")) == 2


def test_wrong_content_cancels_its_upload() -> None:
    with FakeRegistry() as fake:
        with pytest.raises(ContentMismatchError):
            store_at(fake.host).push(BLOB, BytesContent(b"poison!"))
        assert fake.uploads == {}
        assert fake.blobs == {}


class _Broken:
    def open(self) -> BinaryIO:
        class Stream(io.BytesIO):
            def readinto(self, _buffer: object, /) -> int:
                raise OSError(5, "Input/output error")

        return Stream()


def test_a_file_that_cannot_be_read_is_not_the_registrys_fault() -> None:
    with FakeRegistry() as fake:
        with pytest.raises(StorageError, match="Input/output error"):
            store_at(fake.host).push(BLOB, _Broken())
        assert len(fake.asked("POST")) == 1


def test_a_registry_that_stores_a_blob_under_another_digest_is_found_out() -> None:
    lie = str(Digest.of(b"lie"))
    fault = Fault(method="PUT", headers={"Docker-Content-Digest": lie})
    with FakeRegistry(faults=[fault]) as fake, pytest.raises(ContentMismatchError, match=lie):
        push_bytes(store_at(fake.host), b"weights", OCTET_STREAM)


def test_a_repository_that_has_to_be_made_first_is_said_so() -> None:
    with FakeRegistry(faults=[Fault(method="POST", status=404)]) as fake:
        with pytest.raises(NotFoundError) as caught:
            push_bytes(store_at(fake.host), b"weights", OCTET_STREAM)
        assert "make the repository first" in caught.value.hint


def test_a_blob_that_is_too_large_for_a_proxy_is_said_so() -> None:
    with (
        FakeRegistry(faults=[Fault(method="PUT", status=413)]) as fake,
        pytest.raises(LimitExceededError, match="too large"),
    ):
        push_bytes(store_at(fake.host), b"weights", OCTET_STREAM)


def test_a_forbidden_push_is_access_denied() -> None:
    with FakeRegistry(faults=[Fault(method="POST", status=403)]) as fake:
        with pytest.raises(AccessDeniedError) as caught:
            push_bytes(store_at(fake.host), b"weights", OCTET_STREAM)
        assert caught.value.reason == "forbidden"


# Tags


def with_tags(fake: FakeRegistry, *tags: str) -> None:
    manifest = push_model(store_at(fake.host))
    for tag in tags:
        fake.tags[NAME, tag] = str(manifest.descriptor.digest)


def test_tags_come_in_pages_and_in_order() -> None:
    with FakeRegistry(page_size=2) as fake:
        with_tags(fake, "b", "a", "C", "d", "e")
        fake.requests.clear()
        assert list(store_at(fake.host).tags()) == ["C", "a", "b", "d", "e"]
        assert len(fake.requests) == 3


def test_fallback_tags_are_no_tags() -> None:
    with FakeRegistry() as fake:
        fallbacks = ["sha256-" + "a" * 64, "sha512-" + "b" * 64]
        kept = ["sha256-short", "sha256-" + "a" * 63 + "G", "v1"]
        with_tags(fake, *fallbacks, *kept)
        assert list(store_at(fake.host).tags()) == sorted(kept)


def test_a_repository_that_is_not_there_is_named() -> None:
    with FakeRegistry() as fake, pytest.raises(NotFoundError, match=NAME):
        list(store_at(fake.host).tags())


@pytest.mark.parametrize("value", [{"tags": 7}, {"tags": [7]}, {"tags": ["\x1b[2J"]}])
def test_tags_that_are_none_are_refused(value: object) -> None:
    body = json.dumps(value).encode()
    with (
        FakeRegistry(faults=[Fault(status=200, body=body)]) as fake,
        pytest.raises(UnavailableError, match="not a list of tags"),
    ):
        list(store_at(fake.host).tags())


def test_no_tags_are_no_tags() -> None:
    with FakeRegistry(faults=[Fault(status=200, body=b'{"tags":null}')]) as fake:
        assert list(store_at(fake.host).tags()) == []


@pytest.mark.parametrize(
    "link", ['<{other}/v2/x/tags/list?last=a>; rel="next"', '<{ours}>; rel="next"']
)
def test_c13_a_next_page_elsewhere_or_the_same_is_not_followed(link: str) -> None:
    with FakeRegistry() as fake, FakeRegistry() as other:
        with_tags(fake, "v1")
        path = f"{fake.url}/v2/{NAME}/tags/list?n=1000"
        text = link.format(other=other.url, ours=path)
        fake.faults.append(Fault(path="/tags/", headers={"Link": text}))
        with pytest.raises(UnavailableError, match="not followed"):
            list(store_at(fake.host).tags())
        assert other.requests == []


def test_c13_pages_without_end_end() -> None:
    with FakeRegistry() as fake:
        with_tags(fake, "v1")
        count = iter(range(10_000))

        def more(request: Recorded, answer: Answer) -> None:
            if "/tags/" in request.path:
                answer.headers["Link"] = f'</v2/{NAME}/tags/list?x={next(count)}>; rel="next"'

        fake.before_answer = more
        with pytest.raises(LimitExceededError, match="go on"):
            list(store_at(fake.host).tags())


def test_a_store_is_named_after_its_repository() -> None:
    with RegistryStore(Repository("ghcr.io", "acme/model")) as store:
        assert str(store) == "ghcr.io/acme/model"


def test_an_official_image_of_docker_hub_has_its_full_name() -> None:
    store = RegistryStore(Repository("docker.io", "alpine"))
    assert store._client._path == "/v2/library/alpine/"
    assert store._client._scope == "repository:library/alpine:"


def test_a_manifest_is_sent_again_to_be_listed() -> None:
    """A push that broke off between the manifest and its listing is made good by the next."""
    with FakeRegistry(referrers_api=False) as fake:
        store = store_at(fake.host)
        subject = push_model(store).descriptor
        referrer = push_model(store, b"statement", subject=subject)
        for key in [key for key in fake.tags if key[1].startswith("sha256-")]:
            del fake.tags[key]
        assert list(store.referrers(subject)) == []
        again = store_at(fake.host)
        again.push(referrer.descriptor, BytesContent(referrer.raw))
        assert [entry.digest for entry in again.referrers(subject)] == [referrer.descriptor.digest]


def test_a_broken_manifest_is_not_sent() -> None:
    with FakeRegistry() as fake:
        raw = json.dumps({"schemaVersion": 2, "layers": []}).encode()
        with pytest.raises(InvalidDocumentError):
            store_at(fake.host).push(Descriptor.of(raw, MANIFEST), BytesContent(raw))
        assert fake.requests == []


def test_a_manifests_bytes_are_sent_as_they_are() -> None:
    with FakeRegistry() as fake:
        store = store_at(fake.host)
        made = push_model(store)
        raw = b"  " + made.raw.replace(b",", b" ,\n", 1)
        manifest = Manifest.parse(raw)
        store.push(manifest.descriptor, BytesContent(raw))
        assert fake.manifests[NAME, str(manifest.descriptor.digest)].raw == raw


def test_the_memory_for_manifests_is_bounded() -> None:
    cache = _ManifestCache()
    raws = [bytes([number]) * (4 << 20) for number in range(6)]
    made = [Descriptor.of(raw, MANIFEST) for raw in raws]
    for descriptor, raw in zip(made, raws, strict=True):
        cache.put(descriptor, raw)
        cache.put(descriptor, raw)
    kept = [cache.get(descriptor.digest) is not None for descriptor in made]
    assert kept == [False, False, True, True, True, True]


@pytest.mark.parametrize(
    ("link", "path"),
    [
        ("", None),
        ("</a>", None),
        ('</a>; rel="prev"', None),
        ('</a>; rel="previous"', None),
        ('</a?x=1,2>; rel="next"', "/a?x=1,2"),
        ("</a>;rel=next", "/a"),
        ('</a>; REL = "Next"; title="x"', "/a"),
        ('</a>; rel="first", </b>; rel="next", </c>; rel="last"', "/b"),
    ],
)
def test_the_next_page_is_the_link_that_says_so(link: str, path: str | None) -> None:
    page = Target(Origin("https", "ghcr.io", 443), "/v2/x/tags/list")
    found = next_page(Reply(200, {"link": link}, b"", page), "tags")
    assert (found and found.path) == path


# Mounting


def test_a_mount_asks_for_a_token_that_may_read_the_source() -> None:
    with FakeRegistry(auth="bearer") as fake:
        blob = Descriptor.of(b"weights", OCTET_STREAM)
        fake.blobs["acme/other", str(blob.digest)] = b"weights"
        store = store_at(fake.host, user=("user", "secret"))
        assert store.mount(blob, Repository(fake.host, "acme/other"))
        [asked] = fake.asked("GET", "/token")
        assert f"scope={quote(f'repository:{NAME}:pull,push', safe='')}" in asked.path
        assert f"scope={quote('repository:acme/other:pull', safe='')}" in asked.path
        assert fake.blobs[NAME, str(blob.digest)] == b"weights"
        assert not any(request.body_size for request in fake.requests)


def test_an_identity_token_asks_for_both_scopes_too() -> None:
    with FakeRegistry(auth="bearer") as fake:
        fake.blobs["acme/other", str(BLOB.digest)] = b"weights"
        store = store_at(fake.host, identity_token="secret")
        assert store.mount(BLOB, Repository(fake.host, "acme/other"))


def test_a_source_that_may_not_be_read_is_not_mounted_but_pushed() -> None:
    with FakeRegistry(auth="bearer") as fake:
        fake.unreadable.add("acme/other")
        fake.blobs["acme/other", str(BLOB.digest)] = b"weights"
        store = store_at(fake.host, user=("user", "secret"))
        assert not store.mount(BLOB, Repository(fake.host, "acme/other"))
        store.push(BLOB, BytesContent(b"weights"))
        assert fake.blobs[NAME, str(BLOB.digest)] == b"weights"


@pytest.mark.parametrize("status", [400, 404, 405, 501])
def test_a_registry_that_knows_no_mounting_gets_the_bytes(status: int) -> None:
    with FakeRegistry(faults=[Fault(method="POST", path="mount=", status=status)]) as fake:
        store = store_at(fake.host)
        assert not store.mount(BLOB, Repository(fake.host, "acme/other"))
        store.push(BLOB, BytesContent(b"weights"))
        assert fake.blobs[NAME, str(BLOB.digest)] == b"weights"


def test_a_push_uses_the_session_that_a_mount_has_started() -> None:
    with FakeRegistry() as fake, store_at(fake.host) as store:
        assert not store.mount(BLOB, Repository(fake.host, "acme/other"))
        store.push(BLOB, BytesContent(b"weights"))
        assert len(fake.asked("POST")) == 1
        assert not fake.uploads


def test_a_session_that_a_mount_has_started_in_vain_is_cancelled() -> None:
    with FakeRegistry() as fake:
        with store_at(fake.host) as store:
            assert not store.mount(BLOB, Repository(fake.host, "acme/other"))
            assert fake.uploads
        assert not fake.uploads


def test_nothing_is_mounted_from_another_registry_nor_from_ourselves() -> None:
    with FakeRegistry() as fake:
        store = store_at(fake.host)
        assert not store.mount(BLOB, Repository("registry.example.com", NAME))
        assert not store.mount(BLOB, Repository(fake.host, NAME))
        assert not fake.requests


def test_a_manifest_is_not_mounted() -> None:
    with FakeRegistry() as fake:
        manifest = push_model(store_at(fake.host)).descriptor
        assert not store_at(fake.host).mount(manifest, Repository(fake.host, "acme/other"))


def test_c13_a_mount_that_leads_into_this_network_is_refused() -> None:
    location = {"Location": "http://169.254.169.254/latest/"}
    with (
        FakeRegistry(faults=[Fault(method="POST", headers=location)]) as fake,
        pytest.raises(UnavailableError, match="inside this network"),
    ):
        store_at(fake.host).mount(BLOB, Repository(fake.host, "acme/other"))


def test_a_mount_under_another_digest_is_found_out() -> None:
    wrong = {"Docker-Content-Digest": f"sha256:{'0' * 64}"}
    with FakeRegistry(faults=[Fault(method="POST", headers=wrong)]) as fake:
        fake.blobs["acme/other", str(BLOB.digest)] = b"weights"
        with pytest.raises(ContentMismatchError):
            store_at(fake.host).mount(BLOB, Repository(fake.host, "acme/other"))
