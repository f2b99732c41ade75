# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Runs of the command that end in the middle, and what is left of them."""

import multiprocessing
import os
import signal
import sys
from pathlib import Path

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


def run_command(words: list[str], environment: dict[str, str]) -> None:
    """Be the command, in a process that has its modules already."""
    from modelseal.cli.app import main

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
        modules = ["modelseal.workflows.wiring", "modelseal.oci.registry.store", __name__]
        self._context.set_forkserver_preload(
            ["pytest", *modules, "modelseal.workflows.package", "modelseal.workflows.remembering"]
        )

    def killed(self, words: list[str], after: float) -> bool:
        """Run it, kill it after so many seconds, and tell whether it was still running."""
        process = self._context.Process(target=run_command, args=(words, self._environment))
        process.start()
        process.join(after)
        if not process.is_alive() or process.pid is None:
            return False
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        return True

    def run(self, words: list[str]) -> int | None:
        """Run it to its end, and return its exit code."""
        process = self._context.Process(target=run_command, args=(words, self._environment))
        process.start()
        process.join(60)
        return process.exitcode
