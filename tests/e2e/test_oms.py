# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""OMS signatures through the installed command: ours ⇄ model_signing, and cosign beside them."""

import base64
import hashlib
import json
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from tests.support import cli, company_ca
from tests.support.cli import Command
from tests.support.faulty_proxy import Answered, Asked, FaultyProxy
from tests.support.forks import ForkedCommand
from tests.support.model_factory import ATTESTED, make_model
from tests.support.registries import Registry
from tests.support.sigstore import PrivateSigstore

TRAINER = "trainer@acme.example"
ENV = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}
UNVERIFIED = 11


@dataclass(frozen=True)
class Published:
    """A model in a layout with an OMS signature by a key; tests only read it."""

    private_key: Path
    key: Path
    signature: Path
    layout: Path


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Published:
    home = tmp_path_factory.mktemp("published")
    modelseal = ForkedCommand(cli.modelseal_program(), home)
    modelseal("key", "generate", "--output", "k", env=ENV).check()
    model = make_model(home / "fraud")
    options = ("--key", "k", "--oms-file", "fraud.sig")
    modelseal("publish", model, "oci:store:1.4.0", *options, env=ENV).check()
    return Published(home / "k", home / "k.pub", home / "fraud.sig", home / "store")


@pytest.fixture
def pulled(published: Published, modelseal: Command, home: Path) -> Path:
    reference = f"oci:{published.layout}:1.4.0"
    modelseal("pull", reference, "--output", "out", "--key", published.key).check()
    return home / "out"


def plain_key(path: Path, curve: ec.EllipticCurve) -> ec.EllipticCurvePrivateKey:
    """Write a key as model_signing takes it, and its public key beside it."""
    key = ec.generate_private_key(curve)
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    spki = PublicFormat.SubjectPublicKeyInfo
    path.with_suffix(".pub").write_bytes(key.public_key().public_bytes(Encoding.PEM, spki))
    return key


def test_no_weight_is_read_to_sign_or_to_verify(
    registry: Registry, repository: str, published: Published, modelseal: Command, home: Path
) -> None:
    """Everything goes through a proxy that has lost the files of the model."""
    model = make_model(home / "fraud")
    modelseal("push", model, f"{repository}:1.4.0").check()
    files = [path.read_bytes() for path in model.rglob("*") if path.is_file()]
    digests = {f"sha256:{hashlib.sha256(data).hexdigest()}" for data in files}

    def lost(asked: Asked, said: Answered) -> Answered:
        gone = asked.is_("/blobs/") and asked.path.rpartition("/")[2] in digests
        return Answered(404, {}, b"") if gone else said

    with FaultyProxy(registry.host, lost) as proxy:
        reference = f"{proxy.host}/{repository.partition('/')[2]}:1.4.0"
        options = ("--oms-file", "fraud.sig", "--key", published.private_key)
        modelseal("sign", reference, *options, env=ENV).check()
        believing = ("--oms", "--key", published.key, "--no-cache")
        attached = modelseal("verify", reference, *believing, "--output", "json").check()
        asked = {item.path.rpartition("/")[2] for item in proxy.asked if "/blobs/" in item.path}
    assert not asked & digests
    answer = json.loads(attached.stdout)
    assert answer["checks"][-2:] == ["layer-digests", "no-unsigned-files"]
    assert len(answer["files"]) == 8


def test_model_signing_verifies_what_modelseal_signs_with_a_key(
    published: Published, pulled: Path, model_signing: Command
) -> None:
    verify = ("verify", "key", pulled, "--signature", published.signature)
    model_signing(*verify, "--public_key", published.key).check()
    (pulled / "model.onnx").write_bytes(b"changed")
    refused = model_signing(*verify, "--public_key", published.key).check(1)
    assert "Hash mismatch for 'model.onnx'" in refused.stderr


def test_a_pulled_directory_is_verified_and_every_change_refused(
    published: Published, pulled: Path, modelseal: Command, home: Path
) -> None:
    verify = ("verify", pulled, "--oms", "--signature", published.signature)
    modelseal(*verify, "--key", published.key).check()
    shutil.copy(published.signature, pulled / "model.sig")
    modelseal("verify", pulled, "--oms", "--key", published.key).check()
    (pulled / "model.sig").unlink()
    (pulled / "added.py").write_text("import os")
    refused = modelseal(*verify, "--key", published.key).check(UNVERIFIED)
    assert "'added.py'" in refused.stderr
    assert "[unsigned-file]" in refused.stderr
    lenient = modelseal(*verify, "--key", published.key, "--ignore-unsigned-files").check()
    assert "not signed: added.py" in lenient.stdout
    (pulled / "model.onnx").write_bytes(b"changed")
    refused = modelseal(*verify, "--key", published.key).check(UNVERIFIED)
    assert "[changed-file]" in refused.stderr
    plain_key(home / "other", ec.SECP256R1())
    refused = modelseal(*verify, "--key", home / "other.pub").check(UNVERIFIED)
    assert "[other-key]" in refused.stderr


def test_modelseal_verifies_what_model_signing_signs_with_a_key(
    model_signing: Command, modelseal: Command, home: Path
) -> None:
    model = make_model(home / "fraud", extra={"a/x": b"1", "a-x": b"2"})  # two ways to sort these
    plain_key(home / "p384.pem", ec.SECP384R1())
    sign = ("sign", "key", model, "--private_key", home / "p384.pem")
    model_signing(*sign, "--signature", model / "model.sig").check()
    believing = ("--oms", "--key", home / "p384.pub")
    modelseal("verify", model, *believing).check()
    modelseal("push", model, "oci:with:1").check()
    inside = modelseal("verify", "oci:with:1", *believing).check()
    assert "OMS signature: model.sig in the model" in inside.stdout
    (model / "model.sig").rename(home / "beside.sig")
    modelseal("push", model, "oci:without:1").check()
    modelseal("verify", "oci:without:1", *believing).check(UNVERIFIED)
    modelseal("verify", "oci:without:1", *believing, "--signature", "beside.sig").check()


def test_certificates_of_a_company_both_ways(
    published: Published, model_signing: Command, modelseal: Command, home: Path
) -> None:
    model = make_model(home / "fraud")
    root = company_ca.make_root()
    middle = root.below()
    theirs = plain_key(home / "leaf.pem", ec.SECP256R1()).public_key()
    ours = serialization.load_pem_public_key(published.key.read_bytes())
    assert isinstance(ours, ec.EllipticCurvePublicKey)
    company_ca.write(home / "root.crt", root.certificate)
    company_ca.write(home / "middle.crt", middle.certificate)
    company_ca.write(home / "above.crt", middle.certificate, root.certificate)
    company_ca.write(home / "theirs.crt", middle.issue(theirs))
    company_ca.write(home / "ours.crt", middle.issue(ours))
    company_ca.write(home / "other.crt", company_ca.make_root("Other root").certificate)

    sign = ("sign", "certificate", model, "--private_key", "leaf.pem")
    chain = ("--signing_certificate", "theirs.crt", "--certificate_chain", "middle.crt")
    model_signing(*sign, *chain, "--signature", "fraud.sig").check()
    verify = ("verify", model, "--oms", "--signature", "fraud.sig")
    done = modelseal(*verify, "--ca-roots", "root.crt").check()
    assert "own-certificate-chain" in done.stdout
    refused = modelseal(*verify, "--ca-roots", "other.crt").check(UNVERIFIED)
    assert "[untrusted-root]" in refused.stderr
    subject = ("--ca-roots", "root.crt", "--certificate-identity")
    modelseal(*verify, *subject, company_ca.SUBJECT).check()
    refused = modelseal(*verify, *subject, "somebody@acme.example").check(UNVERIFIED)
    assert "[other-identity]" in refused.stderr

    certified = ("--certificate", "ours.crt", "--certificate-chain", "above.crt")
    publish = ("publish", model, "oci:store:1", "--oms-file", "ours.sig")
    modelseal(*publish, "--key", published.private_key, *certified, env=ENV).check()
    check = ("verify", "certificate", model, "--signature", "ours.sig")
    model_signing(*check, "--certificate_chain", "root.crt").check()


def test_keyless_both_ways(
    private_sigstore: PrivateSigstore,
    model_signing: Command,
    modelseal: Command,
    cosign: Command,
    home: Path,
) -> None:
    trust = ("--trusted-root", private_sigstore.trusted_root)
    model = make_model(home / "fraud")
    published = modelseal(
        *("publish", model, "oci:store:1.4.0", "--oms-file", "fraud.sig", "--output", "json"),
        *(*trust, "--signing-config", private_sigstore.signing_config),
        *("--identity-token", private_sigstore.token_file(TRAINER)),
    ).check()
    answer = json.loads(published.stdout)
    assert len(answer["attached"]) == len(ATTESTED) + 1
    issuer = ("--certificate-oidc-issuer", private_sigstore.issuer)
    whom = ("--certificate-identity", TRAINER, *issuer)
    done = modelseal("verify", "oci:store:1.4.0", "--oms", *whom, *trust).check()
    assert "transparency-log" in done.stdout
    # One certificate for all three, and model_signing and cosign take the one about files.
    config = private_sigstore.client_trust_config()
    model_signing(
        *("verify", "sigstore", model, "--signature", "fraud.sig", "--trust_config", config),
        *("--identity", TRAINER, "--identity_provider", private_sigstore.issuer),
    ).check()
    cosign(
        *("verify-blob-attestation", *trust, *whom, "--bundle", "fraud.sig"),
        *("--type", answer["oms"]["predicateType"], "--digestAlg", "sha256"),
        *("--digest", answer["oms"]["rootDigest"].removeprefix("sha256:")),
    ).check()

    sign = ("sign", "sigstore", model, "--trust_config", config)
    token = ("--identity_token", private_sigstore.token(TRAINER))
    model_signing(*sign, *token, "--signature", "theirs.sig").check()
    verify = ("--oms", "--signature", "theirs.sig", *whom, *trust)
    modelseal("verify", "oci:store:1.4.0", *verify).check()


def test_cosign_verifies_an_oms_signature_by_a_key(published: Published, cosign: Command) -> None:
    bundle = json.loads(published.signature.read_bytes())
    assert re.fullmatch("[0-9a-f]{64}", bundle["verificationMaterial"]["publicKey"]["hint"])
    verify = (
        *("verify-blob-attestation", "--insecure-ignore-tlog", "--key", published.key),
        *("--bundle", published.signature, "--type", "https://model_signing/signature/v1.0"),
    )
    root = root_digest(bundle)
    cosign(*verify, "--digestAlg", "sha256", "--digest", root).check()
    assert cosign(*verify, "--digestAlg", "sha256", "--digest", "0" * 64).returncode != 0


def root_digest(bundle: dict[str, dict[str, str]]) -> str:
    payload = json.loads(base64.b64decode(bundle["dsseEnvelope"]["payload"]))
    return str(payload["subject"][0]["digest"]["sha256"])


def test_what_cannot_be_is_told_before_anything_is_done(
    published: Published, modelseal: Command, home: Path
) -> None:
    make_model(home / "fraud")
    shutil.copy(published.key, home / "k.pub")
    (home / "there.sig").write_text("")
    key = ("--key", published.private_key)
    taken = ("publish", "fraud", "oci:store:1", *key, "--oms-file", "there.sig")
    assert "is there already" in modelseal(*taken, env=ENV).check(2).stderr
    assert not (home / "store").exists()
    modelseal("verify", "fraud", "--signature", "there.sig", "--key", "k.pub").check(2)
    modelseal("verify", "fraud", "--oms", "--signature", "there.sig").check(2)
    none = modelseal("verify", "fraud", "--oms", "--key", "k.pub").check(UNVERIFIED)
    assert "[no-oms-signature]" in none.stderr
    modelseal("verify", "nowhere", "--oms", "--key", "k.pub").check(2)
    wrong = ("verify", "fraud", "--oms", "--key", "k.pub", "--ignore-path", "../x")
    assert "--ignore-path" in modelseal(*wrong).check(2).stderr
