# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Upload sessions: where a registry wants a blob to be sent.

Source: distribution-spec v1.1, "Pushing a blob monolithically", "Mounting a blob from another
repository" and "Cancel a blob upload". A session's URL is a stranger's text: it goes through
`Client.check_given` before anything is sent there.
"""

import contextlib
from urllib.parse import urlencode

from modelseal.errors import AccessDeniedError, ContentMismatchError, Error, NotFoundError
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.registry.answers import Answer, expect
from modelseal.oci.registry.client import PUSH, Client, Request
from modelseal.oci.registry.hosts import Target
from modelseal.oci.registry.retry import TransientError

_LONGEST_NUMBER = 12
_LARGEST_LEAST = 1 << 30
_CREATED = 201
_ACCEPTED = 202


def start(client: Client, what: str) -> tuple[Target, int]:
    """Start a session; return its URL, and the fewest bytes that a part may have.

    Raises:
        TransientError, Error: as `expect` does.
    """
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
        expect(answer, {_ACCEPTED}, what, client.registry)
    except NotFoundError as error:
        raise NotFoundError(
            str(error), hint="make the repository first: not every registry does so on a push"
        ) from error
    return location_of(client, answer, what), _least(answer)


def mount(client: Client, blob: Descriptor, source: str) -> tuple[bool, Target | None]:
    """Make a blob of another repository of this registry one of ours, without its bytes.

    Args:
        client: speaks to the registry, for the repository that the blob goes to.
        blob: what is mounted.
        source: the name of the repository that has it.

    Returns:
        Whether it is ours now; if not, the session that the registry has started in its place,
        if any. A registry that knows no mounting, or does not let us, is no failure.

    Raises:
        UnavailableError, ContentMismatchError.
    """
    what = f"the mount of {blob.name} from {source}"
    query = urlencode({"mount": str(blob.digest), "from": client.full_name(source)})
    try:
        answer = client.call(
            Request(
                method="POST",
                target=f"blobs/uploads/?{query}",
                what=what,
                actions=PUSH,
                also_pull=source,
                headers={"Content-Length": "0"},
            )
        )
    except AccessDeniedError:  # no token that may read the source
        return False, None
    if answer.status == _ACCEPTED:
        return False, location_of(client, answer, what)
    if answer.status == _CREATED:
        check_stored(client, answer, blob)
    return answer.status == _CREATED, None


def check_stored(client: Client, answer: Answer, blob: Descriptor) -> None:
    """Compare what the registry says it stored with what it had to. Raises the difference."""
    if answer.digest not in {None, blob.digest}:
        raise ContentMismatchError(
            f"{client.registry} stored {blob.name} under {answer.digest}, not {blob.digest}",
            hint="the network or a proxy changed it on its way; push again",
        )


def cancel(client: Client, session: Target, what: str) -> None:
    """Tell the registry that nothing more comes; it throws away what it has, sooner or later."""
    with contextlib.suppress(Error, TransientError):
        client.once(Request(method="DELETE", target=session, what=what, actions=PUSH))


def _least(answer: Answer) -> int:
    """Return what `OCI-Chunk-Min-Length` says; 0 when that is nothing, or no use."""
    text = answer.headers.get("oci-chunk-min-length", "")
    known = text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER
    return min(int(text), _LARGEST_LEAST) if known else 0


def location_of(client: Client, answer: Answer, what: str) -> Target:
    """Return where an answer says the session goes on, if it may be followed."""
    location = answer.headers.get("location", "")
    return client.check_given(answer.target, location, f"the location of {what}")
