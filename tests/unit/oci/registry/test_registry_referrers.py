# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Referrers, by the API and by the fallback tag, and what others may have written there."""

import json
from collections.abc import Callable

import pytest
from tests.support.fake_registry import (
    INDEX,
    Answer,
    FakeRegistry,
    Fault,
    Recorded,
    StoredManifest,
    digest_of,
)
from tests.support.registry_store import ARTIFACT, NAME, push_model, store_at

from modelseal.errors import (
    AccessDeniedError,
    ConflictError,
    InvalidDocumentError,
    LimitExceededError,
    UnavailableError,
)
from modelseal.oci.descriptor import MANIFEST, Descriptor, Digest
from modelseal.oci.referrer import fallback_tag


def junk(number: int, **more: object) -> dict[str, object]:
    return {"mediaType": MANIFEST, "digest": str(Digest.of(b"%d" % number)), "size": 1, **more}


def subject_in(fake: FakeRegistry) -> Descriptor:
    return push_model(store_at(fake.host)).descriptor


def fallback_entries(fake: FakeRegistry, subject: Descriptor) -> list[object]:
    digest = fake.tags[NAME, fallback_tag(subject.digest)]
    entries: list[object] = json.loads(fake.manifests[NAME, digest].raw)["manifests"]
    return entries


# Reading by the API


def test_a_registry_that_keeps_the_list_is_not_given_a_fallback_tag() -> None:
    with FakeRegistry() as fake:
        store = store_at(fake.host)
        subject = push_model(store).descriptor
        fake.requests.clear()
        referrer = push_model(store, b"statement", subject=subject).descriptor
        assert not fake.asked(path="sha256-|/referrers/")
        assert [entry.digest for entry in store.referrers(subject)] == [referrer.digest]


def test_a_list_in_pages_is_read_to_its_end() -> None:
    with FakeRegistry(page_size=2) as fake:
        store = store_at(fake.host)
        subject = push_model(store).descriptor
        made = {push_model(store, b"%d" % n, subject=subject).descriptor.digest for n in range(5)}
        assert {entry.digest for entry in store.referrers(subject)} == made
        assert len(fake.asked("GET", "/referrers/")) == 3


@pytest.mark.parametrize("charset", ["; charset=utf-8", ";charset=UTF-8", " ; x=y"])
def test_a_charset_beside_the_media_type_does_not_hide_the_api(charset: str) -> None:
    with FakeRegistry() as fake:
        store = store_at(fake.host)
        subject = push_model(store).descriptor
        push_model(store, b"statement", subject=subject)
        fake.faults.append(Fault(path="/referrers/", headers={"Content-Type": INDEX + charset}))
        assert len(list(store.referrers(subject))) == 1
        assert not fake.asked(path="sha256-")


@pytest.mark.parametrize(
    "fault",
    [
        Fault(path="/referrers/", status=404),
        Fault(path="/referrers/", status=405),
        Fault(
            path="/referrers/", status=200, body=b"<html>", headers={"Content-Type": "text/html"}
        ),
    ],
)
def test_without_the_api_the_fallback_tag_is_read(fault: Fault) -> None:
    with FakeRegistry(faults=[fault]) as fake:
        subject = subject_in(fake)
        fake.put_referrers(NAME, str(subject.digest), [junk(1)])
        assert len(list(store_at(fake.host).referrers(subject))) == 1


def test_a_forbidden_list_is_not_an_empty_one() -> None:
    with FakeRegistry(faults=[Fault(path="/referrers/", status=403)]) as fake:
        subject = subject_in(fake)
        with pytest.raises(AccessDeniedError):
            list(store_at(fake.host).referrers(subject))


def test_a_404_about_the_repository_does_not_mean_that_there_is_no_api() -> None:
    unknown = b'{"errors":[{"code":"NAME_UNKNOWN","message":"not known"}]}'
    with FakeRegistry() as fake:
        store = store_at(fake.host)
        subject = push_model(store).descriptor
        push_model(store, b"statement", subject=subject)
        fake.faults.append(Fault(path="/referrers/", status=404, body=unknown, times=1))
        assert list(store.referrers(subject)) == []
        assert len(list(store.referrers(subject))) == 1


def test_a_missing_endpoint_is_asked_for_once() -> None:
    with FakeRegistry(referrers_api=False) as fake:
        store = store_at(fake.host)
        subject = push_model(store).descriptor
        assert list(store.referrers(subject)) == []
        assert list(store.referrers(subject)) == []
        assert len(fake.asked(path="/referrers/")) == 1


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"{}", b'{"manifests":{}}', b'{"a":1,"a":2}'])
def test_a_list_that_is_none_is_an_error_and_not_an_empty_one(body: bytes) -> None:
    api = Fault(path="/referrers/", status=200, body=body, headers={"Content-Type": INDEX})
    with FakeRegistry(faults=[api]) as fake:
        subject = subject_in(fake)
        with pytest.raises(InvalidDocumentError):
            list(store_at(fake.host).referrers(subject))


def test_null_is_how_go_writes_an_empty_list() -> None:
    body = b'{"manifests":null}'
    api = Fault(path="/referrers/", status=200, body=body, headers={"Content-Type": INDEX})
    with FakeRegistry(faults=[api]) as fake:
        assert list(store_at(fake.host).referrers(subject_in(fake))) == []


def test_c13_a_next_page_elsewhere_is_not_followed() -> None:
    with FakeRegistry() as fake, FakeRegistry() as other:
        subject = subject_in(fake)
        link = f'<{other.url}/v2/x/referrers/{subject.digest}>; rel="next"'
        fake.faults.append(Fault(path="/referrers/", headers={"Link": link}))
        with pytest.raises(UnavailableError, match="not followed"):
            list(store_at(fake.host).referrers(subject))
        assert other.requests == []


def test_c13_pages_without_end_end() -> None:
    with FakeRegistry() as fake:
        subject = subject_in(fake)
        count = iter(range(10_000))

        def more(request: Recorded, answer: Answer) -> None:
            if "/referrers/" in request.path:
                answer.headers["Link"] = f'<?start={next(count)}>; rel="next"'

        fake.before_answer = more
        with pytest.raises(LimitExceededError, match="go on"):
            list(store_at(fake.host).referrers(subject))


def test_c15_pages_full_of_annotations_end() -> None:
    with FakeRegistry() as fake:
        subject = subject_in(fake)
        page = {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
        body = json.dumps({**page, "annotations": {"x": "y" * (3 << 20)}}).encode()
        count = iter(range(10_000))

        def large(request: Recorded, answer: Answer) -> None:
            if "/referrers/" in request.path:
                answer.body = body
                answer.headers["Content-Length"] = str(len(body))
                answer.headers["Link"] = f'<?start={next(count)}>; rel="next"'

        fake.before_answer = large
        with pytest.raises(LimitExceededError, match="over 32 MiB"):
            list(store_at(fake.host).referrers(subject))
        assert next(count) < 12


# Limits: security pitfall 8 C 15, endless attachments


def test_300_junk_referrers_do_not_hide_the_good_one() -> None:
    with FakeRegistry(referrers_api=False) as fake:
        subject = subject_in(fake)
        fake.put_referrers(NAME, str(subject.digest), [junk(n) for n in range(300)])
        store = store_at(fake.host)
        good = push_model(store, b"statement", subject=subject).descriptor
        found = [entry.digest for entry in store.referrers(subject)]
        assert len(found) == 301
        assert good.digest in found


@pytest.mark.parametrize("api", [True, False])
def test_c15_more_than_a_thousand_are_an_error_and_none_is_shown(*, api: bool) -> None:
    with FakeRegistry(referrers_api=api) as fake:
        subject = subject_in(fake)
        entries: list[object] = [junk(n) for n in range(1001)]
        index = json.dumps({"manifests": entries}).encode()
        if api:
            headers = {"Content-Type": INDEX}
            fake.faults.append(Fault(path="/referrers/", status=200, body=index, headers=headers))
        else:
            fake.put_referrers(NAME, str(subject.digest), entries)
        with pytest.raises(LimitExceededError, match="1001 referrers"):
            next(store_at(fake.host).referrers(subject))


def test_the_same_entry_many_times_is_one_referrer() -> None:
    with FakeRegistry(referrers_api=False) as fake:
        subject = subject_in(fake)
        fake.put_referrers(NAME, str(subject.digest), [junk(1)] * 1500)
        assert len(list(store_at(fake.host).referrers(subject))) == 1


# Reading the fallback tag


def test_entries_as_cosign_writes_them_lack_annotations() -> None:
    with FakeRegistry(referrers_api=False) as fake:
        subject = subject_in(fake)
        bundle = "application/vnd.dev.sigstore.bundle.v0.3+json"
        fake.put_referrers(NAME, str(subject.digest), [junk(1, artifactType=bundle), junk(2)])
        first, second = store_at(fake.host).referrers(subject)
        assert (first.artifact_type, dict(first.annotations)) == (bundle, {})
        assert (second.artifact_type, dict(second.annotations)) == ("", {})


def test_broken_entries_do_not_hide_the_others() -> None:
    with FakeRegistry(referrers_api=False) as fake:
        subject = subject_in(fake)
        entries: list[object] = [
            None,
            7,
            "text",
            [],
            {},
            {"mediaType": MANIFEST, "size": 1},
            {"mediaType": MANIFEST, "digest": "sha256:zz", "size": 1},
            {"mediaType": MANIFEST, "digest": str(Digest.of(b"x")), "size": -1},
            {"mediaType": MANIFEST, "digest": str(Digest.of(b"x")), "size": 5 << 20},
            {"mediaType": "text/plain", "digest": str(Digest.of(b"x")), "size": 1},
            junk(1, annotations=[1], artifactType="good/type"),
            junk(2, annotations={"good": "one"}, artifactType=7),
            junk(3, annotations={"bad": None}, artifactType=None),
        ]
        fake.put_referrers(NAME, str(subject.digest), entries)
        found = list(store_at(fake.host).referrers(subject))
        assert [entry.digest for entry in found] == [Digest.of(b"%d" % n) for n in (1, 2, 3)]
        assert [entry.artifact_type for entry in found] == ["good/type", "", ""]
        assert [dict(entry.annotations) for entry in found] == [{}, {"good": "one"}, {}]


@pytest.mark.parametrize("raw", [b"", b"not json", b"[]", b"{}", b'{"manifests":[],"layers":[]}'])
def test_a_fallback_tag_that_is_no_index_is_an_error_and_is_not_overwritten(raw: bytes) -> None:
    with FakeRegistry(referrers_api=False) as fake:
        store = store_at(fake.host)
        subject = push_model(store).descriptor
        digest = fake.put_manifest(NAME, raw, INDEX, tag=fallback_tag(subject.digest))
        with pytest.raises(InvalidDocumentError):
            list(store.referrers(subject))
        with pytest.raises(InvalidDocumentError):
            push_model(store, b"statement", subject=subject)
        assert fake.tags[NAME, fallback_tag(subject.digest)] == digest


# Writing the fallback tag


def test_our_entry_carries_type_and_annotations() -> None:
    with FakeRegistry(referrers_api=False) as fake:
        store = store_at(fake.host)
        subject = push_model(store).descriptor
        referrer = push_model(store, b"statement", subject=subject).descriptor
        assert fallback_entries(fake, subject) == [
            {
                "mediaType": MANIFEST,
                "digest": str(referrer.digest),
                "size": referrer.size,
                "artifactType": ARTIFACT,
                "annotations": {"about": "test"},
            }
        ]


def test_what_others_wrote_stays_and_doubles_go() -> None:
    odd = junk(1, platform={"os": "linux"}, data="e30=", unknown=[1, {"a": None}])
    with FakeRegistry(referrers_api=False) as fake:
        store = store_at(fake.host)
        subject = push_model(store).descriptor
        index = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [odd, junk(2), odd, {"no": "digest"}, junk(2)],
            "annotations": {"kept": "yes"},
        }
        raw = json.dumps(index).encode()
        fake.put_manifest(NAME, raw, INDEX, tag=fallback_tag(subject.digest))
        push_model(store, b"statement", subject=subject)
        assert fallback_entries(fake, subject)[:-1] == [odd, junk(2), {"no": "digest"}]
        digest = fake.tags[NAME, fallback_tag(subject.digest)]
        written = json.loads(fake.manifests[NAME, digest].raw)
        assert written["annotations"] == {"kept": "yes"}
        assert written["schemaVersion"] == 2


def test_an_entry_that_is_there_is_not_written_again() -> None:
    with FakeRegistry(referrers_api=False) as fake:
        subject = subject_in(fake)
        push_model(store_at(fake.host), b"statement", subject=subject)
        fake.requests.clear()
        push_model(store_at(fake.host), b"statement", subject=subject)
        assert not fake.asked("PUT", "sha256-")


def test_a_registry_with_the_api_but_without_its_header_is_asked() -> None:
    with FakeRegistry(oci_subject=False) as fake:
        store = store_at(fake.host)
        subject = push_model(store).descriptor
        push_model(store, b"statement", subject=subject)
        assert len(list(store.referrers(subject))) == 1
        assert not fake.asked(path="sha256-")


def test_a_header_about_another_subject_is_not_believed() -> None:
    lie = str(Digest.of(b"another"))
    with FakeRegistry(referrers_api=False) as fake:
        store = store_at(fake.host)
        subject = push_model(store).descriptor
        fake.faults.append(Fault(method="PUT", path="/manifests/", headers={"OCI-Subject": lie}))
        push_model(store, b"statement", subject=subject)
        assert len(list(store.referrers(subject))) == 1


def overwriting(
    fake: FakeRegistry, subject: Descriptor, *, after: str, times: int
) -> Callable[[Recorded, Answer], None]:
    """Make another writer, who puts an index without our entry there, so many times."""
    left = [times]
    tag = fallback_tag(subject.digest)

    def write(request: Recorded, _answer: Answer) -> None:
        if request.method == after and request.path.endswith(tag) and left[0]:
            left[0] -= 1
            raw = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": [junk(9)]})
            fake.manifests[NAME, digest_of(raw.encode())] = StoredManifest(INDEX, raw.encode())
            fake.tags[NAME, tag] = digest_of(raw.encode())

    return write


@pytest.mark.parametrize("times", [1, 3])
def test_an_entry_that_another_writer_dropped_is_put_back(times: int) -> None:
    with FakeRegistry(referrers_api=False) as fake:
        store = store_at(fake.host)
        subject = push_model(store).descriptor
        fake.before_answer = overwriting(fake, subject, after="PUT", times=times)
        referrer = push_model(store, b"statement", subject=subject).descriptor
        found = {entry.digest for entry in store.referrers(subject)}
        assert found == {referrer.digest, Digest.of(b"9")}


def test_an_entry_that_is_dropped_a_moment_later_is_put_back() -> None:
    with FakeRegistry(referrers_api=False) as fake:
        store = store_at(fake.host)
        subject = push_model(store).descriptor
        # The reading back shows our entry; the other writer comes right after it.
        overwrite = overwriting(fake, subject, after="GET", times=1)
        reads = iter(range(100))

        def late(request: Recorded, answer: Answer) -> None:
            tag = fallback_tag(subject.digest)
            if request.method == "GET" and request.path.endswith(tag) and next(reads) == 1:
                overwrite(request, answer)

        fake.before_answer = late
        referrer = push_model(store, b"statement", subject=subject).descriptor
        fake.before_answer = lambda _request, _answer: None
        assert referrer.digest in {entry.digest for entry in store.referrers(subject)}


def test_entries_of_ours_that_were_dropped_come_back_with_the_next() -> None:
    with FakeRegistry(referrers_api=False) as fake:
        store = store_at(fake.host)
        subject = push_model(store).descriptor
        first = push_model(store, b"first", subject=subject).descriptor
        fake.put_referrers(NAME, str(subject.digest), [junk(9)])
        second = push_model(store, b"second", subject=subject).descriptor
        found = {entry.digest for entry in store.referrers(subject)}
        assert found == {first.digest, second.digest, Digest.of(b"9")}


def test_a_writer_that_never_stops_is_a_conflict() -> None:
    with FakeRegistry(referrers_api=False) as fake:
        store = store_at(fake.host)
        subject = push_model(store).descriptor
        fake.before_answer = overwriting(fake, subject, after="PUT", times=1_000)
        with pytest.raises(ConflictError, match="keep overwriting"):
            push_model(store, b"statement", subject=subject)
        assert len(fake.asked("PUT", "sha256-")) < 40


def test_a_fallback_index_that_would_grow_over_the_limit_is_left() -> None:
    with FakeRegistry(referrers_api=False) as fake:
        store = store_at(fake.host)
        subject = push_model(store).descriptor
        large = junk(1, annotations={"x": "y" * ((4 << 20) - 400)})
        fake.put_referrers(NAME, str(subject.digest), [large])
        before = fake.tags[NAME, fallback_tag(subject.digest)]
        with pytest.raises(LimitExceededError, match="4 MiB"):
            push_model(store, b"statement", subject=subject)
        assert fake.tags[NAME, fallback_tag(subject.digest)] == before


def test_a_longer_digest_is_cut_for_its_fallback_tag() -> None:
    digest = Digest("sha512", "ab" * 64)
    assert fallback_tag(digest) == "sha512-" + "ab" * 32
