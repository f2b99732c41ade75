# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""TLS as companies have it: own CAs, client certificates, proxies; and what is said without it."""

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.connect_proxy import ConnectProxy
from tests.support.fake_registry import FakeRegistry, Fault
from tests.support.registry_store import Known, Waits, push_model
from tests.support.tls import KeyPair, TlsAuthority

from modelseal.errors import AccessDeniedError, KeyFileError, UnavailableError
from modelseal.oci.descriptor import OCTET_STREAM
from modelseal.oci.reference import Repository
from modelseal.oci.registry.credentials import Credentials
from modelseal.oci.registry.options import RegistryOptions, RetryPolicy
from modelseal.oci.registry.store import RegistryStore
from modelseal.oci.store import fetch_bytes, push_bytes

NAME = "acme/model"
QUICK = RetryPolicy(sleep=Waits(), attempts=2)


@pytest.fixture
def authority(tmp_path: Path) -> TlsAuthority:
    return TlsAuthority(tmp_path)


@pytest.fixture
def clients(tmp_path: Path) -> TlsAuthority:
    return TlsAuthority(tmp_path, "clients")


@pytest.fixture(autouse=True)
def no_proxy_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def store(
    host: str, ca: TlsAuthority, shown: KeyPair | None = None, *, word: str = ""
) -> RegistryStore:
    options = RegistryOptions(
        credentials=Known({}),
        ca_file=ca.ca_file,
        client_cert=shown.certificate if shown else None,
        client_key=shown.key if shown else None,
        client_key_passphrase=word,
        retry=QUICK,
    )
    return RegistryStore(Repository(host, NAME), options)


def test_a_registry_that_asks_for_a_certificate_gets_ours(
    authority: TlsAuthority, clients: TlsAuthority
) -> None:
    with (
        FakeRegistry(tls=authority.server(clients=clients)) as registry,
        store(registry.host, authority, clients.issue("trainer")) as ours,
    ):
        model = push_model(ours)
        assert ours.resolve(model.descriptor.digest) == model.descriptor


def test_certificate_and_key_may_stand_in_one_file(
    authority: TlsAuthority, clients: TlsAuthority, tmp_path: Path
) -> None:
    pair = clients.issue("trainer")
    both = tmp_path / "both.pem"
    both.write_bytes(pair.certificate.read_bytes() + pair.key.read_bytes())
    options = RegistryOptions(ca_file=authority.ca_file, client_cert=both, credentials=Known({}))
    with FakeRegistry(tls=authority.server(clients=clients)) as registry:
        push_model(RegistryStore(Repository(registry.host, NAME), options))


def test_an_encrypted_key_opens_with_its_passphrase_and_nobody_is_asked(
    authority: TlsAuthority, clients: TlsAuthority
) -> None:
    pair = clients.issue("trainer", passphrase="battery staple")
    with FakeRegistry(tls=authority.server(clients=clients)) as registry:
        push_model(store(registry.host, authority, pair, word="battery staple"))
        for wrong in ("", "other"):
            with pytest.raises(KeyFileError, match="does not open") as caught:
                push_model(store(registry.host, authority, pair, word=wrong))
            assert "MODELSEAL_CLIENT_KEY_PASSPHRASE" in caught.value.hint
            assert "battery" not in str(caught.value)


def test_a_key_of_another_certificate_is_told(
    authority: TlsAuthority, clients: TlsAuthority
) -> None:
    one, other = clients.issue("one"), clients.issue("other")
    mixed = KeyPair(one.certificate, other.key)
    with FakeRegistry(tls=authority.server(clients=clients)) as registry:
        with pytest.raises(KeyFileError, match="cannot be used as a client certificate"):
            push_model(store(registry.host, authority, mixed))
        missing = KeyPair(one.certificate, one.key.with_name("missing"))
        with pytest.raises(KeyFileError, match="missing"):
            push_model(store(registry.host, authority, missing))


def test_without_a_certificate_it_says_which_options_give_one(
    authority: TlsAuthority, clients: TlsAuthority
) -> None:
    tls = authority.server(clients=clients, newest=ssl.TLSVersion.TLSv1_2)
    with FakeRegistry(tls=tls) as registry, pytest.raises(UnavailableError) as caught:
        store(registry.host, authority).resolve("v1")
    assert "wants a client certificate" in str(caught.value)
    assert "--client-cert" in caught.value.hint
    assert "--client-key" in caught.value.hint


def test_a_registry_that_only_hangs_up_may_want_a_certificate(
    authority: TlsAuthority, clients: TlsAuthority
) -> None:
    """With TLS 1.3 the alert is lost when the registry closes first."""
    for shown in (None, authority.issue("trainer")):
        with FakeRegistry(tls=authority.server(clients=clients)) as registry:
            with pytest.raises(UnavailableError) as caught:
                store(registry.host, authority, shown).resolve("v1")
            assert "--client-cert" in caught.value.hint or "broke off" in str(caught.value)
            assert registry.requests == []


def test_a_certificate_by_another_authority_is_refused_and_said(
    authority: TlsAuthority, clients: TlsAuthority
) -> None:
    tls = authority.server(clients=clients, newest=ssl.TLSVersion.TLSv1_2)
    with FakeRegistry(tls=tls) as registry, pytest.raises(UnavailableError) as caught:
        store(registry.host, authority, authority.issue("trainer")).resolve("v1")
    assert "refuses our client certificate" in str(caught.value)
    assert "--client-cert" in caught.value.hint


def test_an_unknown_authority_is_told_with_the_option(
    authority: TlsAuthority, clients: TlsAuthority
) -> None:
    with FakeRegistry(tls=authority.server()) as registry:
        with pytest.raises(UnavailableError, match="no TLS") as caught:
            store(registry.host, clients).resolve("v1")
        assert "--ca-file" in caught.value.hint
        assert registry.requests == []


def test_an_expired_certificate_is_told(authority: TlsAuthority) -> None:
    with FakeRegistry(tls=authority.server(expired=True)) as registry:
        with pytest.raises(UnavailableError, match="expired") as caught:
            store(registry.host, authority).resolve("v1")
        assert "renew" in caught.value.hint
        assert registry.requests == []


def test_a_certificate_for_another_host_is_told(authority: TlsAuthority) -> None:
    with FakeRegistry(tls=authority.server("registry.example")) as registry:
        with pytest.raises(UnavailableError, match=r"127\.0\.0\.1") as caught:
            store(registry.host, authority).resolve("v1")
        assert "the name that its certificate is for" in caught.value.hint
        assert registry.requests == []


def test_a_registry_without_tls_is_told_how_to_name(
    authority: TlsAuthority,
) -> None:
    with FakeRegistry() as registry, pytest.raises(UnavailableError) as caught:
        store(registry.host, authority).resolve("v1")
    assert f"--plain-http {registry.host}" in caught.value.hint


def test_another_owners_host_does_not_see_our_certificate(
    authority: TlsAuthority, clients: TlsAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a proxy names lead where the test wants; the storage asks for a certificate, too."""
    pair = clients.issue("trainer")
    with (
        FakeRegistry(tls=authority.server("registry.acme.test", clients=clients)) as ours,
        FakeRegistry(tls=authority.server("storage.else.test", clients=clients)) as theirs,
        ConnectProxy(
            {"registry.acme.test:443": ours.host, "storage.else.test:443": theirs.host}
        ) as proxy,
    ):
        monkeypatch.setenv("HTTPS_PROXY", f"http://{proxy.address}")
        registry = store("registry.acme.test", authority, pair)
        blob = push_bytes(registry, b"weights", OCTET_STREAM)
        there = f"https://storage.else.test/v2/{NAME}/blobs/{blob.digest}"
        ours.faults.append(Fault(method="GET", status=307, headers={"Location": there}))
        with pytest.raises(UnavailableError, match=r"storage\.else\.test.*client certificate"):
            fetch_bytes(registry, blob, limit=100)
        assert theirs.requests == []


@pytest.fixture
def behind_a_proxy(
    authority: TlsAuthority, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[FakeRegistry, ConnectProxy]]:
    with FakeRegistry(tls=authority.server("registry.acme.test")) as registry:
        routes = {"registry.acme.test:443": registry.host}
        with ConnectProxy(routes, login="team:s3cret-of-proxy") as proxy:
            monkeypatch.setenv("HTTPS_PROXY", f"http://team:s3cret-of-proxy@{proxy.address}")
            yield registry, proxy


def test_what_breaks_off_or_drips_inside_tls_is_asked_for_again(authority: TlsAuthority) -> None:
    data = bytes(range(256)) * 4096
    with FakeRegistry(tls=authority.server()) as registry:
        options = RegistryOptions(
            credentials=Known({}),
            ca_file=authority.ca_file,
            read_timeout=0.3,
            slowest_read=0.3,
            retry=RetryPolicy(sleep=Waits()),
        )
        with RegistryStore(Repository(registry.host, NAME), options) as ours:
            registry.faults = [
                Fault(method="PUT", cut_request=300_000, times=1),
                Fault(method="POST", drip=0.05, times=1),
            ]
            blob = push_bytes(ours, data, OCTET_STREAM)
            registry.faults = [
                Fault(method="GET", cut_after=500_000, times=1),
                Fault(method="GET", skip=1, drip=0.05, times=1),
            ]
            assert fetch_bytes(ours, blob, limit=len(data)) == data


def test_a_proxy_tunnels_and_sees_nothing(
    behind_a_proxy: tuple[FakeRegistry, ConnectProxy], authority: TlsAuthority
) -> None:
    registry, proxy = behind_a_proxy
    with store("registry.acme.test", authority) as ours:
        push_model(ours)
    assert {line.rpartition(" ")[0] for line in proxy.asked} == {"CONNECT registry.acme.test:443"}
    assert all("proxy-authorization" not in request.headers for request in registry.requests)


def test_a_proxy_that_wants_a_login_is_told_without_the_secret(
    behind_a_proxy: tuple[FakeRegistry, ConnectProxy],
    authority: TlsAuthority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, proxy = behind_a_proxy
    monkeypatch.setenv("HTTPS_PROXY", f"http://team:wrong-s3cret@{proxy.address}")
    with pytest.raises(UnavailableError, match="proxy") as caught:
        store("registry.acme.test", authority).resolve("v1")
    assert "HTTPS_PROXY" in caught.value.hint
    assert "wrong-s3cret" not in f"{caught.value} {caught.value.hint}"


def test_a_host_in_no_proxy_is_not_tunnelled(
    behind_a_proxy: tuple[FakeRegistry, ConnectProxy],
    authority: TlsAuthority,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, proxy = behind_a_proxy
    monkeypatch.setenv("NO_PROXY", "acme.test")
    with pytest.raises(UnavailableError):
        store("registry.acme.test", authority).resolve("v1")
    assert proxy.asked == []


def test_a_token_host_that_is_named_may_know_the_credentials() -> None:
    with FakeRegistry(auth="bearer") as tokens, FakeRegistry(auth="bearer") as registry:
        registry.tokens = tokens.tokens
        registry.realm = f"http://localhost:{tokens.host.partition(':')[2]}/token"
        known = Known({registry.host: Credentials("user", "secret")})

        def push(*hosts: str) -> None:
            chosen = RegistryOptions(credentials=known, retry=QUICK, token_hosts=frozenset(hosts))
            push_model(RegistryStore(Repository(registry.host, NAME), chosen))

        with pytest.raises(AccessDeniedError) as caught:
            push()
        assert "--token-host localhost" in caught.value.hint
        assert tokens.requests == []
        push("localhost")
        assert tokens.asked("GET", "/token")
