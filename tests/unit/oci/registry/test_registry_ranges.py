# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Parts of blobs from a registry that misbehaves: never other bytes, never for ever."""

import dataclasses
import os
import time

import pytest
from tests.support.fake_registry import Answer, FakeRegistry, Fault, Recorded, digest_of
from tests.support.registry_store import NAME, Waits, options_of, store_at

from modelseal.errors import (
    AccessDeniedError,
    ContentMismatchError,
    NotFoundError,
    UnavailableError,
)
from modelseal.oci.descriptor import OCTET_STREAM, Descriptor
from modelseal.oci.reference import Repository
from modelseal.oci.registry.store import RegistryStore
from modelseal.oci.store import fetch_bytes

DATA = os.urandom(3 << 20)


def holding(fake: FakeRegistry, data: bytes = DATA) -> Descriptor:
    fake.blobs[NAME, digest_of(data)] = data
    return Descriptor.of(data, OCTET_STREAM)


def part(store: RegistryStore, blob: Descriptor, start: int, end: int) -> bytes:
    with store.fetch_range(blob, start, end) as stream:
        return stream.read()


def asked_ranges(fake: FakeRegistry) -> list[str]:
    return [request.headers.get("range", "") for request in fake.asked("GET", "/blobs/")]


def test_a_part_is_what_was_asked_for_and_no_more() -> None:
    with FakeRegistry() as fake:
        blob, store = holding(fake), store_at(fake.host)
        assert part(store, blob, 5, 1_000_005) == DATA[5:1_000_005]
        assert part(store, blob, 0, 1) == DATA[:1]
        assert part(store, blob, len(DATA) - 1, len(DATA)) == DATA[-1:]
        assert asked_ranges(fake) == [
            "bytes=5-1000004",
            "bytes=0-0",
            f"bytes={len(DATA) - 1}-{len(DATA) - 1}",
        ]


def test_the_whole_is_asked_for_without_a_range() -> None:
    with FakeRegistry() as fake:
        blob = holding(fake)
        assert part(store_at(fake.host), blob, 0, len(DATA)) == DATA
        assert asked_ranges(fake) == [""]


def test_what_breaks_off_is_asked_for_again_from_there() -> None:
    waits = Waits()
    with FakeRegistry(faults=[Fault(path="/blobs/", cut_after=2_000_000, times=1)]) as fake:
        blob, store = holding(fake), store_at(fake.host, waits=waits)
        assert fetch_bytes(store, blob, limit=len(DATA)) == DATA
        assert asked_ranges(fake) == ["", f"bytes=2000000-{len(DATA) - 1}"]
    assert len(waits.seconds) == 1


def test_a_server_that_always_breaks_off_is_left_while_it_makes_progress() -> None:
    data = os.urandom(9 << 20)
    with FakeRegistry(faults=[Fault(path="/blobs/", cut_after=(1 << 20) + 1)]) as fake:
        blob = holding(fake, data)
        assert part(store_at(fake.host), blob, 0, len(data)) == data
        assert len(asked_ranges(fake)) == 9


def test_a_server_that_breaks_off_without_progress_is_given_up() -> None:
    waits = Waits()
    with FakeRegistry(faults=[Fault(path="/blobs/", cut_after=100)]) as fake:
        blob = holding(fake)
        with pytest.raises(UnavailableError, match="broke off after"):
            part(store_at(fake.host, waits=waits, attempts=3), blob, 0, len(DATA))
    assert len(waits.seconds) == 2


def test_a_server_that_ignores_ranges_gives_the_right_part_all_the_same() -> None:
    def whole(request: Recorded, answer: Answer) -> None:
        if "/blobs/" in request.path:
            answer.status, answer.body = 200, DATA
            answer.headers.pop("Content-Range", None)

    with FakeRegistry() as fake:
        blob, store = holding(fake), store_at(fake.host)
        fake.before_answer = whole
        with store.fetch_range(blob, 1_000, 5_000) as stream:
            assert not stream.ranged
            assert stream.read() == DATA[1_000:5_000]


@pytest.mark.parametrize(
    "said",
    [
        "bytes 0-4/3145728",
        "bytes 1-6/3145728",
        "bytes 1-5/99",
        "bytes 5-1/3145728",
        "lines 1-5/3145728",
        "",
    ],
)
def test_another_range_than_was_asked_for_is_refused(said: str) -> None:
    fault = Fault(path="/blobs/", headers={"Content-Range": said})
    with FakeRegistry(faults=[fault]) as fake:
        blob = holding(fake)
        with pytest.raises(ContentMismatchError, match="was asked for"):
            store_at(fake.host).fetch_range(blob, 1, 6)


def test_a_range_that_nobody_asked_for_is_refused() -> None:
    def partial(_: Recorded, answer: Answer) -> None:
        answer.status = 206
        answer.headers["Content-Range"] = f"bytes 0-{len(DATA) - 1}/{len(DATA)}"

    with FakeRegistry() as fake:
        blob = holding(fake)
        fake.before_answer = partial
        with pytest.raises(ContentMismatchError):
            store_at(fake.host).fetch(blob)


def test_a_blob_that_became_another_size_is_refused_when_it_goes_on() -> None:
    with FakeRegistry(faults=[Fault(path="/blobs/", cut_after=1_000, times=1)]) as fake:
        blob, store = holding(fake), store_at(fake.host)
        stream = store.fetch_range(blob, 0, len(DATA))
        fake.blobs[NAME, str(blob.digest)] = DATA + b"more"
        with stream, pytest.raises(ContentMismatchError):
            stream.read()


def test_a_token_that_expires_in_mid_blob_is_renewed() -> None:
    fault = Fault(path="/blobs/", cut_after=1 << 20, skip=1, times=1)
    with FakeRegistry(auth="bearer", password="pw", faults=[fault]) as fake:
        blob, store = holding(fake), store_at(fake.host, user=("user", "pw"))
        with store.fetch_range(blob, 0, len(DATA)) as stream:
            fake.tokens.clear()
            assert stream.read() == DATA
        assert len(fake.asked("GET", "/token")) == 2


def test_rights_that_are_taken_away_in_mid_blob_end_it() -> None:
    fault = Fault(path="/blobs/", cut_after=1 << 20, skip=1, times=1)
    with FakeRegistry(auth="bearer", password="pw", faults=[fault]) as fake:
        blob, store = holding(fake), store_at(fake.host, user=("user", "pw"))
        with store.fetch_range(blob, 0, len(DATA)) as stream:
            fake.tokens.clear()
            fake.password = "other"
            with pytest.raises(AccessDeniedError):
                stream.read()


def test_a_blob_that_goes_away_in_mid_blob_is_not_found() -> None:
    with FakeRegistry(faults=[Fault(path="/blobs/", cut_after=10, times=1)]) as fake:
        blob = holding(fake)
        with store_at(fake.host).fetch_range(blob, 0, len(DATA)) as stream:
            fake.blobs.clear()
            with pytest.raises(NotFoundError):
                stream.read()


def test_each_part_is_redirected_anew_and_nobody_else_gets_the_token() -> None:
    with (
        FakeRegistry() as other,
        FakeRegistry(auth="bearer", password="pw") as fake,
    ):
        blob, store = holding(fake), store_at(fake.host, user=("user", "pw"))
        holding(other)
        away = f"{other.url}/v2/{NAME}/blobs/{blob.digest}"

        def redirect(request: Recorded, answer: Answer) -> None:
            if "/blobs/" in request.path and answer.status == 206:
                answer.status, answer.body = 307, b""
                answer.headers = {"Location": away}

        fake.before_answer = redirect
        assert part(store, blob, 10, 20) == DATA[10:20]
        assert part(store, blob, 20, 30) == DATA[20:30]
        assert asked_ranges(other) == ["bytes=10-19", "bytes=20-29"]
        assert [request.authorization for request in other.requests] == ["", ""]


def test_a_busy_registry_is_asked_again() -> None:
    waits = Waits()
    fault = Fault(path="/blobs/", status=429, headers={"Retry-After": "3"}, times=1)
    with FakeRegistry(faults=[fault]) as fake:
        blob = holding(fake)
        assert part(store_at(fake.host, waits=waits), blob, 1, 9) == DATA[1:9]
    assert waits.seconds == [3.0]


def test_a_drip_of_bytes_does_not_hold_us() -> None:
    # Something comes all the time, so no socket times out.
    options = dataclasses.replace(options_of(attempts=1), slowest_read=0.2, read_timeout=30.0)
    with FakeRegistry(faults=[Fault(path="/blobs/", rate=1_000)]) as fake:
        blob = holding(fake)
        store = RegistryStore(Repository(fake.host, NAME), options)
        begun = time.monotonic()
        with pytest.raises(UnavailableError, match="broke off after"):
            part(store, blob, 0, len(DATA))
        assert time.monotonic() - begun < 10


def test_a_drip_instead_of_an_answer_does_not_hold_us() -> None:
    options = dataclasses.replace(options_of(attempts=1), slowest_read=0.2, read_timeout=30.0)
    fault = Fault(path="/tags/", body=b" " * 100_000, rate=1_000)
    with FakeRegistry(faults=[fault]) as fake:
        store = RegistryStore(Repository(fake.host, NAME), options)
        with pytest.raises(UnavailableError):
            list(store.tags())
