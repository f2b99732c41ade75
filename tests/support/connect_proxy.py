# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""An HTTP proxy on loopback that tunnels (CONNECT): names that resolve nowhere lead to a test."""

import base64
import re
import socket
import socketserver
import threading
from collections.abc import Mapping
from typing import Self


class ConnectProxy:
    """A proxy while it is entered; `asked` has every request line.

    Args:
        routes: where `host:port` leads, as `127.0.0.1:PORT`.
        login: `user:password` that is asked for; nothing for everybody.
    """

    def __init__(self, routes: Mapping[str, str], *, login: str = "") -> None:
        """Listen on a free port."""
        self.routes = routes
        self.login = login
        self.asked: list[str] = []
        self._server = _Server(("127.0.0.1", 0), _Tunnel)
        self._server.proxy = self

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    proxy: ConnectProxy


class _Tunnel(socketserver.StreamRequestHandler):
    server: _Server

    def handle(self) -> None:
        proxy = self.server.proxy
        line = self.rfile.readline(8192).decode("latin-1").strip()
        headers = b""
        while (header := self.rfile.readline(8192)) not in {b"\r\n", b"\n", b""}:
            headers += header
        proxy.asked.append(line)
        expected = base64.b64encode(proxy.login.encode())
        if proxy.login and expected not in headers:
            self.wfile.write(b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n")
            return
        match = re.match(r"CONNECT (\S+) HTTP/1\.[01]", line)
        route = proxy.routes.get(match[1]) if match else None
        if route is None:
            self.wfile.write(b"HTTP/1.1 502 No such host\r\nContent-Length: 0\r\n\r\n")
            return
        host, _, port = route.partition(":")
        with socket.create_connection((host, int(port))) as upstream:
            self.wfile.write(b"HTTP/1.1 200 Connected\r\n\r\n")
            back = threading.Thread(target=_pump, args=(upstream, self.connection), daemon=True)
            back.start()
            _pump(self.connection, upstream)
            back.join(5)


def _pump(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(1 << 16):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass  # the other side went away, as clients and servers do
