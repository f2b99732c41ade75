# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""One connection: it checks its peer, sends slices of files, and believes no half of an answer."""

import socket
from collections.abc import Callable
from typing import Any

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from modelseal.oci.registry.heads import WholeHead
from modelseal.oci.registry.options import RegistryOptions
from modelseal.oci.registry.pieces import FileSlice
from modelseal.oci.registry.received import ended_after, hang_up


class _OfOurs:
    """A connection that takes slices of files as pieces of a body, and waits for no drip.

    A time-out of a socket begins anew with each byte that comes: a head of an answer that comes a
    byte at a time would hold it for ever.
    """

    response_class: Any = WholeHead
    sock: socket.socket
    timeout: float | None
    slowest: float
    """Seconds in which the head of an answer has to come, once it may have begun."""

    def getresponse(self) -> Any:  # noqa: ANN401 - what the other base returns
        sock = self.sock
        longest = (self.timeout or 0.0) + self.slowest
        with ended_after(longest, lambda: hang_up(sock)):
            return super().getresponse()  # type: ignore[misc] # of the other base

    def send(self, data: Any) -> None:  # noqa: ANN401 - as the other base has it
        if isinstance(data, FileSlice):
            data.send_to(self.sock)
        else:
            super().send(data)  # type: ignore[misc] # of the other base


def pool_classes(
    options: RegistryOptions, check_peer: Callable[[str], None] | None
) -> dict[str, type[HTTPConnectionPool]]:
    """Return the classes of pools of `connection_classes`, by scheme."""
    plain, tls = connection_classes(options, check_peer)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = tls

    return {"http": PlainPool, "https": TlsPool}


def connection_classes(
    options: RegistryOptions, check_peer: Callable[[str], None] | None
) -> tuple[type[HTTPConnection], type[HTTPSConnection]]:
    """Return the classes of connections to one kind of host, without and with TLS.

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

    return Plain, Tls
