# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Moving many blobs into a store: in parallel, each once, the manifest after them all."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Self, cast

from modelseal.oci.content import CHUNK, Content, FileContent, hashed_file, readinto
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.events import (
    BytesMoved,
    TransferFinished,
    TransferNotice,
    TransferPlanned,
    TransferSink,
    TransferStarted,
    discard,
)
from modelseal.oci.reference import Repository
from modelseal.oci.store import BlobMounter, ContentReader, ContentWriter, SizeChecker

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

WORKERS = 4
"""Blobs in flight: enough to hide latency, few enough for a shared registry."""

_SMALL = 1 << 20
_SMALL_WORKERS = 12
"""Small blobs in flight beside them: what they take is latency, not bandwidth."""


def check_sizes(
    store: object, blobs: Iterable[tuple[str, int]], on_event: TransferSink = discard
) -> None:
    """Ask a store whether it takes blobs of these names and sizes; tell what may fail.

    Raises:
        LimitExceededError: it is known not to take one of them.
    """
    if isinstance(store, SizeChecker):
        for text in store.check_sizes(blobs):
            on_event(TransferNotice(text))


def push_all(
    store: ContentWriter,
    blobs: Iterable[tuple[Descriptor, Content]],
    on_event: TransferSink = discard,
    *,
    neighbours: Sequence[Repository] = (),
) -> None:
    """Store every blob that is not there yet; equal blobs go once.

    Args:
        store: where to.
        blobs: what, and where its bytes are.
        on_event: told about progress.
        neighbours: repositories of the same registry that may have them.

    Raises:
        Error: of the first blob that failed, after the others in flight have ended.
    """
    blobs = tuple(blobs)
    check_sizes(store, [(blob.name, blob.size) for blob, _ in blobs], on_event)
    with Pusher(store, on_event, neighbours) as pusher:
        pusher.add_all(blobs)
        pusher.finish()


class Pusher:
    """Stores blobs as they are handed in, several at once; equal blobs go once.

    For one thread, which enters it. To leave it with an error starts nothing more, and waits for
    what is in flight.
    """

    def __init__(
        self,
        store: ContentWriter,
        on_event: TransferSink = discard,
        neighbours: Sequence[Repository] = (),
    ) -> None:
        """Prepare as `push_all` does; nothing moves yet."""
        self._store = store
        self._on_event = on_event
        # To look whether something keeps a protocol takes longer than to hash a small file.
        self._mounter = store if neighbours and isinstance(store, BlobMounter) else None
        self._neighbours = neighbours
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="modelseal-push")
        self._small = ThreadPoolExecutor(_SMALL_WORKERS, thread_name_prefix="modelseal-push-small")
        self._moves: dict[Digest, Future[None]] = {}
        self._failed: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    @property
    def digests(self) -> frozenset[Digest]:
        """All that was handed in."""
        return frozenset(self._moves)

    def _stop(self) -> None:
        for pool in (self._pool, self._small):
            pool.shutdown(wait=False, cancel_futures=True)
        for pool in (self._pool, self._small):
            pool.shutdown(wait=True)

    def add(self, descriptor: Descriptor, content: Content) -> None:
        """Let a blob go as soon as there is a hand free. It fails in `finish`."""
        if descriptor.digest not in self._moves:
            pool = self._small if descriptor.size < _SMALL else self._pool
            move = pool.submit(self._push, descriptor, content)
            self._moves[descriptor.digest] = move
            move.add_done_callback(self._note)

    def _note(self, move: Future[None]) -> None:
        if not move.cancelled() and move.exception() is not None:
            self._failed = self._failed or move

    def add_all(self, blobs: Iterable[tuple[Descriptor, Content]]) -> None:
        """Let blobs go, and announce those that are new here."""
        once: dict[Digest, tuple[Descriptor, Content]] = {}
        for descriptor, content in blobs:
            if descriptor.digest not in self._moves:
                once.setdefault(descriptor.digest, (descriptor, content))
        self._on_event(TransferPlanned(len(once), sum(blob.size for blob, _ in once.values())))
        for pair in once.values():
            self.add(*pair)

    def check(self) -> None:
        """Raise the error of a blob that has failed by now, if one has."""
        if self._failed is not None:
            self._failed.result()

    def finish(self) -> None:
        """Wait for all blobs.

        Raises:
            Error: of the first blob that failed, after the others in flight have ended.
        """
        try:
            for move in self._moves.values():
                move.result()
        except BaseException:
            self._stop()
            raise

    def _push(self, descriptor: Descriptor, content: Content) -> None:
        if self._store.exists(descriptor) or self._mounted(descriptor):
            self._on_event(TransferFinished(descriptor, skipped=True))
            return
        self._on_event(TransferStarted(descriptor))
        self._store.push(descriptor, _Counted(content, descriptor, self._on_event))
        self._on_event(TransferFinished(descriptor, skipped=False))

    def _mounted(self, descriptor: Descriptor) -> bool:
        mounter = self._mounter
        return mounter is not None and any(
            mounter.mount(descriptor, neighbour) for neighbour in self._neighbours
        )


@dataclass(frozen=True, slots=True)
class CountingReader:
    """A reader that tells how its content moves."""

    reader: ContentReader
    on_event: TransferSink

    @contextmanager
    def fetch(self, target: Descriptor) -> Iterator[BinaryIO]:
        """Open the content that `target` describes, as `reader` does."""
        self.on_event(TransferStarted(target))
        with self.reader.fetch(target) as stream:
            yield io.BufferedReader(_CountedReader(stream, target, self.on_event), CHUNK)
        self.on_event(TransferFinished(target, skipped=False))


class _Counted:
    """Content that tells how much of it was read or sent, and when that begins anew."""

    def __init__(self, content: Content, descriptor: Descriptor, on_event: TransferSink) -> None:
        self._content = content
        self._descriptor = descriptor
        self._on_event = on_event
        self._position = 0

    def open(self) -> BinaryIO:
        source = self._content.open()
        self.reached(0)
        stream = _CountedReader(source, self._descriptor, self._moved)
        return cast("BinaryIO", stream)

    def hashed_file(self) -> FileContent | None:
        return hashed_file(self._content)

    def reached(self, position: int) -> None:
        if position < self._position:
            self._on_event(TransferStarted(self._descriptor))
            self._position = 0
        if position > self._position:
            self._on_event(BytesMoved(self._descriptor, position - self._position))
            self._position = position

    def _moved(self, event: BytesMoved) -> None:
        self._position += event.count
        self._on_event(event)


class _CountedReader(io.RawIOBase):
    def __init__(
        self, source: BinaryIO, descriptor: Descriptor, on_moved: Callable[[BytesMoved], None]
    ) -> None:
        self._source = source
        self._descriptor = descriptor
        self._on_moved = on_moved

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        count = readinto(self._source, memoryview(buffer).cast("B"))
        if count:
            self._on_moved(BytesMoved(self._descriptor, count))
        return count

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()
