# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""docs/cli.md says what the installed command does: help, variables, keys of JSON answers."""

import json
import re
from pathlib import Path

import pytest
from tests.support.cli import Command, modelseal_program
from tests.support.model_factory import make_model
from tools import write_cli_help

PAGE = write_cli_help.PAGE.read_text(encoding="utf-8")
PASSPHRASE = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}
NAME = re.compile(r"`([A-Za-z]+)`")
# What the page says of an answer by pointing at another one.
THOSE_OF_VERIFY = "those of `verify`"


def section(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def documented_keys(answer: str) -> set[str]:
    """Return the keys that the page lists for an answer."""
    for first, rest in re.findall(r"^\| (.+?) \| (.+) \|$", section("JSON answers"), re.MULTILINE):
        if answer in re.findall(r"`([^`]+)`", first) or answer == first:
            own = set(NAME.findall(re.sub(r"\(.*?\)", "", rest.replace(THOSE_OF_VERIFY, ""))))
            return own | documented_keys("verify") if THOSE_OF_VERIFY in rest else own
    pytest.fail(f"docs/cli.md does not say what `{answer}` answers")


def test_help_is_shown_as_it_is() -> None:
    assert write_cli_help.blocks(PAGE) == write_cli_help.real_help(modelseal_program()), (
        "docs/cli.md shows another help: run `.venv/bin/python tools/write_cli_help.py`"
    )


def test_every_variable_of_an_option_is_explained() -> None:
    shown = "".join(write_cli_help.real_help(modelseal_program()).values())
    used = set(re.findall(r"\bMODELSEAL_[A-Z_]+", re.sub(r"\s+", " ", shown)))
    explained = set(re.findall(r"^\| `(MODELSEAL_[A-Z_]+)` \|", section("Settings"), re.MULTILINE))
    assert len(used) > 10
    assert used - explained == set()


def test_the_config_file_of_the_page_is_taken_and_a_wrong_one_is_not(
    modelseal: Command, home: Path
) -> None:
    example = re.findall(r"```yaml\n(.*?)```", section("Settings"), re.DOTALL)
    config = home / ".config" / "modelseal" / "config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text("".join(example))
    make_model(home / "fraud")
    modelseal("push", "fraud", "oci:store:1.4.0").check()
    config.write_text("trusted-rot: /etc/acme/trusted_root.json\n")
    assert "trusted-root" in modelseal("list", "oci:store").check(2).stderr


@pytest.fixture
def published(modelseal: Command, home: Path) -> dict[str, object]:
    """Publish a model to `oci:store:1.4.0` with `release.key`; return the answer."""
    make_model(home / "fraud")
    for key in ("release.key", "next.key"):
        modelseal("key", "generate", "--output", key, env=PASSPHRASE).check()
    done = modelseal(
        *(
            "publish",
            "fraud",
            "oci:store:1.4.0",
            "--key",
            "release.key",
            "--output",
            "json",
            "--oms",
        ),
        env=PASSPHRASE,
    ).check()
    return dict(json.loads(done.stdout))


ANSWERS = {
    "build": ("build", "fraud", "--output", "json"),
    "build --explain": ("build", "fraud", "--explain", "--output", "json"),
    "check": ("check", "fraud", "--output", "json"),
    "push": ("push", "fraud", "oci:other:1.4.0", "--output", "json"),
    "sign": ("sign", "oci:store:1.4.0", "--key", "release.key", "--output", "json"),
    "verify": ("verify", "oci:store:1.4.0", "--key", "release.key.pub", "--output", "json"),
    "verify --oms": (
        *("verify", "oci:store:1.4.0", "--oms", "--key", "release.key.pub", "--output", "json"),
    ),
    "pull": ("pull", "oci:store:1.4.0", "--output", "out", "--key", "release.key.pub", "--json"),
    "copy": ("copy", "-r", "oci:store:1.4.0", "oci:carrier:1.4.0", "--output", "json"),
    "tag": ("tag", "oci:store:1.4.0", "stable", "--output", "json"),
    "inspect": ("inspect", "oci:store:1.4.0", "--output", "json"),
    "explain": ("explain", "oci:store:1.4.0", "--output", "json"),
    "lineage": ("lineage", "oci:store:1.4.0", "--output", "json"),
    "sbom DIR": ("sbom", "fraud", "--json"),
    "sbom REF": ("sbom", "oci:store:1.4.0", "--claimed", "--json"),
    "card": ("card", "fraud", "--json"),
    "list": ("list", "oci:store", "--output", "json"),
    "key generate": ("key", "generate", "--output", "new.key", "--json"),
    "key list": ("key", "list", "oci:store", "--output", "json"),
    "key rotate": (
        *("key", "rotate", "oci:store", "--old-key", "release.key.pub", "--key", "next.key.pub"),
        *("--dry-run", "--output", "json"),
    ),
    "key show": ("key", "show", "release.key.pub", "--output", "json"),
}


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("answer", ANSWERS)
def test_an_answer_has_the_keys_that_the_page_promises(answer: str, modelseal: Command) -> None:
    done = modelseal(*ANSWERS[answer], env=PASSPHRASE).check()
    assert set(json.loads(done.stdout)) == documented_keys(answer)


def test_what_publish_answers_has_the_keys_that_the_page_promises(
    published: dict[str, object],
) -> None:
    assert set(published) == documented_keys("publish")


def test_what_init_answers_has_the_keys_that_the_page_promises(
    modelseal: Command, home: Path
) -> None:
    make_model(home / "fraud", project="")
    done = modelseal("init", "fraud", "--output", "json").check()
    assert set(json.loads(done.stdout)) == documented_keys("init")


@pytest.mark.usefixtures("published")
def test_values_inside_the_answers_have_the_keys_that_the_page_promises(
    modelseal: Command, home: Path
) -> None:
    answer = json.loads(modelseal(*ANSWERS["verify"]).check().stdout)
    assert set(answer["manifest"]) == documented_keys("manifest")
    assert set(answer["decision"]) == documented_keys("decision")
    assert set(answer["statements"][0]) == documented_keys("statements[]")
    modelseal("key", "generate", "--output", "other.key", env=PASSPHRASE).check()
    refused = modelseal(
        *("verify", "oci:store:1.4.0", "--key", "other.key.pub", "--output", "json")
    ).check(11)
    answer = json.loads(refused.stdout)
    assert set(answer["error"]) == documented_keys("error")
    assert set(answer["rejected"][0]) == documented_keys("rejected[]")
    assert set(answer["decision"]["findings"][0]) == documented_keys("decision.findings[]")
    assert set(answer) == documented_keys("an error")
    pulled = json.loads(modelseal(*ANSWERS["pull"]).check().stdout)
    assert set(pulled["files"][0]) == documented_keys("files[]")
    assert (home / "out").is_dir()
