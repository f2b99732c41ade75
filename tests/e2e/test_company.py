# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A company's certificates through the installed command, and cosign beside it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from tests.support.cli import Command
from tests.support.company_ca import SUBJECT, make_root, write
from tests.support.intoto import SUBJECT as DIGEST
from tests.support.intoto import statement
from tests.support.model_factory import make_model
from tests.support.registries import Registry, RegistryName
from tests.support.sigstore import PrivateSigstore

from modelseal.errors import VerificationError
from modelseal.trust.company import Company, CompanyVerifier, load_certificates
from modelseal.trust.keys import load_private_key
from modelseal.workflows.company import certified_signer, company_of

PASSPHRASE = {"MODELSEAL_KEY_PASSPHRASE": "correct horse", "COSIGN_PASSWORD": "battery staple"}
CERTIFICATE = ("--certificate", "release.crt", "--certificate-chain", "chain.pem")
BELIEVED = ("--ca-roots", "root.pem", "--ca-intermediates", "middle.pem")
POLICY = """\
apiVersion: modelseal.dev/v1
kind: Policy
metadata: {{name: company}}
spec:
  roles: {{release: {{identities: [{{issuer: "{issuer}", subject: {subject}}}]}}}}
  rules: [{{use: signed, with: {{role: release}}}}]
"""


@dataclass(frozen=True)
class Stage:
    """A home with a company's certificates, a key that is certified, and a model."""

    reference: str
    modelseal: Command
    cosign: Command
    home: Path

    def certify(self, public: str, file: str) -> None:
        key = load_pem_public_key((self.home / public).read_bytes())
        write(self.home / file, MIDDLE.issue(key))  # type: ignore[arg-type] # one that we made

    def verify(self, *more: str, subject: str = SUBJECT, code: int = 0) -> str:
        done = self.modelseal(
            *("verify", self.reference, *more, "--certificate-identity", subject),
            *("--output", "json"),
        )
        return done.check(code).stdout


ROOT = make_root()
MIDDLE = ROOT.below()


@pytest.fixture
def stage(
    serve_registry: Callable[[RegistryName], Registry],
    modelseal: Command,
    cosign: Command,
    home: Path,
) -> Stage:
    write(home / "root.pem", ROOT.certificate)
    write(home / "middle.pem", MIDDLE.certificate)
    write(home / "chain.pem", MIDDLE.certificate, ROOT.certificate)
    write(home / "other.pem", make_root().certificate)
    modelseal("key", "generate", "--output", "release.key", env=PASSPHRASE).check()
    repository = f"{serve_registry('crane').host}/company/{home.parent.name.replace('_', '-')}"
    made = Stage(f"{repository}:1", modelseal, cosign, home)
    made.certify("release.key.pub", "release.crt")
    make_model(home / "model")
    return made


def test_a_companys_certificate_signs_and_cosign_verifies(stage: Stage) -> None:
    stage.modelseal(
        *("publish", "model", stage.reference, "--key", "release.key", *CERTIFICATE, "--quiet"),
        env=PASSPHRASE,
    ).check()
    answer = json.loads(stage.verify(*BELIEVED))
    issuer = f"x509:sha256:{ROOT.certificate.fingerprint(hashes.SHA256()).hex()}"
    signatures = [s for s in answer["statements"] if s["predicateType"].endswith("/sign/v1")]
    assert signatures[0]["signer"] == {"issuer": issuer, "subject": SUBJECT}
    assert signatures[0]["profile"] == "certificate"

    stage.verify(*BELIEVED, subject="else@acme.example", code=11)
    stage.verify("--ca-roots", "other.pem", "--ca-intermediates", "middle.pem", code=11)
    stage.verify("--ca-roots", "root.pem", code=11)  # version 0.3 brings no chain along
    stage.verify("--ca-roots", "chain.pem", code=2)  # an intermediate is no root
    stage.verify(*BELIEVED, "--certificate-oidc-issuer", "https://issuer.example", code=2)

    (stage.home / "policy.yaml").write_text(POLICY.format(issuer=issuer, subject=SUBJECT))
    for roots, code in ((BELIEVED, 0), ((), 2)):
        stage.modelseal("verify", stage.reference, "--policy", "policy.yaml", *roots).check(code)

    told = stage.modelseal("explain", stage.reference, *BELIEVED, "--certificate-identity", SUBJECT)
    assert "cosign 3.1: it depends" in told.check().stdout
    assert "name the authority in the trusted root" in told.stdout

    stage.cosign(
        *("trusted-root", "create", "--out", "trusted.json"),
        "--fulcio=url=https://ca.example,certificate-chain=chain.pem,start-time=2024-01-01T00:00:00Z",
    ).check()
    stage.cosign(
        *("verify", "--allow-http-registry", "--insecure-ignore-tlog", "--insecure-ignore-sct"),
        *("--trusted-root", "trusted.json", "--certificate-identity", SUBJECT),
        *("--certificate-oidc-issuer-regexp", ".*", stage.reference),
    ).check()


def test_what_cosign_signs_with_a_companys_certificate_verifies(stage: Stage) -> None:
    stage.modelseal("push", "model", stage.reference, "--quiet").check()
    stage.cosign("generate-key-pair", env=PASSPHRASE).check()
    stage.certify("cosign.pub", "release.crt")
    stage.cosign("signing-config", "create", "--out", "no-log.json").check()
    stage.cosign(
        *("sign", "--allow-http-registry", "--signing-config", "no-log.json", *CERTIFICATE),
        *("--key", "cosign.key", stage.reference),
        env=PASSPHRASE,
    ).check()
    stage.verify("--ca-roots", "root.pem")  # cosign brings the intermediate along
    stage.verify("--ca-roots", "other.pem", code=11)
    stage.verify("--ca-roots", "root.pem", subject="else@acme.example", code=11)


def test_a_certificate_that_is_not_the_keys_signs_nothing(stage: Stage) -> None:
    stage.modelseal("push", "model", stage.reference, "--quiet").check()
    stage.modelseal("key", "generate", "--output", "other.key", env=PASSPHRASE).check()
    sign = ("sign", stage.reference, "--key")
    refused = stage.modelseal(*sign, "other.key", *CERTIFICATE, env=PASSPHRASE).check(2)
    assert "the certificate is of key" in refused.stderr
    for missing in (("--certificate", "release.crt"), (*CERTIFICATE[:3], "root.pem")):
        stage.modelseal(*sign, "release.key", *missing, env=PASSPHRASE).check(2)
    stage.modelseal("sign", stage.reference, *CERTIFICATE).check(2)


def test_with_a_timestamp_a_signature_outlives_its_certificate(
    stage: Stage, private_sigstore: PrivateSigstore
) -> None:
    home, root = stage.home, private_sigstore.trusted_root
    stage.modelseal("push", "model", stage.reference, "--quiet").check()
    trust = ("--trusted-root", str(root))
    stage.modelseal(
        *("sign", stage.reference, "--key", "release.key", *CERTIFICATE, *trust),
        *("--signing-config", str(private_sigstore.signing_config)),
        env=PASSPHRASE,
    ).check()
    answer = json.loads(stage.verify(*BELIEVED, *trust))
    assert "timestamp" in answer["statements"][0]["checks"]
    assert answer["statements"][0]["signedAt"]

    # A year later, in this process: the certificate has expired, and the timestamp has not.
    signer = certified_signer(
        load_private_key(home / "release.key", lambda: PASSPHRASE["MODELSEAL_KEY_PASSPHRASE"]),
        home / "release.crt",
        home / "chain.pem",
        trusted_root=root,
        signing_config=private_sigstore.signing_config,
    )
    (bundle,) = signer.sign([statement()])
    later = datetime.now(UTC) + timedelta(days=365)
    stamped = company_of(home / "root.pem", home / "middle.pem", root)
    unstamped = Company(load_certificates(home / "root.pem"), (MIDDLE.certificate,))
    assert found_by(stamped, bundle, later) is not None
    with pytest.raises(VerificationError) as caught:
        found_by(unstamped, bundle, later)
    assert caught.value.reason == "expired-certificate"
    without = json.loads(bundle)
    del without["verificationMaterial"]["timestampVerificationData"]
    with pytest.raises(VerificationError) as caught:
        found_by(stamped, json.dumps(without).encode(), datetime.now(UTC))
    assert caught.value.reason == "no-timestamp"


def found_by(company: Company, bundle: bytes, now: datetime) -> datetime | None:
    verifier = CompanyVerifier(company, company.identities(SUBJECT), lambda: now)
    return verifier.verify(bundle, subject=DIGEST).signed_at
