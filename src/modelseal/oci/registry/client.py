# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Requests to one registry: with a token, through redirects, again when it may help."""

import contextlib
import weakref
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException
from types import MappingProxyType
from typing import ParamSpec, TypeVar

from urllib3 import exceptions

from modelseal.errors import LimitExceededError, UnavailableError, UsageError
from modelseal.oci.reference import Repository
from modelseal.oci.registry.answers import MAX_ANSWER, MAX_REFUSAL, Answer, is_transient, refusal
from modelseal.oci.registry.auth import Authenticator
from modelseal.oci.registry.hosts import Origin, Target, check_step, is_loopback, split_port
from modelseal.oci.registry.options import RegistryOptions
from modelseal.oci.registry.pieces import Piece
from modelseal.oci.registry.received import Body, no_longer_than
from modelseal.oci.registry.retry import TransientError, retry_after, retrying
from modelseal.oci.registry.transport import Transport, failure
from modelseal.oci.registry.wire import Response

_P = ParamSpec("_P")
_R = TypeVar("_R")

PULL = "pull"
PUSH = "pull,push"

_MAX_REDIRECTS = 5
_BODIES = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_DOCKER_HUB = frozenset({"docker.io", "index.docker.io"})
_DOCKER_HUB_API = "registry-1.docker.io"
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request.

    Attributes:
        method: the HTTP method.
        target: a path below the repository (`manifests/v1`), or a URL that the registry gave.
        what: names what is asked for, in errors.
        actions: what a token has to allow: `PULL` or `PUSH`.
        also_pull: another repository of the registry that the token has to be able to read.
        headers: besides those that every request has.
        body: makes the body anew for each attempt; `Content-Length` has to be in `headers`.
        read_timeout: seconds until the answer has to begin; None for the usual.
        limit: most bytes of a good answer that are read.
    """

    method: str
    target: str | Target
    what: str
    actions: str = PULL
    also_pull: str = ""
    headers: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    body: Callable[[], bytes | Iterable[Piece]] | None = None
    read_timeout: float | None = None
    limit: int = MAX_ANSWER


class Client:
    """Speaks to the registry of one repository; safe to use from several threads."""

    def __init__(self, repository: Repository, options: RegistryOptions) -> None:
        """Prepare; nothing is connected yet."""
        self.registry = repository.registry
        self._options = options
        self._origin = origin_of(repository.registry, options)
        name = self.full_name(repository.name)
        self._path = f"/v2/{name}/"
        self._scope = f"repository:{name}:"
        self._transport = Transport(self._origin, options)
        self._auth = Authenticator(
            self._origin,
            repository.registry,
            options,
            send=_weakly(self._send_to_token_service),
            reach=self._transport.reach,
        )

    @property
    def origin(self) -> Origin:
        """Where the registry itself is spoken to."""
        return self._origin

    def full_name(self, name: str) -> str:
        """Return the name of a repository as the registry knows it."""
        official = self.registry in _DOCKER_HUB and "/" not in name
        return f"library/{name}" if official else name

    def call(self, request: Request) -> Answer:
        """Return the whole answer, whatever its status but 429 and 5xx.

        Raises:
            Error: no answer, or none that helps, after retries.
        """
        return retrying(self._options.retry, lambda: self.once(request))

    def once(self, request: Request) -> Answer:
        """Do as `call` does, without retries. Raises `TransientError` too."""
        response, target = self._send(request)
        return self._read(request.method, response, target, request.limit)

    def open(self, request: Request) -> tuple[Answer, "Body | None"]:
        """Return the answer, with its body as a stream if the status is 200 or 206.

        Raises:
            Error: as `call` does. What breaks off later, breaks in the stream.
        """

        def attempt() -> tuple[Answer, Body | None]:
            response, target = self._send(request)
            if response.status not in _BODIES:
                return self._read(request.method, response, target, MAX_REFUSAL), None
            answer = self._answer(response, target)
            body = Body(
                response,
                target.origin,
                request.what,
                length=answer.length,
                slowest=self._options.slowest_read,
            )
            return answer, body

        return retrying(self._options.retry, attempt)

    def check_given(self, base: Target, location: str, what: str) -> Target:
        """Return a URL that the registry gave (`Location`), if it may be followed.

        Raises:
            UnavailableError: from https to http, or into this network.
        """
        target = base.join(location, what)
        if target.origin != base.origin:
            check_step(base.origin, target.origin, self._transport.reach(), what)
        return target

    def close(self) -> None:
        """Close idle connections."""
        self._transport.close()

    def _send(self, request: Request) -> tuple[Response, Target]:
        """Send, and follow redirects; the answer's body is still to be read."""
        target = request.target
        if isinstance(target, str):
            target = Target(self._origin, self._path + target)
        # A header that was for the registry is not sent again once another host had its say,
        # not even when that host sends us back.
        ours = target.origin == self._origin
        for _ in range(_MAX_REDIRECTS + 1):
            response = self._authorized(request, target) if ours else self._bare(request, target)
            if response.status not in _REDIRECTS or request.method not in {"GET", "HEAD"}:
                break
            location = response.headers.get("location", "")
            _drain(response)
            target = self.check_given(target, location, f"the redirect of {request.what}")
            ours = ours and target.origin == self._origin
        else:
            raise UnavailableError(f"{self.registry} redirects {request.what} in circles")
        if is_transient(response.status):
            answer = self._read(request.method, response, target, MAX_REFUSAL)
            raise TransientError(
                refusal(answer, request.what, self.registry),
                wait=retry_after(answer.headers.get("retry-after")),
            )
        return response, target

    def _authorized(self, request: Request, target: Target) -> Response:
        scope = self._scope + request.actions
        if request.also_pull:
            scope += f" repository:{self.full_name(request.also_pull)}:{PULL}"
        sent = self._auth.header(scope)
        response = self._bare(request, target, sent)
        if response.status != HTTPStatus.UNAUTHORIZED:
            return response
        challenge = response.headers.get("www-authenticate", "")
        try:
            better = self._auth.challenged(challenge, scope, sent)
        except BaseException:
            response.close()
            raise
        if better is None:
            return response
        _drain(response)
        return self._bare(request, target, better)

    def _bare(self, request: Request, target: Target, authorization: str | None = None) -> Response:
        # What is compressed on its way has another length and digest than was asked for.
        headers = {"Accept-Encoding": "identity", **request.headers}
        if authorization is not None:
            headers["Authorization"] = authorization
        return self._transport.exchange(
            request.method,
            target,
            headers=headers,
            body=None if request.body is None else request.body(),
            read_timeout=request.read_timeout,
        )

    def _send_to_token_service(
        self, method: str, target: Target, headers: dict[str, str], body: bytes | None, limit: int
    ) -> Answer:
        response = self._transport.exchange(method, target, headers=headers, body=body)
        return self._read(method, response, target, limit)

    def _read(self, method: str, response: Response, target: Target, limit: int) -> Answer:
        """Read a whole answer, bounded; a refusal is cut and stripped of our secrets."""
        good = response.status < HTTPStatus.MULTIPLE_CHOICES
        body = b""
        if method != "HEAD":
            with no_longer_than(self._options.slowest_read, response):
                body = _read_at_most(response, limit if good else MAX_REFUSAL, target.origin)
        response.release_conn()
        if good and len(body) > limit:
            raise LimitExceededError(
                f"{target.origin.netloc} answers with more than {limit} bytes of JSON"
            )
        body = body if good else self._auth.redact(body)
        return self._answer(response, target, body)

    def _answer(self, response: Response, target: Target, body: bytes = b"") -> Answer:
        elsewhere = "" if target.origin == self._origin else target.origin.netloc
        return Answer(response.status, _headers(response), body, target, elsewhere)


def _weakly(method: Callable[_P, _R]) -> Callable[_P, _R]:
    """Return a method that does not keep its object: no circle holds connections open."""
    reference = weakref.WeakMethod(method)

    def call(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        found = reference()
        assert found is not None, "called by what the object alone holds"
        return found(*args, **kwargs)

    return call


def origin_of(registry: str, options: RegistryOptions) -> Origin:
    """Return where a registry is spoken to.

    Loopback without TLS, unless CA certificates are given; hosts named in `plain_http` without
    TLS; all others with it. Docker Hub's API is at another host than its name.
    """
    if registry in _DOCKER_HUB:
        return Origin("https", _DOCKER_HUB_API, 443)
    host, port = split_port(registry)
    plain = is_loopback(registry) and options.ca_file is None
    plain = plain or not options.plain_http.isdisjoint({registry, host})
    try:
        return Target.parse(f"{'http' if plain else 'https'}://{registry}/", registry).origin
    except UnavailableError as error:
        raise UsageError(f"not a registry: {host!r} port {port or 'default'}") from error


def _headers(response: Response) -> dict[str, str]:
    return {name.lower(): response.headers[name] for name in response.headers}


def _read_at_most(response: Response, limit: int, origin: Origin) -> bytes:
    """Read up to one byte more than `limit`; then the connection is of no more use."""
    chunks: list[bytes] = []
    left = limit + 1
    try:
        while left and (chunk := response.read(left, decode_content=False)):
            chunks.append(chunk)
            left -= len(chunk)
    except (exceptions.HTTPError, HTTPException, OSError) as error:
        response.close()
        raise failure(error, origin) from error
    if not left:
        response.close()
    return b"".join(chunks)


def _drain(response: Response) -> None:
    """Make room for the next request on the connection, unless the answer is long."""
    with contextlib.suppress(exceptions.HTTPError, HTTPException, OSError):
        if len(response.read(MAX_REFUSAL, decode_content=False)) == MAX_REFUSAL:
            response.close()
    response.release_conn()
