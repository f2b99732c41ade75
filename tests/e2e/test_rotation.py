# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A key is rotated through the installed command; cosign and policies see the overlap."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.support.cli import Command
from tests.support.model_factory import ATTESTED, make_model
from tests.support.registries import Registry, RegistryName

PASSPHRASE = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}
SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
ROTATION = "https://modelseal.dev/attestation/key-rotation/v0.1"
POLICY = """\
apiVersion: modelseal.dev/v1
kind: Policy
metadata: {{name: overlap}}
spec:
  roles:
    release:
      threshold: 1
      identities:
{keys}
  rules:
  - {{use: signed, with: {{role: release}}}}
"""


@dataclass(frozen=True)
class Stage:
    """A repository with a release by the old key and one by somebody else."""

    repository: str
    modelseal: Command
    home: Path

    def rotate(self, *more: str) -> dict[str, Any]:
        done = self.modelseal(
            *("key", "rotate", self.repository, "--old-key", "old.key.pub", "--key", "new.key"),
            *(*more, "--quiet", "--output", "json"),
            env=PASSPHRASE,
        ).check()
        return dict(json.loads(done.stdout))

    def verify(self, *arguments: str, code: int = 0) -> None:
        self.modelseal("verify", f"{self.repository}:1.4.0", *arguments).check(code)


@pytest.fixture
def stage(
    serve_registry: Callable[[RegistryName], Registry], modelseal: Command, home: Path
) -> Stage:
    # A registry without the referrers API: the new signatures go beside the old in its index.
    repository = f"{serve_registry('distribution').host}/rotation/{home.parent.name.lower()}"
    for key in ("old", "new", "other"):
        modelseal("key", "generate", "--output", f"{key}.key", env=PASSPHRASE).check()
    model = make_model(home / "fraud")
    modelseal(
        "publish", model, f"{repository}:1.4.0", "--key", "old.key", "--quiet", env=PASSPHRASE
    ).check()
    project = model / "modelseal.yaml"  # other inputs are another version
    project.write_text(project.read_text().replace("1.4.0", "1.5.0"))
    (model / "README.md").write_text("# another model\n")
    modelseal("push", model, f"{repository}:theirs", "--quiet").check()
    modelseal("sign", f"{repository}:theirs", "--key", "other.key", env=PASSPHRASE).check()
    return Stage(repository, modelseal, home)


def test_a_key_is_rotated_with_an_overlap(stage: Stage, cosign: Command) -> None:
    planned = stage.rotate("--dry-run")
    stage.verify("--key", "new.key.pub", code=11)
    done = stage.rotate("--reason", "yearly")
    kinds = {
        tuple(release["tags"]): {item["predicateType"] for item in release["signedAnew"]}
        for release in done["releases"]
    }
    assert kinds == {("1.4.0",): set(ATTESTED), ("theirs",): set()}
    assert [release["signedAnew"] for release in planned["releases"]] == [
        release["signedAnew"] for release in done["releases"]
    ]

    for key in ("old", "new"):
        stage.verify("--key", f"{key}.key.pub")
        stage.verify("--key", f"{key}.key.pub", "--type", PROVENANCE)
        cosign(
            *("verify", "--allow-http-registry", "--insecure-ignore-tlog"),
            *("--key", f"{key}.key.pub", f"{stage.repository}:1.4.0"),
        ).check()
    stage.verify("--key", "new.key.pub", "--type", ROTATION)
    stage.modelseal("verify", f"{stage.repository}:theirs", "--key", "new.key.pub").check(11)

    for names in (["old"], ["new"], ["old", "new"]):
        (stage.home / "policy.yaml").write_text(policy_that_names(stage.home, names))
        stage.verify("--policy", "policy.yaml")

    again = stage.rotate()
    assert not any(release["referrers"] for release in again["releases"])
    assert [r["recorded"] for r in again["releases"] if r["tags"] == ["1.4.0"]] == [True]


def policy_that_names(home: Path, names: list[str]) -> str:
    keys = ""
    for name in names:
        pem = (home / f"{name}.key.pub").read_text().replace("\n", "\n          ")
        keys += f"      - publicKey: |\n          {pem.rstrip()}\n"
    return POLICY.format(keys=keys.rstrip())


def test_who_signed_what_is_listed(stage: Stage) -> None:
    stage.rotate()
    done = stage.modelseal(
        *("key", "list", stage.repository, "--key", "new.key.pub", "--output", "json")
    ).check()
    shown = json.loads(
        stage.modelseal("key", "show", "new.key.pub", "--output", "json").check().stdout
    )
    verified = {
        (use["release"], use["predicateType"])
        for use in json.loads(done.stdout)["keys"]
        if use["verified"]
    }
    assert verified == {("1.4.0", kind) for kind in (*ATTESTED, ROTATION)}
    text = stage.modelseal("key", "list", stage.repository, "--key", "new.key.pub").check().stdout
    assert f"{shown['fingerprint']} (verified)" in text
    assert text.count("(claimed, not checked)") == 2
