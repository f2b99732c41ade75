"""Signing keylessly with a real Fulcio, CT log, Rekor v2 and timestamp authority."""

import base64
import json
import logging
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.support.cli import Command
from tests.support.intoto import OTHER_SUBJECT, PREDICATE_TYPE, SUBJECT, statement
from tests.support.oidc_issuer import DEFAULT_EMAIL
from tests.support.sigstore import PrivateSigstore, SigningPart
from tests.support.silent_server import silent_server

from modelseal.errors import Error, SigningError, UnavailableError, UsageError, VerificationError
from modelseal.trust.identity import Identity
from modelseal.trust.keys import generate_key, load_private_key, load_public_key, write_key_pair
from modelseal.trust.oidc import IdentityTokens
from modelseal.trust.signer import KeySigner, SigstoreSigner
from modelseal.trust.trusted_root import load_trust_config, load_trusted_root
from modelseal.trust.uploads import Patience
from modelseal.trust.verifier import KeyVerifier, SigstoreVerifier

PAYLOADS = [statement(predicate={"number": number}) for number in range(3)]


def signer_of(sigstore: PrivateSigstore, token: str) -> SigstoreSigner:
    config = load_trust_config(sigstore.trusted_root, sigstore.signing_config)
    return SigstoreSigner(config, IdentityTokens(explicit=token))


def verifier_of(
    sigstore: PrivateSigstore, root: Path | None = None, *, subject: str = DEFAULT_EMAIL
) -> SigstoreVerifier:
    loaded = load_trusted_root(root or sigstore.trusted_root)
    return SigstoreVerifier(loaded, {Identity(sigstore.issuer, subject)})


@pytest.fixture(scope="module")
def bundles(private_sigstore: PrivateSigstore) -> list[bytes]:
    return signer_of(private_sigstore, private_sigstore.token()).sign(PAYLOADS)


def refused(verifier: SigstoreVerifier, bundle: bytes | dict[str, Any]) -> str:
    raw = bundle if isinstance(bundle, bytes) else json.dumps(bundle).encode()
    with pytest.raises(VerificationError) as caught:
        verifier.verify(raw, subject=SUBJECT)
    assert caught.value.hint
    return caught.value.reason


def test_three_statements_share_one_certificate(bundles: list[bytes]) -> None:
    materials = [json.loads(bundle)["verificationMaterial"] for bundle in bundles]
    assert len({material["certificate"]["rawBytes"] for material in materials}) == 1
    assert len({material["tlogEntries"][0]["logIndex"] for material in materials}) == 3


def test_they_verify_in_their_order(
    private_sigstore: PrivateSigstore, bundles: list[bytes]
) -> None:
    verifier = verifier_of(private_sigstore)
    verified = [verifier.verify(bundle, subject=SUBJECT) for bundle in bundles]
    assert [one.predicate["number"] for one in verified] == [0, 1, 2]
    for one in verified:
        assert one.signer == Identity(private_sigstore.issuer, DEFAULT_EMAIL)
        assert one.signed_at is not None
        assert one.checks == (
            "certificate-chain",
            "signed-certificate-timestamp",
            "identity",
            "transparency-log",
            "timestamp",
            "signature",
            "subject",
        )


def test_a_later_call_uses_the_same_login(private_sigstore: PrivateSigstore) -> None:
    path = private_sigstore.token_file("once@acme.example")
    signer = signer_of(private_sigstore, str(path))
    first = signer.sign(PAYLOADS[:1])
    path.unlink()  # a second login would fail
    second = signer.sign(PAYLOADS[1:2])
    assert signer.identity == Identity(private_sigstore.issuer, "once@acme.example")
    for bundle in (*first, *second):
        assert signer.verifier().verify(bundle, subject=SUBJECT).signer == signer.identity


def test_verifying_asks_nobody(
    private_sigstore: PrivateSigstore, bundles: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def blocked(*_: object) -> None:
        raise AssertionError("a socket was used")

    monkeypatch.setattr(socket.socket, "connect", blocked)
    monkeypatch.setattr(socket, "getaddrinfo", blocked)
    verified = verifier_of(private_sigstore).verify(bundles[0], subject=SUBJECT)
    assert verified.predicate_type == PREDICATE_TYPE


def test_another_signer_or_root_is_refused(
    private_sigstore: PrivateSigstore, bundles: list[bytes]
) -> None:
    bundle = bundles[0]
    other = verifier_of(private_sigstore, subject="mallory@acme.example")
    assert refused(other, bundle) == "other-identity"
    root = load_trusted_root(private_sigstore.trusted_root)
    issuer = SigstoreVerifier(root, {Identity("https://other.example", DEFAULT_EMAIL)})
    assert refused(issuer, bundle) == "other-issuer"
    foreign = verifier_of(private_sigstore, private_sigstore.foreign_trusted_root())
    assert refused(foreign, bundle) == "untrusted-root"
    key = KeyVerifier([generate_key().public_key()])
    with pytest.raises(VerificationError) as caught:
        key.verify(bundle, subject=SUBJECT)
    assert caught.value.reason == "certificate-bundle"


def test_a_bundle_about_another_digest_is_refused(
    private_sigstore: PrivateSigstore, bundles: list[bytes]
) -> None:
    with pytest.raises(VerificationError) as caught:
        verifier_of(private_sigstore).verify(bundles[0], subject=OTHER_SUBJECT)
    assert caught.value.reason == "wrong-subject"


def test_each_missing_proof_has_its_own_reason(
    private_sigstore: PrivateSigstore, bundles: list[bytes]
) -> None:
    verifier = verifier_of(private_sigstore)
    no_log = json.loads(bundles[0])
    no_log["verificationMaterial"]["tlogEntries"] = []
    assert refused(verifier, no_log) == "no-log-entry"
    no_time = json.loads(bundles[0])
    no_time["verificationMaterial"]["timestampVerificationData"] = {}
    assert refused(verifier, no_time) == "no-timestamp"
    no_authority = private_sigstore.trusted_root_without("tsa")
    assert refused(verifier_of(private_sigstore, no_authority), bundles[0]) == (
        "untrusted-timestamp"
    )


def test_proofs_of_another_statement_are_refused(
    private_sigstore: PrivateSigstore, bundles: list[bytes]
) -> None:
    verifier = verifier_of(private_sigstore)
    other = json.loads(bundles[1])["verificationMaterial"]
    for part, reason in (
        ("tlogEntries", "bad-log-entry"),
        ("timestampVerificationData", "untrusted-timestamp"),
    ):
        moved = json.loads(bundles[0])
        moved["verificationMaterial"][part] = other[part]
        assert refused(verifier, moved) == reason


def test_the_time_comes_from_the_timestamp_that_was_verified(
    private_sigstore: PrivateSigstore, bundles: list[bytes]
) -> None:
    # sigstore ignores timestamps that it cannot verify beside one that it can.
    verifier = verifier_of(private_sigstore)
    good = verifier.verify(bundles[0], subject=SUBJECT)
    for foreign_first in (True, False):
        value = json.loads(bundles[0])
        data = value["verificationMaterial"]["timestampVerificationData"]
        foreign = json.loads(bundles[1])["verificationMaterial"]["timestampVerificationData"]
        both = [*foreign["rfc3161Timestamps"], *data["rfc3161Timestamps"]]
        data["rfc3161Timestamps"] = both if foreign_first else both[::-1]
        verified = verifier.verify(json.dumps(value).encode(), subject=SUBJECT)
        assert verified.signed_at == good.signed_at
    doubled = json.loads(bundles[0])
    stamps = doubled["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
    stamps.append(stamps[0])
    assert refused(verifier, doubled) == "untrusted-timestamp"


def test_a_signing_config_without_a_part_says_which(private_sigstore: PrivateSigstore) -> None:
    token = private_sigstore.token()
    cases: list[tuple[SigningPart, type[Error], str]] = [
        ("fulcio", UsageError, "Fulcio"),
        ("rekor", UsageError, "Rekor"),
        ("tsa", SigningError, "timestamp authority"),
    ]

    def sign_with(signing_config: Path) -> None:
        config = load_trust_config(private_sigstore.trusted_root, signing_config)
        SigstoreSigner(config, IdentityTokens(explicit=token)).sign(PAYLOADS[:1])

    for part, kind, says in cases:
        path = private_sigstore.signing_config_without(part)
        with pytest.raises(Error, match=says) as caught:
            sign_with(path)
        assert type(caught.value) is kind


def test_a_token_that_fulcio_does_not_take_is_not_shown(private_sigstore: PrivateSigstore) -> None:
    head, claims, signature = private_sigstore.token().split(".")
    forged = f"{head}.{claims}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"
    with pytest.raises(SigningError, match=r"Fulcio\) answered 400") as caught:
        signer_of(private_sigstore, forged).sign(PAYLOADS[:1])
    assert claims not in f"{caught.value!r}{caught.value.hint}"


def test_no_token_stands_in_any_log(
    private_sigstore: PrivateSigstore, caplog: pytest.LogCaptureFixture
) -> None:
    token = private_sigstore.token()
    with caplog.at_level(logging.DEBUG):
        signer_of(private_sigstore, token).sign(PAYLOADS[:1])
    assert "integrated" in caplog.text  # sigstore did tell what it does
    assert token.split(".")[1] not in caplog.text


def test_a_timestamp_authority_that_is_down_is_told(
    private_sigstore: PrivateSigstore, tmp_path: Path
) -> None:
    # sigstore only warns, and would hand out a bundle that is void in ten minutes.
    with silent_server() as nobody:
        config = private_sigstore.signing_config.read_text()
    down = tmp_path / "signing_config.json"
    down.write_text(config.replace(private_sigstore.tsa_url, f"{nobody}/api/v1/timestamp"))
    signer = SigstoreSigner(
        load_trust_config(private_sigstore.trusted_root, down),
        IdentityTokens(explicit=private_sigstore.token()),
        patience=Patience(attempts=2, first_wait=0.01),
    )
    with pytest.raises(UnavailableError, match="a proof for the signature is missing"):
        signer.sign(PAYLOADS[:1])


def test_cosign_verifies_our_statements(
    private_sigstore: PrivateSigstore, bundles: list[bytes], cosign: Command, tmp_path: Path
) -> None:
    (tmp_path / "keyless.json").write_bytes(bundles[0])
    asked = ["--type", PREDICATE_TYPE, "--digest", SUBJECT.encoded, "--digestAlg", "sha256"]
    keyless = ["--bundle", str(tmp_path / "keyless.json"), *asked]
    keyless += ["--trusted-root", str(private_sigstore.trusted_root)]
    keyless += ["--certificate-oidc-issuer", private_sigstore.issuer, "--certificate-identity"]
    cosign("verify-blob-attestation", *keyless, DEFAULT_EMAIL).check()
    assert cosign("verify-blob-attestation", *keyless, "mallory@acme.example").returncode != 0

    pair = write_key_pair(generate_key(), tmp_path / "k", lambda: "secret")
    other = write_key_pair(generate_key(), tmp_path / "o", lambda: "secret")
    (bundle,) = KeySigner(load_private_key(pair.private, lambda: "secret")).sign(PAYLOADS[:1])
    (tmp_path / "key.json").write_bytes(bundle)
    key = ["--bundle", str(tmp_path / "key.json"), *asked, "--insecure-ignore-tlog", "--key"]
    cosign("verify-blob-attestation", *key, str(pair.public)).check()
    assert cosign("verify-blob-attestation", *key, str(other.public)).returncode != 0


def test_we_verify_cosigns_statements(
    private_sigstore: PrivateSigstore, cosign: Command, tmp_path: Path
) -> None:
    (tmp_path / "manifest").write_bytes(b"the manifest")
    (tmp_path / "predicate").write_text('{"passed": true}')
    services = ["--trusted-root", str(private_sigstore.trusted_root)]
    services += ["--signing-config", str(private_sigstore.signing_config)]
    attest = ["attest-blob", str(tmp_path / "manifest"), "--predicate", str(tmp_path / "predicate")]
    attest += ["--type", PREDICATE_TYPE, *services, "--bundle", str(tmp_path / "bundle")]
    cosign(*attest, "--identity-token", private_sigstore.token()).check()
    keyless = (tmp_path / "bundle").read_bytes()
    verified = verifier_of(private_sigstore).verify(keyless, subject=SUBJECT)
    assert verified.predicate == {"passed": True}
    assert verified.signed_at is not None

    (tmp_path / "bundle").unlink()
    cosign("generate-key-pair", "--output-key-prefix", str(tmp_path / "c")).check()
    cosign(*attest, "--key", str(tmp_path / "c.key")).check()
    signed = (tmp_path / "bundle").read_bytes()
    assert json.loads(signed)["verificationMaterial"]["tlogEntries"]  # by key, and logged
    key = load_public_key(tmp_path / "c.pub")
    by_key = KeyVerifier([key]).verify(signed, subject=SUBJECT)
    assert by_key.checks == ("signature", "key", "subject")
    hint = json.loads(signed)["verificationMaterial"]["publicKey"]["hint"]
    assert base64.b64decode(hint).hex() == key.identity.fingerprint.removeprefix("sha256:")
    assert refused(verifier_of(private_sigstore), signed) == "key-signed-bundle"
