# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""HTTP on loopback whose answers can be spoilt: the lower half of `fake_registry`."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_CHUNK = 1 << 16
_PACE = 0.01


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request as it came; header names in lower case."""

    method: str
    path: str
    headers: Mapping[str, str]
    body_size: int
    """Bytes of the body that came: fewer than were announced when the connection was cut."""

    @property
    def authorization(self) -> str:
        """What was sent as `Authorization`, or nothing."""
        return self.headers.get("authorization", "")


@dataclass(slots=True, kw_only=True)
class Answer:
    """What is about to be sent; a hook or a fault may change it."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    drop: bool = False
    """Close the connection instead."""
    cut_after: int | None = None
    """Close the connection after so many bytes of the body."""
    rate: int = 0
    """Send so many bytes of the body a second; 0 for all at once."""
    drip: float = 0.0
    """Seconds between the bytes of a head that never ends; 0 for an honest head."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """Something that goes wrong: for which requests, how often, and how.

    Attributes:
        method: one method, or empty for all.
        path: a regular expression that is looked for in path and query.
        times: how often; then all is well.
        skip: so many matching requests are served well first.
        status: answer with this instead of serving the request; 0 to serve it.
        headers: added to the answer, in place of its own; `None` takes a header out.
        body: the body in place of the answer's own.
        drop: close the connection without an answer; the request has been served before.
        cut_after: close the connection after so many bytes of the body.
        corrupt: change one byte of the body.
        delay: wait so many seconds before the answer.
        rate: send so many bytes of the body a second.
        drip: send a head that never ends: a byte, and this many seconds.
        cut_request: take so many bytes of the request's body, serve those, and hang up.
        intake: take so many bytes of the request's body a second.
    """

    method: str = ""
    path: str = ""
    times: int = 1_000_000
    skip: int = 0
    status: int = 0
    headers: Mapping[str, str | None] = field(default_factory=dict)
    body: bytes | None = None
    drop: bool = False
    cut_after: int | None = None
    corrupt: bool = False
    delay: float = 0.0
    rate: int = 0
    drip: float = 0.0
    cut_request: int | None = None
    intake: int = 0

    @property
    def early(self) -> bool:
        """Whether it concerns the body of the request, and not the answer."""
        return self.cut_request is not None or self.intake > 0

    def matches(self, request: Recorded) -> bool:
        """Tell whether it is this request's turn; that counts it."""
        if self.method not in {"", request.method} or not re.search(self.path, request.path):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if not self.times:
            return False
        self.times -= 1
        return True

    def apply(self, answer: Answer) -> None:
        """Spoil an answer."""
        for name, value in self.headers.items():
            answer.headers.pop(name, None)
            if value is not None:
                answer.headers[name] = value
        if self.body is not None:
            answer.body = self.body
        if self.corrupt and answer.body:
            middle = len(answer.body) // 2
            changed = bytes([answer.body[middle] ^ 1])
            answer.body = answer.body[:middle] + changed + answer.body[middle + 1 :]
        answer.drop = answer.drop or self.drop
        if self.cut_after is not None:
            answer.cut_after = self.cut_after
        answer.rate = self.rate or answer.rate
        answer.drip = self.drip or answer.drip


@dataclass(frozen=True, slots=True, kw_only=True)
class Intake:
    """How a request's body is taken: at most so many bytes in all, and so many a second."""

    most: int | None = None
    rate: int = 0


class Server(ThreadingHTTPServer):
    """A thread a connection."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        served: Callable[[Recorded, bytes], Answer],
        early: Callable[[Recorded], Answer | Intake] = lambda _: Intake(),
    ) -> None:
        """Listen on a free loopback port.

        Args:
            served: answers a request with a body.
            early: sees a request before its body: answers it at once, or says how the body is
                taken; one that is not taken to its end is cut there.
        """
        super().__init__(("127.0.0.1", 0), _Handler)
        self.served = served
        self.early = early
        self.taken = 0
        self.busy = 0
        self.on_tick: Callable[[], None] = lambda: None
        self._lock = threading.Lock()

    def tick(self) -> None:
        """Say that a request came, or a piece of a body moved; one at a time."""
        with self._lock:
            self.on_tick()

    def count(self, more: int) -> None:
        """Note how many requests are being served."""
        with self._lock:
            self.busy += more

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that go away are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    """Reads requests whole, and sends answers as spoilt as they are."""

    protocol_version = "HTTP/1.1"
    server: Server
    timeout = 30

    def setup(self) -> None:
        super().setup()
        # Headers and body go out in two writes; without this the second waits for 40 ms.
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.count(1)
        try:
            self._serve(headers)
        finally:
            self.server.count(-1)

    def _serve(self, headers: Mapping[str, str]) -> None:
        self.server.tick()
        length = int(headers.get("content-length", "0"))
        early = self.server.early(Recorded(self.command, self.path, headers, 0))
        if isinstance(early, Answer):
            early.headers["Connection"] = "close"
            self._send(early)
            self._linger(length)
            return
        body = self._body(length if early.most is None else min(early.most, length), early.rate)
        request = Recorded(self.command, self.path, headers, len(body))
        answer = self.server.served(request, body)
        if len(body) < length:  # whoever sent it is gone, or is to believe that we are
            self.close_connection = True
            return
        self._send(answer)

    def _linger(self, length: int) -> None:
        """Throw away what still comes, for a while, so that the answer is not lost; as nginx."""
        self.close_connection = True
        self.wfile.flush()
        self.connection.settimeout(0.5)
        with contextlib.suppress(OSError):
            while length > 0 and (chunk := self.rfile.read1(_CHUNK)):
                length -= len(chunk)

    def _body(self, length: int, rate: int) -> bytes:
        """Read the body, or what comes of it before the client goes away."""
        body = bytearray()
        begun = time.monotonic()
        while len(body) < length:
            chunk = self.rfile.read(min(_CHUNK, length - len(body)))
            if not chunk:
                break
            body += chunk
            self.server.taken += len(chunk)
            self.server.tick()
            if rate:
                time.sleep(max(0.0, begun + len(body) / rate - time.monotonic()))
        return bytes(body)

    def _send(self, answer: Answer) -> None:
        if answer.drop:
            self.close_connection = True
            return
        if answer.drip:
            self._drip_head(answer.drip)
            return
        self.send_response(answer.status)
        lower = {name.lower() for name in answer.headers}
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if "content-length" not in lower and "transfer-encoding" not in lower:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self._send_body(answer)
        if answer.cut_after is not None:
            self.close_connection = True

    def _drip_head(self, pause: float) -> None:
        """Send the head a byte at a time, without an end, until the client has had enough."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Drip: ")
            for _ in range(10_000):
                self.wfile.write(b"x")
                time.sleep(pause)

    def _send_body(self, answer: Answer) -> None:
        body = memoryview(answer.body)[: answer.cut_after]
        if not answer.rate:
            for start in range(0, len(body), _CHUNK):
                self.wfile.write(body[start : start + _CHUNK])
                self.server.tick()
            return
        begun, sent = time.monotonic(), 0
        while sent < len(body):
            due = int((time.monotonic() - begun) * answer.rate) + 1
            if due > sent:
                self.wfile.write(body[sent:due])
                sent = due
            time.sleep(_PACE)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing; `requests` has it all."""
