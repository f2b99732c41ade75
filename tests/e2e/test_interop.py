# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""ours ⇄ cosign ⇄ oras, through the installed commands, on each of the three registries."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.cli import Command
from tests.support.model_factory import ATTESTED, make_model
from tests.support.sigstore import PrivateSigstore

TRAINER = "trainer@acme.example"
OTHER = "somebody@else.example"
PASSPHRASE = {"MODELSEAL_KEY_PASSPHRASE": "correct horse", "COSIGN_PASSWORD": "battery staple"}
PROVENANCE = "https://slsa.dev/provenance/v1"


@dataclass(frozen=True)
class Stage:
    """One empty repository, a private Sigstore, and the commands."""

    repository: str
    sigstore: PrivateSigstore
    modelseal: Command
    cosign: Command
    oras: Command
    home: Path

    @property
    def reference(self) -> str:
        return f"{self.repository}:1.4.0"

    def trust(self) -> list[str]:
        return ["--trusted-root", str(self.sigstore.trusted_root)]

    def signing(self, email: str = TRAINER) -> list[str]:
        """Where and as whom to sign; the same words for modelseal and cosign."""
        return [
            *self.trust(),
            "--signing-config",
            str(self.sigstore.signing_config),
            "--identity-token",
            str(self.sigstore.token_file(email)),
        ]

    def believing(self, email: str = TRAINER) -> list[str]:
        return [
            *self.trust(),
            "--certificate-identity",
            email,
            "--certificate-oidc-issuer",
            self.sigstore.issuer,
        ]

    def digest(self) -> str:
        done = self.modelseal("inspect", self.reference, "--output", "json").check()
        return str(json.loads(done.stdout)["manifest"]["digest"])

    def pushed(self) -> str:
        """Push an unsigned model; return its reference by digest."""
        self.modelseal("push", make_model(self.home / "model"), self.reference).check()
        return f"{self.repository}@{self.digest()}"


@pytest.fixture
def stage(
    repository: str,
    private_sigstore: PrivateSigstore,
    modelseal: Command,
    cosign: Command,
    oras: Command,
    home: Path,
) -> Stage:
    return Stage(repository, private_sigstore, modelseal, cosign, oras, home)


def published(stage: Stage) -> Path:
    model = make_model(stage.home / "model")
    stage.modelseal("publish", model, stage.reference, *stage.signing()).check()
    return model


def test_cosign_verifies_what_modelseal_signs_keylessly(stage: Stage) -> None:
    published(stage)
    verify = ("verify", "--allow-http-registry", stage.reference)
    stage.cosign(*verify, *stage.believing()).check()
    assert stage.cosign(*verify, *stage.believing(OTHER)).returncode != 0


def test_cosign_verifies_the_provenance_that_modelseal_attests(stage: Stage) -> None:
    published(stage)
    verify = (
        "verify-attestation",
        "--allow-http-registry",
        "--type",
        "slsaprovenance1",
        stage.reference,
    )
    done = stage.cosign(*verify, *stage.believing()).check()
    (payload,) = [json.loads(line)["payload"] for line in done.stdout.splitlines() if line]
    assert json.loads(base64.b64decode(payload))["predicateType"] == PROVENANCE
    assert stage.cosign(*verify, *stage.believing(OTHER)).returncode != 0


def test_modelseal_verifies_what_cosign_signs_and_attests_keylessly(stage: Stage) -> None:
    reference = stage.pushed()
    predicate = stage.home / "predicate.json"
    predicate.write_text(json.dumps(PREDICATE))
    stage.cosign("sign", "--allow-http-registry", *stage.signing(), reference).check()
    stage.cosign(
        "attest",
        "--allow-http-registry",
        *stage.signing(),
        "--type",
        "slsaprovenance1",
        "--predicate",
        predicate,
        reference,
    ).check()
    for kind in ("signature", "slsaprovenance1"):
        verify = ("verify", reference, "--type", kind)
        stage.modelseal(*verify, *stage.believing()).check()
        refused = stage.modelseal(*verify, *stage.believing(OTHER)).check(11)
        assert TRAINER in refused.stderr


def test_keys_both_ways(stage: Stage) -> None:
    reference = stage.pushed()
    ours, theirs, other = (stage.home / name for name in ("ours", "cosign", "other"))
    for path in (ours, other):
        stage.modelseal("key", "generate", "--output", path, env=PASSPHRASE).check()
    stage.cosign("generate-key-pair", cwd=stage.home, env=PASSPHRASE).check()
    offline = stage.home / "empty-signing-config.json"
    stage.cosign("signing-config", "create", "--out", offline).check()

    stage.modelseal("sign", reference, "--key", ours, env=PASSPHRASE).check()
    verify = ("verify", "--allow-http-registry", "--insecure-ignore-tlog", "--key")
    stage.cosign(*verify, f"{ours}.pub", reference).check()
    assert stage.cosign(*verify, f"{other}.pub", reference).returncode != 0
    stage.modelseal("verify", reference, "--key", f"{theirs}.pub").check(11)

    stage.cosign(
        "sign",
        "--allow-http-registry",
        "--signing-config",
        offline,
        "--key",
        f"{theirs}.key",
        reference,
        env=PASSPHRASE,
    ).check()
    stage.modelseal("verify", reference, "--key", f"{theirs}.pub").check()
    refused = stage.modelseal("verify", reference, "--key", f"{other}.pub").check(11)
    assert "another key" in refused.stderr


def test_statements_by_keys_both_ways(stage: Stage) -> None:
    reference = stage.pushed()
    ours, theirs = stage.home / "ours", stage.home / "cosign"
    stage.modelseal("key", "generate", "--output", ours, env=PASSPHRASE).check()
    stage.cosign("generate-key-pair", cwd=stage.home, env=PASSPHRASE).check()
    offline = stage.home / "empty-signing-config.json"
    stage.cosign("signing-config", "create", "--out", offline).check()
    predicate = stage.home / "predicate.json"
    predicate.write_text(json.dumps(PREDICATE))
    said = ("--type", "slsaprovenance1", "--predicate", predicate)

    stage.modelseal("attest", reference, *said, "--key", ours, env=PASSPHRASE).check()
    verify = ("verify-attestation", "--allow-http-registry", "--insecure-ignore-tlog")
    asked = ("--type", "slsaprovenance1", reference)
    done = stage.cosign(*verify, "--key", f"{ours}.pub", *asked).check()
    statement = json.loads(base64.b64decode(json.loads(done.stdout)["payload"]))
    assert statement["predicate"] == PREDICATE
    assert stage.cosign(*verify, "--key", f"{theirs}.pub", *asked).returncode != 0
    stage.modelseal("verify", reference, "--key", f"{ours}.pub").check(11)  # no signature yet

    with_key = ("--signing-config", offline, "--key", f"{theirs}.key")
    attest = ("attest", "--allow-http-registry", *with_key, *said, reference)
    stage.cosign(*attest, env=PASSPHRASE).check()
    by_theirs = ("verify", reference, "--key", f"{theirs}.pub")
    done = stage.modelseal(*by_theirs, "--type", "slsaprovenance1", "--output", "json").check()
    (verified,) = json.loads(done.stdout)["statements"]
    assert (
        verified["predicate"]["runDetails"] == PREDICATE["runDetails"]
    )  # cosign drops empty lists
    stage.modelseal(*by_theirs).check(11)


def test_oras_pulls_the_files_as_they_were(stage: Stage) -> None:
    model = published(stage)
    out = stage.home / "out"
    stage.oras("pull", "--plain-http", stage.reference, "-o", out).check()
    assert contents(out) == contents(model)


def test_oras_discovers_the_statements(stage: Stage) -> None:
    published(stage)
    done = stage.oras(
        "discover", "--plain-http", "--format", "json", f"{stage.repository}@{stage.digest()}"
    ).check()
    found = [
        entry["annotations"]["dev.sigstore.bundle.predicateType"]
        for entry in json.loads(done.stdout).get("referrers", [])
        if entry["artifactType"].startswith("application/vnd.dev.sigstore.bundle")
    ]
    assert sorted(found) == sorted(ATTESTED)


def test_one_login_and_one_certificate_sign_all_statements(stage: Stage) -> None:
    model = make_model(stage.home / "model")
    done = stage.modelseal(
        "publish", model, stage.reference, *stage.signing(), "--output", "json"
    ).check()
    answer = json.loads(done.stdout)
    assert {s["predicateType"] for s in answer["statements"]} == set(ATTESTED)
    certificates = set()
    for attached in answer["attached"]:
        fetched = stage.oras(
            "manifest", "fetch", "--plain-http", f"{stage.repository}@{attached['referrer']}"
        ).check()
        layer = json.loads(fetched.stdout)["layers"][0]["digest"]
        blob = stage.oras(
            "blob", "fetch", "--plain-http", "--output", "-", f"{stage.repository}@{layer}"
        ).check()
        certificates.add(json.loads(blob.stdout)["verificationMaterial"]["certificate"]["rawBytes"])
    assert len(certificates) == 1


def test_modelseal_pulls_verified_what_it_published(stage: Stage) -> None:
    model = published(stage)
    out = stage.home / "out"
    stage.modelseal("pull", stage.reference, "--output", out, *stage.believing()).check()
    assert contents(out) == contents(model)
    again = stage.home / "again"
    stage.modelseal("pull", stage.reference, "--output", again, *stage.believing(OTHER)).check(11)
    assert not again.exists()


@pytest.mark.parametrize("login", ["ambient", "environment", "file"])
def test_every_way_to_a_token_signs(stage: Stage, login: str) -> None:
    """The browser needs a terminal: tests/e2e/test_terminal.py."""
    reference = stage.pushed()
    sources: dict[str, Callable[[], dict[str, str]]] = {
        "ambient": lambda: stage.sigstore.oidc.github_environment(TRAINER),
        "environment": lambda: {"SIGSTORE_ID_TOKEN": stage.sigstore.token(TRAINER)},
        "file": lambda: {"MODELSEAL_IDENTITY_TOKEN_FILE": str(stage.sigstore.token_file(TRAINER))},
    }
    config = ["--signing-config", str(stage.sigstore.signing_config)]
    stage.modelseal("sign", reference, *stage.trust(), *config, env=sources[login]()).check()
    stage.modelseal("verify", reference, *stage.believing()).check()


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


PREDICATE = {
    "buildDefinition": {
        "buildType": "https://example.com/build",
        "externalParameters": {},
        "resolvedDependencies": [],
    },
    "runDetails": {"builder": {"id": "https://example.com/builder"}},
}
