# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Runs of the command that end in the middle, and what is left of them."""

import contextlib
import multiprocessing
import os
import signal
import sys
import time
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import typer.main
from tests.support.fake_registry import FakeRegistry

from modelseal.cli.app import app, main

_PRELOADED = [
    "encodings.idna",
    "modelseal.cli.progress",
    "modelseal.cli.render.as_json",
    "modelseal.cli.render.planning",
    "modelseal.oci.registry.store",
    "modelseal.workflows.publish",
    "modelseal.workflows.pull",
    "modelseal.workflows.remembering",
    "modelseal.workflows.wiring",
    "packaging.utils",
    "shellingham",
    "yaml",
]

NO_NETWORK = """
import sys

def refuse(event, arguments):
    if event in {"socket.connect", "socket.getaddrinfo", "socket.sendto"}:
        raise RuntimeError(f"the network was asked: {event} {arguments}")

sys.addaudithook(refuse)
"""
"""A `sitecustomize.py` under which every connection is an error."""


def contents(directory: Path) -> dict[str, bytes]:
    """Return all files below a directory."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


_command = typer.main.get_command(app)


def _made(typer_instance: typer.Typer) -> Any:  # noqa: ANN401, ARG001 - as typer has it
    """Return the command that was made once, in the process that the others are forked from.

    To make it takes typer longer than a small pull takes.
    """
    return _command


def run_command(words: list[str], environment: dict[str, str]) -> None:
    """Be the command, in a process that has its modules already."""
    typer.main.get_command = _made
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(environment["HOME"])
    sink = os.open(os.devnull, os.O_WRONLY)
    os.dup2(sink, 1)
    os.dup2(sink, 2)
    sys.argv = ["modelseal", *words]
    main()


class Runner:
    """Runs the command in fresh processes that need not import it: a run takes milliseconds."""

    def __init__(self, environment: dict[str, str]) -> None:
        """Prepare; `environment` is that of each run."""
        self._environment = environment
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["pytest", __name__, *_PRELOADED])

    def start(self, words: list[str]) -> SpawnProcess:
        """Start it."""
        process = self._context.Process(target=run_command, args=(words, self._environment))
        process.start()
        return process  # type: ignore[return-value] # a ForkServerProcess has what we use of it

    def run(self, words: list[str]) -> int | None:
        """Run it to its end, and return its exit code."""
        process = self.start(words)
        process.join(60)
        return process.exitcode


class Killer:
    """Kills a process at a tick of a registry: a request, or 64 KiB of a body."""

    def __init__(self, registry: FakeRegistry) -> None:
        """Listen to the registry's ticks."""
        self._registry = registry
        self.ticks = 0
        registry.on_tick(self._tick)
        self._at = 0
        self._late = 0.0
        self._victim: int | None = None

    def _tick(self) -> None:
        self.ticks += 1
        if self.ticks == self._at and self._victim is not None:
            time.sleep(self._late)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._victim, signal.SIGKILL)

    def arm(self, at: int, late: float) -> None:
        """Kill at tick `at` from now, `late` seconds after it came."""
        self.ticks, self._at, self._late, self._victim = 0, at, late, None

    def run(self, runner: Runner, words: list[str]) -> bool:
        """Run the command; tell whether it was killed. The registry is idle again then."""
        process = runner.start(words)
        self._victim = process.pid
        process.join(60)
        self._at = 0
        until = time.monotonic() + 10
        while self._registry.busy and time.monotonic() < until:
            time.sleep(0.001)
        return process.exitcode == -signal.SIGKILL
