# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Copying a graph between stores: blobs, then manifests leaves first, the tag last.

Several destinations are served by one read of the source (`modelseal.oci.fan_out`). One that
fails is left alone from then on; the others go on.
"""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock

from modelseal.errors import Error
from modelseal.oci.content import BytesContent, Content
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.events import (
    TransferFinished,
    TransferPlanned,
    TransferSink,
    discard,
)
from modelseal.oci.fan_out import SourceContent, fan_out
from modelseal.oci.graph import Graph
from modelseal.oci.reference import Repository
from modelseal.oci.store import BlobMounter, ReadableStore, Store
from modelseal.oci.transfer import WORKERS, check_sizes


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """Where a graph goes.

    Attributes:
        store: the place.
        tag: moved to the root when all else is there; empty for none.
        neighbour: the source, when it may be a repository of the same registry: blobs are
            mounted from it, then, and do not move.
    """

    store: Store
    tag: str = ""
    neighbour: Repository | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What it took to bring a graph to one destination.

    Attributes:
        sent: blobs whose bytes moved.
        sent_bytes: how many those are.
        mounted: blobs that the registry took over from the source by itself.
        present: blobs that were there.
        error: why it failed; the tag did not move then.
    """

    sent: int
    sent_bytes: int
    mounted: int
    present: int
    error: Error | None


def copy_graph(
    source: ReadableStore,
    graph: Graph,
    destinations: Sequence[Destination],
    on_event: TransferSink = discard,
) -> tuple[Outcome, ...]:
    """Bring a graph to every destination; return what became of each, in their order.

    Errors are told in the outcomes, so that one destination does not stop another: look at them.
    """
    deliveries = [_Delivery(destination) for destination in destinations]
    for delivery in deliveries:
        delivery.check(graph, on_event)
    on_event(TransferPlanned(len(graph.blobs), graph.size))
    with ThreadPoolExecutor(WORKERS) as pool:
        moves = [
            pool.submit(_copy_blob, source, blob, deliveries, on_event) for blob in graph.blobs
        ]
        _wait(pool, moves)
    with ThreadPoolExecutor(len(deliveries)) as pool:
        _wait(pool, [pool.submit(delivery.finish, graph) for delivery in deliveries])
    return tuple(delivery.outcome() for delivery in deliveries)


def _wait(pool: ThreadPoolExecutor, moves: list[Future[None]]) -> None:
    try:
        for move in moves:
            move.result()
    except BaseException:
        pool.shutdown(wait=True, cancel_futures=True)
        raise


def _copy_blob(
    source: ReadableStore, blob: Descriptor, deliveries: list["_Delivery"], on_event: TransferSink
) -> None:
    lacking = [delivery for delivery in deliveries if delivery.lacks(blob)]
    if not lacking:
        on_event(TransferFinished(blob, skipped=True))
        return
    content = SourceContent(source, blob, on_event)
    if len(lacking) == 1:
        lacking[0].push(blob, content)
    else:
        fan_out(blob, content, [delivery.push for delivery in lacking])
    if any(delivery.error is None for delivery in lacking):
        on_event(TransferFinished(blob, skipped=False))


@dataclass(slots=True)
class _Delivery:
    """One destination on its way; its first error is its last act."""

    to: Destination
    sent: int = 0
    sent_bytes: int = 0
    mounted: int = 0
    present: int = 0
    error: Error | None = None
    lock: Lock = field(default_factory=Lock)

    def check(self, graph: Graph, on_event: TransferSink) -> None:
        """Fail before the first byte if a blob is known to be too large there."""
        try:
            blobs = [(blob.name, blob.size) for blob in graph.blobs]
            check_sizes(self.to.store, blobs, on_event)
        except Error as error:
            self._fail(error)

    def lacks(self, blob: Descriptor) -> bool:
        """Tell whether the bytes have to go there; mount them if that is possible."""
        if self.error is not None:
            return False
        try:
            if self.to.store.exists(blob):
                self._count(present=1)
                return False
            if self._mount(blob):
                self._count(mounted=1)
                return False
        except Error as error:
            self._fail(error)
            return False
        return True

    def push(self, blob: Descriptor, content: Content) -> None:
        """Bring one blob there."""
        try:
            self.to.store.push(blob, content)
        except Error as error:
            self._fail(error)
        else:
            self._count(sent=1, sent_bytes=blob.size)

    def finish(self, graph: Graph) -> None:
        """Bring the manifests, and move the tag when they are all there."""
        if self.error is not None:
            return
        try:
            for manifest, raw in graph.manifests:
                self.to.store.push(manifest, BytesContent(raw))
            if self.to.tag:
                self.to.store.tag(graph.root, self.to.tag)
        except Error as error:
            self._fail(error)

    def outcome(self) -> Outcome:
        """Say what became of it."""
        return Outcome(
            sent=self.sent,
            sent_bytes=self.sent_bytes,
            mounted=self.mounted,
            present=self.present,
            error=self.error,
        )

    def _mount(self, blob: Descriptor) -> bool:
        store, neighbour = self.to.store, self.to.neighbour
        return (
            neighbour is not None
            and isinstance(store, BlobMounter)
            and store.mount(blob, neighbour)
        )

    def _count(
        self, *, sent: int = 0, sent_bytes: int = 0, mounted: int = 0, present: int = 0
    ) -> None:
        with self.lock:
            self.sent += sent
            self.sent_bytes += sent_bytes
            self.mounted += mounted
            self.present += present

    def _fail(self, error: Error) -> None:
        with self.lock:
            self.error = self.error or error
