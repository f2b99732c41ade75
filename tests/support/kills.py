# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Runs of the command that end in the middle, and what is left of them."""

import contextlib
import os
import signal
import time
from multiprocessing.context import SpawnProcess
from pathlib import Path

from tests.support import forks
from tests.support.fake_registry import FakeRegistry

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


class Runner:
    """Runs the command in fresh processes that need not import it: a run takes milliseconds."""

    def __init__(self, environment: dict[str, str]) -> None:
        """Prepare; `environment` is that of each run."""
        self._environment = environment

    def start(self, words: list[str]) -> SpawnProcess:
        """Start it, in its home."""
        return forks.start(words, self._environment, Path(self._environment["HOME"]))

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
