# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Quotes of TPMs: only whole, for this artifact, by a key that cannot sign anything else."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from tests.support.tpm_quotes import ECC_KEY, PCRS, RSA_KEY, RSAPSS, RSASSA, SUBJECT, SoftTpm

from modelseal.errors import KeyFileError, UsageError, VerificationError
from modelseal.oci.descriptor import Digest
from modelseal.trust.environment import nonce_for
from modelseal.trust.keys import public_key_of
from modelseal.trust.pem import to_pem
from modelseal.trust.tpm.ak import AIK_CERTIFICATE, TrustedAks, load_ak_certificates, load_aks
from modelseal.trust.tpm.evidence import MAX_EVIDENCE_BYTES, TpmEvidence, parse_evidence
from modelseal.trust.tpm.quote import public_key_der, verify_quote
from modelseal.trust.tpm.structures import parse_attestation, parse_public, parse_signature

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
TPM = SoftTpm()
KINDS = {
    "ecdsa": TPM,
    "rsassa": TPM.but(key=RSA_KEY, scheme=RSASSA),
    "rsapss": TPM.but(key=RSA_KEY, scheme=RSAPSS),
}


def with_part(evidence: TpmEvidence, part: str, raw: bytes) -> bytes:
    """Return the document with other bytes for one of its parts."""
    parts: dict[str, Any] = {part: raw}
    return replace(evidence, **parts).to_bytes()


def refused(raw: bytes, subject: Digest = SUBJECT) -> str:
    with pytest.raises(VerificationError) as caught:
        verify_quote(raw, subject)
    return caught.value.reason


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_quote_that_holds_is_taken_with_all_that_it_says(kind: str) -> None:
    tpm = KINDS[kind]
    raw = tpm.document()
    quote = verify_quote(raw, SUBJECT)
    assert quote.ak_name == tpm.name()
    assert quote.pcrs == {"sha256": {0: "01" * 32, 7: "07" * 32, 16: "00" * 32}}
    assert (quote.reset_count, quote.restart_count, quote.clock) == (7, 1, 123_456)
    assert quote.evidence == Digest.of(raw)
    assert quote.conditions()["nonce"] == nonce_for(SUBJECT).hex()


def test_the_nonce_is_over_the_digest_as_text_and_nothing_else() -> None:
    import hashlib

    text = b"sha256:" + SUBJECT.encoded.encode()
    assert nonce_for(SUBJECT) == hashlib.sha256(text).digest()


def test_a_quote_for_another_artifact_is_refused() -> None:
    assert refused(TPM.document(), Digest.of(b"another model")) == "wrong-nonce"
    assert refused(TPM.but(nonce=b"").document()) == "wrong-nonce"
    assert refused(TPM.but(nonce=bytes.fromhex(SUBJECT.encoded)).document()) == "wrong-nonce"


WRONG = {
    "not-from-a-tpm": (TPM.but(magic=0xFF544346), "broken-quote"),
    "a-certification": (TPM.but(kind=0x8017), "broken-quote"),
    "not-restricted": (TPM.but(attributes=0x00040072), "unfit-attestation-key"),
    "not-fixed-to-the-tpm": (TPM.but(attributes=0x00050070), "unfit-attestation-key"),
    "not-fixed-to-its-parent": (TPM.but(attributes=0x00050062), "unfit-attestation-key"),
    "made-outside": (TPM.but(attributes=0x00050052), "unfit-attestation-key"),
    "not-for-signing": (TPM.but(attributes=0x00010072), "unfit-attestation-key"),
    "for-decryption-too": (TPM.but(attributes=0x00070072), "unfit-attestation-key"),
    "other-values": (
        TPM.but(shown={"sha256": {**PCRS["sha256"], 7: b"\x08" * 32}}),
        "wrong-pcr-values",
    ),
    "a-value-more": (
        TPM.but(shown={"sha256": {**PCRS["sha256"], 8: b"\x08" * 32}}),
        "wrong-pcr-values",
    ),
    "a-value-less": (
        TPM.but(shown={"sha256": {0: b"\x01" * 32, 7: b"\x07" * 32}}),
        "wrong-pcr-values",
    ),
    "another-bank": (TPM.but(shown={"sha384": PCRS["sha256"]}), "wrong-pcr-values"),
    "no-pcr": (TPM.but(pcrs={"sha256": {}}, shown=PCRS), "broken-quote"),
    "another-hash": (TPM.but(signed_with=0x000C), "bad-signature"),
    "sha1": (TPM.but(signed_with=0x0004), "broken-quote"),
}


@pytest.mark.parametrize("name", sorted(WRONG))
def test_a_quote_that_is_wrong_in_one_thing_is_refused(name: str) -> None:
    tpm, reason = WRONG[name]
    assert refused(tpm.document()) == reason


def test_the_values_of_two_banks_are_hashed_in_the_tpms_order() -> None:
    pcrs = {"sha384": {1: b"\x01" * 48}, "sha256": {2: b"\x02" * 32}}
    assert verify_quote(TPM.but(pcrs=pcrs).document(), SUBJECT).pcrs["sha384"] == {1: "01" * 48}


def test_a_value_of_the_wrong_length_does_not_shift_the_others() -> None:
    moved = {"sha256": {0: b"\x01" * 33, 7: b"\x01" * 31, 16: b"\x00" * 32}}
    same = {"sha256": {0: b"\x01" * 32, 7: b"\x01" * 32, 16: b"\x00" * 32}}
    assert refused(TPM.but(pcrs=same, shown=moved).document()) == "wrong-pcr-values"


def test_another_key_that_signed_is_refused() -> None:
    other = TPM.but(key=ec.generate_private_key(ec.SECP256R1())).evidence()
    mixed = replace(TPM.evidence(), signature=other.signature)
    assert refused(mixed.to_bytes()) == "bad-signature"


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_each_flipped_byte_of_a_quote_is_refused(kind: str) -> None:
    """With the key pinned by its name, as the command and policies do."""
    tpm = KINDS[kind]
    evidence, keys = tpm.evidence(), TrustedAks(names=frozenset({tpm.name()}))
    keys.require(verify_quote(evidence.to_bytes(), SUBJECT), NOW)
    for part in ("attest", "signature", "public_area"):
        whole = getattr(evidence, part)
        for place in range(len(whole)):
            changed = bytearray(whole)
            changed[place] ^= 1 << place % 8
            forged = with_part(evidence, part, bytes(changed))
            with pytest.raises(VerificationError):
                keys.require(verify_quote(forged, SUBJECT), NOW)


def test_each_flipped_byte_of_the_document_is_refused() -> None:
    raw, keys = TPM.document(), TrustedAks(names=frozenset({TPM.name()}))
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1 << place % 7
        with pytest.raises(VerificationError):
            keys.require(verify_quote(bytes(changed), SUBJECT), NOW)


@given(st.binary(max_size=200))
def test_no_bytes_crash_a_reader(raw: bytes) -> None:
    for read in (parse_attestation, parse_signature, parse_public, parse_evidence):
        with pytest.raises(VerificationError):
            read(raw)


@given(st.sampled_from(["attest", "signature", "public_area"]), st.integers(0), st.binary())
def test_what_is_cut_off_or_added_is_refused(part: str, place: int, more: bytes) -> None:
    evidence = TPM.evidence()
    whole = getattr(evidence, part)
    cut = whole[: place % len(whole)] + more
    if cut != whole:
        with pytest.raises(VerificationError):
            verify_quote(with_part(evidence, part, cut), SUBJECT)


DOCUMENTS = [
    ("type", "https://modelseal.dev/evidence/tpm-quote/v0.2"),
    ("attest", 1),
    ("attest", "?"),
    ("pcrs", {}),
    ("pcrs", {"sha256": {}}),
    ("pcrs", {"sha256": {"07": "07" * 32}}),
    ("pcrs", {"sha256": {"7": "0G" * 32}}),
    ("pcrs", []),
    ("akCertificates", {}),
    ("akCertificates", ["AA=="] * 6),
    ("more", 1),
]


@pytest.mark.parametrize(("key", "value"), DOCUMENTS)
def test_a_document_of_another_shape_is_refused(key: str, value: object) -> None:
    document = {**json.loads(TPM.document()), key: value}
    raw = json.dumps(document, sort_keys=True, separators=(",", ":")).encode()
    assert refused(raw) == "broken-quote"


def test_another_spelling_of_the_same_document_is_refused() -> None:
    assert refused(TPM.document() + b"\n") == "broken-quote"
    assert refused(json.dumps(json.loads(TPM.document())).encode()) == "broken-quote"
    large = replace(TPM.evidence(), certificates=(bytes(MAX_EVIDENCE_BYTES),))
    assert refused(large.to_bytes()) == "broken-quote"


def trusted(tmp_path: Path, raw: bytes) -> TrustedAks:
    path = tmp_path / "ak"
    path.write_bytes(raw)
    return load_aks([path], [])


def test_a_key_is_pinned_by_its_area_or_as_pem(tmp_path: Path) -> None:
    quote = verify_quote(TPM.document(), SUBJECT)
    assert trusted(tmp_path, TPM.public_area()).require(quote, NOW) == "name"
    pem = to_pem("PUBLIC KEY", public_key_der(TPM.public_area()))
    assert trusted(tmp_path, pem).require(quote, NOW) == "key"
    for other in (KINDS["rsassa"], TPM.but(attributes=0x00050472)):
        with pytest.raises(VerificationError) as caught:
            trusted(tmp_path, other.public_area()).require(quote, NOW)
        assert caught.value.reason == "other-attestation-key"
    with pytest.raises(KeyFileError, match="is no public area"):
        trusted(tmp_path, b"something else")
    with pytest.raises(UsageError, match="no attestation key was given"):
        load_aks([], [])


CA_KEY = ec.generate_private_key(ec.SECP256R1())
NAME = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "AK CA")])


def certificate(
    key: ec.EllipticCurvePublicKey,
    *,
    usage: x509.ObjectIdentifier | None = AIK_CERTIFICATE,
    authority: bool = False,
    until: datetime = NOW + timedelta(days=1),
    issuer_key: ec.EllipticCurvePrivateKey = CA_KEY,
) -> x509.Certificate:
    builder = (
        x509.CertificateBuilder()
        .subject_name(NAME if authority else x509.Name([]))
        .issuer_name(NAME)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW - timedelta(days=30))
        .not_valid_after(until)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()),
            critical=False,
        )
    )
    if authority:
        signs = dict.fromkeys(
            ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
            False,
        )
        signs |= dict.fromkeys(("key_agreement", "encipher_only", "decipher_only"), False)
        builder = builder.add_extension(
            x509.KeyUsage(**signs, key_cert_sign=True, crl_sign=True), critical=True
        ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    if usage is not None and not authority:
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def pem(*certificates: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


ROOT = certificate(CA_KEY.public_key(), authority=True)


def certified(tmp_path: Path, *certificates: x509.Certificate) -> str:
    """Return how a quote with these certificates is believed, or why it is not."""
    (tmp_path / "chain.pem").write_bytes(pem(*certificates))
    (tmp_path / "roots.pem").write_bytes(pem(ROOT))
    chain = load_ak_certificates(tmp_path / "chain.pem") if certificates else ()
    quote = verify_quote(TPM.but(certificates=chain).document(), SUBJECT)
    keys = load_aks([], [tmp_path / "roots.pem"])
    try:
        return keys.require(quote, NOW)
    except VerificationError as error:
        return f"{error.reason}: {error}"


def test_an_authority_vouches_for_a_key(tmp_path: Path) -> None:
    assert certified(tmp_path, certificate(ECC_KEY.public_key())) == "certificate"


def test_a_certificate_that_does_not_vouch_for_the_key_is_refused(tmp_path: Path) -> None:
    own = ECC_KEY.public_key()
    server = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.1")
    stranger = ec.generate_private_key(ec.SECP256R1())
    assert "no certificate came with it" in certified(tmp_path)
    assert "for another key" in certified(tmp_path, certificate(stranger.public_key()))
    for wrong in (
        certificate(own, usage=server),
        certificate(own, usage=None),
        certificate(own, until=NOW - timedelta(days=1)),
        certificate(own, issuer_key=stranger),
        certificate(own, authority=True),
    ):
        told = certified(tmp_path, wrong)
        assert told.startswith("other-attestation-key: ")
        assert "does not lead to a root" in told


def test_the_certificates_are_limited(tmp_path: Path) -> None:
    (tmp_path / "many.pem").write_bytes(pem(*[ROOT] * 6))
    with pytest.raises(KeyFileError, match="more than 5 certificates"):
        load_ak_certificates(tmp_path / "many.pem")


def test_the_key_of_an_area_is_a_usual_one() -> None:
    der = public_key_der(TPM.public_area())
    assert public_key_of(der, "it").algorithm == "ecdsa-p256"
    assert isinstance(parse_evidence(TPM.document()), TpmEvidence)
