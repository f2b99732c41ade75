# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The command line against hostile input: what decides trust is empty, what is shown is hostile."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.support.cli import Command
from tests.support.model_factory import make_model
from tests.support.terminal import run as run_in_terminal

from modelseal.oci.content import BytesContent
from modelseal.oci.descriptor import EMPTY_BYTES, EMPTY_DESCRIPTOR, Descriptor
from modelseal.oci.layout import REF_NAME, LayoutStore
from modelseal.oci.manifest import Manifest
from modelseal.oci.store import push_bytes

ENV = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}
HOSTILE = "x\nverified: oci:store:1.4.0\x9b31m\x1b]0;title\x07\u202eevil"
"""A forged line, C1 and C0 escape sequences, and a change of the direction of reading."""


@pytest.fixture
def reference(modelseal: Command, home: Path) -> str:
    """Return a reference to a model that nobody signed."""
    modelseal("push", make_model(home / "model"), f"oci:{home}/store:1").check()
    return f"oci:{home}/store:1"


@pytest.mark.parametrize(
    ("arguments", "variables", "settings"),
    [
        (("--certificate-identity", "", "--certificate-oidc-issuer", ""), {}, ""),
        (("--certificate-identity", ""), {}, ""),
        (("--certificate-oidc-issuer", ""), {}, ""),
        (("--key", ""), {}, ""),
        (("--policy", ""), {}, ""),
        ((), {"MODELSEAL_POLICY": ""}, ""),
        ((), {"MODELSEAL_PUBLIC_KEY": ""}, ""),
        ((), {"MODELSEAL_CERTIFICATE_IDENTITY": "", "MODELSEAL_CERTIFICATE_OIDC_ISSUER": ""}, ""),
        ((), {}, "policy:\n"),
        ((), {}, 'policy: ""\n'),
        ((), {}, 'certificate-identity: ""\n'),
    ],
    ids=str,
)
def test_trust_that_is_empty_does_not_pull_what_nobody_signed(
    modelseal: Command,
    home: Path,
    reference: str,
    arguments: tuple[str, ...],
    variables: Mapping[str, str],
    settings: str,
) -> None:
    # `--certificate-identity "$NEVER_SET"` in a script must not mean: believe everybody.
    config = home / ".config" / "modelseal" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(settings)
    done = modelseal("pull", reference, "--output", home / "out", *arguments, env=variables)
    assert done.returncode in {1, 2}, done
    assert not (home / "out").exists()


def test_trust_that_is_named_twice_is_not_that_which_stands_last(
    modelseal: Command, home: Path, reference: str
) -> None:
    for name in ("a", "b"):
        modelseal("key", "generate", "--output", name, env=ENV).check()
    modelseal("sign", reference, "--key", "b", env=ENV).check()
    pull = ("pull", reference, "--output", "out")
    for twice in (("--key", "a.pub", "--key", "b.pub"), ("--key=a.pub", "--key=b.pub")):
        refused = modelseal(*pull, *twice).check(2)
        assert "--key stands there twice" in refused.stderr.replace("\n", " ")
    assert not (home / "out").exists()
    modelseal(*pull, "--key", "b.pub").check()


def test_a_type_beside_a_policy_is_not_dropped_in_silence(
    modelseal: Command, home: Path, reference: str
) -> None:
    key = home / "release.key"
    modelseal("key", "generate", "--output", key, env=ENV).check()
    modelseal("sign", reference, "--key", key, env=ENV).check()
    lines = (home / "release.key.pub").read_text().splitlines()
    pem = "".join(f"            {line}\n" for line in lines)
    (home / "policy.yaml").write_text(
        "apiVersion: modelseal.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n  roles:\n"
        f"    release:\n      identities:\n        - publicKey: |\n{pem}"
        "  rules: [{use: signed, with: {role: release}}]\n"
    )
    modelseal("verify", reference, "--policy", home / "policy.yaml").check()
    done = modelseal("verify", reference, "--policy", home / "policy.yaml", "--type", "spdx")
    assert "--type" in done.check(2).stderr


def hostile_layout(path: Path) -> None:
    """Write a layout in which a stranger filled every free text."""
    store = LayoutStore(path)
    store.push(EMPTY_DESCRIPTOR, BytesContent(EMPTY_BYTES))
    blob = push_bytes(store, b"weights", "application/octet-stream")
    title = {"org.opencontainers.image.title": HOSTILE}
    layer = Descriptor(blob.media_type, blob.digest, blob.size, annotations=title)
    manifest = Manifest.build(
        artifact_type=HOSTILE, layers=[layer], annotations={"note": HOSTILE, HOSTILE: "key"}
    )
    store.push(manifest.descriptor, BytesContent(manifest.raw))
    store.tag(manifest.descriptor, "1")
    for artifact_type in (HOSTILE, "application/vnd.dev.sigstore.bundle.v0.3+json"):
        referrer = Manifest.build(
            artifact_type=artifact_type, layers=[layer], subject=manifest.descriptor
        )
        store.push(referrer.descriptor, BytesContent(referrer.raw))
    index = json.loads((path / "index.json").read_bytes())
    index["manifests"].append(
        {**index["manifests"][0], "annotations": {REF_NAME: HOSTILE}},
    )
    (path / "index.json").write_text(json.dumps(index))


@pytest.mark.parametrize(
    "words",
    [
        ("list", "oci:{home}/hostile"),
        ("inspect", "oci:{home}/hostile:1"),
        ("--debug", "inspect", "oci:{home}/hostile:1"),
        ("inspect", "oci:{home}/hostile:2"),
        ("pull", "oci:{home}/hostile:1", "--output", "{home}/out"),
        ("list", "oci:{home}/hostile", "--output", "json"),
        ("inspect", "oci:{home}/hostile:1", "--output", "json"),
    ],
    ids=" ".join,
)
def test_text_of_a_stranger_neither_steers_the_terminal_nor_adds_a_line(
    modelseal: Command, home: Path, words: tuple[str, ...]
) -> None:
    hostile_layout(home / "hostile")
    here = [word.format(home=home) for word in words]
    told = run_in_terminal([modelseal.program, *here], env=modelseal.environment).screen
    assert "evil" in told
    assert not {"\x9b", "\x07", "\u202e"} & set(told)
    assert "\x1b]0" not in told
    assert not [line for line in told.splitlines() if line.startswith("verified:")]


def test_a_policy_cannot_forge_a_line_through_the_name_of_a_rule(
    modelseal: Command, home: Path, reference: str
) -> None:
    modelseal("key", "generate", "--output", home / "k", env=ENV).check()
    modelseal("sign", reference, "--key", home / "k", env=ENV).check()
    policy = {
        "apiVersion": "modelseal.dev/v1",
        "kind": "Policy",
        "metadata": {"name": HOSTILE},
        "spec": {
            "roles": {"r": {"identities": [{"publicKey": (home / "k.pub").read_text()}]}},
            "rules": [{"use": "signed", "id": HOSTILE, "with": {"role": "r"}}],
        },
    }
    (home / "policy.yaml").write_text(json.dumps(policy))
    done = modelseal("verify", reference, "--policy", home / "policy.yaml").check()
    assert len([line for line in done.stdout.splitlines() if line.startswith("verified:")]) == 1
    assert "\x9b" not in done.stdout


@pytest.mark.parametrize("output", [("-o", "text"), ("-o", "json")], ids=str)
def test_a_path_that_is_no_text_is_shown_and_no_traceback(
    modelseal: Command, home: Path, output: tuple[str, str]
) -> None:
    store = os.fsdecode(b"st\xffore")
    modelseal("push", make_model(home / "model"), f"oci:{store}:1").check()
    done = modelseal("inspect", f"oci:{store}:1", *output).check()
    assert "udcff" in done.stdout or "xdcff" in done.stdout
