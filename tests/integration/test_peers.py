"""The peers work together: what the other tests take for granted."""

import json
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from sigstore.dsse import Statement
from sigstore.errors import VerificationError
from sigstore.models import Bundle, ClientTrustConfig, TrustedRoot
from sigstore.oidc import IdentityToken
from sigstore.sign import SigningContext
from sigstore.verify import Verifier, policy
from tests.support import browser, cli
from tests.support.cli import Command
from tests.support.oidc_issuer import CLIENT_ID, DEFAULT_EMAIL
from tests.support.registries import Registry
from tests.support.sigstore import PrivateSigstore

PROVENANCE = "https://slsa.dev/provenance/v1"


@pytest.fixture
def artifact(oras: Command, registry: Registry, repository: str, tmp_path: Path) -> str:
    """Push an artifact into each registry and return its reference by digest."""
    assert registry.host in repository
    (tmp_path / "weights.bin").write_bytes(b"weights")
    pushed = oras(
        *("push", "--plain-http", "--format", "json", f"{repository}:v1"),
        *("--artifact-type", "application/vnd.cncf.model.manifest.v1+json", "weights.bin"),
        cwd=tmp_path,
    ).check()
    return f"{repository}@{json.loads(pushed.stdout)['digest']}"


def sign(cosign: Command, sigstore: PrivateSigstore, artifact: str) -> None:
    cosign(
        *("sign", "--allow-http-registry", "--identity-token", sigstore.token_file()),
        *("--trusted-root", sigstore.trusted_root, "--signing-config", sigstore.signing_config),
        artifact,
    ).check()


def verify(
    cosign: Command,
    sigstore: PrivateSigstore,
    artifact: str,
    *,
    identity: str = DEFAULT_EMAIL,
    trusted_root: Path | None = None,
) -> cli.Result:
    return cosign(
        *("verify", "--allow-http-registry"),
        *("--trusted-root", trusted_root or sigstore.trusted_root),
        *("--certificate-identity", identity, "--certificate-oidc-issuer", sigstore.issuer),
        artifact,
    )


def test_cosign_signs_and_verifies_keylessly(
    cosign: Command, private_sigstore: PrivateSigstore, artifact: str
) -> None:
    assert verify(cosign, private_sigstore, artifact).returncode != 0
    sign(cosign, private_sigstore, artifact)
    verify(cosign, private_sigstore, artifact).check()
    stranger = verify(cosign, private_sigstore, artifact, identity="stranger@acme.example")
    assert stranger.returncode != 0
    assert 'expected SAN value "stranger@acme.example"' in stranger.stderr
    foreign = private_sigstore.foreign_trusted_root()
    assert verify(cosign, private_sigstore, artifact, trusted_root=foreign).returncode != 0


def test_cosign_attests_and_oras_discovers(
    cosign: Command, oras: Command, private_sigstore: PrivateSigstore, artifact: str, tmp_path: Path
) -> None:
    predicate = tmp_path / "predicate.json"
    predicate.write_text(json.dumps({"buildDefinition": {"buildType": "https://acme.example/t"}}))
    trust = ("--allow-http-registry", "--trusted-root", private_sigstore.trusted_root)
    cosign(
        *("attest", *trust, "--signing-config", private_sigstore.signing_config),
        *("--identity-token", private_sigstore.token_file(), "--type", "slsaprovenance1"),
        *("--predicate", predicate, artifact),
    ).check()
    cosign(
        *("verify-attestation", *trust, "--type", "slsaprovenance1"),
        *("--certificate-identity", DEFAULT_EMAIL),
        *("--certificate-oidc-issuer", private_sigstore.issuer, artifact),
    ).check()
    found = oras("discover", "--plain-http", "--format", "json", artifact).check()
    [referrer] = json.loads(found.stdout)["referrers"]
    # No more than that: into a fallback index cosign writes no annotations.
    assert referrer["artifactType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"


def test_a_registry_says_whether_it_has_the_referrers_api(
    registry: Registry, artifact: str
) -> None:
    path, digest = artifact.removeprefix(f"{registry.host}/").split("@")
    try:
        with urllib.request.urlopen(f"{registry.url}/v2/{path}/referrers/{digest}") as response:
            status = response.status
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    assert (status == 200) is registry.has_referrers_api


def test_sigstore_python_signs_and_verifies(private_sigstore: PrivateSigstore) -> None:
    statement = json.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "model", "digest": {"sha256": "0" * 64}}],
            "predicateType": PROVENANCE,
            "predicate": {},
        }
    ).encode()
    trust = ClientTrustConfig.from_json(private_sigstore.client_trust_config().read_text())
    token = IdentityToken(private_sigstore.token(), client_id=CLIENT_ID)
    with SigningContext.from_trust_config(trust).signer(token) as signer:
        bundle = Bundle.from_json(signer.sign_dsse(Statement(statement)).to_json())

    verifier = Verifier(trusted_root=TrustedRoot.from_file(str(private_sigstore.trusted_root)))
    trainer = policy.Identity(identity=DEFAULT_EMAIL, issuer=private_sigstore.issuer)
    assert verifier.verify_dsse(bundle, trainer) == ("application/vnd.in-toto+json", statement)
    stranger = policy.Identity(identity="stranger@acme.example", issuer=private_sigstore.issuer)
    with pytest.raises(VerificationError):
        verifier.verify_dsse(bundle, stranger)
    foreign = Verifier(
        trusted_root=TrustedRoot.from_file(str(private_sigstore.foreign_trusted_root()))
    )
    with pytest.raises(VerificationError):
        foreign.verify_dsse(bundle, trainer)


@pytest.mark.parametrize("ambient", [True, False], ids=["ambient", "browser"])
def test_sigstore_python_logs_in(
    private_sigstore: PrivateSigstore, home: Path, *, ambient: bool
) -> None:
    python = Command(Path(sys.executable), home)
    (home / "file").write_text("content")
    login = private_sigstore.oidc.github_environment() if ambient else browser.environment()
    program = ("-m", "sigstore", "--trust-config", private_sigstore.client_trust_config())
    python(*program, "sign", "file", env=login).check()
    python(
        *(*program, "verify", "identity", "--cert-identity", DEFAULT_EMAIL),
        *("--cert-oidc-issuer", private_sigstore.issuer, "file"),
    ).check()


def test_cosign_signs_without_the_parts_that_a_config_leaves_out(
    cosign: Command, private_sigstore: PrivateSigstore, tmp_path: Path
) -> None:
    blob = tmp_path / "blob"
    blob.write_bytes(b"weights")
    bundle = tmp_path / "bundle.json"
    config = private_sigstore.signing_config_without("rekor", "tsa")
    cosign(
        *("attest-blob", "--identity-token", private_sigstore.token_file()),
        *("--trusted-root", private_sigstore.trusted_root_without("rekor", "tsa")),
        *("--signing-config", config, "--bundle", bundle),
        *("--type", "slsaprovenance1", "--predicate", _empty_predicate(tmp_path), blob),
    ).check()
    material = json.loads(bundle.read_text())["verificationMaterial"]
    assert "certificate" in material
    assert not material.get("tlogEntries")
    assert not material.get("timestampVerificationData", {}).get("rfc3161Timestamps")


def _empty_predicate(directory: Path) -> Path:
    path = directory / "empty.json"
    path.write_text("{}")
    return path
