# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The body of an answer as a stream: read into buffers that are at hand, and not for ever.

A time-out of a socket only says that *something* came. Whoever sends a byte now and then would
hold a connection as long as it likes, so one thread looks after all reads that have to end.
"""

import io
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from http.client import HTTPException
from typing import TYPE_CHECKING

from urllib3 import exceptions

from modelseal.errors import UnavailableError
from modelseal.oci.registry.hosts import Origin

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

    from modelseal.oci.registry.wire import Response

AT_ONCE = 256 << 10
"""Bytes that have to come within the slowest time that is allowed."""

_MOST_AT_ONCE = 1 << 20
"""Bytes that are read at once, with as much more time."""

_LONGEST_LOOK = 1.0
_IDLE_LOOKS = 10
_NEVER = float("inf")


class Watch:
    """Something that has to end: `deadline` is on the monotonic clock."""

    __slots__ = ("deadline", "end")

    def __init__(self, end: Callable[[], None], deadline: float) -> None:
        """Call `end` when the deadline has passed."""
        self.end = end
        self.deadline = deadline


class _Watchdog:
    """One thread for the process, which looks from time to time and ends when it is idle."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sooner = threading.Event()
        self._watched: set[Watch] = set()
        self._running = False
        self._look = _LONGEST_LOOK

    def add(self, watch: Watch, longest: float) -> None:
        """Look after `watch`, whose deadlines are never less than `longest` seconds away."""
        with self._lock:
            self._watched.add(watch)
            if longest / 4 < self._look:
                self._look = longest / 4
                self._sooner.set()
            if not self._running:
                self._running = True
                threading.Thread(target=self._run, name="modelseal-watchdog", daemon=True).start()

    def remove(self, watch: Watch) -> None:
        with self._lock:
            self._watched.discard(watch)

    def _run(self) -> None:
        idle = 0
        while True:
            self._sooner.wait(self._look)
            self._sooner.clear()
            with self._lock:
                idle = 0 if self._watched else idle + 1
                if idle > _IDLE_LOOKS:
                    self._running = False
                    self._look = _LONGEST_LOOK
                    return
                now = time.monotonic()
                late = [watch for watch in self._watched if watch.deadline < now]
                self._watched.difference_update(late)
            for watch in late:
                watch.end()


_watchdog = _Watchdog()


def no_longer_than(seconds: float, response: "Response") -> AbstractContextManager[None]:
    """Break the connection of `response` if the block takes longer."""
    if getattr(response, "complete", False):
        return nullcontext()  # nothing more is waited for
    return ended_after(seconds, lambda: _break(response))


@contextmanager
def ended_after(seconds: float, end: Callable[[], None]) -> Iterator[None]:
    """Call `end`, in another thread, if the block takes longer."""
    watch = Watch(end, time.monotonic() + seconds)
    _watchdog.add(watch, seconds)
    try:
        yield
    finally:
        _watchdog.remove(watch)


def hang_up(sock: socket.socket) -> None:
    """End a connection, of TLS too: whoever reads there gets an end or an error, at once."""
    with suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)


def _break(response: "Response") -> None:
    # Whoever reads there gets an end or an error, at once. If it is over already: so much better.
    with suppress(ValueError, RuntimeError, OSError, NotImplementedError):
        response.shutdown()


class Body(io.RawIOBase):
    """The body of an answer; whatever breaks it off is an `UnavailableError`."""

    def __init__(
        self,
        response: "Response",
        origin: Origin,
        what: str,
        *,
        length: int | None,
        slowest: float,
    ) -> None:
        """Read `response`, which is closed with this stream.

        Args:
            response: the answer, with its body still to be read.
            origin: who sends it.
            what: names it in errors.
            length: the bytes that were announced; None when nothing was said.
            slowest: seconds in which the next `AT_ONCE` bytes have to come.
        """
        self._response = response
        self._origin = origin
        self._what = what
        self._length = length
        self._slowest = slowest
        self._seen = 0
        self._watch = Watch(lambda: _break(response), _NEVER)
        # urllib3 has no way to read into a buffer without a copy; the standard library's
        # response inside of it has, and nothing was decoded before it.
        # An answer of our own has no such inside, and reads so itself.
        inner = getattr(response, "_fp", response)
        self._into = getattr(inner, "readinto", None)
        _watchdog.add(self._watch, slowest)

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill `buffer` with the next bytes; 0 at the end. Raises `UnavailableError`."""
        view = memoryview(buffer).cast("B")[:_MOST_AT_ONCE]
        if not view:
            return 0
        wait = self._slowest * max(1.0, len(view) / AT_ONCE)
        self._watch.deadline = time.monotonic() + wait
        try:
            count = self._read(view)
        except (exceptions.HTTPError, HTTPException, OSError, ValueError) as error:
            raise self._broken() from error
        self._watch.deadline = _NEVER
        self._seen += count
        if self._length is not None and self._seen >= self._length:
            # The connection is of use for the next request.
            self._response.release_conn()
        elif not count and self._length is not None:
            raise self._broken()
        return count

    def _read(self, view: memoryview) -> int:
        if self._into is not None:
            return int(self._into(view))
        data = self._response.read(len(view), decode_content=False)
        view[: len(data)] = data
        return len(data)

    def _broken(self) -> UnavailableError:
        return UnavailableError(
            f"{self._origin.netloc}: {self._what} broke off after {self._seen} bytes",
            hint="the network or the registry; try again",
        )

    def close(self) -> None:
        """Give the connection back if it is at its end, else close it."""
        if not self.closed:
            _watchdog.remove(self._watch)
            self._response.close()
            self._response.release_conn()
        super().close()
