# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Redirects, retries, limits and errors, over real HTTP on loopback."""

import datetime as dt
import ipaddress
import json
import socket
import ssl
import threading
import urllib.request
from pathlib import Path

import pytest
import urllib3
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.support.fake_registry import FakeRegistry, Fault
from tests.support.registry_store import NAME, Waits, options_of, push_model, store_at

from modelseal.errors import (
    AccessDeniedError,
    ConflictError,
    LimitExceededError,
    NotFoundError,
    UnavailableError,
    UsageError,
)
from modelseal.oci.descriptor import OCTET_STREAM, Descriptor
from modelseal.oci.registry.answers import MAX_ANSWER, printable, quote
from modelseal.oci.registry.hosts import Origin, Target
from modelseal.oci.registry.options import RetryPolicy
from modelseal.oci.registry.retry import TransientError, retry_after, retrying
from modelseal.oci.registry.transport import Transport, _proxy_for, failure
from modelseal.oci.store import fetch_bytes, push_bytes

USER = ("somebody", "pass-word")


def registry(**settings: object) -> FakeRegistry:
    return FakeRegistry(username=USER[0], password=USER[1], **settings)  # type: ignore[arg-type] # passed on as they are


# Redirects: security pitfall 8 C 13.


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_c13_authorization_stays_behind_when_the_port_changes(auth: str) -> None:
    with registry(auth=auth) as ours, FakeRegistry() as other:
        store = store_at(ours.host, user=USER)
        blob = push_bytes(store, b"weights", OCTET_STREAM)
        other.blobs["elsewhere", str(blob.digest)] = b"weights"
        location = f"{other.url}/v2/elsewhere/blobs/{blob.digest}"
        ours.faults.append(
            Fault(method="GET", path="/blobs/", status=307, headers={"Location": location})
        )
        assert fetch_bytes(store, blob, limit=100) == b"weights"
        (asked,) = other.requests
        assert asked.authorization == ""
        assert ours.asked("GET", "/blobs/")[-1].authorization.startswith(auth.title())


def test_c13_a_401_at_the_other_host_never_gets_the_credentials() -> None:
    with registry(auth="basic") as ours, registry(auth="basic") as other:
        store = store_at(ours.host, user=USER)
        blob = push_bytes(store, b"weights", OCTET_STREAM)
        location = f"{other.url}/v2/elsewhere/blobs/{blob.digest}"
        ours.faults.append(
            Fault(method="GET", path="/blobs/", status=302, headers={"Location": location})
        )
        with pytest.raises(AccessDeniedError, match=other.host):
            fetch_bytes(store, blob, limit=100)
        assert [request.authorization for request in other.requests] == [""]


def test_c13_another_host_cannot_send_us_back_with_authorization() -> None:
    with registry(auth="basic") as ours, FakeRegistry() as other:
        store = store_at(ours.host, user=USER)
        blob = push_bytes(store, b"weights", OCTET_STREAM)
        secret = f"{ours.url}/v2/private/blobs/{blob.digest}"
        away = Fault(
            method="GET",
            path="/blobs/",
            times=1,
            status=302,
            headers={"Location": f"{other.url}/x"},
        )
        ours.faults.append(away)
        other.faults.append(Fault(status=302, headers={"Location": secret}))
        with pytest.raises(AccessDeniedError):
            fetch_bytes(store, blob, limit=100)
        assert ours.asked("GET", "/v2/private/")[0].authorization == ""


def test_c13_a_redirect_to_cloud_metadata_is_refused() -> None:
    with FakeRegistry() as ours:
        store = store_at(ours.host)
        location = "http://169.254.169.254/latest/meta-data/iam"
        ours.faults.append(Fault(status=302, headers={"Location": location}))
        with pytest.raises(UnavailableError, match="inside this network"):
            store.resolve("v1")


@pytest.mark.parametrize(
    "location", ["", "http://user:pw@127.0.0.1/", "ftp://127.0.0.1/", "http://127.1/", "http://[/"]
)
def test_c13_a_location_that_is_none_is_refused(location: str) -> None:
    with FakeRegistry() as ours:
        ours.faults.append(Fault(status=302, headers={"Location": location}))
        with pytest.raises(UnavailableError):
            store_at(ours.host).resolve("v1")
        assert len(ours.requests) == 1


def test_c13_redirects_in_circles_end() -> None:
    with FakeRegistry() as ours:
        ours.faults.append(Fault(status=302, headers={"Location": "/v2/again"}))
        with pytest.raises(UnavailableError, match="in circles"):
            store_at(ours.host).resolve("v1")
        assert len(ours.requests) == 6


@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_c13_what_is_sent_is_not_sent_elsewhere(method: str) -> None:
    with FakeRegistry() as ours, FakeRegistry() as other:
        fault = Fault(method=method, status=307, headers={"Location": f"{other.url}/v2/x/"})
        ours.faults.append(fault)
        with pytest.raises(UnavailableError, match="307"):
            push_bytes(store_at(ours.host), b"weights", OCTET_STREAM)
        assert other.requests == []


def test_c13_a_name_that_leads_inside_is_refused_when_it_is_connected() -> None:
    """A redirect to a public name may resolve to an inner address: the peer is what counts."""
    with FakeRegistry() as ours:
        outside = Transport(Origin("https", "140.82.112.33", 443), options_of())
        target = Target.parse(f"{ours.url}/v2/", "the redirect")
        with pytest.raises(UnavailableError, match="inside this network"):
            outside.exchange("GET", target, headers={})
        assert ours.requests == []


# TLS


def certificate(directory: Path) -> tuple[ssl.SSLContext, Path]:
    """Make a certificate for 127.0.0.1 that signs itself, for a server and for a client."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "fake registry")])
    now = dt.datetime.now(dt.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    ca = directory / "ca.pem"
    ca.write_bytes(made.public_bytes(pem))
    private = directory / "key.pem"
    private.write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(ca, private)
    return context, ca


def test_a_ca_file_makes_a_private_registry_known(tmp_path: Path) -> None:
    context, ca = certificate(tmp_path)
    with FakeRegistry(tls=context) as ours:
        store = store_at(ours.host, ca_file=ca)
        manifest = push_model(store)
        assert store.resolve(manifest.descriptor.digest) == manifest.descriptor
        store.close()


def test_a_registry_with_an_unknown_certificate_is_not_spoken_to(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    context, _ = certificate(tmp_path)
    _, other = certificate(tmp_path / "other")
    with FakeRegistry(tls=context) as ours:
        with pytest.raises(UnavailableError, match="no TLS") as caught:
            store_at(ours.host, ca_file=other).resolve("v1")
        assert "--ca-file" in caught.value.hint
        assert ours.requests == []


def test_c13_from_https_to_http_is_never_followed(tmp_path: Path) -> None:
    context, ca = certificate(tmp_path)
    with FakeRegistry(tls=context) as ours, FakeRegistry() as other:
        store = store_at(ours.host, ca_file=ca)
        ours.faults.append(Fault(method="GET", status=302, headers={"Location": other.url}))
        with pytest.raises(UnavailableError, match="from https to http"):
            store.resolve("v1")
        ours.faults[:] = [Fault(method="POST", status=202, headers={"Location": f"{other.url}/up"})]
        with pytest.raises(UnavailableError, match="from https to http"):
            push_bytes(store, b"weights", OCTET_STREAM)
        assert other.requests == []


def test_a_ca_file_that_is_none_is_named(tmp_path: Path) -> None:
    nothing = tmp_path / "ca.pem"
    nothing.write_text("nothing")
    with pytest.raises(UsageError, match=r"ca\.pem"):
        store_at("127.0.0.1:1", ca_file=nothing).resolve("v1")


# Retries


def test_5xx_is_tried_again_and_passes() -> None:
    waits = Waits()
    with FakeRegistry(faults=[Fault(status=503, times=2)]) as ours:
        push_bytes(store_at(ours.host, waits=waits), b"weights", OCTET_STREAM)
    assert len(waits.seconds) == 2
    assert 0.15 <= waits.seconds[0] <= 0.3 <= waits.seconds[1] <= 0.6


def test_5xx_that_stays_is_unavailable() -> None:
    with FakeRegistry(faults=[Fault(status=502)]) as ours:
        with pytest.raises(UnavailableError, match="502"):
            store_at(ours.host).resolve("v1")
        assert len(ours.requests) == 4


def test_501_is_not_tried_again() -> None:
    with FakeRegistry(faults=[Fault(status=501)]) as ours:
        with pytest.raises(UnavailableError, match="501"):
            store_at(ours.host).resolve("v1")
        assert len(ours.requests) == 1


def test_429_is_waited_for_as_asked_then_fine() -> None:
    waits = Waits()
    with FakeRegistry() as ours:
        store = store_at(ours.host, waits=waits)
        manifest = push_model(store)
        ours.faults.append(Fault(status=429, times=1, headers={"Retry-After": "7"}))
        assert store.resolve(manifest.descriptor.digest) == manifest.descriptor
    assert waits.seconds == [7.0]


def test_429_for_longer_than_we_wait_is_said_at_once() -> None:
    waits = Waits()
    fault = Fault(status=429, headers={"Retry-After": "3600"})
    with FakeRegistry(faults=[fault]) as ours:
        with pytest.raises(UnavailableError, match="429") as caught:
            store_at(ours.host, waits=waits).resolve("v1")
        assert len(ours.requests) == 1
    assert caught.value.reason == "rate-limited"
    assert waits.seconds == []


def test_a_dropped_connection_is_tried_again() -> None:
    with FakeRegistry() as ours:
        store = store_at(ours.host)
        manifest = push_model(store)
        ours.faults.append(Fault(drop=True, times=2))
        assert store.resolve(manifest.descriptor.digest) == manifest.descriptor


def test_an_answer_cut_short_is_tried_again() -> None:
    with FakeRegistry() as ours:
        store = store_at(ours.host)
        manifest = push_model(store)
        ours.faults.append(Fault(method="GET", cut_after=10, times=2))
        assert store.resolve(manifest.descriptor.digest) == manifest.descriptor
        ours.faults.append(Fault(method="GET", cut_after=10))
        with pytest.raises(UnavailableError, match="broke off"):
            store_at(ours.host).resolve(manifest.descriptor.digest)


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 201 Created\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n",
        b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\nDocker-Content-Dig",
    ],
)
def test_an_answer_that_ends_in_its_head_is_none(head: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            for _ in range(2):
                connection, _address = server.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(head)

        threading.Thread(target=answer, daemon=True).start()
        host = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UnavailableError, match="broke off"):
            store_at(host, attempts=2).exists(Descriptor.of(b"weights", OCTET_STREAM))


def test_a_registry_that_is_down_is_unavailable() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{free.getsockname()[1]}"
    waits = Waits()
    with pytest.raises(UnavailableError, match=f"{host} does not answer: connection refused"):
        store_at(host, waits=waits).resolve("v1")
    assert len(waits.seconds) == 3


def test_what_is_no_http_is_unavailable() -> None:
    fault = Fault(status=200, headers={"Transfer-Encoding": "chunked"}, body=b"zz\r\n")
    with FakeRegistry(faults=[fault]) as ours, pytest.raises(UnavailableError):
        store_at(ours.host).resolve("v1")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (urllib3.exceptions.ProxyError("x", OSError()), "the proxy"),
        (urllib3.exceptions.SSLError(ssl.SSLError(1, "[SSL] wrong version")), "no TLS"),
        (urllib3.exceptions.ConnectTimeoutError(), "too long"),
        (urllib3.exceptions.ProtocolError("x"), "broke off"),
    ],
)
def test_what_the_library_raises_is_translated(error: Exception, words: str) -> None:
    assert words in str(failure(error, Origin("https", "ghcr.io", 443)))


def test_an_unknown_host_is_not_asked_for_again() -> None:
    connection = urllib3.connection.HTTPConnection("nowhere.invalid")
    unknown = socket.gaierror(socket.EAI_NONAME, "unknown")
    later = socket.gaierror(socket.EAI_AGAIN, "try again")
    for cause, kind in ((unknown, UnavailableError), (later, TransientError)):
        error = urllib3.exceptions.NameResolutionError("nowhere.invalid", connection, cause)
        error.__cause__ = cause
        assert isinstance(failure(error, Origin("https", "nowhere.invalid", 443)), kind)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("7", 7.0),
        (" 7 ", 7.0),
        ("-7", None),
        ("7.5", None),
        ("\u0667", None),
        ("soon", None),
        ("9" * 400, 999_999_999.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value) == seconds


def test_back_off_doubles_up_to_its_limit() -> None:
    waits = Waits()
    policy = RetryPolicy(attempts=9, first_wait=1, longest_wait=8, sleep=waits)

    def fail() -> None:
        raise TransientError(UnavailableError("down"))

    with pytest.raises(UnavailableError, match="down"):
        retrying(policy, fail)
    for wait, most in zip(waits.seconds, [1, 2, 4, 8, 8, 8, 8, 8], strict=True):
        assert most / 2 <= wait <= most


# What a registry says, and how much of it is read: security pitfall 8 C 15.


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (401, AccessDeniedError, "401"),
        (403, AccessDeniedError, "403"),
        (404, NotFoundError, "does not have"),
        (409, ConflictError, "409"),
        (412, ConflictError, "412"),
        (413, LimitExceededError, "too large"),
        (400, UnavailableError, "400"),
        (418, UnavailableError, "418"),
    ],
)
def test_a_status_becomes_an_error_that_names_the_thing(
    status: int, kind: type[Exception], words: str
) -> None:
    body = json.dumps({"errors": [{"code": "WHY", "message": "because of this"}]}).encode()
    with FakeRegistry(faults=[Fault(status=status, body=body)]) as ours:
        with pytest.raises(kind, match=words) as caught:
            store_at(ours.host).resolve("v1")
        message = str(caught.value)
        assert f"{ours.host}/{NAME}:v1" in message
        assert "WHY because of this" in message
        assert len(ours.requests) == 1


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_a_private_registry_without_credentials_says_how_to_log_in(auth: str) -> None:
    with registry(auth=auth) as ours:
        with pytest.raises(AccessDeniedError) as caught:
            store_at(ours.host).resolve("v1")
        assert f"docker login {ours.host}" in caught.value.hint


def test_a_wrong_password_is_not_tried_again_nor_shown() -> None:
    with registry(auth="basic") as ours:
        with pytest.raises(AccessDeniedError) as caught:
            store_at(ours.host, user=("somebody", "wrong-password")).resolve("v1")
        assert len(ours.requests) == 2
        assert "wrong-password" not in f"{caught.value!r} {caught.value.hint}"


def test_a_registry_that_repeats_our_secret_is_not_quoted_with_it() -> None:
    with registry(auth="basic") as ours:
        store = store_at(ours.host, user=USER)
        push_model(store)
        body = json.dumps({"errors": [{"code": "X", "message": f"bad {USER[1]}"}]}).encode()
        ours.faults.append(Fault(method="GET", status=403, body=body))
        with pytest.raises(AccessDeniedError, match=r"bad \*\*\*"):
            store.resolve("v1")


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b"{}", b'{"errors":7}', b'{"errors":[7]}', b"[" * 100_000, b"\xff"],
)
def test_an_error_body_of_another_kind_is_not_quoted(body: bytes) -> None:
    assert quote(body) == ""


def test_what_is_quoted_is_short_and_printable() -> None:
    evil = "\x1b[31m\u202ered\r\nnext\u2066" + "x" * 1000
    body = json.dumps({"errors": [{"code": "A", "message": evil}] * 50}).encode()
    said = quote(body)
    assert said.isprintable()
    assert len(said) < 700
    assert printable("a\tb\x00c") == "a b c"


def test_c15_a_json_answer_without_end_is_not_read() -> None:
    with FakeRegistry(faults=[Fault(status=200, body=b" " * (MAX_ANSWER + 1))]) as ours:
        with pytest.raises(LimitExceededError, match=ours.host):
            list(store_at(ours.host).tags())
        with pytest.raises(LimitExceededError, match=ours.host):
            store_at(ours.host).resolve("v1")


def test_c15_a_refusal_without_end_is_cut() -> None:
    body = b'{"errors":[{"code":"X","message":"' + b"y" * (1 << 20)
    with FakeRegistry(faults=[Fault(status=404, body=body)]) as ours:
        with pytest.raises(NotFoundError) as caught:
            store_at(ours.host).resolve("v1")
        assert len(str(caught.value)) < 500


def test_c15_a_token_answer_without_end_is_not_read() -> None:
    endless = Fault(path="/token", status=200, body=b" " * 70_000)
    with registry(auth="bearer", faults=[endless]) as ours, pytest.raises(LimitExceededError):
        store_at(ours.host).resolve("v1")


# Tokens, over HTTP


def test_tokens_have_the_smallest_scope() -> None:
    with registry(auth="bearer") as ours:
        store = store_at(ours.host, user=USER)
        manifest = push_model(store)
        store_at(ours.host, user=USER).resolve(manifest.descriptor.digest)
        asked = [request.path for request in ours.asked("GET", "/token")]
    write, read = asked
    assert "scope=repository%3Aacme%2Fmodel%3Apull%2Cpush&" in write
    assert "scope=repository%3Aacme%2Fmodel%3Apull&" in read


def test_a_token_that_dies_in_mid_run_is_replaced_once() -> None:
    with registry(auth="bearer") as ours:
        store = store_at(ours.host, user=USER)
        push_model(store)
        ours.tokens.clear()
        push_model(store, b"more weights")
        assert len(ours.asked("GET", "/token")) == 2


def test_a_token_that_may_not_write_is_access_denied() -> None:
    with registry(auth="bearer", may_push=False) as ours:
        with pytest.raises(AccessDeniedError):
            push_bytes(store_at(ours.host, user=USER), b"weights", OCTET_STREAM)
        assert len(ours.asked("GET", "/token")) <= 3


def test_an_identity_token_opens_a_registry() -> None:
    with registry(auth="bearer") as ours:
        push_model(store_at(ours.host, identity_token=USER[1]))
        assert [r.method for r in ours.asked(path="/token")] == ["POST"]


def test_c12_a_redirect_of_the_token_service_is_not_followed() -> None:
    with FakeRegistry() as other:
        redirect = Fault(path="/token", status=307, headers={"Location": f"{other.url}/token"})
        with (
            registry(auth="bearer", faults=[redirect]) as ours,
            pytest.raises(UnavailableError, match="not followed"),
        ):
            store_at(ours.host, user=USER).resolve("v1")
        assert other.requests == []


# Proxies


@pytest.mark.parametrize(
    ("environment", "origin", "proxy"),
    [
        ({}, Origin("https", "ghcr.io", 443), ""),
        ({"https_proxy": "http://p:1"}, Origin("https", "ghcr.io", 443), "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, Origin("https", "ghcr.io", 443), "http://p:1"),
        ({"HTTPS_PROXY": "p:1"}, Origin("https", "ghcr.io", 443), "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1"}, Origin("http", "r.lan", 80), ""),
        ({"ALL_PROXY": "http://p:1"}, Origin("http", "r.lan", 80), "http://p:1"),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": "ghcr.io"}, Origin("https", "ghcr.io", 443), ""),
        ({"HTTPS_PROXY": "http://p:1", "NO_PROXY": ".io"}, Origin("https", "ghcr.io", 443), ""),
        ({"HTTP_PROXY": "http://p:1"}, Origin("http", "127.0.0.1", 5000), ""),
        ({"HTTP_PROXY": "http://p:1"}, Origin("http", "::1", 5000), ""),
    ],
)
def test_the_proxy_of_the_environment(
    environment: dict[str, str], origin: Origin, proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in urllib.request.getproxies():
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name.upper()}_PROXY", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert _proxy_for(origin) == proxy


def test_a_proxy_of_another_kind_is_named_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "socks5://me:pass-word@proxy.example:1080")
    transport = Transport(Origin("https", "ghcr.io", 443), options_of())
    with pytest.raises(UsageError, match=r"proxy\.example") as caught:
        transport.exchange("GET", Target.parse("https://ghcr.io/v2/", "x"), headers={})
    assert "pass-word" not in str(caught.value)


def test_requests_go_through_the_proxy_with_its_login(monkeypatch: pytest.MonkeyPatch) -> None:
    with FakeRegistry() as proxy:
        monkeypatch.setenv("HTTP_PROXY", f"http://me:pass@{proxy.host}")
        transport = Transport(Origin("http", "registry.lan", 80), options_of())
        target = Target.parse("http://registry.lan/v2/", "x")
        transport.exchange("GET", target, headers={}).release_conn()
        (asked,) = proxy.requests
        assert asked.path == "http://registry.lan/v2/"
        assert asked.headers["proxy-authorization"].startswith("Basic ")
        transport.close()


def test_blobs_are_asked_for_as_they_are() -> None:
    blob = Descriptor.of(b"weights", OCTET_STREAM)
    with FakeRegistry() as ours:
        ours.blobs[NAME, str(blob.digest)] = b"weights"
        fetch_bytes(store_at(ours.host), blob, limit=100)
        assert ours.requests[0].headers["accept-encoding"] == "identity"
        assert ours.requests[0].headers["user-agent"].startswith("modelseal/")
