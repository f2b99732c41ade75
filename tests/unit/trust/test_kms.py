# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Keys in a KMS, in one process: what is refused, and that no secret is told."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from tests.support import kms

from modelseal.errors import Error, KeyFileError, SigningError, UnavailableError, UsageError
from modelseal.trust.kms import is_key_uri, open_remote_key
from modelseal.workflows.signing_keys import open_public_key, open_signing_key

DATA = b"what is signed"


def nobody() -> str:
    raise AssertionError("no PIN was to be asked for")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[[Mapping[str, str]], None]:
    def set_all(variables: Mapping[str, str]) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.fixture
def aws(environment: Callable[[Mapping[str, str]], None]) -> Iterator[kms.Service]:
    keys: dict[str, kms.Key] = {
        "alias/release": ec.generate_private_key(ec.SECP256R1()),
        "alias/rsa": rsa.generate_private_key(65537, 3072),
        "alias/p384": ec.generate_private_key(ec.SECP384R1()),
    }
    service = kms.Service(kms.aws, keys)
    with kms.serve(service):
        environment(kms.aws_environment(service.url))
        yield service


def refused(uri: str, kind: type[Error], words: str) -> None:
    with pytest.raises(kind, match=words) as caught:
        open_remote_key(uri, nobody).sign(DATA)
    assert caught.value.hint
    for secret in ("hunter2", "hvs.", kms.PIN):
        assert secret not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize(
    "uri", ["awskms:alias/release", "awskms:///alias/release", "awskms:alias/rsa"]
)
@pytest.mark.usefixtures("aws")
def test_aws_signs_with_ecdsa_and_with_rsa_pkcs1(uri: str) -> None:
    key = open_remote_key(uri, nobody)
    key.public_key().verify(key.sign(DATA), DATA)
    assert key.public_key().algorithm == ("rsa-3072" if uri.endswith("rsa") else "ecdsa-p256")


@pytest.mark.usefixtures("aws")
def test_what_aws_refuses_is_told(
    environment: Callable[[Mapping[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    refused("awskms:alias/p384", KeyFileError, "secp384r1")
    refused("awskms:alias/none", SigningError, "no key alias/none")
    environment({"AWS_ACCESS_KEY_ID": "AKIAELSE"})
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # it keeps the credentials of a process
    refused("awskms:alias/release", SigningError, "no such identity")


def test_what_a_kms_signed_wrongly_is_not_handed_on(aws: kms.Service) -> None:
    aws.rogue = True
    refused("awskms:alias/release", SigningError, "does not verify with its public key")


def test_vault_gives_the_newest_version_only(
    environment: Callable[[Mapping[str, str]], None],
) -> None:
    service = kms.Service(kms.vault, {"release": ed25519.Ed25519PrivateKey.generate()})
    with kms.serve(service):
        environment({"VAULT_ADDR": service.url, "VAULT_TOKEN": "hvs.test"})
        for uri in ("hv:release", "hv:release/2"):
            key = open_remote_key(uri, nobody)
            assert key.uri == "hv:release/2"
            key.public_key().verify(key.sign(DATA), DATA)
        refused("hv:release/1", KeyFileError, "not the newest version")
        environment({"VAULT_TOKEN": "hvs.else"})
        refused("hv:release", SigningError, "permission denied")
    refused("hv:release", UnavailableError, "did not answer")


def test_what_azure_refuses_is_told(
    environment: Callable[[Mapping[str, str]], None], tmp_path: Path
) -> None:
    service = kms.Service(kms.azure, {"release": ec.generate_private_key(ec.SECP256R1())})
    uri = "azurekms://acme.vault.azure.net/keys/"
    with kms.azure_vault(service, tmp_path) as variables:
        environment(variables)
        key = open_remote_key(f"{uri}release/0a1b2c", nobody)
        key.public_key().verify(key.sign(DATA), DATA)
        refused(f"{uri}release/0a0a0a", KeyFileError, "not the newest version")
        refused(f"{uri}none", SigningError, "no key none")


def test_a_token_has_its_pin_asked_once_and_told_never(
    environment: Callable[[Mapping[str, str]], None], tmp_path: Path
) -> None:
    environment(kms.soft_token(tmp_path))
    asked: list[str] = []

    def pin() -> str:
        asked.append("once")
        return kms.PIN

    key = open_remote_key("hsm:2?label=release+team", pin)
    for data in (DATA, DATA * 2):
        key.public_key().verify(key.sign(data), data)
    assert asked == ["once"]
    for uri, words in {"hsm:3": "secp384r1", "hsm:9": "could not find ECDSA key"}.items():
        with pytest.raises(Error, match=words):
            open_remote_key(uri, pin)
    wrong = open_remote_key("hsm:2", lambda: "1111")
    with pytest.raises(SigningError, match="PinIncorrect"):
        wrong.sign(DATA)
    refused("hsm:2?label=other", SigningError, "No PKCS#11 token found")
    environment({"PYKCS11LIB": ""})
    refused("hsm:2", SigningError, "PYKCS11LIB")


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("hashivault://release", "hv:NAME"),
        (f"pkcs11:token=t;pin-value={kms.PIN}", "hsm:ID"),
        (f"hsm:2?pin={kms.PIN}", "the PIN never stands in it"),
        ("hsm:two", "hsm:ID"),
        ("file2:plain.pem", "name the file itself"),
        ("gcpkms:release", "gcpkms:projects/"),
        ("azurekms://127.0.0.1/keys/release", "azurekms://VAULT.vault.azure.net"),
        ("awskms:", "awskms:alias/NAME"),
        ("hv:../sys/seal", "hv:NAME"),
    ],
)
def test_other_uris_are_refused_with_the_spelling(uri: str, words: str) -> None:
    assert is_key_uri(uri)
    with pytest.raises(KeyFileError) as caught:
        open_remote_key(uri, nobody)
    assert words in caught.value.hint
    assert kms.PIN not in f"{caught.value} {caught.value.hint}"


@pytest.mark.parametrize("path", ["release.key", "./awskms:release", "/keys/hv:x", "C:release"])
def test_a_file_is_a_file(path: str) -> None:
    assert not is_key_uri(path)


def test_offline_no_service_is_asked_for_a_key() -> None:
    for uri in ("awskms:alias/release", "hv:release"):
        with pytest.raises(UsageError, match="--offline"):
            open_public_key(uri, pin=nobody, offline=True)
        with pytest.raises(UsageError, match="--offline"):
            open_signing_key(uri, passphrase=nobody, pin=nobody, offline=True)
