# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The installed command: help, answers, settings, exit codes; all on an OCI layout, offline."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.cli import Command
from tests.support.model_factory import make_model
from tests.support.sigstore import PrivateSigstore

from modelseal.version import __version__

ENV = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}
COMMANDS = [
    ("init",),
    ("build",),
    ("push",),
    ("publish",),
    ("sign",),
    ("attest",),
    ("verify",),
    ("pull",),
    ("inspect",),
    ("lineage",),
    ("list",),
    ("key", "generate"),
]


@pytest.fixture
def modelseal(started_modelseal: Command) -> Command:
    return started_modelseal


@pytest.fixture
def model(home: Path) -> Path:
    return make_model(home / "model")


@pytest.fixture
def key(modelseal: Command, home: Path) -> Path:
    modelseal("key", "generate", "--output", home / "release.key", env=ENV).check()
    return home / "release.key"


def test_help_names_every_command(modelseal: Command) -> None:
    done = modelseal("--help").check()
    for command in COMMANDS:
        assert command[0] in done.stdout
    assert "..." not in done.stdout.partition("Commands:")[2]  # each says in one line what it does


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_helps_with_an_example(modelseal: Command, command: tuple[str, ...]) -> None:
    done = modelseal(*command, "--help").check()
    assert f"modelseal {' '.join(command)} " in done.stdout.partition("Example:")[2]


def test_the_version_is_told(modelseal: Command) -> None:
    assert modelseal("--version").check().stdout == f"modelseal {__version__}\n"


def test_help_does_not_import_what_is_heavy(modelseal: Command) -> None:
    code = (
        "import sys\n"
        "from modelseal.cli.app import main\n"
        "sys.argv = ['modelseal', '--help']\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print(sorted(set(sys.modules) & {'sigstore', 'cryptography', 'urllib3', 'oras', 'yaml', "
        "'pydantic', 'rich', 'requests', 'in_toto_attestation'}), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=modelseal.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.strip() == "[]"


NO_NETWORK = """
import sys

def refuse(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.sendto"}:
        raise RuntimeError(f"the network was asked: {event} {arguments}")

sys.addaudithook(refuse)
"""


@pytest.fixture
def offline(modelseal: Command, home: Path) -> dict[str, str]:
    """What makes every Python process refuse to open a connection."""
    (home / "no-network").mkdir()
    (home / "no-network" / "sitecustomize.py").write_text(NO_NETWORK)
    env = {"PYTHONPATH": str(home / "no-network")}
    probe = subprocess.run(
        [sys.executable, "-c", "import socket; socket.create_connection(('127.0.0.1', 9))"],
        env=modelseal.environment | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "the network was asked" in probe.stderr
    return ENV | env


def test_the_whole_job_on_a_layout_with_a_key_asks_no_network(
    modelseal: Command, model: Path, key: Path, home: Path, offline: dict[str, str]
) -> None:
    store, public = f"oci:{home}/store:1.4.0", f"{key}.pub"
    modelseal("publish", model, store, "--key", key, env=offline).check()
    modelseal("verify", store, "--key", public, env=offline).check()
    modelseal("pull", store, "--output", home / "out", "--key", public, env=offline).check()
    assert (home / "out" / "modelseal.yaml").read_bytes() == (model / "modelseal.yaml").read_bytes()
    predicate = home / "scan.json"
    predicate.write_text('{"found": []}')
    attesting = ("--type", "https://example.com/scan/v1", "--predicate", predicate)
    modelseal("attest", store, *attesting, "--key", key, env=offline).check()
    asked = ("--type", "https://example.com/scan/v1", "--key", public)
    modelseal("verify", store, *asked, env=offline).check()
    assert modelseal("list", f"oci:{home}/store", env=offline).check().stdout == "1.4.0\n"


def test_a_keyless_verify_with_a_trusted_root_asks_no_network(
    modelseal: Command,
    model: Path,
    home: Path,
    offline: dict[str, str],
    private_sigstore: PrivateSigstore,
) -> None:
    store = f"oci:{home}/store:1.4.0"
    modelseal(
        *("publish", model, store),
        *("--trusted-root", private_sigstore.trusted_root),
        *("--signing-config", private_sigstore.signing_config),
        *("--identity-token", private_sigstore.token_file("trainer@acme.example")),
    ).check()
    modelseal(
        *("verify", store, "--trusted-root", private_sigstore.trusted_root),
        *("--certificate-identity", "trainer@acme.example"),
        *("--certificate-oidc-issuer", private_sigstore.issuer),
        env=offline,
    ).check()


def test_build_gives_the_same_digest_under_another_umask_clock_place_and_user(
    modelseal: Command, model: Path, tmp_path: Path
) -> None:
    first = modelseal("build", model).check().stdout
    again = modelseal("build", model).check().stdout
    elsewhere = make_model(tmp_path / "a" / "b")
    for path in sorted(elsewhere.rglob("*"), reverse=True):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o755 if path.is_dir() else 0o640)
    other = tmp_path / "other-home"
    other.mkdir()
    if os.geteuid() == 0:  # only root can give files to another user
        for path in [elsewhere, *elsewhere.rglob("*")]:
            os.chown(path, 65534, 65534)
    done = subprocess.run(
        [modelseal.program, "build", elsewhere],
        env=modelseal.environment
        | {"HOME": str(other), "XDG_DATA_HOME": str(other), "USER": "somebody"}
        | {"TZ": "Asia/Tokyo", "LC_ALL": "C", "PYTHONHASHSEED": "7"},
        capture_output=True,
        text=True,
        check=False,
        umask=0o077,
        cwd="/",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == first == again


def test_build_stores_under_name_and_version(modelseal: Command, model: Path) -> None:
    done = json.loads(modelseal("build", model, "--output", "json").check().stdout)
    assert done["reference"].endswith("/modelseal/store/fraud:1.4.0")
    shown = json.loads(modelseal("inspect", done["reference"], "-o", "json").check().stdout)
    assert shown["manifest"]["digest"] == done["digest"]
    assert shown["annotations"]["dev.modelseal.inputs-digest"] == done["inputsDigest"]


def test_init_then_publish(modelseal: Command, model: Path, key: Path, home: Path) -> None:
    (model / "modelseal.yaml").unlink()
    modelseal("init", model).check()
    modelseal("publish", model, f"oci:{home}/store:0.1.0", "--key", key, env=ENV).check()
    again = modelseal("init", model).check(1)
    assert "is there already" in again.stderr


def test_errors_are_json_when_asked(modelseal: Command, model: Path, home: Path, key: Path) -> None:
    modelseal("push", model, f"oci:{home}/store:1").check()
    done = modelseal("verify", f"oci:{home}/store:1", "--key", f"{key}.pub", "-o", "json").check(11)
    answer = json.loads(done.stdout)
    assert answer["error"]["code"] == "unsigned"
    assert answer["decision"]["allowed"] is False
    assert answer["decision"]["findings"][0]["remediation"]["command"]


def test_a_policy_that_denies_exits_10_with_every_finding(
    modelseal: Command, model: Path, home: Path, key: Path
) -> None:
    policy = home / "policy.yaml"
    pem = (home / "release.key.pub").read_text().replace("\n", "\n            ")
    policy.write_text(
        "apiVersion: modelseal.dev/v1\nkind: Policy\nmetadata: {name: strict}\nspec:\n"
        "  roles:\n    builder:\n      identities:\n        - publicKey: |\n"
        f"            {pem}\n"
        "  rules:\n    - {use: signed, with: {role: builder}}\n"
        "    - {use: provenance, with: {role: builder}}\n"
    )
    store = f"oci:{home}/store:1"
    modelseal("push", model, store).check()
    modelseal("sign", store, "--key", key, env=ENV).check()
    done = modelseal("verify", store, "--policy", policy, "-o", "json").check(10)
    answer = json.loads(done.stdout)
    assert [finding["rule"] for finding in answer["decision"]["findings"]] == ["provenance"]
    modelseal("publish", model, store, "--key", key, env=ENV).check()
    modelseal("verify", store, "--policy", policy).check()
    out = home / "out"
    modelseal("pull", store, "--output", out, "--policy", policy).check()
    assert (out / "README.md").exists()


def test_pull_without_a_signer_says_that_nobody_was_checked(
    modelseal: Command, model: Path, home: Path
) -> None:
    modelseal("push", model, f"oci:{home}/store:1").check()
    done = modelseal("pull", f"oci:{home}/store:1", "--output", home / "out").check()
    assert "not checked" in done.stdout


def test_pull_does_not_write_into_what_is_there(
    modelseal: Command, model: Path, home: Path
) -> None:
    modelseal("push", model, f"oci:{home}/store:1").check()
    (home / "out").mkdir()
    (home / "out" / "mine.txt").write_text("mine")
    done = modelseal("pull", f"oci:{home}/store:1", "--output", home / "out").check(1)
    assert "hint:" in done.stderr
    assert [path.name for path in (home / "out").iterdir()] == ["mine.txt"]


def test_settings_come_from_the_file_the_environment_and_the_command_line(
    modelseal: Command, model: Path, home: Path
) -> None:
    config = home / "xdg" / "modelseal" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("output: json\n")
    env = {"XDG_CONFIG_HOME": str(home / "xdg")}
    modelseal("push", model, f"oci:{home}/store:1").check()
    words = ("inspect", f"oci:{home}/store:1")
    assert modelseal(*words, env=env).check().stdout.startswith("{")
    assert modelseal(*words, env=env | {"MODELSEAL_OUTPUT": "text"}).stdout.startswith("reference")
    assert modelseal(*words, "-o", "text", env=env).check().stdout.startswith("reference")
    config.write_text("ouptut: json\n")
    done = modelseal(*words, env=env).check(2)
    assert "did you mean `output`" in done.stderr


def test_a_reader_that_goes_away_is_no_traceback(
    modelseal: Command, model: Path, home: Path
) -> None:
    modelseal("push", model, f"oci:{home}/store:1").check()
    with subprocess.Popen(
        [modelseal.program, "inspect", f"oci:{home}/store:1"],
        env=modelseal.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert b"Traceback" not in process.stderr.read()


def test_the_loopback_is_spoken_to_in_plain_http_and_nothing_else(modelseal: Command) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    done = modelseal("inspect", f"127.0.0.1:{port}/a/b:1").check(20)
    assert f"127.0.0.1:{port}" in done.stderr
    assert "hint:" in done.stderr
