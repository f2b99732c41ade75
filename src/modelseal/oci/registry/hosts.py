# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Which host may be spoken to, how, and what it may be told.

A registry names other hosts all the time: in redirects, upload locations and token realms. What
it names is a stranger's text. The rules, all fail closed:

* a URL is http or https, without user and password, with a host that is a name or a plain IP;
* never from https to http;
* a host nearer to this machine than the registry itself is refused (server-side request
  forgery: loopback, private networks, link-local and with it cloud metadata);
* an `Authorization` header stays at its origin: scheme, host and port.
"""

import ipaddress
import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Self, TypeAlias
from urllib.parse import urljoin

from modelseal.errors import UnavailableError

_PORTS = {"http": 80, "https": 443}
_MAX_URL = 8192
_PRINTABLE = re.compile(r"[!-~]+")
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+/?(?:\?[A-Za-z0-9._~=&%+-]*)?")
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "instance-data"})
# Azure's platform address is public by number but answers inside the cloud only.
_METADATA_ADDRESSES = frozenset({ipaddress.ip_address("168.63.129.16")})
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class Reach(IntEnum):
    """How far away a host is; a registry may name hosts that are as far as itself, or farther."""

    LINK_LOCAL = 0
    LOOPBACK = 1
    PRIVATE = 2
    PUBLIC = 3

    def allows(self, other: "Reach") -> bool:
        """Tell whether a registry at this reach may send us to a host at reach `other`."""
        return other >= self


@dataclass(frozen=True, slots=True)
class Origin:
    """What an `Authorization` header is meant for, and nothing else."""

    scheme: str
    host: str
    port: int

    @property
    def netloc(self) -> str:
        """`host`, or `host:port` when the port is not the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if _PORTS[self.scheme] == self.port else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.netloc}"


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that was looked at by the same parser that connects."""

    origin: Origin
    path: str
    """Path and query, as they go into the request line."""

    @classmethod
    def parse(cls, url: str, what: str) -> Self:
        """Read an absolute URL; `what` names it in errors.

        Raises:
            UnavailableError: not a URL that anything is sent to.
        """
        from urllib3.exceptions import HTTPError
        from urllib3.util import parse_url

        if len(url) > _MAX_URL or not _PRINTABLE.fullmatch(url):
            raise UnavailableError(f"{what} is no URL")
        try:
            parsed = parse_url(url)
        except HTTPError as error:
            raise UnavailableError(f"{what} is no URL") from error
        if parsed.scheme not in _PORTS or not parsed.host or parsed.auth is not None:
            raise UnavailableError(f"{what} is no http(s) URL without a user name")
        host = parsed.host.strip("[]").lower()
        port = _PORTS[parsed.scheme] if parsed.port is None else parsed.port
        if reach_of(host) is None and _looks_like_address(host):
            raise UnavailableError(f"{what} hides an address: {host}")
        return cls(Origin(parsed.scheme, host, port), parsed.request_uri)

    @property
    def url(self) -> str:
        """The whole URL."""
        return f"{self.origin}{self.path}"

    def join(self, location: str, what: str) -> "Target":
        """Follow a `Location` or `Link` that this URL's answer gave."""
        if not location or not _PRINTABLE.fullmatch(location):
            raise UnavailableError(f"{what} is no URL")
        # Nearly always it is a path of the same origin, in which there is nothing to resolve.
        path = location.removeprefix(str(self.origin))
        if _PLAIN_PATH.fullmatch(path) and len(location) <= _MAX_URL:
            return Target(self.origin, path)
        try:
            joined = urljoin(self.url, location)
        except ValueError as error:
            raise UnavailableError(f"{what} is no URL") from error
        return Target.parse(joined.partition("#")[0], what)


def reach_of(host: str) -> Reach | None:
    """Return how far an IP address or a well-known name is; None for any other name."""
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return Reach.LOOPBACK
    if name in _METADATA_NAMES:
        return Reach.LINK_LOCAL
    try:
        address = ipaddress.ip_address(name.partition("%")[0])
    except ValueError:
        return None
    return _reach_of_address(address)


def _reach_of_address(address: _Address) -> Reach:
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return _reach_of_address(inner)
    if address.is_link_local or address.is_unspecified or address in _METADATA_ADDRESSES:
        return Reach.LINK_LOCAL
    if address.is_loopback:
        return Reach.LOOPBACK
    if not address.is_global or address.is_multicast or address.is_reserved:
        return Reach.PRIVATE
    return Reach.PUBLIC


def _looks_like_address(host: str) -> bool:
    """Tell whether a resolver may read this as an IPv4 address: `127.1`, `0x7f.1`, `2130706433`."""
    last = host.rstrip(".").rpartition(".")[2]
    return bool(re.fullmatch(r"[0-9]+|0x[0-9a-f]*", last)) or ":" in host


def is_loopback(registry: str) -> bool:
    """Tell whether `host` or `host:port` is this machine."""
    return reach_of(split_port(registry)[0]) is Reach.LOOPBACK


def split_port(registry: str) -> tuple[str, str]:
    """Split `host[:port]`, also `[::1]:port`; the port is empty when there is none."""
    head, colon, tail = registry.rpartition(":")
    if colon and tail.isdigit() and (":" not in head or head.endswith("]")):
        return head.strip("[]"), tail
    return registry.strip("[]"), ""


def check_step(previous: Origin, target: Origin, registry: Reach, what: str) -> None:
    """Refuse to go from one URL to the next where no registry has a reason to send us.

    Raises:
        UnavailableError: from https to http, or nearer to this machine than the registry.
    """
    if previous.scheme == "https" and target.scheme != "https":
        raise UnavailableError(
            f"{what} leads from https to http ({target.netloc})",
            hint="the registry's external URL is set up wrong, or somebody sits in between",
        )
    reach = reach_of(target.host)
    if reach is not None and not registry.allows(reach):
        raise UnavailableError(
            f"{what} leads to an address inside this network ({target.netloc})",
            hint="a registry outside has no business there; report it to who runs the registry",
        )


# Names under which strangers get a subdomain each. Not complete (the public suffix list is), and
# needs not be: a registry gets the credentials for itself anyhow. It keeps an accident small.
_SHARED = frozenset(
    {
        *("amazonaws.com", "appspot.com", "azurecr.io", "azurewebsites.net", "cloudfront.net"),
        *("duckdns.org", "fly.dev", "github.io", "gitlab.io", "googleusercontent.com"),
        *("herokuapp.com", "jfrog.io", "netlify.app", "ngrok.app", "ngrok.io", "onrender.com"),
        *("pages.dev", "pkg.dev", "run.app", "scw.cloud", "trycloudflare.com", "vercel.app"),
        *("web.app", "windows.net", "workers.dev"),
    }
)
_SECOND_LEVELS = frozenset(
    {
        *("ac", "co", "com", "edu", "go", "gob", "gouv", "gov", "mil", "ne", "net", "nom"),
        *("or", "org", "sch"),
    }
)
_COUNTRY = 2


def same_site(one: str, other: str) -> bool:
    """Tell whether two host names belong to one owner: equal, or one registrable domain."""
    one, other = one.rstrip(".").lower(), other.rstrip(".").lower()
    if one == other:
        return True
    if reach_of(one) is not None or reach_of(other) is not None:
        return False
    site = _site(one)
    return site is not None and site == _site(other)


def _site(host: str) -> str | None:
    labels = host.split(".")
    depth = 2
    if len(labels[-1]) == _COUNTRY and len(labels) > 1 and labels[-2] in _SECOND_LEVELS:
        depth = 3
    site = ".".join(labels[-depth:])
    if len(labels) < depth or site in _SHARED:
        return None
    return site
