# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""One read of a blob for several writers, in bounded memory.

The reader waits for the slowest writer, but not forever: a writer that takes nothing for
`PATIENCE` seconds is cut off, and reads the source for itself from where it stands. So does a
writer that has to begin again.
"""

import io
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

from modelseal.errors import Error
from modelseal.oci.content import CHUNK, Content
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.events import BytesMoved, TransferSink, TransferStarted
from modelseal.oci.store import ContentReader

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PATIENCE = 20.0
"""Seconds for which one writer may hold up the others."""

_DEPTH = 4
"""Chunks that a writer may be behind the reader."""


@dataclass(frozen=True, slots=True)
class SourceContent:
    """A blob of a store as content that can be pushed; every reading checks itself."""

    source: ContentReader
    blob: Descriptor
    on_event: TransferSink

    def open(self) -> BinaryIO:
        """Open the blob at its start. Raises as `ContentReader.fetch` does."""
        return cast("BinaryIO", io.BufferedReader(_SourceStream(self), CHUNK))


def fan_out(
    blob: Descriptor,
    content: SourceContent,
    writers: Sequence[Callable[[Descriptor, Content], None]],
) -> None:
    """Let every writer have `content`, which is read once.

    Args:
        blob: what it is.
        content: where it comes from.
        writers: called in a thread each; they tell about their own failures and do not raise.
    """
    pipes = [_Pipe() for _ in writers]
    with ThreadPoolExecutor(len(writers)) as pool:
        done = [
            pool.submit(writer, blob, _PipedContent(pipe, content))
            for writer, pipe in zip(writers, pipes, strict=True)
        ]
        for future, pipe in zip(done, pipes, strict=True):
            future.add_done_callback(pipe.leave)
        try:
            _feed(content, pipes)
        finally:
            for future in done:
                future.result()


def _feed(content: SourceContent, pipes: list["_Pipe"]) -> None:
    """Read the source until it ends or nobody listens; its error goes to who still does."""
    problem: Error | None = None
    try:
        with content.open() as stream:
            while chunk := stream.read(CHUNK):
                taken = [pipe.put(chunk) for pipe in pipes]
                if not any(taken):
                    break
    except Error as error:
        problem = error
    finally:
        for pipe in pipes:
            pipe.end(problem)


class _Pipe:
    """Chunks on their way to one writer."""

    def __init__(self) -> None:
        self._chunks: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._listening = True
        self._ended = False
        self._cut = False
        self._problem: Error | None = None

    def put(self, chunk: bytes) -> bool:
        """Hand on a chunk; wait while the writer is too far behind. False if nobody takes it."""
        with self._changed:
            until = time.monotonic() + PATIENCE
            while self._listening and len(self._chunks) >= _DEPTH:
                if not self._changed.wait(until - time.monotonic()):
                    self._cut = True
                    self._listening = False
            if self._listening:
                self._chunks.append(chunk)
                self._changed.notify_all()
            return self._listening

    def end(self, problem: Error | None) -> None:
        """Say that nothing more comes, and why if it should have."""
        with self._changed:
            self._ended = True
            self._problem = problem
            self._changed.notify_all()

    def leave(self, _writer: "Future[None] | None" = None) -> None:
        """Say that nobody listens any more."""
        with self._changed:
            self._listening = False
            self._chunks.clear()
            self._changed.notify_all()

    def get(self) -> bytes | None:
        """Return the next chunk, nothing at the end, or None when the reader went on without us.

        Raises:
            Error: of the source.
        """
        with self._changed:
            while not (self._chunks or self._ended or self._cut):
                self._changed.wait()
            if self._chunks:
                chunk = self._chunks.popleft()
                self._changed.notify_all()
                return chunk
            if self._cut:
                return None
            if self._problem is not None:
                raise self._problem
            return b""


class _PipedContent:
    """What one writer reads: the pipe first; the source itself if it has to begin again."""

    def __init__(self, pipe: _Pipe, content: SourceContent) -> None:
        self._pipe = pipe
        self._content = content
        self._opened = False

    def open(self) -> BinaryIO:
        if self._opened:
            self._pipe.leave()
            return self._content.open()
        self._opened = True
        return cast("BinaryIO", io.BufferedReader(_PipedStream(self._pipe, self._content), CHUNK))


class _PipedStream(io.RawIOBase):
    def __init__(self, pipe: _Pipe, content: SourceContent) -> None:
        self._pipe = pipe
        self._content = content
        self._left = memoryview(b"")
        self._given = 0
        self._own: BinaryIO | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        if not self._left:
            self._left = memoryview(self._next())
        view = memoryview(buffer).cast("B")
        count = min(len(view), len(self._left))
        view[:count] = self._left[:count]
        self._left = self._left[count:]
        self._given += count
        return count

    def _next(self) -> bytes:
        if self._own is None:
            chunk = self._pipe.get()
            if chunk is not None:
                return chunk
            self._own = self._content.open()
            _skip(self._own, self._given)
        return self._own.read(CHUNK)

    def close(self) -> None:
        if not self.closed:
            self._pipe.leave()
            if self._own is not None:
                self._own.close()
        super().close()


class _SourceStream(io.RawIOBase):
    """A blob as it comes from the source, told about as it moves."""

    def __init__(self, content: SourceContent) -> None:
        self._content = content
        self._opened = ExitStack()
        content.on_event(TransferStarted(content.blob))
        self._stream = self._opened.enter_context(content.source.fetch(content.blob))

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._stream.read(len(view))
        view[: len(data)] = data
        if data:
            self._content.on_event(BytesMoved(self._content.blob, len(data)))
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._opened.close()
        super().close()


def _skip(stream: BinaryIO, count: int) -> None:
    while count and (data := stream.read(min(CHUNK, count))):
        count -= len(data)
