import base64
import hashlib
import json
from datetime import datetime
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.intoto import OTHER_SUBJECT, PREDICATE_TYPE, SUBJECT, statement
from tests.support.virtual_sigstore import VirtualSigstore

from modelseal.errors import SigningError, UsageError, VerificationError
from modelseal.oci.descriptor import Digest
from modelseal.trust.bundle import build_key_bundle
from modelseal.trust.dsse import pae
from modelseal.trust.keys import generate_key, parse_public_key
from modelseal.trust.signer import KeySigner
from modelseal.trust.verifier import KeyVerifier, read_unsafe

KEY = generate_key()
VERIFIER = KeyVerifier([KEY.public_key()])
(BUNDLE,) = KeySigner(KEY).sign([statement()])


def refused(bundle: bytes, verifier: KeyVerifier = VERIFIER, subject: Digest = SUBJECT) -> str:
    with pytest.raises(VerificationError) as caught:
        verifier.verify(bundle, subject=subject)
    assert caught.value.hint or caught.value.reason == "not-a-statement"
    return caught.value.reason


def changed(**changes: Any) -> bytes:  # noqa: ANN401 - any JSON
    return json.dumps(json.loads(BUNDLE) | changes).encode()


def test_a_signed_statement_is_verified() -> None:
    verified = VERIFIER.verify(BUNDLE, subject=SUBJECT)
    assert verified.subject == SUBJECT
    assert verified.predicate_type == PREDICATE_TYPE
    assert verified.predicate == {"passed": True}
    assert verified.signer == KEY.public_key().identity
    assert verified.bundle == Digest.of(BUNDLE)


def test_f_only_checks_that_ran_are_told() -> None:
    verified = VERIFIER.verify(BUNDLE, subject=SUBJECT)
    assert verified.checks == ("signature", "key", "subject")
    assert verified.signed_at is None


def test_log_entries_in_a_key_bundle_are_not_claimed_as_checked() -> None:
    # cosign writes them with a key and a signing config that has a log.
    value = json.loads(BUNDLE)
    foreign = VirtualSigstore().bundle(statement())["verificationMaterial"]["tlogEntries"]
    value["verificationMaterial"]["tlogEntries"] = foreign
    value["verificationMaterial"]["timestampVerificationData"] = {
        "rfc3161Timestamps": [{"signedTimestamp": "QQ=="}]
    }
    verified = VERIFIER.verify(json.dumps(value).encode(), subject=SUBJECT)
    assert verified.checks == ("signature", "key", "subject")
    assert verified.signed_at is None


def test_a_verified_predicate_cannot_be_changed() -> None:
    verified = VERIFIER.verify(BUNDLE, subject=SUBJECT)
    with pytest.raises(TypeError):
        verified.predicate["passed"] = False  # type: ignore[index] # that is the point
    with pytest.raises(AttributeError):
        verified.signed_at = datetime.min  # type: ignore[misc] # noqa: DTZ901 - that is the point


def test_one_of_several_trusted_keys_is_enough_and_is_named() -> None:
    other = generate_key().public_key()
    verified = KeyVerifier([other, KEY.public_key()]).verify(BUNDLE, subject=SUBJECT)
    assert verified.signer == KEY.public_key().identity


def test_no_key_accepts_nobody() -> None:
    with pytest.raises(UsageError):
        KeyVerifier([])


def test_a_bundle_about_another_digest_moved_here_is_refused() -> None:
    assert refused(BUNDLE, subject=OTHER_SUBJECT) == "wrong-subject"


def test_another_key_is_refused() -> None:
    assert refused(BUNDLE, KeyVerifier([generate_key().public_key()])) == "other-key"


def test_b10_the_hint_of_a_bundle_never_picks_the_key() -> None:
    mallory = generate_key()
    forged = build_key_bundle(statement(), mallory.sign(pae(statement())), KEY.public_key().hint)
    assert refused(forged) == "bad-signature"
    key = KEY.public_key()
    oms = hashlib.sha256(key.pem).hexdigest()
    for hint in ("", key.hint, oms, f"SHA256:{key.hint.rstrip('=')}"):
        known = changed(verificationMaterial={"publicKey": {"hint": hint}})
        assert VERIFIER.verify(known, subject=SUBJECT).predicate_type == PREDICATE_TYPE
    # Signed by the key, and said to be signed by another: two readers would tell two stories.
    other = changed(verificationMaterial={"publicKey": {"hint": "another hint"}})
    assert refused(other) == "other-key"


def test_b10_a_certificate_bundle_never_passes_where_a_key_was_asked() -> None:
    keyless = json.dumps(VirtualSigstore().bundle(statement())).encode()
    assert refused(keyless) == "certificate-bundle"


def test_a_certificate_bundle_by_the_trusted_key_itself_does_not_pass_either() -> None:
    value = json.loads(BUNDLE)
    certificate = VirtualSigstore().bundle(b"x")["verificationMaterial"]["certificate"]
    value["verificationMaterial"] = {"certificate": certificate}
    assert refused(json.dumps(value).encode()) == "certificate-bundle"


def test_key_and_certificate_in_one_bundle_are_refused() -> None:
    value = json.loads(BUNDLE)
    certificate = VirtualSigstore().bundle(b"x")["verificationMaterial"]["certificate"]
    value["verificationMaterial"]["certificate"] = certificate
    assert refused(json.dumps(value).encode()) == "broken-bundle"


def test_b6_a_signature_over_the_payload_alone_is_refused() -> None:
    # Without the payload type in the signed bytes a signature for one purpose serves another.
    naked = build_key_bundle(statement(), KEY.sign(statement()), KEY.public_key().hint)
    assert refused(naked) == "bad-signature"


def test_a_signature_for_another_payload_type_is_refused() -> None:
    signature = KEY.sign(pae(statement(), "text/plain"))
    assert refused(build_key_bundle(statement(), signature, "")) == "other-key"


def test_another_statement_under_the_same_signature_is_refused() -> None:
    value = json.loads(BUNDLE)
    other = base64.b64encode(statement(OTHER_SUBJECT)).decode()
    value["dsseEnvelope"]["payload"] = other
    assert refused(json.dumps(value).encode(), subject=OTHER_SUBJECT) == "bad-signature"


def test_a_signed_text_that_is_no_statement_is_refused() -> None:
    for payload in (b"text", b"{}", statement(_type="x")):
        bundle = build_key_bundle(payload, KEY.sign(pae(payload)), "")
        assert refused(bundle) == "not-a-statement"


def test_duplicate_keys_in_a_signed_statement_are_refused() -> None:
    # Two readers would see two predicate types.
    payload = statement().replace(b'"predicate":', b'"predicateType": "https://x", "predicate":')
    assert refused(build_key_bundle(payload, KEY.sign(pae(payload)), "")) == "not-a-statement"


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_other_algorithms_of_cosign_are_verified(kind: str) -> None:
    private: ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
    if kind == "rsa":
        private = rsa.generate_private_key(65537, 2048)
        signature = private.sign(pae(statement()), padding.PKCS1v15(), hashes.SHA256())
    else:
        private = ed25519.Ed25519PrivateKey.generate()
        signature = private.sign(pae(statement()))
    pem = private.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    verifier = KeyVerifier([parse_public_key(pem, "k.pub")])
    bundle = build_key_bundle(statement(), signature, "")
    assert verifier.verify(bundle, subject=SUBJECT).checks == ("signature", "key", "subject")
    assert refused(BUNDLE, verifier) == "other-key"


def test_b10_a_weaker_digest_under_a_good_signature_is_refused() -> None:
    wide = ec.generate_private_key(ec.SECP256R1())
    pem = wide.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    verifier = KeyVerifier([parse_public_key(pem, "k.pub")])
    signature = wide.sign(pae(statement()), ec.ECDSA(hashes.SHA224()))
    assert refused(build_key_bundle(statement(), signature, ""), verifier) == "other-key"


def accepted_only_if_it_means_the_same(mutated: bytes) -> None:
    try:
        verified = VERIFIER.verify(mutated, subject=SUBJECT)
    except VerificationError:
        return
    value, original = json.loads(mutated), json.loads(BUNDLE)
    if not value["verificationMaterial"]["publicKey"].get("hint"):  # as if it were not there
        value["verificationMaterial"] = original["verificationMaterial"]
    assert value == original
    assert verified.predicate == {"passed": True}


@settings(max_examples=300)
@given(st.integers(0, len(BUNDLE) - 1), st.integers(0, 255))
def test_no_changed_byte_is_accepted(place: int, byte: int) -> None:
    mutated = bytearray(BUNDLE)
    mutated[place] = byte
    accepted_only_if_it_means_the_same(bytes(mutated))


@settings(max_examples=200)
@given(st.integers(0, len(BUNDLE)), st.integers(0, 64), st.binary(max_size=64))
def test_no_changed_region_is_accepted(start: int, length: int, put: bytes) -> None:
    accepted_only_if_it_means_the_same(BUNDLE[:start] + put + BUNDLE[start + length :])


@given(st.integers(0, len(BUNDLE) - 1))
def test_a_truncated_bundle_is_broken(length: int) -> None:
    assert refused(BUNDLE[:length]) == "broken-bundle"


@given(st.binary(min_size=1, max_size=80))
def test_no_other_signature_is_accepted(signature: bytes) -> None:
    forged = build_key_bundle(statement(), signature, KEY.public_key().hint)
    assert refused(forged) == "bad-signature"


def test_a_signer_refuses_what_nobody_would_verify() -> None:
    with pytest.raises(SigningError, match="nobody would verify"):
        KeySigner(KEY).sign([statement(), b"text"])
    with pytest.raises(SigningError, match="too large"):
        KeySigner(KEY).sign([statement(predicate={"text": "x" * (12 << 20)})])


def test_a_signer_keeps_the_order_and_the_bytes() -> None:
    payloads = [statement(predicate={"number": number}) for number in range(5)]
    bundles = KeySigner(KEY).sign(payloads)
    found = [VERIFIER.verify(bundle, subject=SUBJECT).predicate for bundle in bundles]
    assert found == [{"number": number} for number in range(5)]
    envelope = json.loads(bundles[3])["dsseEnvelope"]
    assert base64.b64decode(envelope["payload"]) == payloads[3]


def test_what_a_bundle_claims_is_shown_without_checking() -> None:
    claimed = read_unsafe(build_key_bundle(statement(), b"no signature", "\x1b[2Jhint"))
    assert claimed.predicate_type == PREDICATE_TYPE
    assert claimed.subjects == (str(SUBJECT),)
    assert claimed.signer == "key with the hint ?[2Jhint"
    assert read_unsafe(b"no bundle").problem.startswith("the bundle is broken")


@given(st.integers(0, len(BUNDLE) - 1), st.integers(0, 255))
def test_reading_claims_never_raises(place: int, byte: int) -> None:
    mutated = bytearray(BUNDLE)
    mutated[place] = byte
    claimed = read_unsafe(bytes(mutated))
    assert bool(claimed.problem) != bool(claimed.predicate_type)
