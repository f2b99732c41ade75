"""The public suite's cases (sigstore-conformance) and OMS bundles: those with statements."""

import json
import os
from pathlib import Path

import pytest

from modelseal.errors import VerificationError
from modelseal.oci.descriptor import Digest
from modelseal.trust.identity import Identity
from modelseal.trust.keys import load_public_key
from modelseal.trust.trusted_root import load_trusted_root
from modelseal.trust.verifier import KeyVerifier, SigstoreVerifier, Verifier, read_unsafe

REPOSITORY = Path(__file__).parents[3]
VECTORS = Path(os.environ.get("MODELSEAL_VECTORS", REPOSITORY.parent / "shared" / "vectors"))
CASES = VECTORS / "sigstore-conformance" / "bundle-verify"
OMS = VECTORS / "oms" / "test-vectors"
IDENTITY = (
    "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/"
    ".github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"
)
ISSUER = "https://token.actions.githubusercontent.com"
REASONS = {
    "dsse-invalid-sig_fail": "bad-signature",
    "dsse-mismatch-sig_fail": "bad-log-entry",
    "rekor2-dsse-invalid-sig_fail": "bad-signature",
    "rekor2-dsse-mismatch-sig_fail": "bad-log-entry",
    # Rekor v1 `intoto` entries are not read by sigstore 4.5 (sigstore-python #1384, #1902), and
    # nothing writes them any more: refused by name.
    "intoto-log-entry-mismatch_fail": "unsupported-log-entry",
    "intoto-set-outside-signing-cert-validity_fail": "unsupported-log-entry",
    "intoto-with-custom-trust-root": "unsupported-log-entry",
}
"""Why each case with a statement is refused; the others sign a blob."""


@pytest.fixture(autouse=True)
def vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Need the vectors; and use the root that sigstore ships, not one cached by the user."""
    if not CASES.is_dir():
        reason = f"there are no vectors at {VECTORS}: set MODELSEAL_VECTORS"
        if os.environ.get("CI") == "true":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))


def text(case: Path, name: str, default: str) -> str:
    path = case / name
    return path.read_text().strip() if path.exists() else default


def verifier_of(case: Path) -> Verifier:
    if (case / "key.pub").exists():
        return KeyVerifier([load_public_key(case / "key.pub")])
    own = case / "trusted_root.json"
    root = load_trusted_root(own if own.exists() else None, offline=True)
    identity = Identity(text(case, "issuer", ISSUER), text(case, "identity", IDENTITY))
    return SigstoreVerifier(root, {identity})


def test_the_cases_that_are_statements_are_all_known() -> None:
    found = {
        case.name
        for case in CASES.iterdir()
        if "dsseEnvelope" in json.loads((case / "bundle.sigstore.json").read_bytes())
    }
    assert found == REASONS.keys()


@pytest.mark.parametrize("name", sorted(path.name for path in CASES.glob("*")) or [""])
def test_a_case_of_the_suite(name: str) -> None:
    case = CASES / name
    artifact = case / "artifact"
    subject = Digest.of((artifact if artifact.exists() else CASES.parent / "a.txt").read_bytes())
    bundle = (case / "bundle.sigstore.json").read_bytes()
    with pytest.raises(VerificationError) as caught:
        verifier_of(case).verify(bundle, subject=subject)
    assert caught.value.reason == REASONS.get(name, "not-a-statement")


OMS_IDENTITY = Identity("https://sigstore.verify.ibm.com/oauth2", "stefanb@us.ibm.com")
OMS_SUBJECT = Digest("sha256", "61d4849d9d90076d6215f4d525f13d6574af8e3f67aef3e6f36fc40a14fdd226")


def public_instance(identity: Identity) -> SigstoreVerifier:
    return SigstoreVerifier(load_trusted_root(None, offline=True), {identity})


def test_a_statement_of_the_public_instance_is_verified() -> None:
    bundle = (OMS / "valid" / "sigstore.bundle.json").read_bytes()
    verified = public_instance(OMS_IDENTITY).verify(bundle, subject=OMS_SUBJECT)
    assert verified.predicate_type == "https://model_signing/signature/v1.0"
    assert verified.signer == OMS_IDENTITY
    assert verified.signed_at is not None
    assert verified.signed_at.isoformat() == "2025-10-10T02:12:20+00:00"
    assert "log-time" in verified.checks


def test_a_statement_of_the_public_instance_is_refused_for_another_signer() -> None:
    bundle = (OMS / "valid" / "sigstore.bundle.json").read_bytes()
    for identity, reason in (
        (Identity(OMS_IDENTITY.issuer, "mallory@us.ibm.com"), "other-identity"),
        (Identity("https://accounts.google.com", OMS_IDENTITY.subject), "other-issuer"),
    ):
        with pytest.raises(VerificationError) as caught:
            public_instance(identity).verify(bundle, subject=OMS_SUBJECT)
        assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("invalid/empty", "broken-bundle"),
        ("invalid/missing-envelope", "broken-bundle"),
        ("invalid/missing-verification-material", "broken-bundle"),
        ("invalid/missing-tlog-entries", "no-log-entry"),
        ("valid/certificate", "no-log-entry"),
        ("valid/key", "key-signed-bundle"),
    ],
)
def test_other_bundles_of_oms_are_refused_keylessly(name: str, reason: str) -> None:
    bundle = (OMS / f"{name}.bundle.json").read_bytes()
    with pytest.raises(VerificationError) as caught:
        public_instance(OMS_IDENTITY).verify(bundle, subject=OMS_SUBJECT)
    assert caught.value.reason == reason


def test_valid_oms_bundles_can_be_read() -> None:
    for path in sorted((OMS / "valid").glob("*.json")):
        assert read_unsafe(path.read_bytes()).predicate_type.startswith("https://model_signing/")
