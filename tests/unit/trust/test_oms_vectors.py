"""The test vectors of the OMS specification, all of them, and its JSON schemas.

They are not only read: the key vector was signed with the key of the certificate vector, and the
files that were signed hold their own names, so that everything can be verified down to the files.
"""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it has no types of its own
import pytest
import referencing
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.support.model_factory import make_model

from modelseal.attest.predicates.types import OMS
from modelseal.attest.statement import build_statement
from modelseal.errors import VerificationError
from modelseal.oci.descriptor import Digest
from modelseal.oci.memory import MemoryStore
from modelseal.oci.store import fetch_manifest
from modelseal.trust.identity import Identity
from modelseal.trust.keys import generate_key
from modelseal.trust.oms import OMS_PREDICATE_TYPE, OmsKeyVerifier, OmsVerifier
from modelseal.trust.oms_chain import OmsChainVerifier
from modelseal.trust.oms_keys import parse_oms_key
from modelseal.trust.signer import KeySigner
from modelseal.trust.trusted_root import load_trusted_root
from modelseal.trust.verifier import SigstoreVerifier
from modelseal.workflows.oms import OmsOptions, verify_directory
from modelseal.workflows.oms_signing import oms_claim
from modelseal.workflows.package import push_directory
from modelseal.workflows.services import Services

VECTORS = Path(__file__).parents[2] / "vectors" / "oms"
SIGNER = Identity("https://sigstore.verify.ibm.com/oauth2", "stefanb@us.ibm.com")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def chain() -> list[x509.Certificate]:
    bundle = json.loads((VECTORS / "valid" / "certificate.bundle.json").read_bytes())
    items = bundle["verificationMaterial"]["x509CertificateChain"]["certificates"]
    return [x509.load_der_x509_certificate(base64.b64decode(item["rawBytes"])) for item in items]


def by_key() -> OmsVerifier:
    spki = PublicFormat.SubjectPublicKeyInfo
    pem = chain()[0].public_key().public_bytes(Encoding.PEM, spki)
    return OmsVerifier(OmsKeyVerifier([parse_oms_key(pem, "the leaf's key")]))


def by_chain(now: datetime = NOW) -> OmsVerifier:
    return OmsVerifier(OmsChainVerifier(chain()[1:], lambda: now))


def keyless(signer: Identity = SIGNER) -> OmsVerifier:
    return OmsVerifier(SigstoreVerifier(load_trusted_root(None, offline=True), {signer}))


@pytest.fixture(autouse=True)
def shipped_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the root that sigstore ships, not one cached by the user."""
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))


VALID = {"key": by_key, "certificate": by_chain, "sigstore": keyless}


@pytest.mark.parametrize("path", sorted((VECTORS / "valid").glob("*")), ids=lambda path: path.name)
def test_a_valid_vector_is_taken_down_to_its_files(path: Path, tmp_path: Path) -> None:
    method = path.name.partition(".")[0]
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "signme-1").write_text("signme-1" + "\n" * (method != "sigstore"))
    (tmp_path / "m" / "signme-2").write_text("signme-2")
    (tmp_path / "m" / "ignore-me").write_text("as the signature says")
    done = verify_directory(tmp_path / "m", VALID[method](), signature=path)
    assert done.checks[-3:] == ("root-digest", "file-digests", "no-unsigned-files")
    assert done.statement.predicate_type == OMS_PREDICATE_TYPE == OMS
    (tmp_path / "m" / "signme-2").write_text("changed")
    with pytest.raises(VerificationError) as caught:
        verify_directory(tmp_path / "m", VALID[method](), signature=path)
    assert caught.value.reason == "changed-file"


REASONS = {
    "invalid/empty": "broken-bundle",
    "invalid/missing-envelope": "broken-bundle",
    "invalid/missing-verification-material": "broken-bundle",
    "invalid/missing-tlog-entries": "no-log-entry",
    "invalid-payload/wrong-predicate": "not-an-oms-signature",
}


def test_every_invalid_vector_has_a_reason() -> None:
    found = {
        f"{folder}/{path.name.removesuffix('.bundle.json')}"
        for folder in ("invalid", "invalid-payload")
        for path in (VECTORS / folder).iterdir()
    }
    assert found == REASONS.keys()


@pytest.mark.parametrize("name", REASONS)
def test_an_invalid_vector_is_refused_for_its_reason(name: str) -> None:
    bundle = (VECTORS / f"{name}.bundle.json").read_bytes()
    verifier = keyless() if "tlog" in name else by_key()
    with pytest.raises(VerificationError) as caught:
        verifier.verify(bundle)
    assert caught.value.reason == REASONS[name]


@pytest.mark.parametrize(
    ("method", "verifier", "reason"),
    [
        ("key", by_chain, "key-signed-bundle"),
        ("key", keyless, "key-signed-bundle"),
        ("certificate", by_key, "certificate-bundle"),
        ("certificate", keyless, "no-log-entry"),
        ("sigstore", by_key, "certificate-bundle"),
        ("sigstore", by_chain, "certificate-bundle"),
    ],
)
def test_a_vector_of_another_method_never_passes(
    method: str, verifier: Callable[[], OmsVerifier], reason: str
) -> None:
    bundle = (VECTORS / "valid" / f"{method}.bundle.json").read_bytes()
    with pytest.raises(VerificationError) as caught:
        verifier().verify(bundle)
    assert caught.value.reason == reason


def test_the_certificates_have_to_be_valid_now() -> None:
    bundle = (VECTORS / "valid" / "certificate.bundle.json").read_bytes()
    with pytest.raises(VerificationError) as caught:
        by_chain(datetime(2040, 1, 1, tzinfo=UTC)).verify(bundle)
    assert caught.value.reason == "expired-certificate"


def test_forms_of_older_signers_are_read() -> None:
    value = json.loads((VECTORS / "valid" / "key.bundle.json").read_bytes())
    value["dsseEnvelope"]["signatures"][0]["keyid"] = None
    raw = {"rawBytes": "QUJD", "keyDetails": "PKIX_ECDSA_P384_SHA_384"}
    value["verificationMaterial"]["publicKey"] = raw
    bundle = json.dumps(value).encode()
    assert by_key().verify(bundle).bundle == Digest.of(bundle)
    value["verificationMaterial"]["publicKey"]["more"] = 1
    with pytest.raises(VerificationError):
        by_key().verify(json.dumps(value).encode())


def schema(name: str) -> Any:  # noqa: ANN401 - a validator without types
    schemas = [json.loads(path.read_bytes()) for path in (VECTORS / "schemas").iterdir()]
    registry: Any = referencing.Registry().with_resources(
        (item["$id"], referencing.Resource.from_contents(item)) for item in schemas
    )
    (wanted,) = (item for item in schemas if item["$id"].split("/")[-3] == name)
    return jsonschema.Draft202012Validator(wanted, registry=registry)


def test_what_we_sign_holds_to_the_schemas(tmp_path: Path) -> None:
    store = MemoryStore()
    model = make_model(tmp_path / "fraud")
    subject = push_directory(model, "1", Services(store=store), {})
    claim = oms_claim(store, fetch_manifest(store, subject))
    assert claim.subject is not None
    payload = build_statement(
        claim.subject, claim.predicate_type, claim.predicate, name=claim.subject_name
    )
    key = generate_key()
    (bundle,) = KeySigner(key).sign([payload])
    schema("bundle").validate(json.loads(bundle))
    schema("statement").validate(json.loads(payload))
    assert json.loads(payload)["subject"][0]["name"] == "fraud"
    public = parse_oms_key(key.public_key().pem, "k.pub")
    done = OmsVerifier(OmsKeyVerifier([public])).verify(bundle)
    assert done.checks == ("signature", "key", "subject")
    assert OmsOptions() == OmsOptions(ignored=())


@pytest.mark.parametrize(
    "path", sorted((VECTORS / "invalid-payload").glob("*")), ids=lambda path: path.name
)
def test_the_schemas_refuse_what_we_refuse(path: Path) -> None:
    value = json.loads(path.read_bytes())
    payload = json.loads(base64.b64decode(value["dsseEnvelope"]["payload"]))
    with pytest.raises(jsonschema.ValidationError):
        schema("statement").validate(payload)
