# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""`modelseal explain` as a newcomer meets it, on each of the three registries."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path

from tests.support.cli import Command
from tests.support.model_factory import ATTESTED, make_model
from tests.support.registries import Registry, RegistryName

ENV = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}


def test_a_release_is_explained_for_people_and_for_scripts(
    repository: str, modelseal: Command, home: Path
) -> None:
    reference = f"{repository}:1.4.0"
    modelseal("key", "generate", "--output", "k", env=ENV).check()
    model = make_model(home / "fraud")
    modelseal("publish", model, reference, "--oms", "--key", "k", env=ENV).check()

    told = modelseal("explain", reference).check().stdout
    assert "nobody was named, so nothing was verified; what follows is only claimed" in told
    assert "claims to be signed by key with the hint" in told
    assert "verified:" not in told
    assert "cosign 3.1: it depends" in told

    done = modelseal("explain", reference, "--key", "k.pub", "--output", "json").check()
    answer = json.loads(done.stdout)
    *attached, report = answer["attached"]
    attestations = ["attestation"] * (len(ATTESTED) - 1)
    assert [item["kind"] for item in attached] == ["signature", *attestations, "oms"]
    assert all(item["verified"] and not item["refused"] for item in attached)
    assert report["kind"] == "other"  # that of the scan, which a statement names by its digest
    verdicts = {tool["tool"]: tool["verdict"] for tool in answer["tools"]}
    assert verdicts == {
        "cosign": "accepts",
        "model_signing": "accepts",
        "kyverno": "depends",
        "policy-controller": "refuses",
    }


def test_what_failed_and_what_to_do_is_told(modelseal: Command, home: Path) -> None:
    modelseal("key", "generate", "--output", "k", env=ENV).check()
    modelseal("key", "generate", "--output", "other", env=ENV).check()
    modelseal("push", make_model(home / "fraud"), "oci:store:1").check()
    empty = modelseal("explain", "oci:store:1", "--key", "k.pub").check().stdout
    assert "attached: nothing" in empty
    assert "layout on disk" in empty
    assert "cosign 3.1: no" in empty
    assert "to do: modelseal sign REF" in empty
    modelseal("sign", "oci:store:1", "--key", "k", env=ENV).check()
    wrong = modelseal("explain", "oci:store:1", "--key", "other.pub").check().stdout
    assert "does not count: signed by another key than" in wrong
    assert "[other-key]" in wrong
    assert "cosign 3.1: no" in wrong
    modelseal("explain", "oci:store:2").check(1)
    modelseal("explain", "oci:store:1", "--certificate-identity", "a@acme.example").check(2)


def test_what_lies_in_a_layout_is_accepted_after_the_copy_that_is_told(
    serve_registry: Callable[[RegistryName], Registry],
    modelseal: Command,
    cosign: Command,
    home: Path,
) -> None:
    modelseal("key", "generate", "--output", "k", env=ENV).check()
    modelseal("publish", make_model(home / "fraud"), "oci:store:1", "--key", "k", env=ENV).check()
    told = modelseal("explain", "oci:store:1", "--key", "k.pub").check().stdout
    assert "cosign 3.1: no, not as it lies here; once copied to a registry: yes" in told
    done = modelseal("explain", "oci:store:1", "--key", "k.pub", "--output", "json").check()
    (tool,) = (one for one in json.loads(done.stdout)["tools"] if one["tool"] == "cosign")
    assert (tool["verdict"], tool["copied"]) == ("refuses", "accepts")
    assert tool["reasons"][0]["code"] == "layout"

    place = f"{serve_registry('olareg').host}/explained/{home.parent.name.replace('_', '-')}"
    command = tool["command"].replace("REGISTRY/REPOSITORY", place)
    copy, verify = (shlex.split(words)[1:] for words in command.split(" && "))
    assert cosign(*verify, "--allow-http-registry").returncode != 0
    modelseal(*copy).check()
    cosign(*verify, "--allow-http-registry").check()
