# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Each policy in `policies/` allows one model and denies another, through the installed command."""

import json
from pathlib import Path

import pytest
from tests.support.cli import Command
from tests.support.forks import ForkedCommand
from tests.support.model_factory import make_model
from tests.support.sigstore import PrivateSigstore

from modelseal.policy.document import parse_policy

POLICIES = Path(__file__).parents[2] / "policies"
PASSPHRASE = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}
WORKFLOW = "acme/fraud/.github/workflows/train.yml@refs/heads/main"
BOT = "workflow@acme.example"
REFERENCE = "oci:store:1.4.0"


@pytest.mark.parametrize("path", sorted(POLICIES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_policy_starts_with_what_it_is_for_and_has_its_files_name(path: Path) -> None:
    text = path.read_text()
    assert text.startswith("# Allows ")
    assert parse_policy(text.encode(), path.name).name == path.stem


def test_a_policy_that_nobody_tested_is_not_offered() -> None:
    assert {path.name for path in POLICIES.iterdir()} == {
        "signed-by-github-workflow.yaml",
        "signed-by-key.yaml",
        "signed-by-two-of-three.yaml",
    }


def denied(modelseal: Command, policy: Path) -> set[str]:
    """Return the rules that a refused model breaks."""
    done = modelseal("verify", REFERENCE, "--policy", policy, "--output", "json").check(10)
    findings = json.loads(done.stdout)["decision"]["findings"]
    assert all(f["message"] and f["expected"] and f["remediation"]["summary"] for f in findings)
    return {finding["rule"] for finding in findings}


class TestSignedByKey:
    def published(self, modelseal: Command, home: Path, signing_key: str) -> Path:
        """Publish with one of two keys; return a policy that names the first."""
        for name in ("release.key", "other.key"):
            modelseal("key", "generate", "--output", name, env=PASSPHRASE).check()
        make_model(home / "model")
        modelseal("publish", "model", REFERENCE, "--key", signing_key, env=PASSPHRASE).check()
        return with_key(home, home / "release.key.pub")

    def test_allows_what_the_key_signed(self, modelseal: Command, home: Path) -> None:
        policy = self.published(modelseal, home, "release.key")
        modelseal("verify", REFERENCE, "--policy", policy).check()
        modelseal("pull", REFERENCE, "--output", "out", "--policy", policy).check()
        assert (home / "out" / "model.safetensors").is_file()

    def test_denies_what_another_key_signed(self, modelseal: Command, home: Path) -> None:
        policy = self.published(modelseal, home, "other.key")
        assert denied(modelseal, policy) == {"signed"}
        modelseal("pull", REFERENCE, "--output", "out", "--policy", policy).check(10)
        assert not (home / "out").exists()

    def test_denies_everything_as_long_as_nobody_put_their_key_in(
        self, modelseal: Command, home: Path
    ) -> None:
        self.published(modelseal, home, "release.key")
        assert denied(modelseal, POLICIES / "signed-by-key.yaml") == {"signed"}


def with_key(home: Path, public_key: Path) -> Path:
    """Do what the policy's comment says: put a key in place of the one that stands there."""
    text = (POLICIES / "signed-by-key.yaml").read_text()
    begin, _, rest = text.partition("            -----BEGIN PUBLIC KEY-----\n")
    _, end, rest = rest.partition("            -----END PUBLIC KEY-----\n")
    assert end
    pem = "".join(f"            {line}\n" for line in public_key.read_text().splitlines())
    path = home / "policy.yaml"
    path.write_text(begin + pem + rest)
    return path


class TestSignedByTwoOfThree:
    def test_two_of_the_three_allow_it_and_one_however_often_does_not(
        self, modelseal: Command, home: Path, private_sigstore: PrivateSigstore
    ) -> None:
        text = (POLICIES / "signed-by-two-of-three.yaml").read_text()
        policy = home / "policy.yaml"
        policy.write_text(text.replace("https://accounts.google.com", private_sigstore.issuer))
        trust = {
            "MODELSEAL_TRUSTED_ROOT": str(private_sigstore.trusted_root),
            "MODELSEAL_SIGNING_CONFIG": str(private_sigstore.signing_config),
        }
        team = ForkedCommand(modelseal.program, modelseal.home, trust)
        team("push", make_model(home / "model"), REFERENCE).check()
        for signer in ("ada", "ada", "mallory"):
            token = private_sigstore.token(f"{signer}@acme.example")
            team("sign", REFERENCE, env={"SIGSTORE_ID_TOKEN": token}).check()
            assert denied(team, policy) == {"signed"}
        token = private_sigstore.token("joan@acme.example")
        team("sign", REFERENCE, env={"SIGSTORE_ID_TOKEN": token}).check()
        team("verify", REFERENCE, "--policy", policy).check()


class TestSignedByGithubWorkflow:
    """GitHub is played by the private Sigstore, whose certificates name e-mail addresses; so only
    the role's issuer and subject are replaced. The provenance rule is the file's own."""

    def policy(self, home: Path, sigstore: PrivateSigstore) -> Path:
        text = (POLICIES / "signed-by-github-workflow.yaml").read_text()
        for here, there in (
            ("issuer: https://token.actions.githubusercontent.com", f"issuer: {sigstore.issuer}"),
            (f"subject: https://github.com/{WORKFLOW}", f"subject: {BOT}"),
        ):
            assert here in text
            text = text.replace(here, there)
        path = home / "policy.yaml"
        path.write_text(text)
        return path

    def publish(
        self,
        modelseal: Command,
        home: Path,
        sigstore: PrivateSigstore,
        *,
        signer: str = BOT,
        repository: str = "acme/fraud",
    ) -> None:
        """Publish keylessly, as a job of a workflow in `repository` would."""
        job = sigstore.oidc.github_environment(signer) | {
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_REPOSITORY": repository,
            "GITHUB_WORKFLOW_REF": WORKFLOW.replace("acme/fraud", repository),
            "GITHUB_REF": "refs/heads/main",
            "GITHUB_SHA": "1" * 40,
            "GITHUB_RUN_ID": "17",
        }
        make_model(home / "model")
        files = (
            "--trusted-root",
            sigstore.trusted_root,
            "--signing-config",
            sigstore.signing_config,
        )
        modelseal("publish", "model", REFERENCE, *files, env=job).check()

    @pytest.fixture
    def verifying(self, modelseal: Command, private_sigstore: PrivateSigstore) -> Command:
        """The command of somebody who believes the private Sigstore."""
        settings = {"MODELSEAL_TRUSTED_ROOT": str(private_sigstore.trusted_root)}
        return ForkedCommand(modelseal.program, modelseal.home, settings)

    def test_allows_what_the_workflow_built_and_signed(
        self, modelseal: Command, verifying: Command, home: Path, private_sigstore: PrivateSigstore
    ) -> None:
        self.publish(modelseal, home, private_sigstore)
        policy = self.policy(home, private_sigstore)
        verifying("verify", REFERENCE, "--policy", policy).check()

    def test_denies_what_the_same_signer_built_in_another_repository(
        self, modelseal: Command, verifying: Command, home: Path, private_sigstore: PrivateSigstore
    ) -> None:
        self.publish(modelseal, home, private_sigstore, repository="mallory/fraud")
        assert denied(verifying, self.policy(home, private_sigstore)) == {"provenance"}

    def test_denies_what_somebody_else_signed(
        self, modelseal: Command, verifying: Command, home: Path, private_sigstore: PrivateSigstore
    ) -> None:
        self.publish(modelseal, home, private_sigstore, signer="mallory@acme.example")
        assert denied(verifying, self.policy(home, private_sigstore)) == {"signed", "provenance"}
