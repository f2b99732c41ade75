# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Uploading one blob: a session and a streaming PUT, in constant memory, from where it broke off.

Source: distribution-spec v1.1, "Pushing a blob monolithically", "POST then PUT", and "Pushing a
blob in chunks" for the status of a session. A whole blob in one request is what every registry
takes; GHCR and the cloud registries take nothing else for large ones. When it breaks off, a
registry that keeps sessions says how much it has, and the rest is sent, by this process or
(`modelseal.oci.registry.uploads`) the next. When it is too large for a proxy on the way (413), it
goes in parts, smaller ones until they pass.
"""

import itertools
import re
import time
from collections.abc import Callable
from http import HTTPStatus
from urllib.parse import quote

from modelseal.errors import (
    ContentMismatchError,
    LimitExceededError,
    StorageError,
    UnavailableError,
)
from modelseal.oci.content import Content
from modelseal.oci.descriptor import OCTET_STREAM, Descriptor
from modelseal.oci.registry import sessions
from modelseal.oci.registry.answers import Answer, expect, refusal
from modelseal.oci.registry.client import PUSH, Client, Request
from modelseal.oci.registry.hosts import Target
from modelseal.oci.registry.limits import ANY, BodyLimit, out_of_time
from modelseal.oci.registry.options import RegistryOptions
from modelseal.oci.registry.pieces import Pieces
from modelseal.oci.registry.retry import TransientError, retrying
from modelseal.oci.registry.uploads import Entry, no_entry

_STORED = frozenset({200, 201, 204})
_PART_TAKEN = frozenset({200, 201, 202, 204})
_SESSION_LOST = frozenset({404, 410, 416})
_NOT_THE_REST = frozenset({400, 405, 409, 411, 412, 422, 501})
"""Answers to the rest of a blob that need not be answers to the whole of it."""

_WORTH_RESUMING = 1 << 20
"""Bytes of a blob from which on it is worth a request to ask how much of it is there."""

_PROGRESS = 8 << 20
"""Bytes that have to be new for a broken attempt to count as one that got somewhere."""


def upload_blob(
    client: Client,
    options: RegistryOptions,
    expected: Descriptor,
    content: Content,
    *,
    is_there: Callable[[], bool],
    session: Target | None = None,
    entry: Entry | None = None,
    bodies: BodyLimit | None = None,
) -> None:
    """Upload content that is what `expected` says; each attempt opens it anew.

    Args:
        client: speaks to the registry.
        options: when to try again, and how long to wait.
        expected: what the content has to be.
        content: opened once an attempt.
        is_there: asks the registry; an answer may be lost after the blob was stored.
        session: one that the registry has started, for the first attempt.
        entry: where the session is noted for the next process.
        bodies: what is known about the registry and the requests that it takes; all uploads to
            it share and teach this one.

    Raises:
        ContentMismatchError: it is not; the last bytes were not sent, so nothing is kept.
        LimitExceededError: it is too large, also in parts.
        NotFoundError: there is no such repository.
        UnavailableError: also when the registry is known to end uploads after some time, and did.
        AccessDeniedError, StorageError.
    """
    bodies = bodies or BodyLimit(ANY)
    if entry is None or not bodies.policy.resumes:
        entry = no_entry()
    upload = _Upload(client, options, expected, content, entry=entry, bodies=bodies)
    upload.begin(session)
    attempts = itertools.count()

    def attempt() -> None:
        if next(attempts) == 0 or not is_there():
            began = time.monotonic()
            try:
                upload.attempt()
            except TransientError as error:
                took = time.monotonic() - began
                late = out_of_time(bodies.policy, client.registry, expected, took)
                if late is None or is_there():
                    raise
                raise late from error
        upload.entry.forget()

    try:
        retrying(options.retry, attempt, progressed=upload.progressed)
    finally:
        upload.pieces.close()


class _Upload:
    """One blob on its way, over as many attempts as it takes."""

    def __init__(
        self,
        client: Client,
        options: RegistryOptions,
        expected: Descriptor,
        content: Content,
        *,
        entry: Entry,
        bodies: BodyLimit,
    ) -> None:
        self.entry = entry
        self._bodies = bodies
        self.pieces = Pieces(expected, content)
        self._client = client
        self._options = options
        self._expected = expected
        self._what = f"the upload of {expected.name}"
        self._session: Target | None = None
        self._fresh = False
        self._asked = 0
        self._least = 0
        self._start = 0
        self._farthest = 0

    def begin(self, session: Target | None) -> None:
        """Take the session that there is: a new one, or one that an earlier process has left."""
        if session is not None:
            self._session, self._fresh = session, True
        else:
            self._session = self.entry.session(self._client)

    def progressed(self) -> bool:
        """Tell whether the registry has notably more than at any failure before."""
        if self._start < self._farthest + _PROGRESS:
            return False
        self._farthest = self._start
        return True

    def attempt(self) -> None:
        """Send what the registry lacks. Raises `TransientError` when it may be tried again."""
        self._start = self._resume()
        if self._session is None:
            self._session, self._least = sessions.start(self._client, self._what)
            self._note()
        self._fresh = False
        try:
            answer = self._send()
        except (ContentMismatchError, StorageError, LimitExceededError):
            self._drop()
            raise
        if answer.status in _SESSION_LOST or (self._start and answer.status in _NOT_THE_REST):
            # What was sent to a session before need not have been right: then all goes again.
            self._drop(cancel=answer.status not in _SESSION_LOST)
            raise TransientError(
                UnavailableError(f"{self._client.registry} lost {self._what} ({answer.status})")
            )
        expect(answer, _STORED, self._what, self._client.registry)
        sessions.check_stored(self._client, answer, self._expected)

    def _resume(self) -> int:
        """Return how many bytes the session has; without one that can go on, there is none."""
        if self._session is None or self._fresh:
            return 0
        if self._expected.size < _WORTH_RESUMING or not self._bodies.policy.resumes:
            self._drop()
            return 0
        self._asked += 1
        answer = self._ask(self._session)
        held = _held(answer) if answer is not None else 0
        if answer is None or not 0 < held <= self._expected.size:
            self._drop(cancel=answer is None or answer.status not in _SESSION_LOST)
            return 0
        self._asked = 0
        if answer.headers.get("location"):
            self._session = sessions.location_of(self._client, answer, self._what)
        return held

    def _ask(self, session: Target) -> Answer | None:
        try:
            return self._client.once(
                Request(method="GET", target=session, what=self._what, actions=PUSH)
            )
        except TransientError:
            if self._asked > 1:
                return None  # twice no answer about it: a new one may do
            raise

    def _send(self) -> Answer:
        """Send what is left, in one request if it may be so large; return the last answer."""
        size = self._expected.size
        while True:
            assert self._session is not None
            most = self._bodies.most
            if most is None or self._start == size:
                body = size - self._start
                answer = self._put(self._session, self._start)
            else:
                body = min(max(most, self._least), size - self._start)
                answer = self._patch(self._session, self._start, self._start + body)
            if answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
                self._smaller(answer, body)
            elif most is None or self._start == size or answer.status not in _PART_TAKEN:
                return answer
            else:
                self._go_on(answer, self._start + body)

    def _smaller(self, answer: Answer, body: int) -> None:
        """Send less at once from now on. Raises `LimitExceededError`, also when that is no help."""
        if body <= self._least or not self._bodies.refused(body):
            raise refusal(answer, self._what, self._client.registry)
        if self._start:
            return
        # Whoever refused may have told the registry, or not: a fresh session is in a known state.
        assert self._session is not None
        sessions.cancel(self._client, self._session, self._what)
        self._session, self._least = sessions.start(self._client, self._what)
        self._note()

    def _go_on(self, answer: Answer, end: int) -> None:
        """Note where the session goes on after a part. Raises `TransientError` when it is lost."""
        held = _held(answer) or end
        if not self._start < held <= end:
            self._drop()
            raise TransientError(
                UnavailableError(f"{self._client.registry} lost a part of {self._what}")
            )
        self._start = held
        self._session = sessions.location_of(self._client, answer, self._what)
        self._note()

    def _patch(self, session: Target, start: int, end: int) -> Answer:
        return self._client.once(
            Request(
                method="PATCH",
                target=session,
                what=self._what,
                actions=PUSH,
                headers={
                    "Content-Type": OCTET_STREAM,
                    "Content-Length": str(end - start),
                    "Content-Range": f"{start}-{end - 1}",
                },
                body=lambda: self.pieces.take(start, end),
                read_timeout=self._options.commit_timeout,
            )
        )

    def _note(self) -> None:
        """Note the session for the next process, unless it is a URL of some other host."""
        if self._session is not None and self._session.origin == self._client.origin:
            self.entry.record(self._session)

    def _put(self, session: Target, start: int) -> Answer:
        size = self._expected.size
        joint = "&" if "?" in session.path else "?"
        digest = f"{joint}digest={quote(str(self._expected.digest), safe='')}"
        headers = {"Content-Type": OCTET_STREAM, "Content-Length": str(size - start)}
        if 0 < start < size:
            headers["Content-Range"] = f"{start}-{size - 1}"
        return self._client.once(
            Request(
                method="PUT",
                target=Target(session.origin, session.path + digest),
                what=self._what,
                actions=PUSH,
                headers=headers,
                body=lambda: self.pieces.take(start, size),
                read_timeout=self._options.commit_timeout,
            )
        )

    def _drop(self, *, cancel: bool = True) -> None:
        session, self._session, self._start = self._session, None, 0
        self.entry.forget()
        if session is not None and cancel:
            sessions.cancel(self._client, session, self._what)


def _held(answer: Answer) -> int:
    """Return how many bytes a session has, from its status; 0 when that is not said.

    `0-0` is one byte by the specification, and none in the answers of several registries.
    """
    if answer.status not in {HTTPStatus.OK, HTTPStatus.ACCEPTED, HTTPStatus.NO_CONTENT}:
        return 0
    match = re.fullmatch(r"(?:bytes=)?0-([0-9]{1,18})", answer.headers.get("range", ""))
    last = int(match[1]) if match else 0
    return last + 1 if last else 0
