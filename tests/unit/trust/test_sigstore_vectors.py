"""The public suite's cases (sigstore-conformance) and OMS bundles: those with statements."""

import json
from pathlib import Path

import pytest
from sigstore.errors import Error as SigstoreError
from sigstore.hashes import Hashed
from sigstore.models import Bundle as SigstoreBundle
from sigstore.verify import Verifier as SigstoreClient
from sigstore.verify.policy import Identity as SigstoreIdentity
from tools.conformance import main, public_root

from modelseal.errors import UsageError, VerificationError
from modelseal.oci.descriptor import Digest
from modelseal.trust.identity import Identity
from modelseal.trust.keys import load_public_key
from modelseal.trust.trusted_root import load_trusted_root
from modelseal.trust.verifier import KeyVerifier, SigstoreVerifier, Verifier, read_unsafe

REPOSITORY = Path(__file__).parents[3]
SUITE = REPOSITORY / "tests" / "vectors" / "sigstore-conformance"
CASES = SUITE / "bundle-verify"
OMS = REPOSITORY / "tests" / "vectors" / "oms"
IDENTITY = (
    "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/"
    ".github/workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main"
)
ISSUER = "https://token.actions.githubusercontent.com"
NAMES = sorted(path.name for path in CASES.iterdir())
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
"""Why the profile `keyless` refuses each case with a statement; the others sign a blob."""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Use the root that sigstore ships, not one cached by the user."""
    for name in ("HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path))


def text(case: Path, name: str, default: str) -> str:
    path = case / name
    return path.read_text().strip() if path.exists() else default


def identity_of(case: Path) -> Identity:
    return Identity(text(case, "issuer", ISSUER), text(case, "identity", IDENTITY))


def subject_of(case: Path) -> Digest:
    artifact = case / "artifact"
    return Digest.of((artifact if artifact.exists() else SUITE / "a.txt").read_bytes())


def root_of(case: Path) -> Path:
    """Return the case's trusted root, or the public instance's as sigstore ships it."""
    own = case / "trusted_root.json"
    return own if own.exists() else public_root(staging=False, offline=True)


def verifier_of(case: Path) -> Verifier:
    if (case / "key.pub").exists():
        return KeyVerifier([load_public_key(case / "key.pub")])
    own = case / "trusted_root.json"
    root = load_trusted_root(own if own.exists() else None, offline=True)
    return SigstoreVerifier(root, {identity_of(case)})


def test_the_cases_that_are_statements_are_all_known() -> None:
    found = {
        case.name
        for case in CASES.iterdir()
        if "dsseEnvelope" in json.loads((case / "bundle.sigstore.json").read_bytes())
    }
    assert found == REASONS.keys()


@pytest.mark.parametrize("name", NAMES)
def test_a_case_of_the_suite_keylessly_or_with_its_key(name: str) -> None:
    case = CASES / name
    bundle = (case / "bundle.sigstore.json").read_bytes()
    with pytest.raises(VerificationError) as caught:
        verifier_of(case).verify(bundle, subject=subject_of(case))
    reasons = {REASONS.get(name, "not-a-statement"), "broken-bundle"}
    assert caught.value.reason in reasons - ({"broken-bundle"} if name in REASONS else set())


def conformance(case: Path, subject: str) -> int:
    """Verify as the suite does: the protocol's command line, its exit code."""
    arguments = ["verify-bundle", "--bundle", str(case / "bundle.sigstore.json")]
    if (case / "key.pub").exists():
        arguments += ["--key", str(case / "key.pub")]
    else:
        identity = identity_of(case)
        arguments += ["--certificate-identity", identity.subject]
        arguments += ["--certificate-oidc-issuer", identity.issuer]
    return main([*arguments, "--trusted-root", str(root_of(case)), subject])


@pytest.mark.parametrize("name", NAMES)
def test_a_case_of_the_suite_through_its_protocol(name: str) -> None:
    case = CASES / name
    artifact = case / "artifact"
    path = artifact if artifact.exists() else SUITE / "a.txt"
    for subject in (str(path), str(subject_of(case))):
        assert (conformance(case, subject) == 0) is not name.endswith("_fail")


def test_another_blob_and_another_identity_are_refused_through_the_protocol() -> None:
    case = CASES / "happy-path-v0.3"
    assert conformance(case, str(Digest.of(b"another"))) == 1
    assert conformance(CASES / "managed-key-and-trusted-root", str(Digest.of(b"another"))) == 1


@pytest.mark.parametrize("name", [name for name in NAMES if "managed-key" not in name])
def test_sigstore_and_our_own_proofs_agree(name: str) -> None:
    """Two verifiers that share no code for it; the exceptions are sigstore's, and known."""
    case, digest = CASES / name, subject_of(CASES / name)
    own = case / "trusted_root.json"
    bundle = (case / "bundle.sigstore.json").read_text()
    try:
        root = load_trusted_root(own if own.exists() else None, offline=True)
        parsed = SigstoreBundle.from_json(bundle)
        policy = SigstoreIdentity(
            identity=identity_of(case).subject, issuer=identity_of(case).issuer
        )
        hashed = Hashed.model_validate(
            {"algorithm": "SHA2_256", "digest": bytes.fromhex(digest.encoded)}
        )
        if "dsseEnvelope" in json.loads(bundle):
            _, payload = SigstoreClient(trusted_root=root).verify_dsse(parsed, policy)
            assert digest.encoded in payload.decode()
        else:
            SigstoreClient(trusted_root=root).verify_artifact(hashed, parsed, policy)
        theirs = True
    except (SigstoreError, ValueError, UsageError):
        theirs = False
    ours = conformance(case, str(digest)) == 0
    assert ours is theirs or name == "intoto-with-custom-trust-root"


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
