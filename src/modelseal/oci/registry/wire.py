# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 to the registry itself, on connections that `urllib3` makes.

A model of many small files is some requests a file, and what a general client does for each (pools
by key, URLs parsed anew, headers through the e-mail parser) took three quarters of the CPU time of
such a push. Here a request is one write and a plain answer is one read; whatever is not plain
(chunks, interim answers, lines that end in another way) is left to the standard library's parser,
from its first byte. Bodies are received where they have to be, without a copy.

Source: RFC 9112. One request at a time on a connection, no pipelining; a connection on which
anything was unexpected is not used again.
"""

import contextlib
import http.client
import io
import re
import socket
import struct
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from types import MappingProxyType
from typing import Any, TypeAlias

import urllib3
from urllib3.connection import HTTPConnection
from urllib3.util import wait_for_read

from modelseal.oci.registry.heads import WholeHead
from modelseal.oci.registry.pieces import FileSlice, Piece
from modelseal.oci.registry.received import ended_after, hang_up

_MOST_IDLE = 16
"""Connections that are kept; more may be open, they are closed after use."""

_HEAD = 16 << 10
_SMALL = 64 << 10
"""Bytes of a body up to which it goes out with its head."""

_STATUS = re.compile(rb"HTTP/1\.1 ([2-5][0-9]{2})(?: [^\r\n]*)?")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_LENGTH = re.compile(r"[0-9]{1,19}")
_REQUEST_TEXT = re.compile(r"[ -~\t]*")
_NO_BODY = frozenset({204, 304})
_ONCE = frozenset({"content-length", "location"})

Body: TypeAlias = bytes | Iterable[Piece] | None


Response: TypeAlias = "urllib3.BaseHTTPResponse | WireResponse"
"""An answer with its body still to be read: by way of a proxy or from another host, `urllib3`'s."""


class BrokenError(OSError):
    """The connection ended, or what came over it is no HTTP."""


class WireResponse:
    """An answer whose body is still to be read, as much as our client needs of `urllib3`'s.

    Attributes:
        status: the HTTP status.
        headers: by lower-case name; repeated ones are joined by commas.
        complete: whether all of the body is here already.
    """

    def __init__(
        self, wire: "_Wire", status: int, headers: Mapping[str, str], body: "_Plain | _Other"
    ) -> None:
        """Take over the connection until the body was read."""
        self.status = status
        self.headers = headers
        self._wire: _Wire | None = wire
        self._socket = wire.socket
        self._body = body

    @property
    def complete(self) -> bool:
        """Whether reading needs nothing more from the network."""
        return self._body.complete

    def readinto(self, view: memoryview) -> int:
        """Fill `view` as far as the body goes; 0 at its end.

        Raises:
            OSError: the connection broke off, or nothing came in time.
            http.client.HTTPException: what came is no HTTP.
        """
        return self._body.readinto(view)

    def read(self, amount: int, *, decode_content: bool = False) -> bytes:  # noqa: ARG002 - as urllib3
        """Return the next bytes, at most `amount`; none at the end. Raises as `readinto` does."""
        buffer = bytearray(min(amount, self._body.left(amount)))
        return bytes(buffer[: self.readinto(memoryview(buffer))]) if buffer else b""

    def release_conn(self) -> None:
        """Give the connection back, if the body was read to its end; else close it."""
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.give_back(usable=self._body.complete_and_read and self._body.keeps)

    def close(self) -> None:
        """Do as `release_conn` does."""
        self.release_conn()

    def shutdown(self) -> None:
        """End it for whoever reads there just now."""
        # Not the method of a TLS socket, which would go on without TLS.
        hang_up(self._socket)


class _Plain:
    """A body of a known length."""

    def __init__(self, sock: socket.socket, begun: memoryview, length: int, *, keeps: bool) -> None:
        self._socket = sock
        self._begun = begun[:length]
        self._left = length
        # More than was announced belongs to nothing that we asked for.
        self.keeps = keeps and len(begun) <= length
        self._plain = type(sock) is socket.socket

    @property
    def complete(self) -> bool:
        return self._left <= len(self._begun)

    @property
    def complete_and_read(self) -> bool:
        return self._left == 0

    def left(self, amount: int) -> int:
        return min(amount, self._left)

    def readinto(self, view: memoryview) -> int:
        view = view[: self._left]
        count = 0
        if self._begun:
            count = min(len(view), len(self._begun))
            view[:count] = self._begun[:count]
            self._begun = self._begun[count:]
        while count < len(view):
            got = _receive(self._socket, view[count:], whole=self._plain)
            if not got:
                break
            count += got
        if view and not count:
            raise BrokenError(f"the connection was closed {self._left} bytes before the end")
        self._left -= count
        return count


class _Other:
    """A body as the standard library reads it."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self._response = response
        self.complete = False

    @property
    def complete_and_read(self) -> bool:
        return self._response.isclosed()

    @property
    def keeps(self) -> bool:
        return not self._response.will_close

    def left(self, amount: int) -> int:
        return min(amount, _SMALL)

    def readinto(self, view: memoryview) -> int:
        return self._response.readinto(view)


class Wires:
    """The connections to one origin; safe to use from several threads."""

    def __init__(self, connect: Callable[[], HTTPConnection], netloc: str, slowest: float) -> None:
        """Say how a connection is made; nothing is connected yet.

        Args:
            connect: makes one.
            netloc: what its `Host` is.
            slowest: seconds in which the head of an answer has to come once it began.
        """
        self._connect = connect
        self._netloc = netloc
        self._slowest = slowest
        self._idle: list[_Wire] = []
        self._lock = threading.Lock()
        weakref.finalize(self, _close_all, self._idle)

    def exchange(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Body,
        read_timeout: float,
    ) -> WireResponse:
        """Send a request and return the answer with its body still to be read.

        Args:
            method: the HTTP method.
            path: path and query, printable ASCII.
            headers: all but `Host`; `Content-Length` when there are pieces.
            body: bytes, or pieces.
            read_timeout: seconds for the answer to begin, and between its parts.

        Raises:
            OSError, HTTPException, urllib3.exceptions.HTTPError: there was no answer.
            ContentMismatchError, StorageError: of the pieces.
        """
        if isinstance(body, bytes):
            headers = {"Content-Length": str(len(body)), **headers}
        head = self._head(method, path, headers)
        wire = self._take()
        try:
            return wire.exchange(method, head, body, read_timeout)
        except BaseException:
            wire.close()
            raise

    def close(self) -> None:
        """Close the connections that are not in use."""
        with self._lock:
            idle = self._idle.copy()
            self._idle.clear()
        _close_all(idle)

    def _head(self, method: str, path: str, headers: Mapping[str, str]) -> bytes:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._netloc}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if not all(map(_REQUEST_TEXT.fullmatch, lines)):
            raise BrokenError("a request with characters that no header may have")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")

    def _take(self) -> "_Wire":
        while True:
            with self._lock:
                wire = self._idle.pop() if self._idle else None
            if wire is None:
                wire = _Wire(self._connect(), self._slowest)
            elif not wire.quiet():
                wire.close()
                continue
            wire.keep = self._keep
            return wire

    def _keep(self, wire: "_Wire") -> bool:
        with self._lock:
            if len(self._idle) >= _MOST_IDLE:
                return False
            self._idle.append(wire)
            return True


def _close_all(wires: list["_Wire"]) -> None:
    for wire in wires:
        wire.close()


class _Wire:
    """One connection.

    Who takes it back, it knows only while it is in use: else those that are kept would keep their
    keeper, and nothing would close them when nobody needs it any more.
    """

    keep: Callable[["_Wire"], bool] | None = None

    def __init__(self, connection: HTTPConnection, slowest: float) -> None:
        self._connection = connection
        self._slowest = slowest
        connection.connect()
        self.socket: socket.socket = connection.sock
        self._read_timeout = -1.0
        if type(self.socket) is socket.socket:
            # With time-outs of Python's own each read and write would be two calls.
            _set_timeout(self.socket, socket.SO_SNDTIMEO, self.socket.gettimeout() or 0.0)
            self.socket.settimeout(None)

    def quiet(self) -> bool:
        """Tell whether nothing came while nobody asked: not even an end."""
        return not wait_for_read(self.socket, timeout=0)

    def exchange(self, method: str, head: bytes, body: Body, read_timeout: float) -> WireResponse:
        if read_timeout != self._read_timeout:
            self._read_timeout = read_timeout
            if type(self.socket) is socket.socket:
                _set_timeout(self.socket, socket.SO_RCVTIMEO, read_timeout)
            else:
                self.socket.settimeout(read_timeout)
        # Who answers before it has all may have closed: then the answer says why.
        with contextlib.suppress(BrokenPipeError):
            self._send(head, body)
        return self._answer(method)

    def _send(self, head: bytes, body: Body) -> None:
        if isinstance(body, bytes):
            self.socket.sendall(head + body)
            return
        pieces: Iterator[Piece] = iter(body or ())
        first = next(pieces, b"")
        if len(first) <= _SMALL:
            small = first.read() if isinstance(first, FileSlice) else bytes(first)
            self.socket.sendall(head + small)
        else:
            self.socket.sendall(head)
            pieces = chain((first,), pieces)
        for piece in pieces:
            if isinstance(piece, FileSlice):
                piece.send_to(self.socket)
            elif piece:
                self.socket.sendall(piece)

    def _answer(self, method: str) -> WireResponse:
        """Read the head of the answer, which has to be there some time after it began."""
        buffer = bytearray(_HEAD)
        view = memoryview(buffer)
        seen = _receive(self.socket, view)
        until = time.monotonic() + self._slowest
        while (end := buffer.find(b"\r\n\r\n", 0, seen)) < 0:
            if not seen:
                raise BrokenError("the connection was closed")
            if b"\n\n" in view[:seen].tobytes() or seen == len(buffer):
                break
            if time.monotonic() > until:
                raise TimeoutError("the head of the answer came too slowly")
            got = _receive(self.socket, view[seen:])
            if not got:
                raise BrokenError("the connection was closed")
            seen += got
        plain = _plain_head(buffer[:end], method) if end >= 0 else None
        if plain is None:
            return self._other_answer(method, bytes(view[:seen]))
        status, headers, length = plain
        keeps = headers.get("connection", "").lower() != "close"
        body = _Plain(self.socket, view[end + 4 : seen], length, keeps=keeps)
        return WireResponse(self, status, headers, body)

    def _other_answer(self, method: str, begun: bytes) -> WireResponse:
        replayed: Any = _Replayed(self.socket, begun)
        response = WholeHead(replayed, method=method)
        with ended_after(self._slowest, lambda: hang_up(self.socket)):
            response.begin()
        joined: dict[str, str] = {}
        for name, value in response.getheaders():
            key = name.lower()
            joined[key] = f"{joined[key]}, {value}" if key in joined else value
        return WireResponse(self, response.status, MappingProxyType(joined), _Other(response))

    def give_back(self, *, usable: bool) -> None:
        keep, self.keep = self.keep, None
        if not (usable and keep is not None and keep(self)):
            self.close()

    def close(self) -> None:
        self._connection.close()


def _plain_head(raw: bytearray, method: str) -> tuple[int, dict[str, str], int] | None:
    """Read the head of an answer with a length; None when it is anything else."""
    first, *lines = bytes(raw).split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        return None
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, text = line.decode("latin-1").partition(":")
        key, value = name.lower(), text.strip(" \t")
        if not colon or not _NAME.fullmatch(name) or "\n" in value or "\r" in value:
            return None
        if key in headers:
            if key in _ONCE:
                return None
            value = f"{headers[key]}, {value}"
        headers[key] = value
    code = int(status[1])
    if "transfer-encoding" in headers:
        return None
    if method == "HEAD" or code in _NO_BODY:
        return code, headers, 0
    length = headers.get("content-length", "")
    return (code, headers, int(length)) if _LENGTH.fullmatch(length) else None


class _Replayed:
    """A socket of which a part was read already, for `http.client`."""

    def __init__(self, sock: socket.socket, begun: bytes) -> None:
        self._socket = sock
        self._begun = begun

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_ReplayedStream(self._socket, self._begun))


class _ReplayedStream(io.RawIOBase):
    def __init__(self, sock: socket.socket, begun: bytes) -> None:
        self._socket = sock
        self._begun = memoryview(begun)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:  # noqa: ANN401 - a buffer
        view = memoryview(buffer).cast("B")
        if not self._begun:
            return _receive(self._socket, view)
        count = min(len(view), len(self._begun))
        view[:count] = self._begun[:count]
        self._begun = self._begun[count:]
        return count


def _receive(sock: socket.socket, view: memoryview, *, whole: bool = False) -> int:
    """Receive into `view`: what there is, or as much as fits. Raises OSError, `TimeoutError`."""
    try:
        return sock.recv_into(view, 0, socket.MSG_WAITALL) if whole else sock.recv_into(view)
    except BlockingIOError as error:  # what the kernel says when the time is over
        raise TimeoutError("nothing came") from error


def _set_timeout(sock: socket.socket, option: int, seconds: float) -> None:
    """Let the kernel end what takes too long. Source: socket(7), `struct timeval`."""
    value = struct.pack("@ll", int(seconds), int(seconds % 1 * 1e6))
    sock.setsockopt(socket.SOL_SOCKET, option, value)
