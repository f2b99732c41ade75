# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Uploading one blob: one session, one streaming PUT, in constant memory.

Source: distribution-spec v1.1, "Pushing a blob monolithically", "POST then PUT". Sending a
whole blob in one request is what every registry takes; GHCR and the cloud registries take
nothing else for large ones.
"""

import itertools
from collections.abc import Callable, Iterator
from typing import BinaryIO
from urllib.parse import quote

from modelseal.errors import ContentMismatchError, StorageError, UnavailableError
from modelseal.oci.content import CHUNK, Content, verifying
from modelseal.oci.descriptor import OCTET_STREAM, Descriptor
from modelseal.oci.registry import sessions
from modelseal.oci.registry.answers import expect
from modelseal.oci.registry.client import PUSH, Client, Request
from modelseal.oci.registry.hosts import Target
from modelseal.oci.registry.options import RegistryOptions
from modelseal.oci.registry.retry import TransientError, retrying

_STORED = frozenset({200, 201, 204})
_SESSION_LOST = frozenset({404, 410, 416})


def upload_blob(
    client: Client,
    options: RegistryOptions,
    expected: Descriptor,
    content: Content,
    *,
    is_there: Callable[[], bool],
    session: Target | None = None,
) -> None:
    """Upload content that is what `expected` says; each attempt opens it anew.

    Args:
        client: speaks to the registry.
        options: when to try again, and how long to wait.
        expected: what the content has to be.
        content: opened once an attempt.
        is_there: asks the registry; an answer may be lost after the blob was stored.
        session: one that the registry has started, for the first attempt.

    Raises:
        ContentMismatchError: it is not; the last bytes were not sent, so nothing is kept.
        NotFoundError: there is no such repository.
        UnavailableError, AccessDeniedError, StorageError.
    """
    attempts = itertools.count()

    def attempt() -> None:
        first = next(attempts) == 0
        if first or not is_there():
            _attempt(client, options, expected, content, session if first else None)

    retrying(options.retry, attempt)


def _attempt(
    client: Client,
    options: RegistryOptions,
    expected: Descriptor,
    content: Content,
    session: Target | None,
) -> None:
    what = f"the upload of {expected.name}"
    session = session or sessions.start(client, what)
    joint = "&" if "?" in session.path else "?"
    digest = f"{joint}digest={quote(str(expected.digest), safe='')}"
    request = Request(
        method="PUT",
        target=Target(session.origin, session.path + digest),
        what=what,
        actions=PUSH,
        headers={"Content-Type": OCTET_STREAM, "Content-Length": str(expected.size)},
        body=lambda: _chunks(expected, content),
        read_timeout=options.commit_timeout,
    )
    try:
        answer = client.once(request)
    except (ContentMismatchError, StorageError):
        sessions.cancel(client, session, what)
        raise
    if answer.status in _SESSION_LOST:
        raise TransientError(UnavailableError(f"{client.registry} lost {what} ({answer.status})"))
    expect(answer, _STORED, what, client.registry)
    sessions.check_stored(client, answer, expected)


def _chunks(expected: Descriptor, content: Content) -> Iterator[bytes]:
    """Yield the content; raise before the last chunk if it is not what it has to be."""
    with verifying(content.open(), expected) as stream:
        while chunk := _read(stream, expected):
            yield chunk


def _read(stream: BinaryIO, expected: Descriptor) -> bytes:
    try:
        return stream.read(CHUNK)
    except OSError as error:
        raise StorageError(f"cannot read {expected.name}: {error.strerror}") from error
