# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Certificates of a company's authority: whose counts, for whom, and when."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.support.company_ca import SUBJECT as SIGNER
from tests.support.company_ca import Ca, make_root, write
from tests.support.intoto import OTHER_SUBJECT, SUBJECT, statement

from modelseal.errors import KeyFileError, UsageError, VerificationError
from modelseal.policy.document import parse_policy
from modelseal.trust.bundle import build_certificate_bundle
from modelseal.trust.company import (
    Company,
    CompanyVerifier,
    issuer_of,
    load_certificates,
    require_roots,
)
from modelseal.trust.company_signer import CertificateSigner
from modelseal.trust.dsse import pae
from modelseal.trust.identity import Identity, Profile
from modelseal.trust.keys import Algorithm, PrivateKey, generate_key
from modelseal.trust.signer import KeySigner
from modelseal.trust.verifier import KeyVerifier, read_unsafe

KEY = generate_key()
ROOT = make_root()
MIDDLE = ROOT.below()
SERVER_AUTH = (ExtendedKeyUsageOID.SERVER_AUTH,)
DER = serialization.Encoding.DER


def public(key: PrivateKey) -> Any:  # noqa: ANN401 - one of three kinds
    return serialization.load_der_public_key(key.public_key().der)


def company(*intermediates: Ca, roots: tuple[Ca, ...] = (ROOT,)) -> Company:
    return Company(
        tuple(one.certificate for one in roots), tuple(one.certificate for one in intermediates)
    )


def verifier(
    trusted: Company | None = None,
    subject: str = SIGNER,
    **more: Any,  # noqa: ANN401
) -> CompanyVerifier:
    trusted = trusted or company(MIDDLE)
    return CompanyVerifier(trusted, trusted.identities(subject), **more)


def signed(
    certificate: x509.Certificate, key: PrivateKey = KEY, material: dict[str, Any] | None = None
) -> bytes:
    payload = statement()
    bundle = build_certificate_bundle(
        payload, key.sign(pae(payload)), certificate.public_bytes(DER), ()
    )
    value = json.loads(bundle)
    return json.dumps(value | ({"verificationMaterial": material} if material else {})).encode()


def refused(bundle: bytes, by: CompanyVerifier | None = None) -> str:
    with pytest.raises(VerificationError) as caught:
        (by or verifier()).verify(bundle, subject=SUBJECT)
    assert caught.value.hint
    return caught.value.reason


@pytest.mark.parametrize("algorithm", list(Algorithm))
def test_what_a_certified_key_signed_verifies(algorithm: Algorithm) -> None:
    key = generate_key(algorithm)
    signer = CertificateSigner(key, MIDDLE.issue(public(key)), company(MIDDLE))
    (bundle,) = signer.sign([statement()])
    for by in (verifier(), signer.verifier()):
        found = by.verify(bundle, subject=SUBJECT)
        assert found.signer == signer.identity == Identity(issuer_of(ROOT.certificate), SIGNER)
        assert found.profile is Profile.CERTIFICATE
        assert found.signed_at is None
        assert found.checks == (
            "certificate-chain",
            "certificate-valid-now",
            "identity",
            "signature",
            "subject",
        )


def test_only_the_given_roots_count() -> None:
    bundle = signed(MIDDLE.issue(public(KEY)))
    other = make_root()  # of the same name
    assert refused(bundle, verifier(company(MIDDLE, roots=(other,)))) == "untrusted-root"
    assert refused(bundle, verifier(company())) == "untrusted-root"
    verifier(company(MIDDLE, roots=(other, ROOT))).verify(bundle, subject=SUBJECT)


def test_certificates_that_a_bundle_brings_help_to_find_the_path_and_are_not_trusted() -> None:
    leaf = MIDDLE.issue(public(KEY))
    certificates = [
        {"rawBytes": base64.b64encode(one.public_bytes(DER)).decode()}
        for one in (leaf, MIDDLE.certificate, ROOT.certificate)
    ]
    chain = {"x509CertificateChain": {"certificates": certificates}}
    bundle = signed(leaf, material=chain)
    verifier(company()).verify(bundle, subject=SUBJECT)
    assert refused(bundle, verifier(company(roots=(make_root(),)))) == "untrusted-root"


@pytest.mark.parametrize(
    "leaf",
    [
        lambda: MIDDLE.issue(public(KEY), usages=None),
        lambda: MIDDLE.issue(public(KEY), usages=SERVER_AUTH),
        lambda: ROOT.below().issue(public(KEY)),  # not among the intermediates
    ],
)
def test_a_certificate_for_something_else_signs_nothing(
    leaf: Callable[[], x509.Certificate],
) -> None:
    assert refused(signed(leaf())) == "untrusted-root"


@pytest.mark.parametrize(
    "authorities",
    [
        lambda: [ROOT.below(usages=SERVER_AUTH)],
        lambda: [ROOT.below(ca=False)],
        lambda: [first := ROOT.below(path_length=0), first.below()],
        lambda: [ROOT.below(path_length=None), make_root()],
    ],
    ids=["for servers", "no authority", "path too long", "not below it"],
)
def test_an_authority_that_may_not_certify_it_certifies_nothing(
    authorities: Callable[[], list[Ca]],
) -> None:
    made = authorities()
    bundle = signed(made[-1].issue(public(KEY)))
    assert refused(bundle, verifier(company(*made))) == "untrusted-root"


def test_an_authority_that_is_limited_to_code_may_certify_it() -> None:
    limited = ROOT.below(usages=(ExtendedKeyUsageOID.CODE_SIGNING,))
    bundle = signed(limited.issue(public(KEY)))
    verifier(company(limited)).verify(bundle, subject=SUBJECT)


@pytest.mark.parametrize("days", [(-20, -10), (10, 20)])
def test_a_certificate_that_is_not_valid_now_counts_at_its_time_only(days: tuple[int, int]) -> None:
    bundle = signed(MIDDLE.issue(public(KEY), days=days))
    assert refused(bundle) == "expired-certificate"
    inside = datetime.now(UTC) + timedelta(days=days[0] + 5)
    if days[0] > 0:
        verifier(clock=lambda: inside).verify(bundle, subject=SUBJECT)
    else:  # the authority above was not there yet
        assert refused(bundle, verifier(clock=lambda: inside)) == "untrusted-root"


def test_the_subject_is_exact_and_one_of_the_certificates_names() -> None:
    uri = x509.UniformResourceIdentifier("https://acme.example/release")
    names = [x509.RFC822Name(SIGNER), uri, x509.DNSName("build.acme.example")]
    bundle = signed(MIDDLE.issue(public(KEY), subject=names))
    for name in (SIGNER, uri.value, "build.acme.example"):
        found = verifier(subject=name).verify(bundle, subject=SUBJECT)
        assert found.signer == Identity(issuer_of(ROOT.certificate), name)
    for name in ("elease@acme.example", "RELEASE@acme.example", "a signer"):
        assert refused(bundle, verifier(subject=name)) == "other-identity"
    address = x509.DirectoryName(x509.Name([]))
    for none in ([], [address]):
        assert refused(signed(MIDDLE.issue(public(KEY), subject=none))) in {
            "broken-bundle",
            "untrusted-root",
        }


def test_keys_and_certificates_do_not_pass_for_each_other() -> None:
    (by_key,) = KeySigner(KEY).sign([statement()])
    assert refused(by_key) == "key-signed-bundle"
    with pytest.raises(VerificationError) as caught:
        KeyVerifier([KEY.public_key()]).verify(signed(MIDDLE.issue(public(KEY))), subject=SUBJECT)
    assert caught.value.reason == "certificate-bundle"


def test_another_key_and_another_subject_are_refused() -> None:
    certificate = MIDDLE.issue(public(KEY))
    assert refused(signed(certificate, generate_key())) == "bad-signature"
    with pytest.raises(VerificationError) as caught:
        verifier().verify(signed(certificate), subject=OTHER_SUBJECT)
    assert caught.value.reason == "wrong-subject"


def test_a_certified_key_that_cosign_would_refuse_is_not_taken() -> None:
    curve = ec.generate_private_key(ec.SECP384R1()).public_key()
    assert refused(signed(MIDDLE.issue(curve))) == "broken-bundle"
    with pytest.raises(KeyFileError, match="secp384r1"):
        CertificateSigner(KEY, MIDDLE.issue(curve), company(MIDDLE))


def test_nobody_signs_what_nobody_would_verify() -> None:
    leaf = MIDDLE.issue(public(KEY))
    for certificate, trusted, words in (
        (leaf, company(), "does not lead to a trusted root"),
        (MIDDLE.issue(public(KEY), days=(-20, -10)), company(MIDDLE), "was not valid"),
        (MIDDLE.issue(public(generate_key())), company(MIDDLE), "the certificate is of key"),
    ):
        with pytest.raises(KeyFileError, match=words):
            CertificateSigner(KEY, certificate, trusted)


def test_a_verifier_without_anybody_cannot_be_made() -> None:
    for trusted, identities in (
        (company(), set()),
        (company(roots=()), {Identity("x", "y")}),
        (company(), {Identity(issuer_of(ROOT.certificate), "")}),
    ):
        with pytest.raises(UsageError):
            CompanyVerifier(trusted, identities)


def test_files_hold_certificates_only_and_roots_are_roots(tmp_path: Path) -> None:
    both = write(tmp_path / "both.pem", ROOT.certificate, MIDDLE.certificate)
    assert load_certificates(both) == (ROOT.certificate, MIDDLE.certificate)
    with pytest.raises(KeyFileError, match="no root"):
        require_roots(load_certificates(both), both)
    require_roots([ROOT.certificate], both)
    for content, words in (
        (KEY.public_key().pem, "other things"),
        (b"", "no PEM"),
        (ROOT.certificate.public_bytes(serialization.Encoding.PEM) * 33, "more than 32"),
        (b"-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n", "cannot be read"),
    ):
        both.write_bytes(content)
        with pytest.raises(KeyFileError, match=words):
            load_certificates(both)


def test_no_changed_byte_of_a_certificate_is_accepted() -> None:
    bundle = json.loads(signed(MIDDLE.issue(public(KEY))))
    der = base64.b64decode(bundle["verificationMaterial"]["certificate"]["rawBytes"])
    for place in range(0, len(der), 5):
        changed = der[:place] + bytes([der[place] ^ 1]) + der[place + 1 :]
        entry = {"rawBytes": base64.b64encode(changed).decode()}
        material = {"verificationMaterial": {"certificate": entry}}
        refused(json.dumps(bundle | material).encode())


POLICY = """\
apiVersion: modelseal.dev/v1
kind: Policy
metadata: {{name: company}}
spec:
  roles:
    release: {{{profile}identities: [{{issuer: "{issuer}", subject: {subject}}}]}}
  rules:
  - {{use: signed, with: {{role: release}}}}
"""


def policy(issuer: str, profile: str = "") -> str:
    return POLICY.format(issuer=issuer, subject=SIGNER, profile=profile)


def test_policies_name_a_root_as_the_issuer() -> None:
    issuer = issuer_of(ROOT.certificate)
    for profile in ("", "profile: certificate, "):
        parsed = parse_policy(policy(issuer, profile).encode(), "p")
        assert parsed.profile is Profile.CERTIFICATE
        assert parsed.identities == {Identity(issuer, SIGNER)}
    for other, profile in (
        (issuer, "profile: keyless, "),
        (issuer, "profile: key, "),
        ("https://issuer.example", "profile: certificate, "),
        ("x509:sha256:abc", ""),
    ):
        with pytest.raises(UsageError, match=r"exclude each other|not a URL"):
            parse_policy(policy(other, profile).encode(), "p")


def test_what_a_certificate_claims_is_shown() -> None:
    claimed = read_unsafe(signed(MIDDLE.issue(public(KEY))))
    assert claimed.signer == f"{SIGNER} (a company's certificate)"
    nobody = read_unsafe(signed(MIDDLE.issue(public(KEY), subject=[])))
    assert nobody.signer == ""
