# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The cache: never believed, never shared by two outputs, never above its limit."""

import os
import stat
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.fake_registry import FakeRegistry, Fault, digest_of
from tests.support.registry_store import NAME, store_at

from modelseal.errors import ContentMismatchError, StorageError, UnavailableError
from modelseal.oci import fetcher as fetching
from modelseal.oci.cache import BlobCache
from modelseal.oci.descriptor import OCTET_STREAM, Descriptor
from modelseal.oci.events import BytesMoved, TransferEvent, TransferFinished
from modelseal.oci.fetcher import SMALL, BlobFetcher
from modelseal.oci.journal import UNIT

LARGE = os.urandom(SMALL + 5 * UNIT + 3)
BOTH = pytest.mark.parametrize("data", [b"small", LARGE], ids=["small", "large"])


@pytest.fixture
def cache(tmp_path: Path) -> BlobCache:
    made = BlobCache(tmp_path / "cache")
    made.prepare()
    return made


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


def holding(fake: FakeRegistry, data: bytes) -> Descriptor:
    fake.blobs[NAME, digest_of(data)] = data
    return Descriptor.of(data, OCTET_STREAM)


@contextmanager
def opened(directory: Path) -> Iterator[int]:
    directory.mkdir(exist_ok=True)
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield handle
    finally:
        os.close(handle)


def placed(
    fake: FakeRegistry,
    cache: BlobCache | None,
    blob: Descriptor,
    path: Path,
    events: list[TransferEvent] | None = None,
    attempts: int = 2,
) -> bytes:
    on_event = (events if events is not None else list[TransferEvent]()).append
    reader = BlobFetcher(store_at(fake.host, attempts=attempts), cache, on_event)
    with opened(path.parent) as directory:
        reader.place(blob, directory, path.name, threading.Event())
    return path.read_bytes()


def blob_path(cache: BlobCache, blob: Descriptor) -> Path:
    return cache.path / "blobs" / "sha256" / blob.digest.encoded


def leftovers(cache: BlobCache) -> list[str]:
    return sorted(path.name for path in (cache.path / "parts").iterdir())


@BOTH
def test_what_was_fetched_once_is_not_fetched_again(
    registry: FakeRegistry, cache: BlobCache, tmp_path: Path, data: bytes
) -> None:
    blob, events = holding(registry, data), list[TransferEvent]()
    assert placed(registry, cache, blob, tmp_path / "one" / "f") == data
    asked = len(registry.requests)
    assert placed(registry, cache, blob, tmp_path / "two" / "f", events) == data
    assert len(registry.requests) == asked
    assert events[-1] == TransferFinished(blob, skipped=True)
    assert leftovers(cache) == []


@BOTH
def test_two_outputs_share_no_inode_and_modes_are_ours(
    registry: FakeRegistry, cache: BlobCache, tmp_path: Path, data: bytes
) -> None:
    blob = holding(registry, data)
    before = os.umask(0o077)
    try:
        for name in ("one", "two", "three"):
            placed(registry, cache, blob, tmp_path / name)
    finally:
        os.umask(before)
    found = [(tmp_path / name).stat() for name in ("one", "two", "three")]
    assert len({status.st_ino for status in found}) == 3
    assert {stat.S_IMODE(status.st_mode) for status in found} == {0o644}


@BOTH
def test_an_output_that_is_changed_in_place_changes_no_other(
    registry: FakeRegistry, cache: BlobCache, tmp_path: Path, data: bytes
) -> None:
    blob = holding(registry, data)
    for name in ("one", "two"):
        placed(registry, cache, blob, tmp_path / name)
        with (tmp_path / name).open("r+b") as sink:
            sink.write(b"X")
    assert placed(registry, cache, blob, tmp_path / "three") == data
    assert (tmp_path / "one").read_bytes() == b"X" + data[1:] == (tmp_path / "two").read_bytes()


@BOTH
@pytest.mark.parametrize("how", ["changed", "cut", "longer", "link", "directory"])
def test_d18_a_poisoned_cache_costs_a_fetch_and_never_a_wrong_file(
    registry: FakeRegistry, cache: BlobCache, tmp_path: Path, data: bytes, how: str
) -> None:
    blob = holding(registry, data)
    placed(registry, cache, blob, tmp_path / "one")
    path = blob_path(cache, blob)
    path.unlink()
    evil = tmp_path / "evil"
    evil.write_bytes(b"E" + data[1:])
    match how:
        case "changed":
            path.write_bytes(evil.read_bytes())
        case "cut":
            path.write_bytes(data[:-1])
        case "longer":
            path.write_bytes(data + b"!")
        case "link":
            path.symlink_to(evil)
        case _:
            path.mkdir()
            with pytest.raises(StorageError):
                placed(registry, cache, blob, tmp_path / "two")
            return
    assert placed(registry, cache, blob, tmp_path / "two") == data
    assert placed(registry, cache, blob, tmp_path / "three") == data


def test_a_part_file_that_somebody_else_could_write_to_is_not_used(
    registry: FakeRegistry, cache: BlobCache, tmp_path: Path
) -> None:
    blob = holding(registry, LARGE)
    part = cache.path / "parts" / f"{blob.digest.encoded}.part"
    part.write_bytes(b"")
    os.link(part, tmp_path / "theirs")
    assert placed(registry, cache, blob, tmp_path / "one") == LARGE
    assert (tmp_path / "theirs").read_bytes() == b""


def test_wrong_content_is_refused_and_not_kept(
    registry: FakeRegistry, cache: BlobCache, tmp_path: Path
) -> None:
    for data in (b"small", LARGE):
        blob = holding(registry, data)
        registry.blobs[NAME, str(blob.digest)] = b"E" + data[1:]
        with pytest.raises(ContentMismatchError):
            placed(registry, cache, blob, tmp_path / "one")
        assert not cache.holds(blob)
        (tmp_path / "one").unlink(missing_ok=True)
    assert leftovers(cache) == []


def test_a_run_that_broke_off_is_gone_on_with(
    registry: FakeRegistry, cache: BlobCache, tmp_path: Path
) -> None:
    blob = holding(registry, LARGE)
    registry.faults = [Fault(path="/blobs/", cut_after=4 * UNIT + 9, times=1)]
    with pytest.raises(UnavailableError):
        placed(registry, cache, blob, tmp_path / "one", attempts=1)
    assert len(leftovers(cache)) == 2
    registry.requests.clear()
    events: list[TransferEvent] = []
    assert placed(registry, cache, blob, tmp_path / "two", events) == LARGE
    (request,) = registry.requests
    assert request.headers["range"] == f"bytes={4 * UNIT}-{len(LARGE) - 1}"
    assert sum(e.count for e in events if isinstance(e, BytesMoved)) == len(LARGE)
    assert leftovers(cache) == []


def test_a_part_file_that_was_tampered_with_costs_a_fresh_start(
    registry: FakeRegistry, cache: BlobCache, tmp_path: Path
) -> None:
    blob = holding(registry, LARGE)
    registry.faults = [Fault(path="/blobs/", cut_after=4 * UNIT, times=1)]
    with pytest.raises(UnavailableError):
        placed(registry, cache, blob, tmp_path / "one", attempts=1)
    part = cache.path / "parts" / f"{blob.digest.encoded}.part"
    with part.open("r+b") as sink:
        sink.write(b"E")
    registry.requests.clear()
    assert placed(registry, cache, blob, tmp_path / "two") == LARGE
    assert [request.headers.get("range", "") for request in registry.requests] == [
        f"bytes={4 * UNIT}-{len(LARGE) - 1}",
        "",
    ]


def test_two_who_fetch_the_same_fetch_it_once(
    registry: FakeRegistry, cache: BlobCache, tmp_path: Path
) -> None:
    blob = holding(registry, LARGE)
    registry.faults = [Fault(path="/blobs/", delay=0.2)]
    threads = [
        threading.Thread(target=placed, args=(registry, cache, blob, tmp_path / name))
        for name in ("one", "two", "three")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(registry.requests) == 1
    assert {(tmp_path / name).read_bytes() for name in ("one", "two", "three")} == {LARGE}


@BOTH
def test_without_a_cache_nothing_is_kept(
    registry: FakeRegistry, tmp_path: Path, data: bytes
) -> None:
    blob = holding(registry, data)
    assert placed(registry, None, blob, tmp_path / "one") == data
    assert [path.name for path in tmp_path.iterdir()] == ["one"]


@BOTH
def test_a_cache_without_room_is_passed_by(
    registry: FakeRegistry,
    cache: BlobCache,
    tmp_path: Path,
    data: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fetching, "_SPARE", 1 << 60)
    blob = holding(registry, data)
    assert placed(registry, cache, blob, tmp_path / "one") == data
    assert cache.use().blobs == 0
    assert leftovers(cache) == []


def test_a_blob_above_the_limit_is_not_kept(registry: FakeRegistry, tmp_path: Path) -> None:
    cache = BlobCache(tmp_path / "cache", limit=SMALL)
    cache.prepare()
    blob = holding(registry, LARGE)
    assert placed(registry, cache, blob, tmp_path / "one") == LARGE
    assert cache.use().blobs == 0
    assert (tmp_path / "one").stat().st_nlink == 1


def test_a_stream_comes_from_the_cache_too(registry: FakeRegistry, cache: BlobCache) -> None:
    blob = holding(registry, LARGE)
    reader = BlobFetcher(store_at(registry.host), cache)
    for _ in range(2):
        with reader.fetch(blob) as stream:
            assert stream.read() == LARGE
    assert len(registry.requests) == 1
    blob_path(cache, blob).write_bytes(b"E" + LARGE[1:])
    with reader.fetch(blob) as stream:
        assert stream.read() == LARGE


def test_what_was_used_last_stays(registry: FakeRegistry, cache: BlobCache, tmp_path: Path) -> None:
    blobs = [holding(registry, bytes([number]) * 1000) for number in range(5)]
    for number, blob in enumerate(blobs):
        placed(registry, cache, blob, tmp_path / str(number))
        os.utime(blob_path(cache, blob), (1_000_000 + number, 1_000_000))
    placed(registry, cache, blobs[0], tmp_path / "again")
    assert cache.prune(2500) == 3000
    assert [cache.holds(blob) for blob in blobs] == [True, False, False, False, True]
    assert cache.use().size == 2000


def test_what_is_in_use_stays(registry: FakeRegistry, cache: BlobCache, tmp_path: Path) -> None:
    blob = holding(registry, b"weights")
    placed(registry, cache, blob, tmp_path / "one")
    stream = cache.open(blob)
    assert stream is not None
    with stream:
        assert cache.prune(0) == 0
        assert stream.read() == b"weights"
    assert cache.prune(0) == 7


def test_what_is_unfinished_stays_for_a_week(
    registry: FakeRegistry, cache: BlobCache, tmp_path: Path
) -> None:
    blob = holding(registry, LARGE)
    registry.faults = [Fault(path="/blobs/", cut_after=4 * UNIT, times=1)]
    with pytest.raises(UnavailableError):
        placed(registry, cache, blob, tmp_path / "one", attempts=1)
    cache.prune(0)
    assert len(leftovers(cache)) == 2
    week = time.time() - 8 * 86400
    for path in (cache.path / "parts").iterdir():
        os.utime(path, (week, week))
    cache.prune(0)
    assert leftovers(cache) == []


def test_a_cache_that_cannot_be_made_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(StorageError, match="file"):
        BlobCache(tmp_path / "file").prepare()


def test_only_its_owner_looks_into_it(cache: BlobCache) -> None:
    for name in ("blobs", "parts"):
        assert stat.S_IMODE((cache.path / name).stat().st_mode) == 0o700
