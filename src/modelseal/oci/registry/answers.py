# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a registry answered, and what that means as one of our errors."""

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus

from modelseal.errors import (
    AccessDeniedError,
    ConflictError,
    Error,
    InvalidReferenceError,
    LimitExceededError,
    NotFoundError,
    UnavailableError,
)
from modelseal.oci.descriptor import Digest
from modelseal.oci.registry.hosts import Target

MAX_ANSWER = 4 << 20
"""Most bytes of a JSON answer that are read."""

MAX_REFUSAL = 64 << 10
"""Most bytes of an answer that says no that are read."""

_MAX_QUOTES = 3
_MAX_QUOTE = 200
_NOT_TRANSIENT = frozenset({HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED})


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `headers` are by lower-case name; repeated ones are joined by commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    target: Target
    elsewhere: str = ""
    """The host that answered, if it was not the registry itself."""

    @property
    def media_type(self) -> str:
        """The media type, without `; charset=` and the like."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def length(self) -> int | None:
        """What `Content-Length` says, if it says a number."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None  # noqa: PLR2004 - no number of bytes is longer

    @property
    def digest(self) -> Digest | None:
        """What `Docker-Content-Digest` claims: compared, never believed."""
        try:
            return Digest.parse(self.headers.get("docker-content-digest", ""))
        except InvalidReferenceError:
            return None


def is_transient(status: int) -> bool:
    """Tell whether the same request may get another answer later."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return True
    return status >= HTTPStatus.INTERNAL_SERVER_ERROR and status not in _NOT_TRANSIENT


def expect(answer: Answer, statuses: Collection[int], what: str, registry: str) -> Answer:
    """Return the answer if its status is one of `statuses`, else raise what it means."""
    if answer.status in statuses:
        return answer
    raise refusal(answer, what, registry)


def refusal(  # noqa: PLR0911 - one return a status, to be read as a table
    answer: Answer, what: str, registry: str
) -> Error:
    """Return the error for an answer that is not what was asked for.

    Args:
        answer: the answer; what its body says is quoted, bounded and printable.
        what: names what was asked for: `the manifest v1 of ghcr.io/acme/fraud`.
        registry: names who answered.
    """
    status = answer.status
    said = quote(answer.body)
    because = f": {said}" if said else ""
    login = f"`docker login {registry}`"
    if answer.elsewhere:
        registry = f"{answer.elsewhere} (where {registry} keeps it)"
    if status == HTTPStatus.UNAUTHORIZED:
        return AccessDeniedError(
            f"{registry} does not let us have {what} (401){because}",
            hint=f"log in with {login}, as somebody who may",
            code="unauthorized",
        )
    if status == HTTPStatus.FORBIDDEN:
        return AccessDeniedError(
            f"{registry} forbids {what} (403){because}",
            hint="ask for the right to read (or, to publish, to write) the repository, or log in "
            f"with {login} as somebody who has it",
            code="forbidden",
        )
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
        return NotFoundError(
            f"{registry} does not have {what}{because}",
            hint="check the name (`modelseal list REPOSITORY` shows the tags); a registry may also "
            "say so to those who may not read",
        )
    if status in {HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED}:
        return ConflictError(f"{registry} refuses {what} ({status}){because}")
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return LimitExceededError(
            f"{registry} says that {what} is too large (413){because}",
            hint="split the file into smaller shards, or raise the limit of the registry or proxy",
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return UnavailableError(
            f"{registry} takes no more requests for now (429){because}",
            hint="try again later; logging in often raises the limit",
            code="rate-limited",
        )
    return UnavailableError(f"{registry} answered {status} to {what}{because}")


def quote(body: bytes) -> str:
    """Return what an error body says (distribution-spec, "Error Codes"), fit for a terminal."""
    try:
        value = json.loads(body)
        errors = value.get("errors") if isinstance(value, dict) else None
    except (ValueError, RecursionError):
        errors = None
    if not isinstance(errors, list):
        return ""
    quotes = []
    for item in errors[:_MAX_QUOTES]:
        if isinstance(item, dict):
            words = [item.get("code"), item.get("message")]
            quotes.append(printable(" ".join(word for word in words if isinstance(word, str))))
    return "; ".join(filter(None, quotes))


def printable(text: str) -> str:
    """Return text without control and direction characters, cut to a line's length."""
    clean = "".join(c if c.isprintable() else " " for c in text[: _MAX_QUOTE * 4])
    clean = " ".join(clean.split())
    return clean if len(clean) <= _MAX_QUOTE else clean[:_MAX_QUOTE] + "…"
