# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A proxy before a real registry that alters what passes: the man in the middle, and bad weather.

`FakeRegistry` behaves as told; this one lets each real registry behave as it does, but for one
thing. Everything is on loopback, in this process.
"""

import http.client
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self, TypeAlias

from tests.support.processes import LOOPBACK

_HOP_BY_HOP = {"connection", "transfer-encoding", "content-length", "keep-alive"}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request."""

    method: str
    path: str

    def is_(self, pattern: str, *methods: str) -> bool:
        """Tell whether the path fits the pattern, and the method is one of them (GET, HEAD)."""
        return self.method in (methods or ("GET", "HEAD")) and bool(re.search(pattern, self.path))


@dataclass(slots=True)
class Answered:
    """An answer, to be altered. `length` is what it claims; None means the truth."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    length: int | None = None


Alter: TypeAlias = Callable[[Asked, Answered], Answered]
"""Gets what the registry answered; returns what the client sees."""


class FaultyProxy:
    """Passes requests on to `upstream`, and answers through `alter`."""

    def __init__(self, upstream: str, alter: Alter) -> None:
        """Name the registry (`127.0.0.1:PORT`) and what to change; nothing is started yet."""
        self.upstream = upstream
        self.alter = alter
        self.asked: list[Asked] = []
        self._server = _Server((LOOPBACK, 0), _Handler)
        self._server.proxy = self

    @property
    def host(self) -> str:
        """Where it listens."""
        return f"{LOOPBACK}:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, asked: Asked, headers: dict[str, str], body: bytes) -> Answered:
        """Ask the registry, and alter what it says."""
        self.asked.append(asked)
        upstream = http.client.HTTPConnection(self.upstream, timeout=30)
        try:
            upstream.request(asked.method, asked.path, body or None, headers)
            response = upstream.getresponse()
            said = Answered(response.status, dict(response.getheaders()), response.read())
        finally:
            upstream.close()
        if asked.method == "HEAD":
            said.length = int(said.headers.get("Content-Length", "0"))
        return self.alter(asked, said)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    proxy: FaultyProxy


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        headers = {k: v for k, v in self.headers.items() if k.lower() not in _HOP_BY_HOP}
        answer = self.server.proxy.answer(Asked(self.command, self.path), headers, body)
        self.send_response_only(answer.status)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP:
                self.send_header(name, value)
        length = len(answer.body) if answer.length is None else answer.length
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
            # A body that is shorter than it claims ends with the connection.
            self.close_connection = len(answer.body) != length

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = _pass_on  # noqa: N815 - the base's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Keep quiet."""
