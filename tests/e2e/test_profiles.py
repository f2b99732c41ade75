# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Profiles through the installed command, under a real private Sigstore that lacks a part."""

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support import cli
from tests.support.cli import Command
from tests.support.model_factory import make_model
from tests.support.sigstore import PrivateSigstore, TrustPart

TRAINER = "trainer@acme.example"
ROOT = Path(__file__).parents[2]
PASSPHRASES = {"MODELSEAL_KEY_PASSPHRASE": "correct horse", "COSIGN_PASSWORD": "battery staple"}


def signing(sigstore: PrivateSigstore) -> list[str | Path]:
    return [
        *("--trusted-root", sigstore.trusted_root, "--signing-config", sigstore.signing_config),
        *("--identity-token", sigstore.token_file(TRAINER)),
    ]


def believing(sigstore: PrivateSigstore, root: Path) -> list[str | Path]:
    return [
        *("--trusted-root", root, "--certificate-identity", TRAINER),
        *("--certificate-oidc-issuer", sigstore.issuer),
    ]


@pytest.fixture
def reference(modelseal: Command, private_sigstore: PrivateSigstore, home: Path) -> str:
    """Publish a model keylessly into a layout."""
    reference = f"oci:{home}/store:1"
    model = make_model(home / "model")
    modelseal("publish", model, reference, *signing(private_sigstore)).check()
    return reference


def verified(modelseal: Command, reference: str, *options: str | Path) -> dict[str, Any]:
    done = modelseal("verify", reference, *options, "--output", "json").check()
    value: dict[str, Any] = json.loads(done.stdout)
    return value


@pytest.mark.parametrize(
    ("without", "missing", "more"),
    [
        ((), set(), set()),
        (("ct",), {"signed-certificate-timestamp"}, set()),
        (("rekor",), {"transparency-log"}, set()),
        (("tsa",), {"timestamp"}, {"certificate-valid-now"}),
        (
            ("ct", "rekor", "tsa"),
            {"signed-certificate-timestamp", "transparency-log", "timestamp"},
            {"certificate-valid-now"},
        ),
    ],
)
def test_a_private_root_is_asked_for_what_it_names(
    modelseal: Command,
    private_sigstore: PrivateSigstore,
    reference: str,
    without: tuple[TrustPart, ...],
    missing: set[str],
    more: set[str],
) -> None:
    believed = believing(private_sigstore, private_sigstore.trusted_root_without(*without))
    found = verified(modelseal, reference, *believed, "--profile", "keyless-private")
    whole = {"certificate-chain", "signed-certificate-timestamp", "identity", "transparency-log"}
    whole |= {"timestamp", "signature", "subject"}
    for statement in found["statements"]:
        assert statement["profile"] == "keyless-private"
        assert set(statement["checks"]) == (whole - missing) | more
        assert (statement["signedAt"] is None) is ("certificate-valid-now" in more)
    if "rekor" in without or "ct" in without:
        modelseal("verify", reference, *believed).check(2)  # keyless asks for all of it


def test_a_policy_asks_for_a_profile(
    modelseal: Command, private_sigstore: PrivateSigstore, reference: str, home: Path
) -> None:
    policy = home / "policy.yaml"
    policy.write_text(
        f"""
apiVersion: modelseal.dev/v1
kind: Policy
metadata: {{name: private}}
spec:
  roles:
    trainer:
      profile: keyless-private
      identities: [{{issuer: "{private_sigstore.issuer}", subject: {TRAINER}}}]
  rules: [{{use: signed, with: {{role: trainer}}}}]
"""
    )
    root = private_sigstore.trusted_root_without("ct")
    options = ("--policy", policy, "--trusted-root", root)
    assert verified(modelseal, reference, *options)["decision"]["allowed"]
    done = modelseal("verify", reference, *options, "--profile", "keyless-private").check(2)
    assert "--policy and --profile exclude each other" in done.stderr
    modelseal("verify", reference, "--policy", policy).check(2)


def test_a_profile_beside_what_it_is_not_for_is_a_mistake(
    modelseal: Command, private_sigstore: PrivateSigstore, reference: str
) -> None:
    believed = believing(private_sigstore, private_sigstore.trusted_root)
    modelseal("verify", reference, *believed, "--profile", "key").check(2)
    modelseal("verify", reference, *believed, "--profile", "keyles").check(2)


def test_a_log_entry_that_cosign_puts_beside_a_key_is_checked_under_a_root(
    modelseal: Command,
    cosign: Command,
    private_sigstore: PrivateSigstore,
    repository: str,
    home: Path,
) -> None:
    cosign("generate-key-pair", env=PASSPHRASES, cwd=home).check()
    modelseal("push", make_model(home / "model"), f"{repository}:1").check()
    inspected = modelseal("inspect", f"{repository}:1", "--output", "json").check()
    digest = json.loads(inspected.stdout)["manifest"]["digest"]
    cosign(
        *("sign", "--yes", "--allow-http-registry", "--key", home / "cosign.key"),
        *("--trusted-root", private_sigstore.trusted_root),
        *("--signing-config", private_sigstore.signing_config, f"{repository}@{digest}"),
        env=PASSPHRASES,
    ).check()
    by_key = ("--key", home / "cosign.pub", "--profile", "key")
    (bare,) = verified(modelseal, f"{repository}:1", *by_key)["statements"]
    assert bare["checks"] == ["signature", "key", "subject"]
    root = ("--trusted-root", private_sigstore.trusted_root)
    (logged,) = verified(modelseal, f"{repository}:1", *by_key, *root)["statements"]
    assert {"transparency-log", "timestamp"} < set(logged["checks"])
    assert logged["signedAt"]
    foreign = ("--trusted-root", private_sigstore.foreign_trusted_root())
    modelseal("verify", f"{repository}:1", *by_key, *foreign).check(11)


@pytest.mark.parametrize("kind", ["blob", "in-toto"])
def test_the_conformance_client_signs_and_verifies(
    cosign: Command, private_sigstore: PrivateSigstore, home: Path, kind: str
) -> None:
    """As the suite does: sign with a token, verify file and digest; cosign verifies, too."""
    blob = home / "a.txt"
    blob.write_text("some content")
    digest = "290f493c44f5d63d06b374d0a5abd292fae38b92cab2fae5efefe1b0e9347f56"
    statement = home / "statement.json"
    statement.write_text(
        json.dumps(
            {
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [{"name": "a.txt", "digest": {"sha256": digest}}],
                "predicateType": "https://example.com/tested/v1",
                "predicate": {"passed": True},
            }
        )
    )
    bundle = home / "bundle.json"
    environment = cli.clean_environment(home)

    def client(*arguments: str | Path) -> int:
        command = [ROOT / "tools" / "conformance", *arguments]
        return cli.run(command, env=environment, cwd=home).returncode

    in_toto = ["--in-toto"] if kind == "in-toto" else []
    assert (
        client(
            *("sign-bundle", *in_toto, "--identity-token", private_sigstore.token(TRAINER)),
            *("--bundle", bundle, "--trusted-root", private_sigstore.trusted_root),
            *("--signing-config", private_sigstore.signing_config),
            statement if in_toto else blob,
        )
        == 0
    )
    verify: list[str | Path] = ["verify-bundle", "--bundle", bundle]
    verify += ["--certificate-identity", TRAINER]
    verify += ["--certificate-oidc-issuer", private_sigstore.issuer]
    verify += ["--trusted-root", private_sigstore.trusted_root]
    assert client(*verify, blob) == 0
    assert client(*verify, f"sha256:{digest}") == 0
    assert client(*verify, f"sha256:{'0' * 64}") == 1
    believed = believing(private_sigstore, private_sigstore.trusted_root)
    if in_toto:
        cosign(
            *("verify-blob-attestation", "--bundle", bundle, *believed),
            *("--type", "https://example.com/tested/v1", blob),
        ).check()
    else:
        cosign("verify-blob", "--bundle", bundle, *believed, blob).check()
