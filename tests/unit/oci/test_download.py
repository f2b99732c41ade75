# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Downloads: several parts at once, resumed, never another content."""

import hashlib
import os
import random
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelseal.errors import ContentMismatchError, StorageError, UnavailableError
from modelseal.oci.descriptor import OCTET_STREAM, Descriptor, Digest
from modelseal.oci.download import Downloader, DownloadLimits
from modelseal.oci.events import BytesMoved, TransferEvent, TransferSink, discard
from modelseal.oci.journal import UNIT, Journal, unit_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

ALWAYS_HELPED = DownloadLimits(
    connections=4, window=3 * 2 * UNIT, chunk=2 * UNIT, patience=0.0, fast=float("inf")
)


class Stream:
    def __init__(self, source: "Source", start: int, end: int) -> None:
        self.source = source
        self.ranged = source.ranged or (start, end) == (0, len(source.data))
        self.position = start
        self.end = end

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        count = min(len(view), self.end - self.position, self.source.at_once)
        self.source.before(self.position)
        view[:count] = self.source.data[self.position : self.position + count]
        self.position += count
        with self.source.lock:
            self.source.sent += count
        return count

    def close(self) -> None:
        with self.source.lock:
            self.source.open -= 1


@dataclass
class Source:
    """A store of one blob that writes down what it was asked for."""

    data: bytes
    ranged: bool = True
    at_once: int = 100_000
    asked: list[tuple[int, int]] = field(default_factory=list)
    sent: int = 0
    open: int = 0
    most_open: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def before(self, position: int) -> None:
        """Called before bytes are handed out."""

    def fetch_range(self, target: Descriptor, start: int, end: int) -> Stream:
        assert 0 <= start <= end <= target.size
        with self.lock:
            self.asked.append((start, end))
            self.open += 1
            self.most_open = max(self.most_open, self.open)
        return Stream(self, start, end)

    @property
    def blob(self) -> Descriptor:
        return Descriptor.of(self.data, OCTET_STREAM)


@contextmanager
def file_at(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    try:
        yield file
    finally:
        os.close(file)


def fetched(
    source: Source,
    path: Path,
    limits: DownloadLimits | None = None,
    *,
    journal: Path | None = None,
    target: Descriptor | None = None,
    events: list[TransferEvent] | None = None,
) -> bytes:
    target = target or source.blob
    on_event: TransferSink = discard if events is None else events.append
    with file_at(path) as file:
        kept = None if journal is None else Journal.open(journal, target, file)
        try:
            Downloader(source, limits, on_event).download(
                target, file, journal=kept, stop=threading.Event()
            )
        finally:
            if kept is not None:
                kept.close()
    return path.read_bytes()


SIZES = [0, 1, UNIT - 1, UNIT, UNIT + 1, 4 * UNIT, 11 * UNIT + 77]


@pytest.mark.parametrize("size", SIZES)
def test_one_connection_fetches_the_whole_in_one_request(size: int, tmp_path: Path) -> None:
    source = Source(os.urandom(size))
    assert fetched(source, tmp_path / "part") == source.data
    assert source.asked == ([(0, size)] if size else [])


@pytest.mark.parametrize("size", SIZES)
def test_several_connections_fetch_each_byte_once(size: int, tmp_path: Path) -> None:
    source = Source(os.urandom(size))
    assert fetched(source, tmp_path / "part", ALWAYS_HELPED) == source.data
    # One byte more: whoever comes to help first asks for the last byte.
    assert source.sent - size in {0, 1}


def test_several_connections_help_with_a_large_blob(tmp_path: Path) -> None:
    barrier = threading.Barrier(3)

    class Slow(Source):
        def before(self, position: int) -> None:
            # Nobody goes on in the far part before three are at it.
            if position >= 16 * UNIT and not barrier.broken:
                with suppress(threading.BrokenBarrierError):
                    barrier.wait(5)
                barrier.abort()

    source = Slow(os.urandom(64 * UNIT))
    assert fetched(source, tmp_path / "part", ALWAYS_HELPED) == source.data
    assert source.most_open in {3, 4}


def test_a_fast_connection_gets_no_help(tmp_path: Path) -> None:
    source = Source(os.urandom(32 * UNIT))
    limits = DownloadLimits(chunk=UNIT, window=4 * UNIT, patience=0.0, fast=0.0)
    assert fetched(source, tmp_path / "part", limits) == source.data
    assert source.asked == [(0, 32 * UNIT)]


def test_a_store_that_knows_no_parts_is_asked_by_one_connection(tmp_path: Path) -> None:
    source = Source(os.urandom(40 * UNIT), ranged=False)
    assert fetched(source, tmp_path / "part", ALWAYS_HELPED) == source.data
    assert source.asked in ([(0, 40 * UNIT)], [(0, 40 * UNIT), (40 * UNIT - 1, 40 * UNIT)])


def test_memory_stays_within_the_window(tmp_path: Path) -> None:
    # The first connection waits until the others have gone as far ahead as they may.
    ahead: set[int] = set()
    window = ALWAYS_HELPED.window // UNIT
    go_on = threading.Event()

    class LateStart(Source):
        def before(self, position: int) -> None:
            if threading.current_thread() is threading.main_thread():
                if position >= UNIT:
                    go_on.wait(5)
            elif position < len(self.data) - 1 and not go_on.is_set():
                ahead.add(position // UNIT)
                if len(ahead) == window:
                    threading.Timer(0.1, go_on.set).start()

    source = LateStart(os.urandom(64 * UNIT), at_once=UNIT)
    assert fetched(source, tmp_path / "part", ALWAYS_HELPED) == source.data
    assert len(ahead) == window


@pytest.mark.parametrize("limits", [None, ALWAYS_HELPED])
def test_other_bytes_are_refused(limits: DownloadLimits | None, tmp_path: Path) -> None:
    source = Source(os.urandom(20 * UNIT))
    wrong = Descriptor(OCTET_STREAM, Digest.of(b"other"), 20 * UNIT)
    with pytest.raises(ContentMismatchError, match="another digest"):
        fetched(source, tmp_path / "part", limits, target=wrong)


@pytest.mark.parametrize("limits", [None, ALWAYS_HELPED])
def test_bytes_that_end_early_are_no_content(limits: DownloadLimits | None, tmp_path: Path) -> None:
    source = Source(os.urandom(20 * UNIT))

    class Short(Source):
        def fetch_range(self, target: Descriptor, start: int, end: int) -> Stream:
            return super().fetch_range(target, start, min(end, 9 * UNIT))

    short = Short(source.data)
    with pytest.raises(UnavailableError, match="ends before its size"):
        fetched(short, tmp_path / "part", limits)


def test_an_error_of_one_connection_ends_all(tmp_path: Path) -> None:
    class Broken(Source):
        def before(self, position: int) -> None:
            if position >= 30 * UNIT and position < len(self.data) - 1:
                raise UnavailableError("broke off")

    with pytest.raises(UnavailableError, match="broke off"):
        fetched(Broken(os.urandom(40 * UNIT)), tmp_path / "part", ALWAYS_HELPED)


def test_stopping_ends_it_soon(tmp_path: Path) -> None:
    stop = threading.Event()

    class Stopping(Source):
        def before(self, position: int) -> None:
            if position > 2 * UNIT:
                stop.set()

    source = Stopping(os.urandom(64 * UNIT))
    with file_at(tmp_path / "part") as file, pytest.raises(StorageError, match="to its end"):
        Downloader(source).download(source.blob, file, stop=stop)
    assert source.sent < 5 * UNIT


def test_a_full_disk_is_said() -> None:
    source = Source(os.urandom(2 * UNIT))
    full = os.open("/dev/full", os.O_RDWR)
    try:
        with pytest.raises(StorageError, match="cannot write"):
            Downloader(source).download(source.blob, full, stop=threading.Event())
    finally:
        os.close(full)


def test_many_blobs_share_the_connections(tmp_path: Path) -> None:
    sources = Source(os.urandom(6 * UNIT))
    limits = DownloadLimits(connections=3, chunk=UNIT, window=2 * UNIT, patience=0, fast=1e12)
    downloader = Downloader(sources, limits)

    def one(number: int) -> bytes:
        path = tmp_path / str(number)
        with file_at(path) as file:
            downloader.download(sources.blob, file, stop=threading.Event())
        return path.read_bytes()

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(16))) == {sources.data}
    assert sources.most_open <= 3


# Resuming


class KilledError(Exception):
    """What a test throws in place of a kill."""


def broken_off(data: bytes, path: Path, journal: Path, after: int, limits: DownloadLimits) -> None:
    class Breaking(Source):
        def before(self, _: int) -> None:
            if self.sent >= after:
                raise KilledError

    with pytest.raises(KilledError):
        fetched(Breaking(data), path, limits, journal=journal)


@pytest.mark.parametrize("limits", [DownloadLimits(), ALWAYS_HELPED])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.97])
def test_the_next_run_asks_only_for_what_is_missing(
    limits: DownloadLimits, share: float, tmp_path: Path
) -> None:
    data = os.urandom(40 * UNIT + 5)
    part, journal = tmp_path / "part", tmp_path / "journal"
    after = int(len(data) * share)
    broken_off(data, part, journal, after, limits)
    source, events = Source(data), list[TransferEvent]()
    assert fetched(source, part, limits, journal=journal, events=events) == data
    # Each connection may lose the unit that it was at.
    assert source.sent <= len(data) - after + limits.connections * UNIT + 1
    assert sum(e.count for e in events if isinstance(e, BytesMoved)) == len(data)


@settings(max_examples=25, deadline=None)
@given(marks=st.lists(st.booleans(), min_size=9, max_size=9), helped=st.booleans())
def test_any_set_of_units_is_completed(marks: list[bool], *, helped: bool) -> None:
    data = random.Random(1).randbytes(8 * UNIT + 9)
    source = Source(data)
    with tempfile.TemporaryDirectory() as name:
        part, path = Path(name, "part"), Path(name, "journal")
        with file_at(part) as file:
            journal = Journal.open(path, source.blob, file)
            for number, mark in enumerate(marks):
                if mark:
                    at = number * UNIT
                    os.pwrite(file, data[at : at + UNIT], at)
                    journal.mark(at)
            journal.close()
        limits = ALWAYS_HELPED if helped else DownloadLimits()
        assert fetched(source, part, limits, journal=path) == data
    kept = sum(min(UNIT, len(data) - n * UNIT) for n, mark in enumerate(marks) if mark)
    assert source.sent - (len(data) - kept) in {0, 1}


def test_a_part_that_was_changed_is_not_taken_for_the_blob(tmp_path: Path) -> None:
    data = os.urandom(10 * UNIT)
    part, journal = tmp_path / "part", tmp_path / "journal"
    broken_off(data, part, journal, 5 * UNIT, DownloadLimits())
    with part.open("r+b") as sink:
        sink.seek(UNIT)
        sink.write(b"tampered")
    with pytest.raises(ContentMismatchError):
        fetched(Source(data), part, journal=journal)


def test_a_part_that_was_cut_begins_anew(tmp_path: Path) -> None:
    data = os.urandom(10 * UNIT)
    part, journal = tmp_path / "part", tmp_path / "journal"
    broken_off(data, part, journal, 5 * UNIT, DownloadLimits())
    os.truncate(part, 3 * UNIT)
    source = Source(data)
    assert fetched(source, part, journal=journal) == data
    assert source.sent == len(data)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda _: b"",
        lambda raw: raw[:-1],
        lambda raw: raw + b"#",
        lambda raw: raw.replace(b"sha256:", b"sha256;"),
        lambda raw: raw.replace(b'"size": ', b'"size":  '),
        lambda raw: raw[:-1] + b"x",
        lambda raw: b"\xff" * len(raw),
    ],
)
def test_a_journal_that_does_not_fit_begins_anew(spoil: object, tmp_path: Path) -> None:
    assert callable(spoil)
    data = os.urandom(10 * UNIT)
    part, journal = tmp_path / "part", tmp_path / "journal"
    broken_off(data, part, journal, 5 * UNIT, DownloadLimits())
    journal.write_bytes(spoil(journal.read_bytes()))
    source = Source(data)
    assert fetched(source, part, journal=journal) == data
    assert source.sent == len(data)


def test_the_journal_of_another_blob_begins_anew(tmp_path: Path) -> None:
    part, journal = tmp_path / "part", tmp_path / "journal"
    broken_off(os.urandom(10 * UNIT), part, journal, 5 * UNIT, DownloadLimits())
    source = Source(os.urandom(10 * UNIT))
    assert fetched(source, part, journal=journal) == source.data
    assert source.sent == 10 * UNIT


def test_a_journal_is_small_whatever_the_size_claims() -> None:
    assert unit_of(0) == UNIT
    assert unit_of((64 << 20) - 1) == UNIT
    assert unit_of(1 << 40) == unit_of(64 << 20) == 1 << 20
    assert (1 << 50) // unit_of(1 << 50) <= 4 << 20


def test_sha512_is_followed(tmp_path: Path) -> None:
    data = os.urandom(3 * UNIT)
    digest = Digest("sha512", hashlib.sha512(data).hexdigest())
    target = Descriptor(OCTET_STREAM, digest, len(data))
    assert fetched(Source(data), tmp_path / "part", target=target) == data
