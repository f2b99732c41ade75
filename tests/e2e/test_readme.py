# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""README's first steps, run line by line as they stand there."""

import re
import shlex
from pathlib import Path

import pytest
from tests.support.cli import Command
from tests.support.model_factory import make_model

README = Path(__file__).parents[2] / "README.md"
PASSPHRASE = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}


@pytest.fixture
def modelseal(started_modelseal: Command) -> Command:
    return started_modelseal


def first_steps() -> list[list[str]]:
    """Return the words of each command in the section's first console block."""
    text = README.read_text(encoding="utf-8")
    block = text.partition("\n## First steps\n")[2].partition("```console\n")[2].partition("```")[0]
    lines = re.sub(r"\\\n\s*", "", block).splitlines()
    return [shlex.split(line[2:], comments=True) for line in lines if line.startswith("$ ")]


def test_the_first_steps_work_as_they_stand_there(modelseal: Command, home: Path) -> None:
    model = make_model(home / "fraud", project="")
    steps = first_steps()
    assert [step[1] for step in steps][:1] == ["init"]
    assert {"publish", "verify", "pull"} <= {step[1] for step in steps}
    for program, *arguments in steps:
        assert program == "modelseal"
        modelseal(*arguments, env=PASSPHRASE).check()
    assert contents(home / "out") == contents(model)


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }
