# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""One connection: it checks its peer, sends slices of files, and believes no half of an answer."""

import contextlib
import http.client
import io
import socket
from collections.abc import Callable
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from modelseal.oci.registry.options import RegistryOptions
from modelseal.oci.registry.pieces import FileSlice
from modelseal.oci.registry.received import ended_after


class _Lines:
    """A file that remembers the last line that was read of it."""

    def __init__(self, file: io.BufferedReader) -> None:
        self.file = file
        self.last: bytes | None = None

    def readline(self, limit: int = -1) -> bytes:
        self.last = self.file.readline(limit)
        return self.last

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the file has
        return getattr(self.file, name)


class _WholeHead(http.client.HTTPResponse):
    """An answer whose head has an end.

    The standard library takes the end of the connection for the end of the head: "201 Created" and
    nothing more would be a blob that was stored.
    """

    def begin(self) -> None:
        file: Any = self.fp
        lines: Any = _Lines(file)
        self.fp = lines
        try:
            super().begin()
        finally:
            if self.fp is not None:
                self.fp = file
        if lines.last == b"":
            self.close()
            raise http.client.RemoteDisconnected("the answer ended in its head")


class _OfOurs:
    """A connection that takes slices of files as pieces of a body, and waits for no drip.

    A time-out of a socket begins anew with each byte that comes: a head of an answer that comes a
    byte at a time would hold it for ever.
    """

    response_class: Any = _WholeHead
    sock: socket.socket
    timeout: float | None
    slowest: float
    """Seconds in which the head of an answer has to come, once it may have begun."""

    def getresponse(self) -> Any:  # noqa: ANN401 - what the other base returns
        sock = self.sock
        longest = (self.timeout or 0.0) + self.slowest
        with ended_after(longest, lambda: _hang_up(sock)):
            return super().getresponse()  # type: ignore[misc] # of the other base

    def send(self, data: Any) -> None:  # noqa: ANN401 - as the other base has it
        if isinstance(data, FileSlice):
            data.send_to(self.sock)
        else:
            super().send(data)  # type: ignore[misc] # of the other base


def _hang_up(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RDWR)  # of TLS, too: nobody is spoken to any more


def pool_classes(
    options: RegistryOptions, check_peer: Callable[[str], None] | None
) -> dict[str, type[HTTPConnectionPool]]:
    """Return the classes of connections to one kind of host, by scheme.

    Args:
        options: for how long is waited.
        check_peer: gets the address of a new connection and raises if it may not be used; None
            for hosts that the user named.
    """

    def connected(connection: HTTPConnection, sock: socket.socket) -> socket.socket:
        if check_peer is not None and connection.proxy is None:
            try:
                check_peer(str(sock.getpeername()[0]))
            except BaseException:
                sock.close()
                raise
        return sock

    class Plain(_OfOurs, HTTPConnection):
        slowest = options.slowest_read

        def _new_conn(self) -> socket.socket:
            return connected(self, super()._new_conn())

        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(options.read_timeout)

    class Tls(_OfOurs, HTTPSConnection):
        slowest = options.slowest_read

        def _new_conn(self) -> socket.socket:
            return connected(self, super()._new_conn())

        def connect(self) -> None:
            super().connect()
            self.sock.settimeout(options.read_timeout)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}
