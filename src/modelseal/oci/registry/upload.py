# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Uploading one blob: one session, one streaming PUT, in constant memory.

Source: distribution-spec v1.1, "Pushing a blob monolithically", "POST then PUT". Sending a
whole blob in one request is what every registry takes; GHCR and the cloud registries take
nothing else for large ones.
"""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import BinaryIO
from urllib.parse import quote

from modelseal.errors import (
    ContentMismatchError,
    Error,
    NotFoundError,
    StorageError,
    UnavailableError,
)
from modelseal.oci.content import CHUNK, Content, verifying
from modelseal.oci.descriptor import OCTET_STREAM, Descriptor
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
) -> None:
    """Upload content that is what `expected` says; each attempt opens it anew.

    Args:
        client: speaks to the registry.
        options: when to try again, and how long to wait.
        expected: what the content has to be.
        content: opened once an attempt.
        is_there: asks the registry; an answer may be lost after the blob was stored.

    Raises:
        ContentMismatchError: it is not; the last bytes were not sent, so nothing is kept.
        NotFoundError: there is no such repository.
        UnavailableError, AccessDeniedError, StorageError.
    """
    attempts = itertools.count()

    def attempt() -> None:
        if next(attempts) == 0 or not is_there():
            _attempt(client, options, expected, content)

    retrying(options.retry, attempt)


def _attempt(
    client: Client, options: RegistryOptions, expected: Descriptor, content: Content
) -> None:
    what = f"the upload of {expected.name}"
    session = _start(client, what)
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
        _cancel(client, session, what)
        raise
    if answer.status in _SESSION_LOST:
        raise TransientError(UnavailableError(f"{client.registry} lost {what} ({answer.status})"))
    expect(answer, _STORED, what, client.registry)
    if answer.digest not in {None, expected.digest}:
        raise ContentMismatchError(
            f"{client.registry} stored {expected.name} under {answer.digest}, "
            f"not {expected.digest}",
            hint="the network or a proxy changed it on its way; push again",
        )


def _start(client: Client, what: str) -> Target:
    answer = client.once(
        Request(
            method="POST",
            target="blobs/uploads/",
            what=what,
            actions=PUSH,
            headers={"Content-Length": "0"},
        )
    )
    try:
        expect(answer, {202}, what, client.registry)
    except NotFoundError as error:
        raise NotFoundError(
            str(error), hint="make the repository first: not every registry does so on a push"
        ) from error
    location = answer.headers.get("location", "")
    return client.check_given(answer.target, location, f"the location of {what}")


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


def _cancel(client: Client, session: Target, what: str) -> None:
    """Tell the registry that nothing more comes; it throws away what it has, sooner or later."""
    with contextlib.suppress(Error, TransientError):
        client.once(Request(method="DELETE", target=session, what=what, actions=PUSH))
