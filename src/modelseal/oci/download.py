# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Blobs into files: several at once, several parts of one at once, each byte hashed as it comes.

A digest is computed from the first byte to the last, so whoever fetches the bytes that are next
hashes them on their way to the disk; whoever is ahead keeps its bytes in memory, in a window that
all blobs share, until it is their turn. So nothing is read from the disk again, but what an
earlier run left there, once.
"""

import errno
import hashlib
import mmap
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from modelseal.errors import ContentMismatchError, Error, StorageError, UnavailableError
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.events import BytesMoved, TransferSink, discard
from modelseal.oci.journal import Journal, unit_of
from modelseal.oci.store import RangeReader, RangeStream

CONNECTIONS = 8
"""Connections for all large blobs together, when nobody says how many."""

_PIECE = 1 << 20
"""Bytes that are received, written and hashed before the next. Each piece is a few calls to the
kernel and as many turns of Python's lock: of 128 KiB, they took a quarter more CPU time."""

_LOOK_AROUND = 0.2
"""Seconds between two looks at whether the caller wants to stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DownloadLimits:
    """How much at once. Sizes are in bytes.

    Attributes:
        connections: for all blobs together.
        window: memory for what comes before its turn.
        chunk: what one of several connections asks for at once.
        patience: seconds after which a single connection may get help; several wait longer.
        fast: bytes a second of a single connection that needs no help; of several, each needs less,
            by their square: then it is rather this machine or the registry that is busy.
    """

    connections: int = CONNECTIONS
    window: int = 48 << 20
    chunk: int = 8 << 20
    patience: float = 0.15
    fast: float = 600e6


@dataclass(frozen=True, slots=True)
class _Extent:
    """Bytes that one connection fetches.

    `buffer` is None when they are hashed as they come: then `_Blob.head_end` says where they end.
    """

    start: int
    end: int
    buffer: memoryview | None


class _Blob:
    """One download. What changes, changes under the lock of the `Downloader`."""

    def __init__(
        self, target: Descriptor, file: int, journal: Journal | None, stop: threading.Event
    ) -> None:
        self.target = target
        self.file = file
        self.journal = journal
        self.stop = stop
        self.unit = unit_of(target.size)
        units = -(-target.size // self.unit)
        self.kept = bytes(journal.there) if journal else bytes(units)
        self.taken = bytearray(self.kept)
        self.hasher = hashlib.new(target.digest.algorithm)
        self.hashed = 0
        self.hashing = False
        self.head_at = 0
        self.head_end = 0
        self.ready: dict[int, memoryview] = {}
        self.connections = 1
        self.ranged = True
        self.scouted = False
        self.moved = 0
        self.begun = time.monotonic()
        self.error: BaseException | None = None
        self.helpers: list[threading.Thread] = []

    @property
    def resumed(self) -> int:
        """The bytes that an earlier run left."""
        total = self.kept.count(1) * self.unit
        missing = len(self.kept) * self.unit - self.target.size
        return total - missing if self.kept and self.kept[-1] else total

    def length(self, number: int) -> int:
        """The bytes of a unit."""
        return min(self.unit, self.target.size - number * self.unit)

    def kept_at(self, position: int) -> bool:
        """Whether an earlier run left the unit at a position."""
        return position < self.target.size and bool(self.kept[position // self.unit])

    def next_missing(self) -> tuple[int, int] | None:
        """Return the next bytes that nobody has taken."""
        first = self.taken.find(0)
        if first < 0:
            return None
        last = self.taken.find(1, first)
        return first * self.unit, self.target.size if last < 0 else last * self.unit

    def take(self, start: int, end: int, *, taken: bool = True) -> None:
        """Note that somebody fetches these bytes, or does not any more."""
        first, last = start // self.unit, -(-end // self.unit)
        self.taken[first:last] = bytes([taken]) * (last - first)


class Downloader:
    """Fetches blobs with one budget of connections and memory; safe to use from several threads."""

    def __init__(
        self,
        reader: RangeReader,
        limits: DownloadLimits | None = None,
        on_event: TransferSink = discard,
    ) -> None:
        """Name the source."""
        self._reader = reader
        self._limits = limits or DownloadLimits()
        self._on_event = on_event
        self._changed = threading.Condition()
        self._connections = self._limits.connections
        self._waiting = 0
        self._spare: list[memoryview] = []
        self._buffers = max(1, self._limits.window // self._limits.chunk)

    def download(
        self,
        target: Descriptor,
        file: int,
        *,
        journal: Journal | None = None,
        stop: threading.Event,
    ) -> None:
        """Write a blob to an open file and return when it is there and has its digest.

        Args:
            target: the blob.
            file: open for reading and writing; it belongs to this blob alone.
            journal: what an earlier run left there; None when that is nothing.
            stop: when it is set, this ends with `StorageError`.

        Raises:
            ContentMismatchError: the bytes are not `target`.
            NotFoundError, UnavailableError, AccessDeniedError: as the reader does.
            StorageError: the disk is full, or refused.
        """
        blob = _Blob(target, file, journal, stop)
        if blob.resumed:
            self._on_event(BytesMoved(target, blob.resumed))
        with self._connection(blob):
            blob.begun = time.monotonic()
            self._work(blob, head=True)
        for helper in blob.helpers:
            helper.join()
        for view in blob.ready.values():  # only after an error
            self._give_buffer(view)
        if blob.error is not None:
            raise blob.error
        if blob.hasher.hexdigest() != target.digest.encoded:
            raise ContentMismatchError(
                f"{target.name}: the content has another digest; expected {target.size} bytes with "
                f"{target.digest}",
                hint="the store or the network changed it; fetch it again, or from another mirror",
            )

    # Who does what next

    @contextmanager
    def _connection(self, blob: _Blob) -> Iterator[None]:
        with self._changed:
            self._waiting += 1
            while not self._connections and not blob.stop.is_set():
                self._changed.wait(_LOOK_AROUND)
            self._waiting -= 1
            self._connections -= 1
        try:
            yield
        finally:
            self._give_connection()

    def _give_connection(self) -> None:
        with self._changed:
            self._connections += 1
            self._changed.notify_all()

    def _work(self, blob: _Blob, *, head: bool) -> None:
        try:
            while (work := self._next(blob, head=head)) is not None:
                work()
        except BaseException as error:  # noqa: BLE001 - it is raised by `download`
            with self._changed:
                blob.error = blob.error or error
                self._changed.notify_all()

    def _next(self, blob: _Blob, *, head: bool) -> Callable[[], None] | None:
        """Return what this thread does next; None when there is nothing for it."""
        with self._changed:
            while True:
                if blob.stop.is_set():
                    raise StorageError(f"{blob.target.name} was not fetched to its end")
                if blob.error is not None:
                    return None
                if not blob.hashing and (blob.hashed in blob.ready or blob.kept_at(blob.hashed)):
                    blob.hashing = True
                    return lambda: self._catch_up(blob)
                if not head and (self._waiting or not blob.ranged):
                    return None
                extent = self._take(blob)
                if extent is not None:
                    return lambda: self._fetch(blob, extent, head=head)
                if blob.hashed == blob.target.size or not (head or blob.taken.count(0)):
                    return None
                self._changed.wait(_LOOK_AROUND)

    def _take(self, blob: _Blob) -> _Extent | None:
        found = blob.next_missing()
        if found is None:
            return None
        start, end = found
        chunk = max(self._limits.chunk, blob.unit)
        if start == blob.hashed and not blob.hashing:
            if blob.connections > 1:
                end = min(end, start + chunk)
            blob.hashing = True
            blob.head_at, blob.head_end = start, end
            blob.take(start, end)
            return _Extent(start, end, None)
        if not self._buffers or not blob.ranged:
            return None
        self._buffers -= 1
        end = min(end, start + chunk)
        blob.take(start, end)
        view = self._spare.pop() if self._spare else memoryview(bytearray(chunk))
        return _Extent(start, end, view)

    def _give_buffer(self, view: memoryview) -> None:
        whole = memoryview(view.obj)
        with self._changed:
            self._buffers += 1
            self._spare.append(whole)
            self._changed.notify_all()

    def _consider_help(self, blob: _Blob) -> None:
        """Start another connection for a blob whose own are slow, if one is free."""
        limits = self._limits
        if not self._connections or self._waiting or not blob.ranged:
            return
        elapsed = time.monotonic() - blob.begun
        busy = limits.connections - self._connections
        fast = limits.fast * blob.connections / busy**2
        if elapsed < limits.patience * busy**2 or blob.moved > fast * elapsed:
            return
        with self._changed:
            # The first one finds out whether the registry gives parts, and then shares the work.
            wanted = 1
            if blob.scouted:
                wanted = -(-blob.taken.count(0) * blob.unit // limits.chunk)
            elif blob.head_end - blob.head_at < 2 * limits.chunk:
                wanted = 0
            for _ in range(min(self._connections, wanted)):
                self._connections -= 1
                blob.connections += 1
                helper = threading.Thread(
                    target=self._help,
                    args=(blob, blob.scouted),
                    name="modelseal-download",
                    daemon=True,
                )
                blob.scouted = True
                blob.helpers.append(helper)
                helper.start()

    def _help(self, blob: _Blob, scouted: bool) -> None:  # noqa: FBT001 - an argument of Thread
        try:
            if scouted or self._scout(blob):
                self._work(blob, head=False)
        finally:
            with self._changed:
                blob.connections -= 1
            self._give_connection()

    def _scout(self, blob: _Blob) -> bool:
        """Ask for the last byte; if that is what comes, take the far part of the head's work."""
        size = blob.target.size
        try:
            with closing(self._reader.fetch_range(blob.target, size - 1, size)) as stream:
                ranged = stream.ranged
        except Error:
            ranged = False  # what is wrong with the blob itself, the head will see
        with self._changed:
            blob.ranged = ranged
            end = blob.head_at + max(self._limits.chunk, blob.unit)
            if ranged and blob.hashing and end < blob.head_end:
                blob.take(end, blob.head_end, taken=False)
                blob.head_end = end
        return ranged

    # The work itself, outside of the lock

    def _catch_up(self, blob: _Blob) -> None:
        """Hash what came before its turn, and what an earlier run left on the disk."""
        position = blob.hashed
        while True:
            with self._changed:
                view = blob.ready.pop(position, None)
                if view is None and not blob.kept_at(position):
                    blob.hashed = position
                    blob.hashing = False
                    self._changed.notify_all()
                    return
            if view is not None:
                blob.hasher.update(view)
                position += len(view)
                self._give_buffer(view)
            else:
                position += self._hash_kept(blob, position)

    def _hash_kept(self, blob: _Blob, position: int) -> int:
        number = position // blob.unit
        left = blob.length(number)
        done = 0
        with _translated(blob):
            while done < left:
                data = os.pread(blob.file, min(left - done, 1 << 20), position + done)
                if not data:
                    raise StorageError(f"the part file of {blob.target.name} was cut")
                blob.hasher.update(data)
                done += len(data)
        if blob.stop.is_set():
            raise StorageError(f"{blob.target.name} was not fetched to its end")
        return done

    def _fetch(self, blob: _Blob, extent: _Extent, *, head: bool) -> None:
        end, done, ranged = extent.start, False, True
        try:
            with closing(self._reader.fetch_range(blob.target, extent.start, extent.end)) as stream:
                ranged = stream.ranged
                # Without parts the head reads over what it has; all others leave.
                if ranged or extent.buffer is None:
                    end = self._receive(blob, extent, stream, head=head)
                    done = True
        finally:
            with self._changed:
                if done and extent.buffer is None:
                    blob.hashed, blob.hashing = end, False
                elif done:
                    assert extent.buffer is not None
                    blob.ready[extent.start] = extent.buffer[: end - extent.start]
                elif not ranged:
                    # A registry that sends the whole blob to each of us is asked by one only.
                    blob.take(extent.start, extent.end, taken=False)
                    blob.ranged = False
                self._changed.notify_all()
            if extent.buffer is not None and not done:
                self._give_buffer(extent.buffer)

    def _receive(self, blob: _Blob, extent: _Extent, stream: RangeStream, *, head: bool) -> int:
        if extent.buffer is not None:
            for position in range(extent.start, extent.end, blob.unit):
                here = position - extent.start
                view = extent.buffer[here : min(here + blob.unit, extent.end - extent.start)]
                self._receive_unit(blob, stream, view, position)
            return extent.end
        # Pages of its own, which the kernel copies into fastest.
        buffer = memoryview(mmap.mmap(-1, min(_PIECE, extent.end - extent.start)))
        position, end = extent.start, extent.end
        while position < end:
            begun, unit_end = position, min(position + blob.unit, end)
            while position < unit_end:
                view = buffer[: unit_end - position]
                _fill(stream, view, blob.target)
                with _translated(blob):
                    _write(blob.file, view, position)
                blob.hasher.update(view)
                position += len(view)
            self._note_unit(blob, begun, position - begun)
            with self._changed:
                blob.head_at, end = position, blob.head_end
            if head:
                self._consider_help(blob)
        # A stream that goes on after its end says so when it is asked.
        if end == blob.target.size and stream.readinto(bytearray(1)):
            raise ContentMismatchError(f"{blob.target.name} goes on after its size")
        return end

    def _receive_unit(
        self, blob: _Blob, stream: RangeStream, view: memoryview, position: int
    ) -> None:
        _fill(stream, view, blob.target)
        with _translated(blob):
            _write(blob.file, view, position)
        self._note_unit(blob, position, len(view))

    def _note_unit(self, blob: _Blob, position: int, size: int) -> None:
        if blob.journal is not None:
            with _translated(blob):
                blob.journal.mark(position)
        blob.moved += size
        self._on_event(BytesMoved(blob.target, size))
        if blob.error is not None or blob.stop.is_set():
            raise StorageError(f"{blob.target.name} was not fetched to its end")


def _fill(stream: RangeStream, view: memoryview, target: Descriptor) -> None:
    while view:
        count = stream.readinto(view)
        if not count:
            raise UnavailableError(f"{target.name} ends before its size", hint="try again")
        view = view[count:]


def _write(file: int, view: memoryview, position: int) -> None:
    while view:
        count = os.pwrite(file, view, position)
        view = view[count:]
        position += count


@contextmanager
def _translated(blob: _Blob) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise StorageError(
            f"cannot write {blob.target.name}: {error.strerror}",
            hint="make room, or name a directory on another disk" if full else "",
        ) from error
