# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""`modelseal build --reproduce` and `modelseal diff REF DIR`, as a user runs them."""

import json
from pathlib import Path

import pytest
from tests.support.cli import Command
from tests.support.model_factory import make_model

SECRET = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}


@pytest.fixture
def model(home: Path, modelseal: Command) -> Path:
    """A model that is published as oci:./store:1.4.0, with a key."""
    modelseal("key", "generate", "--output", "k", env=SECRET).check()
    directory = make_model(home / "model")
    words = ["publish", "model", "oci:./store:1.4.0", "--key", "k"]
    modelseal(*words, env={**SECRET, "SOURCE_DATE_EPOCH": "1700000000"}).check()
    return directory


def test_a_published_model_is_built_again(modelseal: Command, model: Path) -> None:
    words = ["build", str(model), "--reproduce", "oci:./store:1.4.0"]
    done = modelseal(*words, "--key", "k.pub").check()
    assert done.stdout.startswith("reproduced: sha256:")
    assert "(verified)" in done.stdout
    claimed = modelseal(*words).check()
    assert "(claimed, not verified)" in claimed.stdout

    (model / "model.onnx").write_bytes(b"trained anew")
    differs = modelseal(*words, "--key", "k.pub", "--output", "json").check(1)
    answer = json.loads(differs.stdout)
    assert answer["reproduced"] is False
    assert answer["provenance"]["verified"] is True
    assert answer["provenance"]["sourceDate"] == "2023-11-14T22:13:20Z"
    assert {one["name"] for one in answer["differences"]} == {
        "model.onnx",
        "dev.modelseal.inputs-digest",
    }


def test_whoever_is_believed_has_to_have_said_it(modelseal: Command, model: Path) -> None:
    modelseal("key", "generate", "--output", "other", env=SECRET).check()
    words = ["build", str(model), "--reproduce", "oci:./store:1.4.0", "--key", "other.pub"]
    assert "[other-key]" in modelseal(*words).check(11).stderr
    alone = modelseal("build", str(model), "--key", "k.pub").check(2)
    assert "--key needs --reproduce" in alone.stderr


def test_a_directory_is_asked_for_its_next_version(modelseal: Command, model: Path) -> None:
    words = ["diff", "oci:./store:1.4.0", "model", "--output", "json"]
    same = {"SOURCE_DATE_EPOCH": "1700000000"}
    assert json.loads(modelseal(*words, env=same).check().stdout)["equal"] is True
    (model / "model.onnx").write_bytes(b"trained anew")
    version = json.loads(modelseal(*words, env=same).check(1).stdout)["version"]
    assert (version["advised"], version["taken"], version["fits"]) == ("minor", "none", False)
    assert "1.5.0" in version["note"]
    # And the store refuses what the advice does.
    refused = modelseal("build", "model", "--store", "oci:./store:latest").check(1)
    assert "1.4.0 is version 1.4.0 already, made from other inputs" in refused.stderr
