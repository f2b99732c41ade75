# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A wire between a client and a real server: it counts what passes, and is as slow as told.

It knows TCP only, so that what it carries may be TLS. Everything is on loopback.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Self

from tests.support.processes import LOOPBACK

_AT_ONCE = 256 << 10
_STEP = 64 << 10
_BACKLOG = 256


class Relay:
    """Listens on a port of its own and passes bytes on to `upstream`; use it in a `with` block."""

    def __init__(self, upstream: str, *, latency: float = 0.0, rate: float = 0.0) -> None:
        """Name the server; nothing is started yet.

        Args:
            upstream: `127.0.0.1:PORT`.
            latency: seconds that are added before each request. A request is what a client sends
                first after the server has said something, or on a new connection.
            rate: bytes a second that each connection carries to the client; 0 for no limit.
        """
        host, _, port = upstream.rpartition(":")
        self._upstream = (host, int(port))
        self._latency = latency
        self._rate = rate
        self._lock = threading.Lock()
        self._sent = 0
        self._received = 0
        self._open: set[socket.socket] = set()
        self._server = socket.create_server((LOOPBACK, 0), backlog=_BACKLOG)
        self._closing = False

    @property
    def host(self) -> str:
        """Where it listens: `127.0.0.1:PORT`."""
        return f"{LOOPBACK}:{self._server.getsockname()[1]}"

    @property
    def sent(self) -> int:
        """Bytes that went from clients to the server so far."""
        return self._sent

    @property
    def received(self) -> int:
        """Bytes that went from the server to clients so far."""
        return self._received

    def reset(self) -> None:
        """Count from nothing again."""
        with self._lock:
            self._sent = self._received = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name="relay", daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._closing = True
        # A thread that waits in `accept` wakes up by this, and by nothing less.
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        with self._lock:
            left = list(self._open)
        for side in left:
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._upstream)
        except OSError:
            client.close()
            return
        wire = _Wire(self, client, server)
        with self._lock:
            self._open.update((client, server))
        down = threading.Thread(target=wire.down, daemon=True)
        down.start()
        wire.up()
        down.join()
        with self._lock:
            self._open.difference_update((client, server))
        client.close()
        server.close()

    def _count(self, *, sent: int = 0, received: int = 0) -> None:
        with self._lock:
            self._sent += sent
            self._received += received


class _Wire:
    """One connection and the one behind it."""

    def __init__(self, relay: Relay, client: socket.socket, server: socket.socket) -> None:
        self._relay = relay
        self._client = client
        self._server = server
        self._asked = False
        for side in (client, server):
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def up(self) -> None:
        """Pass on what the client says, until it ends."""
        buffer = memoryview(bytearray(_AT_ONCE))
        with _ended(self._client, self._server):
            while count := self._client.recv_into(buffer):
                if not self._asked:
                    self._asked = True
                    time.sleep(self._relay._latency)
                self._server.sendall(buffer[:count])
                self._relay._count(sent=count)

    def down(self) -> None:
        """Pass on what the server says, not faster than allowed, until it ends."""
        rate = self._relay._rate
        buffer = memoryview(bytearray(_STEP if rate else _AT_ONCE))
        free_at = time.monotonic()
        with _ended(self._server, self._client):
            while count := self._server.recv_into(buffer):
                self._asked = False
                self._client.sendall(buffer[:count])
                self._relay._count(received=count)
                if rate:
                    now = time.monotonic()
                    # An idle wire saves nothing up.
                    free_at = max(free_at, now - _STEP / rate) + count / rate
                    time.sleep(max(0.0, free_at - now))


@contextlib.contextmanager
def _ended(source: socket.socket, sink: socket.socket) -> Iterator[None]:
    """Tell one side that the other has ended, however it did."""
    broken = False
    try:
        yield
    except OSError:
        broken = True
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR if broken else socket.SHUT_WR)
    if broken:
        with contextlib.suppress(OSError):
            source.shutdown(socket.SHUT_RDWR)
