# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Who we are to a registry: challenges, tokens, and to whom a password may be told.

Source: RFC 9110, 11 (challenges); distribution-spec's token authentication ("Token
Authentication Specification" and "OAuth2 Token Authentication" of the distribution project).

A challenge is read from answers of the registry's own origin only. The realm that it names gets
credentials if it is the registry's host, of the same registrable domain, or allowed by name; it
has to be https (unless the registry is spoken to without TLS), is never nearer to this machine
than the registry, and its redirects are not followed. Scopes are ours, never the challenge's.
"""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import urlencode

from modelseal.documents import parse_json_object
from modelseal.errors import AccessDeniedError, InvalidDocumentError, UnavailableError
from modelseal.oci.registry.answers import Answer, is_transient, refusal
from modelseal.oci.registry.credentials import Credentials
from modelseal.oci.registry.hosts import Origin, Reach, Target, check_step, same_site
from modelseal.oci.registry.options import RegistryOptions
from modelseal.oci.registry.retry import TransientError, retry_after

_MAX_CHALLENGE = 8 << 10
_MAX_TOKEN = 64 << 10
_DEFAULT_LIFE = 60
"""Seconds that a token lives when nobody says (Token Authentication Specification)."""
_MAX_LIFE = 3600
_MARGIN = 10.0
"""Seconds before its end when a token is not used any more."""

_SECRET = 4
"""Shorter passwords stand in any text."""

_TOKEN = re.compile(r"[!-~]+")
_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_SCHEME = re.compile(rf"[\s,]*({_WORD})(?:[ \t]+(?=[^\s,=])|[\s,]*$|(?=[ \t]*,))")
_PARAMETER = re.compile(rf'[\s,]*({_WORD})[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|({_WORD}))')
_TOKEN_68 = re.compile(r"[\s,]*[A-Za-z0-9._~+/-]+=*[ \t]*(?=,|$)")

# Hosts of one owner that share no registrable domain with the registry they serve.
_TOKEN_HOSTS = {"registry-1.docker.io": frozenset({"auth.docker.io"})}


@dataclass(frozen=True, slots=True)
class Challenge:
    """One way in that a registry offers."""

    scheme: str
    parameters: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Realm:
    target: Target
    service: str


@dataclass(frozen=True, slots=True)
class _Token:
    header: str = field(repr=False)
    good_until: float


class Sender(Protocol):
    """Sends one request to a token service and reads its answer, bounded, without redirects."""

    def __call__(
        self, method: str, target: Target, headers: dict[str, str], body: bytes | None, limit: int
    ) -> Answer:
        """Return the answer. Raises `TransientError`, `UnavailableError`."""
        ...


def parse_challenges(value: str) -> list[Challenge]:
    """Read `WWW-Authenticate`: schemes by lower-case name, with their parameters.

    What is not well-formed ends the list: nothing is guessed.
    """
    found: list[Challenge] = []
    rest = value if len(value) <= _MAX_CHALLENGE else ""
    while match := _SCHEME.match(rest):
        rest = rest[match.end() :]
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(rest):
            name, quoted, plain = parameter.groups()
            text = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None else plain
            if parameters.setdefault(name.lower(), text) != text:
                return found  # one name with two values: two readers, two realms
            rest = rest[parameter.end() :]
        if not parameters and (opaque := _TOKEN_68.match(rest)):
            rest = rest[opaque.end() :]
        found.append(Challenge(match[1].lower(), parameters))
    return found


class Authenticator:
    """Knows what to send as `Authorization` to one registry; safe to use from several threads."""

    def __init__(
        self,
        registry: Origin,
        name: str,
        options: RegistryOptions,
        *,
        send: Sender,
        reach: Callable[[], Reach],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Prepare; credentials are looked up when a registry asks for them.

        Args:
            registry: where the header may go.
            name: what the user calls the registry; credentials are kept under it.
            options: credentials and allowed token hosts.
            send: sends to the token service.
            reach: tells how far away the registry is.
            clock: seconds, for the life of tokens.
        """
        self._registry = registry
        self._name = name
        self._options = options
        self._send = send
        self._reach = reach
        self._clock = clock
        self._lock = threading.RLock()
        self._looked_up = False
        self._credentials: Credentials | None = None
        self._basic: str | None = None
        self._realm: _Realm | None = None
        self._tokens: dict[str, _Token] = {}
        self._secrets: set[str] = set()

    def header(self, scope: str) -> str | None:
        """Return what to send now; nothing before the registry has asked for something.

        A scope may be several, with blanks between them.

        Raises:
            AccessDeniedError, UnavailableError, TransientError: from the token service.
        """
        with self._lock:
            if self._realm is None:
                return self._basic
            token = self._tokens.get(scope)
            if token is None or token.good_until <= self._clock():
                token = self._tokens[scope] = self._new_token(self._realm, scope)
            return token.header

    def challenged(self, value: str, scope: str, sent: str | None) -> str | None:
        """Return what to send after a 401, or None when there is nothing better than `sent`.

        Args:
            value: the answer's `WWW-Authenticate`.
            scope: what for.
            sent: what was refused.

        Raises:
            AccessDeniedError, UnavailableError, TransientError: from the token service.
        """
        offered = {challenge.scheme: challenge for challenge in reversed(parse_challenges(value))}
        with self._lock:
            bearer = offered.get("bearer")
            if bearer is not None and bearer.parameters.get("realm"):
                held = self._tokens.get(scope)
                if held is not None and held.header != sent and held.good_until > self._clock():
                    return held.header  # another thread was here first
                self._realm = self._check_realm(bearer.parameters)
                self._basic = None
                self._tokens.pop(scope, None)
                return self.header(scope)
            credentials = self._find_credentials()
            if "basic" in offered and credentials is not None and credentials.username:
                self._realm = None
                self._basic = f"Basic {credentials.basic}"
                return None if self._basic == sent else self._basic
            return None

    def redact(self, body: bytes) -> bytes:
        """Return what a registry said without any secret of ours that it repeats."""
        for secret in tuple(self._secrets):
            body = body.replace(secret.encode(), b"***")
        return body

    def _find_credentials(self) -> Credentials | None:
        if not self._looked_up:
            self._credentials = self._options.credentials.find(self._name)
            self._looked_up = True
            if (found := self._credentials) is not None:
                secrets = {found.password, found.identity_token, found.basic}
                self._secrets.update(secret for secret in secrets if len(secret) >= _SECRET)
        return self._credentials

    def _check_realm(self, parameters: dict[str, str]) -> _Realm:
        what = f"the token realm of {self._name}"
        target = Target.parse(parameters["realm"], what)
        if target.origin != self._registry:
            check_step(self._registry, target.origin, self._reach(), what)
        return _Realm(target, parameters.get("service", ""))

    def _may_know_credentials(self, realm: Origin) -> bool:
        allowed = _TOKEN_HOSTS.get(self._registry.host, frozenset()) | self._options.token_hosts
        return same_site(realm.host, self._registry.host) or realm.host in allowed

    def _new_token(self, realm: _Realm, scope: str) -> _Token:
        credentials = self._find_credentials()
        if credentials is not None and not self._may_know_credentials(realm.target.origin):
            raise AccessDeniedError(
                f"{self._name} wants its credentials to be told to {realm.target.origin.netloc}, "
                "which is another owner's host by its name; they were not sent",
                hint=f"if that is right: --token-host {realm.target.origin.host}; to read "
                f"anonymously: docker logout {self._name}",
                code="foreign-token-realm",
            )
        asked = self._clock()
        answer = self._ask(realm, scope, credentials)
        what = f"a token for {scope} (asked of {realm.target.origin.netloc})"
        if is_transient(answer.status):
            raise TransientError(
                refusal(answer, what, self._name),
                wait=retry_after(answer.headers.get("retry-after")),
            )
        if answer.status != HTTPStatus.OK:
            raise self._refused(answer, what)
        return self._read_token(answer.body, asked, what)

    def _ask(self, realm: _Realm, scope: str, credentials: Credentials | None) -> Answer:
        # Without an action the question is only who we are: `login` asks so, as Docker does.
        fields = {} if scope.endswith(":") else {"scope": scope}
        if realm.service:
            fields["service"] = realm.service
        if credentials is not None and credentials.identity_token:
            fields |= {
                "grant_type": "refresh_token",
                "client_id": "modelseal",
                "refresh_token": credentials.identity_token,
            }
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            return self._send("POST", realm.target, headers, urlencode(fields).encode(), _MAX_TOKEN)
        headers = {}
        if credentials is not None:
            headers["Authorization"] = f"Basic {credentials.basic}"
        # Several scopes are one field each here, and one field with blanks in OAuth 2.
        scopes = {"scope": scope.split(" ")} if "scope" in fields else {}
        query = urlencode({**fields, **scopes}, doseq=True)
        joint = "&" if "?" in realm.target.path else "?"
        target = Target(realm.target.origin, realm.target.path + joint + query)
        return self._send("GET", target, headers, None, _MAX_TOKEN)

    def _refused(self, answer: Answer, what: str) -> Exception:
        if HTTPStatus.MULTIPLE_CHOICES <= answer.status < HTTPStatus.BAD_REQUEST:
            return UnavailableError(
                f"{self._name}: {what} was answered with a redirect, which is not followed"
            )
        if answer.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return AccessDeniedError(
                f"{self._name} gives us no token ({answer.status}): {what}",
                hint=f"log in with `docker login {self._name}`, as somebody who may",
                code="unauthorized",
            )
        return refusal(answer, what, self._name)

    def _read_token(self, body: bytes, asked: float, what: str) -> _Token:
        try:
            value = parse_json_object(body, "the answer of a token service")
        except InvalidDocumentError:
            # The parser's words may quote the answer, and the answer may hold a token.
            raise UnavailableError(f"{self._name}: {what}: the answer is not JSON") from None
        text = value.get("token") or value.get("access_token")
        if not isinstance(text, str) or not _TOKEN.fullmatch(text):
            raise UnavailableError(f"{self._name}: {what}: the answer has no token")
        self._secrets.add(text)
        life = _life(value.get("expires_in"))
        return _Token(f"Bearer {text}", asked + life - min(_MARGIN, life / 4))


def _life(value: Any) -> float:  # noqa: ANN401 - a stranger's JSON
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        return _DEFAULT_LIFE
    return min(float(value), _MAX_LIFE)
