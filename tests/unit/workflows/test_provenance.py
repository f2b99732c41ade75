# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What the provenance of a build holds: everything that went in, by digest, and no secret."""

import base64
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.git import commit, git, make_repository
from tests.support.model_factory import make_model, project_text

from modelseal.attest.predicates.types import PROVENANCE
from modelseal.attest.statement import build_statement
from modelseal.evidence.environment.snapshot import read_snapshot
from modelseal.oci.descriptor import Digest
from modelseal.version import __version__
from modelseal.workflows.explain_build import explain_build

IMAGE = f"registry.example/train@sha256:{'a' * 64}"
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_REPOSITORY": "acme/fraud",
    "GITHUB_WORKFLOW_REF": "acme/fraud/.github/workflows/train.yml@refs/heads/main",
    "GITHUB_SHA": "c" * 40,
    "RUNNER_ENVIRONMENT": "github-hosted",
}


def provenance(directory: Path, **environment: str) -> dict[str, Any]:
    found = explain_build(directory, environment={"PATH": os.environ["PATH"], **environment})
    (claim,) = [one for one in found.collected.claims if one.predicate_type == PROVENANCE]
    build_statement(Digest.of(b""), PROVENANCE, claim.predicate)  # it holds to its schema
    return dict(claim.predicate)


def dependencies(predicate: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    listed = predicate["buildDefinition"]["resolvedDependencies"]
    return {item.get("name", ""): item for item in listed}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_everything_that_went_in_stands_there_by_its_digest(tmp_path: Path) -> None:
    model = make_model(tmp_path / "model")
    named = dependencies(provenance(model, MODELSEAL_BUILD_IMAGE=IMAGE))
    digests = {name: item["digest"] for name, item in named.items()}
    assert digests["code"] == {"gitCommit": "1" * 40}
    assert digests["base-model"] == {"sha256": "3" * 64}
    assert digests["dataset:transactions"] == {"sha256": "4" * 64}
    assert digests["image"] == {"sha256": "2" * 64}
    assert digests["build-image"] == {"sha256": "a" * 64}
    for name in ("params.yaml", "requirements.lock", "eval/results.json", "modelseal.yaml"):
        assert digests[name] == {"sha256": sha256((model / name).read_bytes())}
    assert base64.b64decode(named["seeds"]["content"]) == b"[42]"
    assert digests["seeds"] == {"sha256": sha256(b"[42]")}


def test_files_that_are_left_out_of_the_artifact_are_named_all_the_same(tmp_path: Path) -> None:
    text = project_text().replace(
        '{exclude: "checkpoints/**"}', '{exclude: "params.yaml"}\n    - {exclude: "*.lock"}'
    )
    model = make_model(tmp_path / "model", project=text)
    named = dependencies(provenance(model))
    for name in ("params.yaml", "requirements.lock"):
        assert named[name]["digest"] == {"sha256": sha256((model / name).read_bytes())}


def test_the_exact_versions_of_the_tools_stand_there(tmp_path: Path) -> None:
    predicate = provenance(make_model(tmp_path / "model"))
    versions = predicate["runDetails"]["builder"]["version"]
    assert versions["modelseal"] == __version__
    assert set(versions) == {"modelseal", "python", "pyyaml", "cryptography", "sigstore"}
    snapshot = read_snapshot(predicate)
    assert snapshot is not None
    installed = {item["name"]: item["version"] for item in snapshot["packages"]}
    assert versions["sigstore"] == installed["sigstore"]
    assert all(versions.values())


def test_system_kernel_and_libraries_stand_there(tmp_path: Path) -> None:
    snapshot = read_snapshot(provenance(make_model(tmp_path / "model")))
    assert snapshot is not None
    assert snapshot["kernel"]["release"] == os.uname().release
    assert snapshot["libc"]["version"]
    assert all(item.get("recordDigest") or item.get("editable") for item in snapshot["packages"]), (
        "every package by a digest"
    )


def test_the_working_tree_and_the_ci_system_stand_there(tmp_path: Path) -> None:
    root = make_repository(tmp_path / "code")
    made = commit(root, {"train.py": "x", "also.py": "x"})
    git(root, "remote", "add", "origin", "https://ada:s3cret@github.com/acme/fraud.git")
    make_model(root / "model")
    (root / "train.py").write_text("y")
    predicate = provenance(root / "model", **GITHUB)
    internal = predicate["buildDefinition"]["internalParameters"]
    assert internal["workingTree"] == {
        "commit": made,
        "ref": "refs/heads/main",
        "remote": "https://github.com/acme/fraud.git",
        "changed": ["train.py"],
        "changedFiles": "1",
        "clean": False,
    }
    assert internal["ci"] == {"system": "GitHub Actions", "runnerEnvironment": "github-hosted"}
    named = dependencies(predicate)
    assert named["working-tree"]["digest"] == {"gitCommit": made}
    assert named["working-tree"]["uri"].startswith("git+https://github.com/acme/fraud.git@refs")
    assert named["source"]["digest"] == {"gitCommit": "c" * 40}
    assert "s3cret" not in json.dumps(predicate)


def test_no_secret_of_the_environment_and_no_place_on_this_disk_stands_there(
    tmp_path: Path,
) -> None:
    secret = secrets.token_hex(16)
    names = ("GITHUB_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "AWS_SECRET_ACCESS_KEY", "PASSWORD")
    planted = dict.fromkeys((*names, "CI_JOB_TOKEN", "OMP_NUM_THREADS"), secret)
    urls = {"GIT_URL": f"https://ada:{secret}@git.acme.example/x", "JENKINS_URL": "https://ci/"}
    for environment in ({**planted, **GITHUB}, {**planted, **urls}):
        told = json.dumps(provenance(make_model(tmp_path / "model"), **environment))
        assert secret not in told
        assert str(tmp_path) not in told
        assert os.uname().nodename not in told or len(os.uname().nodename) < 4


def test_the_artifact_is_the_same_whatever_the_provenance_says(tmp_path: Path) -> None:
    first, second = make_model(tmp_path / "a"), make_model(make_repository(tmp_path / "b"))
    commit(second, {})
    one = explain_build(first, environment={})
    other = explain_build(second, environment={"PATH": os.environ["PATH"], **GITHUB})
    assert one.made.subject.digest == other.made.subject.digest
    assert one.made.package.inputs_digest == other.made.package.inputs_digest
