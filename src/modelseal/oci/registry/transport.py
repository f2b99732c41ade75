# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""One HTTP exchange: pools, TLS, proxies, time-outs. No tokens, no redirects, no retries.

Every connection to a host that a registry named (a *foreign* one) is checked again when it
stands: a public name that resolves into this network is refused before a byte is sent. Behind a
proxy only the proxy knows the address: there the name is all that is checked.
"""

import functools
import socket
import ssl
import threading
import urllib.request
from collections.abc import Iterable, Mapping
from http.client import HTTPException
from urllib.parse import urlsplit

import urllib3
from urllib3 import exceptions
from urllib3.util.ssl_match_hostname import CertificateError

from modelseal.errors import Error, UnavailableError, UsageError
from modelseal.oci.registry.connections import connection_classes, pool_classes
from modelseal.oci.registry.hosts import Origin, Reach, Target, is_loopback, reach_of, same_site
from modelseal.oci.registry.options import RegistryOptions
from modelseal.oci.registry.pieces import Piece
from modelseal.oci.registry.retry import TransientError
from modelseal.oci.registry.tls import hung_up, tls_context, tls_failure
from modelseal.oci.registry.wire import Response, Wires

_CONNECTIONS = 16
"""Connections that are kept per host; more may be open, they are closed after use."""


class Transport:
    """Sends requests; safe to use from several threads."""

    def __init__(self, registry: Origin, options: RegistryOptions) -> None:
        """Prepare for one registry; nothing is connected yet."""
        self._registry = registry
        self._options = options
        self._lock = threading.Lock()
        self._pools: dict[tuple[bool, bool, str, str], urllib3.PoolManager] = {}
        self._contexts: dict[bool, ssl.SSLContext] = {}
        self._reach: Reach | None = None

    def exchange(
        self,
        method: str,
        target: Target,
        *,
        headers: Mapping[str, str],
        body: bytes | Iterable[Piece] | None = None,
        read_timeout: float | None = None,
    ) -> Response:
        """Send one request and return the answer with its body still to be read.

        Raises:
            TransientError: no answer came, which may pass.
            UnavailableError: no answer came, and none will.
        """
        foreign = target.origin != self._registry
        headers = {"User-Agent": self._options.user_agent, **headers}
        if not foreign and self._is_direct:
            return self._exchange_directly(method, target, headers, body, read_timeout)
        manager = self._manager(target, foreign=foreign)
        timeout = urllib3.Timeout(
            connect=self._options.connect_timeout,
            read=read_timeout or self._options.read_timeout,
        )
        try:
            return manager.urlopen(
                method,
                target.url,
                body=body,  # slices of files too: see `connections`
                headers=headers,
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
                timeout=timeout,
            )
        except exceptions.HTTPError as error:
            raise failure(error, target.origin) from error
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise TransientError(_broken(target.origin, reason.lower())) from error

    def _exchange_directly(
        self,
        method: str,
        target: Target,
        headers: Mapping[str, str],
        body: bytes | Iterable[Piece] | None,
        read_timeout: float | None,
    ) -> Response:
        origin, wait = target.origin, read_timeout or self._options.read_timeout
        try:
            return self._wires.exchange(method, target.path, headers, body, wait)
        except exceptions.HTTPError as error:
            raise failure(error, origin) from error
        except (ssl.SSLError, CertificateError) as error:
            raise failure(exceptions.SSLError(error), origin) from error
        except TimeoutError as error:
            raise TransientError(_broken(origin, "it took too long")) from error
        except (HTTPException, OSError) as error:
            raise TransientError(_broken(origin, "the connection broke off")) from error

    @functools.cached_property
    def _is_direct(self) -> bool:
        return not _proxy_for(self._registry)

    @functools.cached_property
    def _wires(self) -> Wires:
        origin, wait = self._registry, self._options.connect_timeout
        plain, tls = connection_classes(self._options, None)
        slowest = self._options.slowest_read
        if origin.scheme == "http":
            return Wires(
                lambda: plain(origin.host, origin.port, timeout=wait), origin.netloc, slowest
            )
        context = self._context(client_cert=True)
        return Wires(
            lambda: tls(origin.host, origin.port, timeout=wait, ssl_context=context),
            origin.netloc,
            slowest,
        )

    def reach(self) -> Reach:
        """Return how far away the registry is; a name that does not resolve counts as public."""
        if self._reach is None:
            self._reach = _resolved_reach(self._registry)
        return self._reach

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            for manager in self._pools.values():
                manager.clear()
            self._pools.clear()
        if "_wires" in self.__dict__:
            self._wires.close()

    def _manager(self, target: Target, *, foreign: bool) -> urllib3.PoolManager:
        proxy = _proxy_for(target.origin)
        scheme = target.origin.scheme
        ours = not foreign or self._is_of_the_same_owner(target.origin)
        key = (foreign, ours, scheme, proxy)
        with self._lock:
            manager = self._pools.get(key)
            if manager is None:
                manager = self._new_manager(scheme, proxy, ours=ours)
                manager.pool_classes_by_scheme = pool_classes(
                    self._options, self._check_peer if foreign else None
                )
                self._pools[key] = manager
            return manager

    def _is_of_the_same_owner(self, origin: Origin) -> bool:
        return (
            same_site(origin.host, self._registry.host) or origin.host in self._options.token_hosts
        )

    def _context(self, *, client_cert: bool) -> ssl.SSLContext:
        """Return the TLS settings; only the registry's own hosts see the client certificate."""
        client_cert = client_cert and self._options.client_cert is not None
        if client_cert not in self._contexts:
            self._contexts[client_cert] = tls_context(self._options, client_cert=client_cert)
        return self._contexts[client_cert]

    def _new_manager(self, scheme: str, proxy: str, *, ours: bool) -> urllib3.PoolManager:
        # Reading the system's certificates takes 20 ms: not for plain HTTP.
        context = self._context(client_cert=ours) if scheme == "https" else None
        if not proxy:
            return urllib3.PoolManager(maxsize=_CONNECTIONS, ssl_context=context)
        parts = urlsplit(proxy)
        login = None
        if parts.username is not None:
            login = f"{parts.username}:{parts.password or ''}"
        try:
            return urllib3.ProxyManager(
                proxy,
                maxsize=_CONNECTIONS,
                ssl_context=context,
                proxy_ssl_context=(
                    self._context(client_cert=False) if parts.scheme == "https" else None
                ),
                proxy_headers=urllib3.make_headers(proxy_basic_auth=login) if login else None,
            )
        except exceptions.HTTPError as error:
            raise UsageError(
                f"no proxy that can be used: {parts.hostname}",
                hint="HTTP_PROXY and HTTPS_PROXY take http://host:port or https://host:port",
            ) from error

    def _check_peer(self, peer: str) -> None:
        reach = reach_of(peer)
        if reach is None or not self.reach().allows(reach):
            raise UnavailableError(
                f"{self._registry.netloc} leads to an address inside this network ({peer})",
                hint="a registry outside has no business there; report it to who runs it",
            )


def failure(error: Exception, origin: Origin) -> Exception:
    """Translate what `urllib3` raised; the result is raised by the caller."""
    cause = error
    if isinstance(error, exceptions.ProxyError):
        return TransientError(
            UnavailableError(
                f"the proxy on the way to {origin.netloc} does not answer",
                hint="look at HTTP_PROXY, HTTPS_PROXY and NO_PROXY",
            )
        )
    if isinstance(error, exceptions.NameResolutionError):
        final = UnavailableError(
            f"there is no host {origin.host}",
            hint="check the name of the registry, and the network",
        )
        again = getattr(error.__cause__, "errno", None) == socket.EAI_AGAIN
        return TransientError(final) if again else final
    if isinstance(error, exceptions.SSLError):
        final = tls_failure(error, origin)
        return TransientError(final) if hung_up(error) else final
    if isinstance(error, exceptions.NewConnectionError):  # a ConnectTimeoutError by its class
        cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
        reason = getattr(cause, "strerror", None) or "no connection"
        return TransientError(_broken(origin, reason.lower()))
    if isinstance(error, exceptions.ReadTimeoutError | exceptions.ConnectTimeoutError):
        return TransientError(_broken(origin, "it took too long"))
    return TransientError(_broken(origin, "the connection broke off"))


def _broken(origin: Origin, why: str) -> Error:
    return UnavailableError(
        f"{origin.netloc} does not answer: {why}",
        hint="check that it runs and that this machine may reach it, then try again",
    )


def _proxy_for(origin: Origin) -> str:
    """Return the proxy of the environment; loopback never goes through one."""
    if is_loopback(origin.host):
        return ""
    proxies = urllib.request.getproxies()
    proxy = proxies.get(origin.scheme) or proxies.get("all", "")
    if not proxy or urllib.request.proxy_bypass(origin.netloc):
        return ""
    return proxy if "://" in proxy else f"http://{proxy}"


def _resolved_reach(origin: Origin) -> Reach:
    literal = reach_of(origin.host)
    if literal is not None:
        return literal
    try:
        found = socket.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    except OSError:
        return Reach.PUBLIC
    # The farthest of all, so that one inner address does not open the inside.
    reaches = [reach_of(str(entry[4][0])) for entry in found]
    return max(Reach.PUBLIC if reach is None else reach for reach in reaches)
