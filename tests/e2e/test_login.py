# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""login and logout through the installed command, and what a later command makes of them."""

from pathlib import Path

import pytest
from tests.support import terminal
from tests.support.cli import Command
from tests.support.fake_registry import FakeRegistry
from tests.support.model_factory import make_model

SECRET = "s3cret-of-user"


@pytest.fixture
def modelseal(started_modelseal: Command) -> Command:
    return started_modelseal


def test_after_a_login_other_commands_and_oras_may_write(
    modelseal: Command, oras: Command, home: Path
) -> None:
    model = make_model(home / "model")
    with FakeRegistry(auth="bearer", password=SECRET) as registry:
        reference = f"{registry.host}/acme/fraud:1"
        modelseal("push", model, reference).check(20)
        flags = ("-u", "user", "--password-stdin")
        wrong = modelseal("login", registry.host, *flags, stdin="wrong\n").check(20)
        assert "does not take" in wrong.stderr
        done = modelseal("login", registry.host, *flags, stdin=f"{SECRET}\n").check()
        assert done.stdout == f"logged in: {registry.host} as user\n"
        modelseal("push", model, reference).check()
        oras("manifest", "fetch", "--plain-http", reference).check()
        assert SECRET not in done.stdout + done.stderr
        modelseal("logout", registry.host).check()
        assert "not logged in" in modelseal("logout", registry.host).check().stdout
        modelseal("inspect", reference).check(20)


def test_a_person_is_asked_and_the_password_is_not_shown(modelseal: Command) -> None:
    with FakeRegistry(auth="basic", password=SECRET) as registry:
        done = terminal.run(
            [modelseal.program, "login", registry.host, "-u", "user"],
            env=modelseal.environment,
            answers={f"Password or token for {registry.host}: ": SECRET},
        )
    assert done.returncode == 0, done.screen
    assert "logged in" in done.screen
    assert SECRET not in done.screen


def test_without_a_person_stdin_has_to_be_named(modelseal: Command) -> None:
    done = modelseal("login", "ghcr.io", "-u", "user", stdin=SECRET).check(2)
    assert "--password-stdin" in done.stderr
