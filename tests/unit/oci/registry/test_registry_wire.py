# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 by hand: plain answers are read at once, others by the standard library."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPException

import pytest
from urllib3.connection import HTTPConnection
from urllib3.util import wait_for_read

from modelseal.oci.registry.wire import BrokenError, WireResponse, Wires

PLAIN = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-One: a\r\nx-one:  b \r\n\r\nhello"


class Script:
    """A server that answers each request with the next of some bytes; None hangs up."""

    def __init__(self, answers: list[bytes | None]) -> None:
        self.answers = answers
        self.connections = 0
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
            except OSError:
                return
            self.connections += 1
            with client, client.makefile("rb") as stream:
                while self._answer(client, stream):  # type: ignore[arg-type]  # a BufferedReader
                    pass

    def _answer(self, client: socket.socket, stream: "socket.SocketIO") -> bool:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return False
            head += line
        length = next(
            (int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"Content-Length:")),
            0,
        )
        self.heads.append(head)
        self.bodies.append(stream.read(length) or b"")
        answer = self.answers.pop(0)
        if answer is None:
            return False
        client.sendall(answer)
        return bool(self.answers)


@contextlib.contextmanager
def talk(*answers: bytes | None) -> Iterator[tuple[Wires, Script]]:
    script = Script(list(answers))
    wires = Wires(lambda: HTTPConnection("127.0.0.1", script.port, timeout=5), "registry.test", 5)
    try:
        yield wires, script
    finally:
        wires.close()
        script.close()


def ask(wires: Wires, method: str = "GET", *, body: bytes | None = None) -> WireResponse:
    return wires.exchange(method, "/v2/", {"Accept": "*/*"}, body, 5)


def whole(response: WireResponse) -> bytes:
    data = b""
    while chunk := response.read(1 << 16):
        data += chunk
    response.release_conn()
    return data


def test_a_plain_answer_is_read_and_its_connection_used_again() -> None:
    with talk(PLAIN, PLAIN) as (wires, script):
        for _ in range(2):
            response = ask(wires)
            assert (response.status, response.headers["x-one"]) == (200, "a, b")
            assert response.complete
            assert whole(response) == b"hello"
        assert script.connections == 1
        assert b"Host: registry.test\r\n" in script.heads[0]


def test_a_small_body_goes_with_its_head_and_its_length() -> None:
    with talk(PLAIN) as (wires, script):
        whole(ask(wires, "POST", body=b"a=b"))
        assert script.bodies == [b"a=b"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" + PLAIN,
        b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Long: a\r\n b\r\n\r\nhello",
    ],
    ids=["chunks", "an interim answer", "bare line feeds", "a folded header"],
)
def test_what_is_not_plain_is_read_by_the_standard_library(answer: bytes) -> None:
    with talk(answer) as (wires, _):
        response = ask(wires)
        assert (response.status, whole(response)) == (200, b"hello")


def test_a_body_without_a_length_ends_with_its_connection() -> None:
    with talk(b"HTTP/1.1 200 OK\r\n\r\nhello") as (wires, _):
        assert whole(ask(wires)) == b"hello"


def test_an_answer_to_head_has_no_body() -> None:
    with talk(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", PLAIN) as (wires, script):
        assert whole(ask(wires, "HEAD")) == b""
        assert whole(ask(wires)) == b"hello"
        assert script.connections == 1


@pytest.mark.parametrize(
    "answer",
    [
        PLAIN + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        PLAIN.replace(b"X-One: a", b"Connection: close"),
    ],
    ids=["more than was asked for", "close"],
)
def test_such_a_connection_is_not_used_again(answer: bytes) -> None:
    with talk(answer, PLAIN) as (wires, _):
        assert whole(ask(wires)) == b"hello"
        # A second answer, smuggled in behind the first, must not become that to the next request.
        assert not wires._idle


def test_a_connection_that_was_closed_meanwhile_is_not_used_again() -> None:
    with talk(PLAIN) as (wires, script):  # the server hangs up after its last answer
        whole(ask(wires))
        wait_for_read(wires._idle[0].socket, timeout=5)
        script.answers = [PLAIN]
        assert whole(ask(wires)) == b"hello"
        assert script.connections == 2


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"HTTP/1.1 200 OK\r\nConte",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"a" * (1 << 17) + b"\r\n\r\n",
    ],
    ids=["nothing", "half a head", "no HTTP", "an endless header"],
)
def test_what_is_no_answer_is_an_error(answer: bytes | None) -> None:
    with talk(answer) as (wires, _), pytest.raises((OSError, HTTPException)):
        ask(wires)


def test_a_body_that_is_cut_short_is_an_error_and_not_an_end() -> None:
    with talk(PLAIN[:-2]) as (wires, _):
        response = ask(wires)
        assert response.read(5) == b"hel"
        with pytest.raises(BrokenError):
            response.read(5)


@pytest.mark.parametrize("value", ["a\r\nX-Evil: b", "a\nb", "\x00", "ä"])
def test_a_header_adds_no_line(value: str) -> None:
    with talk(PLAIN) as (wires, script):
        with pytest.raises(BrokenError):
            wires.exchange("GET", "/v2/", {"Accept": value}, None, 5)
        assert not script.heads


def test_who_says_nothing_is_not_waited_for_for_ever() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        wires = Wires(lambda: HTTPConnection("127.0.0.1", port, timeout=5), "registry.test", 5)
        with pytest.raises(TimeoutError):
            wires.exchange("GET", "/v2/", {}, None, 0.05)
