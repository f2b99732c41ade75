# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The same inputs on two machines: one digest, and the provenances name what is different there."""

import json
import os
import shutil
import site
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.support import machines
from tests.support.cli import Command
from tests.support.git import commit, git, make_repository
from tests.support.model_factory import make_model
from tests.support.pythons import another_python

import modelseal as package
from modelseal.evidence.environment.compare import differences
from modelseal.evidence.environment.snapshot import read_snapshot

PASSPHRASE = {"MODELSEAL_KEY_PASSPHRASE": "correct horse battery staple"}
SOURCES = Path(package.__file__).parents[1]
REMOTE = "https://github.com/acme/fraud.git"


@pytest.fixture
def checkouts(tmp_path: Path) -> tuple[Path, Path]:
    """Two checkouts of one repository, at places of their own."""
    first = make_repository(tmp_path / "ada" / "code")
    make_model(first / "model")
    commit(first, {"train.py": "print(1)\n"})
    second = tmp_path / "grace" / "deeper" / "checkout"
    git(tmp_path, "clone", "--quiet", str(first), str(second))
    for root in (first, second):
        git(root, "config", "remote.origin.url", REMOTE)
    return first, second


def explained(answer: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    """Return the digest, the provenance and its environment."""
    found = json.loads(answer)
    (predicate,) = [
        claim["predicate"]
        for claim in found["claims"]
        if claim["predicateType"] == "https://slsa.dev/provenance/v1"
    ]
    snapshot = read_snapshot(predicate)
    assert snapshot is not None
    return found["digest"], predicate, snapshot


def test_two_machines_two_users_two_checkouts_one_digest_and_the_difference_is_named(
    modelseal: Command, checkouts: tuple[Path, Path], tmp_path: Path
) -> None:
    modelseal("key", "generate", "--output", "release.key", env=PASSPHRASE).check()
    # The second machine: another home, user, locale, place and umask, a package more, and threads.
    machines.distribution(tmp_path / "site", "torch-of-another-machine", "9.9.9")
    home = tmp_path / "grace" / "home"
    home.mkdir()
    other = {
        "HOME": str(home),
        "USER": "grace",
        "LC_ALL": "C",
        "TZ": "Asia/Tokyo",
        "PYTHONHASHSEED": "4711",
        "PYTHONPATH": str(tmp_path / "site"),
        "OMP_NUM_THREADS": "2",
    }
    digests = []
    for root, store, env in zip(checkouts, "ab", ({}, other), strict=True):
        before = os.umask(0o077 if env else 0o022)
        try:
            done = modelseal(
                *("publish", "model", f"oci:{tmp_path}/{store}:1.4.0", "--output", "json"),
                *("--key", modelseal.home / "release.key"),
                cwd=root,
                env={**PASSPHRASE, **env},
            ).check()
        finally:
            os.umask(before)
        digests.append(json.loads(done.stdout)["manifest"]["digest"])
    assert digests[0] == digests[1]
    sides = [f"oci:{tmp_path}/{store}:1.4.0" for store in "ab"]
    lines = modelseal("diff", *sides).check().stdout.splitlines()
    named = lines[lines.index("environment of the build (claimed, not verified):") + 1 :]
    assert [line.strip().partition(":")[0] for line in named[:2]] == [
        "package torch-of-another-machine",
        "variables.OMP_NUM_THREADS",
    ]
    told = json.loads(modelseal("diff", *sides, "--output", "json").check().stdout)
    assert told["equal"] is True
    assert {item["name"] for item in told["changedUnverifiedEnvironment"]} == {
        "package torch-of-another-machine",
        "variables.OMP_NUM_THREADS",
    }


def test_two_python_minor_versions_give_one_digest_and_the_provenance_names_them(
    modelseal: Command, checkouts: tuple[Path, Path]
) -> None:
    python, version = another_python()
    ours = modelseal("build", "model", "--explain", "--output", "json", cwd=checkouts[0]).check()
    # The packages of this environment that are plain Python run on the other version, too.
    packages = os.pathsep.join([str(SOURCES), *site.getsitepackages()])
    theirs = Command(python, modelseal.home)(
        *("-m", "modelseal", "build", "model", "--explain", "--output", "json"),
        cwd=checkouts[1],
        env={"PYTHONPATH": packages, "PYTHONDONTWRITEBYTECODE": "1", "PATH": os.environ["PATH"]},
    ).check()
    (digest, one, here), (other_digest, other, there) = map(explained, (ours.stdout, theirs.stdout))
    assert digest == other_digest
    running = sys.version.split()[0]
    assert one["runDetails"]["builder"]["version"]["python"] == f"CPython {running}"
    assert other["runDetails"]["builder"]["version"]["python"] == f"CPython {version}"
    named = {item.name: item for item in differences(here, there)}
    assert (named["python.version"].left, named["python.version"].right) == (running, version)
    assert {name.partition(".")[0] for name in named} == {"python"}
    # Also out of the store, when both are attached to the one artifact.
    modelseal("key", "generate", "--output", "k", env=PASSPHRASE).check()
    for store, predicate in (("a", one), ("b", other)):
        (modelseal.home / f"{store}.json").write_text(json.dumps(predicate))
        modelseal("push", checkouts[0] / "model", f"oci:{store}:1").check()
        modelseal(
            *("attest", f"oci:{store}:1", "--type", "slsaprovenance1", "--key", "k"),
            *("--predicate", f"{store}.json"),
            env=PASSPHRASE,
        ).check()
    told = modelseal("diff", "oci:a:1", "oci:b:1").check().stdout
    assert f"  python.version: {running} → {version}" in told


def test_a_release_says_how_many_findings_there_are_and_explain_says_what_to_do(
    modelseal: Command, checkouts: tuple[Path, Path]
) -> None:
    root = checkouts[0]
    modelseal("key", "generate", "--output", "k", env=PASSPHRASE).check()
    (root / "train.py").write_text("print(2)\n")
    done = modelseal(
        *("publish", "model", "oci:store:1.4.0", "--key", modelseal.home / "k"),
        cwd=root,
        env=PASSPHRASE,
    ).check()
    assert "findings: 1 error, " in done.stderr
    assert "modelseal build --explain model" in done.stderr
    lines = modelseal("build", "--explain", "model", cwd=root).check().stdout.splitlines()
    text = "\n".join(lines)
    assert "[code-commit-contradicts]" in text
    assert "[working-tree-dirty]" in text
    assert "train.py differ" in text
    assert any(line.startswith("  verified  working tree: commit ") for line in lines)
    assert shutil.which("git")


def test_explaining_stores_nothing(modelseal: Command, home: Path) -> None:
    make_model(home / "model")
    modelseal("build", "--explain", "model").check()
    assert not (home / ".local").exists()
    refused = modelseal("build", "--explain", "model", "--store", "oci:x:1").check(2)
    assert "exclude each other" in refused.stderr


def test_a_hostile_repository_around_a_model_runs_nothing(
    modelseal: Command, checkouts: tuple[Path, Path], tmp_path: Path
) -> None:
    evil = machines.program(tmp_path, "evil", f"touch {tmp_path}/mark")
    git(checkouts[0], "config", "core.fsmonitor", str(evil))
    modelseal("build", "--explain", "model", cwd=checkouts[0]).check()
    assert not (tmp_path / "mark").exists()
    subprocess.run(["git", "-C", str(checkouts[0]), "status"], capture_output=True, check=True)
    assert (tmp_path / "mark").exists()
