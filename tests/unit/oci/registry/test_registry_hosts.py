# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Which hosts a registry may send us to."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelseal.errors import UnavailableError, UsageError
from modelseal.oci.registry.client import origin_of
from modelseal.oci.registry.hosts import (
    Origin,
    Reach,
    Target,
    check_step,
    reach_of,
    same_site,
    split_port,
)
from modelseal.oci.registry.options import RegistryOptions

REGISTRY = Origin("https", "registry.example.com", 443)


@pytest.mark.parametrize(
    ("host", "reach"),
    [
        ("127.0.0.1", Reach.LOOPBACK),
        ("127.8.8.8", Reach.LOOPBACK),
        ("::1", Reach.LOOPBACK),
        ("localhost", Reach.LOOPBACK),
        ("LocalHost.", Reach.LOOPBACK),
        ("deep.localhost", Reach.LOOPBACK),
        ("::ffff:127.0.0.1", Reach.LOOPBACK),
        ("64:ff9b::7f00:1", Reach.LOOPBACK),
        ("169.254.169.254", Reach.LINK_LOCAL),
        ("::ffff:169.254.169.254", Reach.LINK_LOCAL),
        ("64:ff9b::a9fe:a9fe", Reach.LINK_LOCAL),
        ("2002:a9fe:a9fe::1", Reach.LINK_LOCAL),
        ("168.63.129.16", Reach.LINK_LOCAL),
        ("fe80::1", Reach.LINK_LOCAL),
        ("fe80::1%eth0", Reach.LINK_LOCAL),
        ("0.0.0.0", Reach.LINK_LOCAL),
        ("::", Reach.LINK_LOCAL),
        ("metadata.google.internal", Reach.LINK_LOCAL),
        ("fd00:ec2::254", Reach.PRIVATE),
        ("100.100.100.200", Reach.PRIVATE),
        ("10.0.0.1", Reach.PRIVATE),
        ("192.168.1.1", Reach.PRIVATE),
        ("224.0.0.1", Reach.PRIVATE),
        ("140.82.112.33", Reach.PUBLIC),
        ("2606:4700::1111", Reach.PUBLIC),
        ("ghcr.io", None),
        ("localhost.example.com", None),
    ],
)
def test_reach_of_addresses_in_every_disguise(host: str, reach: Reach | None) -> None:
    assert reach_of(host) is reach


@pytest.mark.parametrize(
    "url",
    [
        "https://user@registry.example.com/",
        "https://user:pass@registry.example.com/",
        "ftp://registry.example.com/",
        "file:///etc/passwd",
        "//registry.example.com/",
        "/v2/",
        "",
        "https://",
        "https:///v2/",
        "https://exa mple.com/",
        "https://example.com/\r\nHost: other",
        "https://example.com:99999/",
        "https://example.com:x/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0x7f.1/",
        "https://127.1/",
        "https://0177.0.0.1/",
        "https://[::1/",
        "https://b\u00fccher.example/",
        "https://example.com/" + "a" * 9000,
    ],
)
def test_urls_that_hide_something_are_refused(url: str) -> None:
    with pytest.raises(UnavailableError):
        Target.parse(url, "the redirect")


def test_a_target_keeps_path_and_query_and_knows_its_origin() -> None:
    target = Target.parse("HTTPS://Registry.Example.com:8443/v2/x?y=%2Fz&w=1", "x")
    assert target.origin == Origin("https", "registry.example.com", 8443)
    assert target.path == "/v2/x?y=%2Fz&w=1"
    assert target.url == "https://registry.example.com:8443/v2/x?y=%2Fz&w=1"
    assert Target.parse("https://[2606:4700::1111]/a", "x").url == "https://[2606:4700::1111]/a"


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/blobs/1?a=b", "https://registry.example.com/blobs/1?a=b"),
        ("2", "https://registry.example.com/v2/2"),
        ("https://cdn.example.net/x#part", "https://cdn.example.net/x"),
        ("//cdn.example.net/x", "https://cdn.example.net/x"),
    ],
)
def test_a_location_is_relative_to_what_answered(location: str, url: str) -> None:
    assert Target(REGISTRY, "/v2/1").join(location, "x").url == url


@given(st.text(max_size=60) | st.from_regex(r"https?://[!-~]{0,40}", fullmatch=True))
def test_any_text_is_a_safe_target_or_an_error(text: str) -> None:
    try:
        target = Target.parse(text, "the redirect")
    except UnavailableError:
        return
    assert Target.parse(target.url, "again") == target


@pytest.mark.parametrize(
    ("registry", "host", "allowed"),
    [
        (Reach.PUBLIC, "cdn.example.net", True),
        (Reach.PUBLIC, "140.82.112.33", True),
        (Reach.PUBLIC, "10.0.0.1", False),
        (Reach.PUBLIC, "127.0.0.1", False),
        (Reach.PUBLIC, "169.254.169.254", False),
        (Reach.PRIVATE, "10.0.0.9", True),
        (Reach.PRIVATE, "127.0.0.1", False),
        (Reach.PRIVATE, "169.254.169.254", False),
        (Reach.LOOPBACK, "127.0.0.1", True),
        (Reach.LOOPBACK, "10.0.0.9", True),
        (Reach.LOOPBACK, "metadata.google.internal", False),
    ],
)
def test_a_registry_may_not_send_us_nearer_than_itself(
    registry: Reach, host: str, *, allowed: bool
) -> None:
    target = Origin("https", host, 443)
    if allowed:
        check_step(REGISTRY, target, registry, "the redirect")
    else:
        with pytest.raises(UnavailableError, match="inside this network"):
            check_step(REGISTRY, target, registry, "the redirect")


def test_never_from_https_to_http() -> None:
    with pytest.raises(UnavailableError, match="from https to http"):
        check_step(REGISTRY, Origin("http", REGISTRY.host, 80), Reach.PUBLIC, "the redirect")
    plain = Origin("http", "registry.example.com", 80)
    check_step(plain, Origin("http", "cdn.example.net", 80), Reach.PUBLIC, "the redirect")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("ghcr.io", "ghcr.io", True),
        ("GHCR.io.", "ghcr.io", True),
        ("registry.gitlab.com", "gitlab.com", True),
        ("registry.example.com", "auth.example.com", True),
        ("registry.example.com", "example.org", False),
        ("registry.example.com", "example.com.evil.net", False),
        ("registry.example.com", "evilexample.com", False),
        ("a.co.uk", "b.co.uk", False),
        ("r.a.co.uk", "auth.a.co.uk", True),
        ("one.github.io", "two.github.io", False),
        ("one.azurecr.io", "two.azurecr.io", False),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "9.0.0.1", False),
        ("localhost", "127.0.0.1", False),
        ("intranet", "other", False),
    ],
)
def test_same_site_is_one_owner(one: str, other: str, *, same: bool) -> None:
    assert same_site(one, other) is same
    assert same_site(other, one) is same


@pytest.mark.parametrize(
    ("registry", "parts"),
    [
        ("ghcr.io", ("ghcr.io", "")),
        ("ghcr.io:443", ("ghcr.io", "443")),
        ("[::1]:5000", ("::1", "5000")),
        ("[::1]", ("::1", "")),
        ("::1", ("::1", "")),
    ],
)
def test_split_port(registry: str, parts: tuple[str, str]) -> None:
    assert split_port(registry) == parts


@pytest.mark.parametrize(
    ("registry", "options", "url"),
    [
        ("ghcr.io", RegistryOptions(), "https://ghcr.io"),
        ("ghcr.io:8443", RegistryOptions(), "https://ghcr.io:8443"),
        ("127.0.0.1:5000", RegistryOptions(), "http://127.0.0.1:5000"),
        ("localhost:5000", RegistryOptions(), "http://localhost:5000"),
        ("[::1]:5000", RegistryOptions(), "http://[::1]:5000"),
        ("127.0.0.1:5000", RegistryOptions(ca_file=Path("ca")), "https://127.0.0.1:5000"),
        ("reg.lan:5000", RegistryOptions(plain_http=frozenset({"reg.lan"})), "http://reg.lan:5000"),
        ("r.lan:50", RegistryOptions(plain_http=frozenset({"r.lan:50"})), "http://r.lan:50"),
        ("r.lan:50", RegistryOptions(plain_http=frozenset({"r.lan:51"})), "https://r.lan:50"),
        ("10.0.0.1:5000", RegistryOptions(), "https://10.0.0.1:5000"),
        ("docker.io", RegistryOptions(), "https://registry-1.docker.io"),
        ("index.docker.io", RegistryOptions(), "https://registry-1.docker.io"),
    ],
)
def test_only_loopback_and_named_hosts_are_spoken_to_without_tls(
    registry: str, options: RegistryOptions, url: str
) -> None:
    assert str(origin_of(registry, options)) == url


def test_a_registry_that_hides_an_address_is_refused() -> None:
    with pytest.raises(UsageError, match="not a registry"):
        origin_of("127.1:5000", RegistryOptions())
