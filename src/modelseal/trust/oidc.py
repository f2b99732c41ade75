# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Where the identity token comes from that a keyless signature is made with.

What was named explicitly comes first, then the environment, then the machine's own credentials,
then a person at a browser. Tokens are secrets: none stands in a message, a log or a `repr`.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from modelseal.errors import SigningError, UnavailableError
from modelseal.trust.spiffe import SOCKET_VARIABLE, fetch_svid

if TYPE_CHECKING:
    from sigstore.oidc import IdentityToken

TOKEN_VARIABLES: Final = ("MODELSEAL_IDENTITY_TOKEN", "SIGSTORE_ID_TOKEN")
"""Environment variables that hold a token, or the path of a file with one."""

TOKEN_FILE_VARIABLE: Final = "MODELSEAL_IDENTITY_TOKEN_FILE"  # noqa: S105 - a name, no secret
"""Environment variable that holds the path of a token, such as Kubernetes projects into pods."""

PROJECTED_TOKEN: Final = Path("/var/run/sigstore/cosign/oidc-token")
"""Where pods have a projected token for Sigstore mounted, as cosign looks for it."""

AUDIENCE: Final = "sigstore"
"""The audience that a token must have, as Fulcio asks for it."""

_MAX_TOKEN_BYTES = 64 << 10
_JWT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
# What a library says about a token, in our words, by the name of its exception: the messages
# themselves may quote the token.
_REASONS = {
    "ExpiredSignatureError": "it has expired",
    "ImmatureSignatureError": "it is not valid yet",
    "InvalidIssuedAtError": "it was issued in the future",
    "InvalidAudienceError": f"its audience is not {AUDIENCE}",
    "MissingRequiredClaimError": "a claim is missing (aud, sub, iat, exp, iss)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityTokens:
    """The places where an identity token may be.

    Attributes:
        explicit: A token, or the path of a file with one (`--identity-token`); may be empty.
        environ: The environment. Ambient credentials of a platform (GitHub, GitLab, Google
            Cloud, Buildkite, CircleCI) are found by `sigstore` in the process's own.
        projected: The token that Kubernetes keeps fresh in a pod; it counts if it is there.
        interactive: Whether a person may be asked, in a browser.
    """

    explicit: str = field(default="", repr=False)
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)
    projected: Path = PROJECTED_TOKEN
    interactive: bool = False

    def find(self, issuer_url: Callable[[], str]) -> "IdentityToken":
        """Return the first token there is. `issuer_url` is asked only for the browser flow.

        Raises:
            SigningError: there is none, or the first one is not a usable token.
            UnavailableError: the platform or the issuer did not answer.
        """
        for name, value in self._named():
            if value:
                return _parse(_read(value, name), name)
        ambient = _ambient()
        if ambient:
            return _parse(ambient, "the platform's own credential")
        socket = self.environ.get(SOCKET_VARIABLE)
        if socket:
            return _parse(fetch_svid(socket, AUDIENCE), "the SPIFFE agent")
        if self.interactive:
            return _ask(issuer_url())
        raise SigningError(
            "there is no identity token to sign with: looked at --identity-token, "
            f"{', '.join((TOKEN_FILE_VARIABLE, *TOKEN_VARIABLES))}, {self.projected}, "
            f"{SOCKET_VARIABLE}, and the credentials of GitHub, GitLab, Google Cloud, Buildkite "
            "and CircleCI",
            hint="in CI grant `id-token: write`; elsewhere sign in with a browser from a "
            "terminal, or sign with --key",
            code="no-identity-token",
        )

    def check(self) -> None:
        """See that there is a token, or a person to ask. Raises as `find` does.

        The token is thrown away: by the time of signing it may have expired, and a platform
        gives a new one.
        """
        if not self.interactive or any(value for _, value in self._named()):
            self.find(_nobody)

    def good_at(self, moment: datetime) -> bool:
        """Tell whether `find` can give a token at a later time.

        A token that was given as such gets no younger; a file is written anew by whoever projects
        it, a platform gives new ones, and a person can be asked again.
        """
        value = next((value for _, value in self._named() if value), "")
        text = value.strip()
        return not _JWT.fullmatch(text) or moment.timestamp() < _expiry(text)

    def _named(self) -> list[tuple[str, str]]:
        path = self.environ.get(TOKEN_FILE_VARIABLE, "")
        return [
            ("--identity-token", self.explicit),
            (TOKEN_FILE_VARIABLE, path and str(Path(path).absolute())),
            *((name, self.environ.get(name, "")) for name in TOKEN_VARIABLES),
            ("Kubernetes", str(self.projected) if self.projected.exists() else ""),
        ]


def _expiry(token: str) -> float:
    """Return the `exp` of a JSON web token, in seconds since 1970; 0 if it has none."""
    claims = token.split(".")[1]
    try:
        value = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
        return float(value["exp"])
    except (ValueError, TypeError, KeyError):
        return 0.0


def _nobody() -> str:
    """Stand for the issuer where no person is asked."""
    raise AssertionError


def _read(value: str, name: str) -> str:
    """Return the token that `value` is, or that stands in the file it names."""
    text = value.strip()
    if _JWT.fullmatch(text):
        return text
    try:
        with Path(value).open("rb") as file:
            data = file.read(_MAX_TOKEN_BYTES + 1)
        text = data.decode("ascii").strip()
    except (OSError, ValueError):
        text = ""
    if len(text) > _MAX_TOKEN_BYTES or not _JWT.fullmatch(text):
        # The value is not quoted: it may be a token with a typing error in it. Nor is the cause.
        raise SigningError(
            f"{name} is neither a JSON web token nor the path of a file with one",
            hint="give the token's three parts, or a file that holds nothing else",
            code="bad-identity-token",
        ) from None
    return text


def _parse(text: str, name: str) -> "IdentityToken":
    from sigstore.oidc import IdentityError, IdentityToken

    try:
        return IdentityToken(text, AUDIENCE)
    except IdentityError as error:
        # Without a cause it is sigstore's own text, which quotes nothing.
        other = str(error) if error.__cause__ is None else "it is not an identity token"
        reason = _REASONS.get(type(error.__cause__).__name__, other)
        raise SigningError(
            f"the identity token of {name} cannot be used: {reason}",
            hint=f"get a new one, for the audience {AUDIENCE}",
            code="bad-identity-token",
        ) from None


def _ambient() -> str:
    from sigstore.oidc import IdentityError, detect_credential

    try:
        return detect_credential(AUDIENCE) or ""
    except IdentityError as error:
        raise SigningError(
            f"this platform gives no identity token: {str(error)[:300]}",
            hint="in GitHub Actions set `permissions: {id-token: write}`; "
            "pull requests from forks get none",
            code="no-identity-token",
        ) from error


def _ask(issuer_url: str) -> "IdentityToken":
    from sigstore.errors import Error as SigstoreError
    from sigstore.oidc import Issuer, IssuerError

    try:
        return Issuer(issuer_url).identity_token(AUDIENCE)
    except (IssuerError, OSError, KeyError, ValueError, EOFError) as error:
        raise UnavailableError(
            f"signing in at {issuer_url} did not work: {type(error).__name__}",
            hint="try again, or give a token with --identity-token",
        ) from error
    except SigstoreError as error:
        raise UnavailableError(
            f"signing in at {issuer_url} did not work: {str(error)[:300] or 'no answer'}",
            hint="try again, or give a token with --identity-token",
        ) from error
