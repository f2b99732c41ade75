# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Moving many blobs into a store: in parallel, each once, the manifest after them all."""

import io
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from modelseal.oci.content import CHUNK, Content
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.events import (
    BytesMoved,
    TransferFinished,
    TransferPlanned,
    TransferSink,
    TransferStarted,
    discard,
)
from modelseal.oci.store import ContentReader, ContentWriter

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

WORKERS = 4
"""Blobs in flight: enough to hide latency, few enough for a shared registry."""


def push_all(
    store: ContentWriter,
    blobs: Iterable[tuple[Descriptor, Content]],
    on_event: TransferSink = discard,
) -> None:
    """Store every blob that is not there yet; equal blobs go once.

    Raises:
        Error: of the first blob that failed, after the others in flight have ended.
    """
    once: dict[Digest, tuple[Descriptor, Content]] = {}
    for descriptor, content in blobs:
        once.setdefault(descriptor.digest, (descriptor, content))
    on_event(TransferPlanned(len(once), sum(blob.size for blob, _ in once.values())))
    with ThreadPoolExecutor(WORKERS) as pool:
        moves = [pool.submit(_push, store, *pair, on_event) for pair in once.values()]
        try:
            for move in moves:
                move.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _push(
    store: ContentWriter, descriptor: Descriptor, content: Content, on_event: TransferSink
) -> None:
    if store.exists(descriptor):
        on_event(TransferFinished(descriptor, skipped=True))
        return
    on_event(TransferStarted(descriptor))
    store.push(descriptor, _Counted(content, descriptor, on_event))
    on_event(TransferFinished(descriptor, skipped=False))


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


@dataclass(frozen=True, slots=True)
class _Counted:
    """Content that tells how much of it was read."""

    content: Content
    descriptor: Descriptor
    on_event: TransferSink

    def open(self) -> BinaryIO:
        stream = _CountedReader(self.content.open(), self.descriptor, self.on_event)
        return io.BufferedReader(stream, CHUNK)


class _CountedReader(io.RawIOBase):
    def __init__(self, source: BinaryIO, descriptor: Descriptor, on_event: TransferSink) -> None:
        self._source = source
        self._descriptor = descriptor
        self._on_event = on_event

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._source.read(len(view))
        view[: len(data)] = data
        if data:
            self._on_event(BytesMoved(self._descriptor, len(data)))
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()
