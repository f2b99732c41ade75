# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What people get wrong, through the installed command: the thing is named, and the next step.

Each case ends with the exit code of docs/cli.md, without a traceback, and nothing in the
directory is another one than before.
"""

import hashlib
import json
from pathlib import Path

import pytest
from tests.support import cli
from tests.support.cli import Command
from tests.support.model_factory import make_model

ENV = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}
FAILED, USAGE, UNVERIFIED, UNAVAILABLE = 1, 2, 11, 20
PROJECT = """\
apiVersion: modelseal.dev/v1
kind: Model
metadata: {name: fraud, version: 1.4.0}
spec: {format: onnx}
"""
SPOILED = {
    "misspelt": PROJECT.replace("version:", "verison:"),
    "no-semver": PROJECT.replace("1.4.0", "1.4"),
    "unknown": PROJECT.replace("spec: {", "spec: {famly: x, "),
    "no-yaml": "metadata: [",
    "other-version": PROJECT.replace("dev/v1", "dev/v2"),
}
STORE = "oci:store:1.4.0"

# The command, its exit code, what its message names, what its hint tells to do.
CASES: list[tuple[str, int, str, str]] = [
    (f"verify {STORE}", USAGE, "nobody is named", "--certificate-identity"),
    (f"verify {STORE} --key gone.pub", USAGE, "gone.pub", "key generate"),
    (f"verify {STORE} --key release.key", USAGE, "release.key is not a public key", ".pub"),
    (f"verify {STORE} --key model/README.md", USAGE, "no PEM block", "key generate"),
    (f"verify {STORE} --policy gone.yaml", USAGE, "gone.yaml does not exist", "check its name"),
    (f"verify {STORE} --policy model/config.json", USAGE, "model/config.json", "apiVersion"),
    (f"verify {STORE} --certificate-identity a@b.c", USAGE, "-oidc-issuer", "vouches"),
    (f"verify {STORE} --key release.key.pub --type x", USAGE, "'x'", "write a URI"),
    ("verify oci:store:9.9.9 --key release.key.pub", FAILED, "oci:store:9.9.9", "1.4.0"),
    ("verify oci:gone:1 --key release.key.pub", FAILED, "oci:gone:1", "no OCI layout"),
    ("verify fraud:1 --key release.key.pub", USAGE, "'fraud' names no registry", "oci:fraud"),
    ("verify https://ghcr.io/a/b:1 --key release.key.pub", USAGE, "a URL", "write ghcr.io/a/b:1"),
    ("verify ghcr.io/A/b:1 --key release.key.pub", USAGE, "'A/b'", "lower-case"),
    ("verify ghcr.io/a/b --key release.key.pub", USAGE, "no tag", ":<tag>"),
    ("verify oci:store@sha256:12 --key release.key.pub", USAGE, "'sha256:12'", "64"),
    ("verify 127.0.0.1:1/a/b:1 --key release.key.pub", UNAVAILABLE, "127.0.0.1:1", "it runs"),
    (f"verify {STORE} --key other.key.pub", UNVERIFIED, "another key", "public key"),
    ("init gone", USAGE, "gone is not a directory", "the model's files"),
    ("init model", FAILED, "model/modelseal.yaml is there already", "edit it"),
    ("build empty", USAGE, "empty has no modelseal.yaml", "modelseal init empty"),
    ("build misspelt", USAGE, "misspelt/modelseal.yaml: metadata.version", "`verison` stands"),
    ("build no-semver", USAGE, "no-semver/modelseal.yaml: metadata.version is '1.4'", "1.4.0"),
    ("build unknown", USAGE, "spec.famly is not a known key (did you mean `family`?)", "known"),
    ("build no-yaml", USAGE, "no-yaml/modelseal.yaml is not valid YAML", "modelseal init DIR"),
    ("build other-version", USAGE, "'modelseal.dev/v2'", "apiVersion: modelseal.dev/v1"),
    (f"publish model {STORE} --offline", FAILED, "no identity token", "--key"),
    (f"sign {STORE} --offline --identity-token gone", FAILED, "--identity-token", "three parts"),
    ("publish model oci:new:2 --key release.key.pub", USAGE, "release.key.pub", "private key"),
    ("publish model oci:model:1 --key release.key", FAILED, "model holds other files", "empty"),
    ("publish model oci:new@sha256:" + "0" * 64 + " --key release.key", USAGE, "digest", "a tag"),
    (f"attest {STORE} --type openvex --predicate gone --key release.key", USAGE, "gone", "name"),
    (
        f"attest {STORE} --type openvex --predicate model/README.md --key release.key",
        USAGE,
        "model/README.md is not valid JSON",
        "one JSON object",
    ),
    (f"pull {STORE} --output model --key release.key.pub", FAILED, "model is not empty", "name"),
    (f"pull {STORE} --output model/README.md", FAILED, "model/README.md is not a", "name a"),
    (f"pull {STORE} --output out --include x", USAGE, "none of the model's 8 files", "README.md"),
    ("key generate --output release.key", USAGE, "release.key is there already", "another name"),
    ("key generate --output gone/k", FAILED, "gone/k", "the path is there"),
    (f"tag {STORE} a/b", USAGE, "'a/b'", "letters, digits"),
    (f"verify {STORE} --key release.key.pub --policy p", USAGE, "exclude each other", "one of"),
    (f"verify {STORE} --key k --type slsaprovenance", USAGE, "ambiguous", "slsaprovenance1"),
    (f"attest {STORE} --type signature --predicate p", USAGE, "not made from", "modelseal sign"),
    ("build model --store ghcr.io/a/b:1", USAGE, "no OCI layout", "oci:"),
    ("inspect oci:gone:1", FAILED, "oci:gone:1", "no OCI layout"),
    ("list oci:gone", FAILED, "no OCI layout", "modelseal build"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a signed model in a layout, keys, and projects with a slip each."""
    home = tmp_path_factory.mktemp("bad-input")
    run = Command(cli.modelseal_program(), home)
    for name in ("release.key", "other.key"):
        run("key", "generate", "--output", name, env=ENV).check()
    make_model(home / "model")
    run("publish", "model", STORE, "--key", "release.key", env=ENV).check()
    (home / "empty").mkdir()
    for name, text in SPOILED.items():
        (home / name).mkdir()
        (home / name / "model.onnx").write_bytes(b"onnx")
        (home / name / "modelseal.yaml").write_text(text)
    return home


def contents(directory: Path) -> dict[str, str]:
    """Return the digest of every file; what the command keeps for itself below ~ is left out."""
    return {
        str(path.relative_to(directory)): hashlib.sha256(path.read_bytes()).hexdigest()
        if path.is_file()
        else ""
        for path in directory.rglob("*")
        if not path.relative_to(directory).parts[0].startswith(".")
    }


@pytest.mark.parametrize(
    ("command", "exit_code", "named", "hint"), CASES, ids=lambda v: str(v)[:60]
)
def test_the_thing_is_named_and_the_next_step(
    place: Path, command: str, exit_code: int, named: str, hint: str
) -> None:
    before = contents(place)
    done = Command(cli.modelseal_program(), place)(*command.split(), env=ENV).check(exit_code)
    assert "Traceback" not in done.stderr
    message, _, next_step = done.stderr.lower().rpartition("error: ")[2].partition("\nhint: ")
    assert named.lower() in message, done
    assert hint.lower() in next_step, done
    assert contents(place) == before


def test_a_command_that_is_mistyped_is_told_with_the_nearest(place: Path) -> None:
    done = Command(cli.modelseal_program(), place)("verfiy").check(USAGE)
    assert "Did you mean 'verify'" in done.stderr


def test_a_missing_token_is_told_before_the_network_that_does_not_answer(place: Path) -> None:
    proxy = {"HTTPS_PROXY": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    done = Command(cli.modelseal_program(), place)("sign", STORE, env=proxy).check(FAILED)
    assert "[no-identity-token]" in done.stderr
    gone = Command(cli.modelseal_program(), place)(
        *f"verify {STORE} --certificate-identity a@b.c --certificate-oidc-issuer https://d.e".split(),
        env=proxy,
    ).check(UNAVAILABLE)
    assert "trusted root" in gone.stderr


@pytest.mark.parametrize(
    "command",
    [
        f"attest {STORE} --type x --predicate gone --key release.key --output json",
        f"pull {STORE} --output model --json",
        "build misspelt --output json",
    ],
)
def test_it_is_json_when_json_was_asked_for(place: Path, command: str) -> None:
    done = Command(cli.modelseal_program(), place)(*command.split(), env=ENV)
    error = json.loads(done.stdout)["error"]
    assert done.returncode in {FAILED, USAGE}
    assert error["code"]
    assert error["message"]
    assert error["hint"]
