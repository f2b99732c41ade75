"""Commands as a user would run them: the installed `modelseal`, and cosign and oras beside it.

Each runs in an environment of its own: an empty home, no credentials of the developer, no ambient
identity of a CI job.
"""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest

# What a program needs to start at all, and what measures coverage inside of it; nothing else.
_INHERITED = ("PATH", "TMPDIR", "LD_LIBRARY_PATH")
_INHERITED_PREFIXES = ("COVERAGE_", "LC_")
TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Result:
    """A command that has ended."""

    command: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str

    def check(self, returncode: int = 0) -> Self:
        """Return itself, or raise AssertionError with all the output when it ended otherwise."""
        assert self.returncode == returncode, f"wanted exit {returncode}:\n{self}"
        return self

    def __str__(self) -> str:
        return f"$ {' '.join(self.command)}\nexit {self.returncode}\n{self.stdout}{self.stderr}"


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    cwd: Path | None = None,
    stdin: str = "",
    timeout: float = TIMEOUT_SECONDS,
) -> Result:
    """Run a command to its end, without a shell.

    Args:
        command: The program and its arguments.
        env: The whole environment.
        cwd: The working directory.
        stdin: What it may read.
        timeout: Seconds after which it is killed and `subprocess.TimeoutExpired` raised.
    """
    words = tuple(str(part) for part in command)
    done = subprocess.run(
        words,
        env=env,
        cwd=cwd,
        input=stdin,
        timeout=timeout,
        check=False,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
    )
    return Result(words, done.returncode, done.stdout, done.stderr)


def clean_environment(home: Path) -> dict[str, str]:
    """Return an environment for a user who has just moved into `home`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in _INHERITED or name.startswith(_INHERITED_PREFIXES)
    }
    return {
        **kept,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "XDG_STATE_HOME": str(home / ".local" / "state"),
        "XDG_RUNTIME_DIR": str(home / ".run"),
    }


@dataclass(frozen=True, slots=True)
class Command:
    """A program with a home of its own; calling it runs it.

    Attributes:
        program: What is run.
        home: Its home directory, which is also its working directory unless a call names another.
        settings: Variables added to the clean environment on every call.
    """

    program: Path
    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """The whole environment that a call gets, before its own additions."""
        return {**clean_environment(self.home), **self.settings}

    def __call__(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str = "",
        timeout: float = TIMEOUT_SECONDS,
    ) -> Result:
        """Run it with these arguments; `env` adds variables. See `run`."""
        return run(
            [self.program, *arguments],
            env={**self.environment, **(env or {})},
            cwd=cwd or self.home,
            stdin=stdin,
            timeout=timeout,
        )


def modelseal_program() -> Path:
    """Return the installed command, which stands beside the Python that runs the tests."""
    program = Path(sys.executable).parent / "modelseal"
    if not program.exists():
        pytest.fail(f"{program} is not there: run `make install`", pytrace=False)
    return program
