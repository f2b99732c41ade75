import functools
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.intoto import SUBJECT, statement
from tests.support.virtual_sigstore import ISSUER, VirtualSigstore
from tests.support.virtual_sigstore import SUBJECT as TRAINER

from modelseal.errors import StorageError, UnavailableError, UsageError
from modelseal.trust.identity import Identity
from modelseal.trust.trusted_root import (
    MAX_TRUST_FILE_BYTES,
    load_trust_config,
    load_trusted_root,
    parse_trusted_root,
)
from modelseal.trust.verifier import SigstoreVerifier

SIGSTORE = VirtualSigstore()
ROOT: dict[str, Any] = json.loads(SIGSTORE.trusted_root())
SERVICE = {
    "url": "https://service.example",
    "majorApiVersion": 1,
    "validFor": {"start": "2024-01-01T00:00:00Z"},
    "operator": "tests",
}
SIGNING: dict[str, Any] = {
    "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
    "caUrls": [SERVICE],
    "oidcUrls": [SERVICE],
    "rekorTlogUrls": [SERVICE],
    "tsaUrls": [SERVICE],
    "rekorTlogConfig": {"selector": "ANY"},
    "tsaConfig": {"selector": "ANY"},
}


def copy(value: dict[str, Any]) -> dict[str, Any]:
    copied: dict[str, Any] = json.loads(json.dumps(value))
    return copied


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(UsageError) as caught:
        call()
    assert caught.value.reason in {"invalid-trust-file", "usage"}
    return str(caught.value)


def load_signing(directory: Path, signing: dict[str, Any]) -> Any:  # noqa: ANN401 - sigstore's
    root, config = directory / "root.json", directory / "signing.json"
    root.write_text(json.dumps(ROOT))
    config.write_text(json.dumps(signing))
    return load_trust_config(root, config)


def test_what_cosign_leaves_out_is_filled_in() -> None:
    sparse = copy(ROOT)
    assert "timestampAuthorities" not in sparse
    del sparse["certificateAuthorities"][0]["subject"]
    root = parse_trusted_root(json.dumps(sparse).encode(), "root.json")
    assert root.get_timestamp_authorities() == []
    nameless = copy(ROOT)
    nameless["certificateAuthorities"][0]["subject"] = {"organization": "acme"}
    assert parse_trusted_root(json.dumps(nameless).encode(), "root.json").get_fulcio_certs()


def test_filling_in_changes_no_verdict(tmp_path: Path) -> None:
    sparse = copy(ROOT)
    del sparse["certificateAuthorities"][0]["subject"]
    path = tmp_path / "root.json"
    path.write_text(json.dumps(sparse))
    verifier = SigstoreVerifier(load_trusted_root(path), {Identity(ISSUER, TRAINER)})
    bundle = json.dumps(SIGSTORE.bundle(statement())).encode()
    assert verifier.verify(bundle, subject=SUBJECT).signer == Identity(ISSUER, TRAINER)


@pytest.mark.parametrize("part", ["tlogs", "ctlogs", "certificateAuthorities"])
def test_a_root_that_lacks_a_part_says_which(part: str) -> None:
    for lacking in (
        {key: value for key, value in ROOT.items() if key != part},
        ROOT | {part: []},
    ):
        parse = functools.partial(parse_trusted_root, json.dumps(lacking).encode(), "root.json")
        assert "root.json names no " in refused(parse)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"{}",
        json.dumps(ROOT | {"mediaType": "application/json"}).encode(),
        json.dumps(ROOT | {"tlogs": {}}).encode(),
        json.dumps(ROOT | {"tlogs": [1]}).encode(),
        json.dumps(ROOT | {"tlogs": [{}]}).encode(),
        json.dumps(ROOT | {"certificateAuthorities": [{}]}).encode(),
        json.dumps(ROOT | {"certificateAuthorities": [{"subject": 1}]}).encode(),
        json.dumps(ROOT | {"unknown": 1}).encode(),
        json.dumps(ROOT).replace('"tlogs"', '"tlogs": [], "tlogs"').encode(),
    ],
)
def test_what_is_no_trusted_root_is_refused(raw: bytes) -> None:
    assert "root.json" in refused(lambda: parse_trusted_root(raw, "root.json"))


def test_a_broken_certificate_in_a_root_is_refused_when_it_is_read() -> None:
    broken = copy(ROOT)
    broken["certificateAuthorities"][0]["certChain"]["certificates"][0]["rawBytes"] = "QUFB"
    refused(lambda: parse_trusted_root(json.dumps(broken).encode(), "root.json"))


def test_a_missing_or_too_large_file_is_told(tmp_path: Path) -> None:
    assert "No such file" in refused(lambda: load_trusted_root(tmp_path / "root.json"))
    (tmp_path / "root.json").write_bytes(b" " * (MAX_TRUST_FILE_BYTES + 1))
    assert "too large" in refused(lambda: load_trusted_root(tmp_path / "root.json"))


def test_signing_needs_both_files(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    path.write_text("{}")
    assert "--signing-config is missing" in refused(lambda: load_trust_config(path, None))
    assert "--trusted-root is missing" in refused(lambda: load_trust_config(None, path))


def test_a_signing_config_of_cosign_is_completed(tmp_path: Path) -> None:
    sparse = copy(SIGNING)
    sparse["rekorTlogConfig"], sparse["tsaConfig"] = {}, {}
    for part in ("caUrls", "rekorTlogUrls"):
        del sparse[part][0]["operator"]
    del sparse["tsaUrls"], sparse["oidcUrls"]
    config = load_signing(tmp_path, sparse)
    assert config.signing_config.get_fulcio().url == SERVICE["url"]
    assert config.signing_config.get_tsas() == []


@pytest.mark.parametrize(("part", "says"), [("caUrls", "Fulcio"), ("rekorTlogUrls", "Rekor")])
def test_a_signing_config_that_lacks_a_part_says_which(
    tmp_path: Path, part: str, says: str
) -> None:
    lacking = {key: value for key, value in SIGNING.items() if key != part}
    assert says in refused(lambda: load_signing(tmp_path, lacking))


def test_a_signing_config_that_is_over_is_refused(tmp_path: Path) -> None:
    old = copy(SIGNING)
    old["caUrls"][0]["validFor"]["end"] = "2024-02-01T00:00:00Z"
    assert "Fulcio" in refused(lambda: load_signing(tmp_path, old))


@pytest.mark.parametrize("part", ["caUrls", "oidcUrls"])
@pytest.mark.parametrize(
    "url",
    [
        "http://fulcio.example",
        "http://127.0.0.1.example",
        "http://localhost@fulcio.example",
        "http://169.254.169.254",
        "ftp://127.0.0.1",
        "http://[broken",
        "fulcio.example",
        "",
        7,
    ],
)
def test_e_a_token_is_sent_only_with_tls_or_to_loopback(
    tmp_path: Path, part: str, url: object
) -> None:
    signing = SIGNING | {part: [SERVICE | {"url": url}]}
    assert "without TLS" in refused(lambda: load_signing(tmp_path, signing))


def test_loopback_needs_no_tls(tmp_path: Path) -> None:
    for host in ("127.0.0.1:5555", "localhost:5555", "[::1]:5555"):
        signing = SIGNING | {"caUrls": [SERVICE | {"url": f"http://{host}"}]}
        assert load_signing(tmp_path, signing).signing_config.get_fulcio().url == f"http://{host}"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def block_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    def blocked(*_: object, **__: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(socket.socket, "connect", blocked)
    monkeypatch.setattr(socket, "getaddrinfo", blocked)


@pytest.mark.usefixtures("home")
def test_the_public_instance_is_known_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    block_sockets(monkeypatch)
    assert load_trusted_root(None, offline=True).get_fulcio_certs()


@pytest.mark.usefixtures("home")
def test_without_network_the_next_step_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    block_sockets(monkeypatch)
    with pytest.raises(UnavailableError, match="cannot be brought up to date") as caught:
        load_trusted_root(None)
    assert "--offline" in caught.value.hint


def test_a_home_that_cannot_be_written_is_told(home: Path) -> None:
    home.write_bytes(b"a file")
    with pytest.raises(StorageError, match="cannot be used"):
        load_trusted_root(None, offline=True)
