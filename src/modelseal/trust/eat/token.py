# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""From a token of an attestation service to what it says about one artifact's machine.

Source: RFC 9711 (EAT), 4.1 for the nonce; RFC 7519, 4.1 for issuer and times. What a claim means is
the service's own; here it is compared exactly.
"""

import base64
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, NoReturn

from modelseal.documents import parse_json
from modelseal.errors import ContentError, UsageError, VerificationError
from modelseal.oci.descriptor import Digest
from modelseal.trust.eat.jws import TokenKey, verify_token
from modelseal.trust.environment import Token, nonce_for

MEDIA_TYPE: Final = "application/eat+jwt"
"""RFC 9782: an EAT that is a JWT."""

NONCE_CLAIM: Final = "/eat_nonce"

MAX_CLAIMS: Final = 64
"""Most claims that are compared."""

_END = 253_402_300_800  # the year 10000, which no datetime holds
_LEEWAY = timedelta(seconds=60)
_POINTER = re.compile(r"(?:/(?:[^/~]|~[01])+){1,16}")
_ABSENT = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenPolicy:
    """Which tokens count.

    Attributes:
        keys: of the service that is believed.
        issuer: exactly its `iss`.
        claims: values that claims have to have, by JSON Pointer (RFC 6901).
        nonce_claim: the pointer to the claim that holds the nonce.
        ignored: headers that point at keys and are left unread (`jws.IGNORABLE`).
    """

    keys: tuple[TokenKey, ...]
    issuer: str
    claims: Mapping[str, Any] = field(default_factory=dict, hash=False)
    nonce_claim: str = NONCE_CLAIM
    ignored: frozenset[str] = frozenset()


def parse_pointer(text: str) -> str:
    """Read a claim's name, or a JSON Pointer to it. Raises `UsageError`."""
    pointer = text if text.startswith("/") else f"/{text.replace('~', '~0')}"
    if not _POINTER.fullmatch(pointer):
        raise UsageError(
            f"{text[:100]!r} names no claim", hint="write eat_nonce, or /a/b for b in a"
        )
    return pointer


def parse_claims(texts: Collection[str]) -> dict[str, Any]:
    """Read `NAME=VALUE` and `/POINTER=VALUE`; a value that is JSON is taken as such, else as text.

    Raises:
        UsageError: one is not of this form, stands there twice, or there are too many.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise UsageError(f"{text[:100]!r} is no claim", hint="write dbgstat=disabled")
        pointer = parse_pointer(name)
        if pointer in found or len(found) >= MAX_CLAIMS:
            raise UsageError(f"the claim {name!r} stands there twice, or there are too many")
        try:
            found[pointer] = parse_json(value.encode(), "the value")
        except ContentError:
            found[pointer] = value
    return found


def check_token(raw: bytes, subject: Digest, policy: TokenPolicy, at: datetime) -> Token:
    """Return what a token says, if it counts for `subject` and was valid at a time.

    Raises:
        VerificationError: as `verify_token` does; `other-token-issuer`, `expired-token`,
            `wrong-nonce`, `other-claims`.
    """
    # (1) A pinned key signed it.
    signed = verify_token(raw, policy.keys, policy.ignored)
    claims = signed.claims

    # (2) It is of the service that is believed, and was valid.
    issuer = claims.get("iss")
    if issuer != policy.issuer:
        _refuse("other-token-issuer", f"it is of {str(issuer)[:200]!r}, not of {policy.issuer!r}")
    issued, expires = _times(claims, at)

    # (3) It was made for this artifact.
    nonce = nonce_for(subject)
    if not _spellings(nonce) & _nonces(_at(claims, policy.nonce_claim)):
        _refuse("wrong-nonce", f"it was made for something else than {subject}")

    # (4) It says what has to be said, exactly.
    for pointer, wanted in policy.claims.items():
        said = _at(claims, pointer)
        if said is _ABSENT or not _equal(said, wanted):
            shown = "is not there" if said is _ABSENT else f"is {str(said)[:100]!r}"
            _refuse("other-claims", f"its claim {pointer} {shown}, not {str(wanted)[:100]!r}")
    return Token(
        subject=subject,
        issuer=policy.issuer,
        key=signed.signer,
        algorithm=signed.algorithm,
        nonce=nonce.hex(),
        nonce_claim=policy.nonce_claim,
        claims=MappingProxyType(dict(claims)),
        matched=MappingProxyType(dict(policy.claims)),
        issued=issued,
        expires=expires,
        evidence=Digest.of(raw),
    )


def _times(claims: Mapping[str, Any], at: datetime) -> tuple[datetime | None, datetime]:
    expires, issued, begins = (_time(claims, name) for name in ("exp", "iat", "nbf"))
    if expires is None:
        _refuse("broken-token", "it never expires (exp)")
    if at >= expires:
        _refuse("expired-token", f"it expired at {expires:%F %T} UTC, before {at:%F %T} UTC")
    for begin in (issued, begins):
        if begin is not None and begin > at + _LEEWAY:
            _refuse("expired-token", f"it is valid from {begin:%F %T} UTC, after {at:%F %T} UTC")
    return issued, expires


def _time(claims: Mapping[str, Any], name: str) -> datetime | None:
    """Read a NumericDate (RFC 7519, 2)."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _END:
        _refuse("broken-token", f"{name} is no time")
    return datetime.fromtimestamp(value, UTC)


def _spellings(nonce: bytes) -> set[str]:
    """Return how services write the nonce: hex, base64url, base64."""
    url = base64.urlsafe_b64encode(nonce).decode()
    return {nonce.hex(), url, url.rstrip("="), base64.b64encode(nonce).decode()}


def _nonces(value: object) -> set[str]:
    """Return the nonces of a claim: one, or a list (RFC 9711, 4.1)."""
    items = value if isinstance(value, list) else [value]
    return {item for item in items if isinstance(item, str)}


def _at(claims: object, pointer: str) -> object:
    found = claims
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(found, dict) or name not in found:
            return _ABSENT
        found = found[name]
    return found


def _equal(said: object, wanted: object) -> bool:
    """Compare JSON values; Python takes 1, 1.0 and true for equal."""
    if isinstance(said, dict) and isinstance(wanted, dict):
        same = said.keys() == wanted.keys()
        return same and all(_equal(said[key], wanted[key]) for key in said)
    if isinstance(said, list) and isinstance(wanted, list):
        return len(said) == len(wanted) and all(map(_equal, said, wanted))
    return type(said) is type(wanted) and said == wanted


def _refuse(code: str, why: str) -> NoReturn:
    raise VerificationError(
        f"the token does not count: {why}",
        hint="`modelseal environment nonce REF` says what a token for this model has to hold",
        code=code,
    )
