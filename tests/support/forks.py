# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The installed command in processes that need not import it: a run costs what it does.

A server process imports the command once, and is forked for each run. So every run is a process of
its own, with its own environment, directory, standard streams and exit code. What starting costs,
and what is imported when, is for tests of the real program: `tests.support.cli.Command`.
"""

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.context import SpawnProcess
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

import coverage
import typer.main
from tests.support.cli import TIMEOUT_SECONDS, Command, Result

from modelseal.cli.app import app, main

_PRELOADED = [
    "pytest",
    __name__,
    "encodings.idna",
    "modelseal.cli.commands.oms",
    "modelseal.cli.progress",
    "modelseal.cli.render.as_json",
    "modelseal.cli.render.explanation",
    "modelseal.cli.render.planning",
    "modelseal.oci.registry.store",
    "modelseal.trust.keyless",
    "modelseal.trust.signer",
    "modelseal.workflows.predict",
    "modelseal.workflows.publish",
    "modelseal.workflows.pull",
    "modelseal.workflows.remembering",
    "modelseal.workflows.wiring",
    "packaging.utils",
    "shellingham",
    "sigstore.oidc",
    "sigstore.sign",
    "sigstore.verify",
    "yaml",
]
# What Python does about text that is none, by stream, in the locale C.UTF-8.
_STREAMS = {"stdin": "surrogateescape", "stdout": "surrogateescape", "stderr": "backslashreplace"}
_command = typer.main.get_command(app)


def _made(typer_instance: typer.Typer) -> Any:  # noqa: ANN401, ARG001 - as typer has it
    """Return the command that was made once, in the process that the others are forked from.

    To make it takes typer longer than a small pull takes.
    """
    return _command


def _run(words: Sequence[str], environment: Mapping[str, str], cwd: str, streams: str) -> None:
    """Be the command, in a process that has its modules already."""
    typer.main.get_command = _made
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    for number, (name, errors) in enumerate(_STREAMS.items()):
        path = os.path.join(streams, name) if streams else os.devnull  # noqa: PTH118
        os.dup2(os.open(path, os.O_RDWR | os.O_APPEND), number)
        mode = "w" if number else "r"
        stream = open(number, mode, encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
    sys.argv = ["modelseal", *words]
    try:
        main()
    finally:
        measured = coverage.Coverage.current()
        if measured is not None:  # a forked process ends without asking whoever is to be told
            measured.stop()
            measured.save()


def start(
    words: Sequence[str], environment: Mapping[str, str], cwd: Path, streams: str = ""
) -> SpawnProcess:
    """Start the command.

    Args:
        words: its arguments.
        environment: the whole of it.
        cwd: its working directory.
        streams: a directory with files `stdin`, `stdout` and `stderr`; without it they are empty.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    process = context.Process(target=_run, args=(words, environment, str(cwd), streams))
    process.start()
    return process  # type: ignore[return-value] # a ForkServerProcess has what we use of it


class ForkedCommand(Command):
    """The installed `modelseal`, without what it costs to start it.

    With a `PYTHONPATH` it is started all the same: that is for what Python does at its start.
    """

    __slots__ = ()

    def __call__(
        self,
        *arguments: str | Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        stdin: str = "",
        timeout: float = TIMEOUT_SECONDS,
    ) -> Result:
        """Run it with these arguments, as `Command` does."""
        words = tuple(str(part) for part in arguments)
        environment = {**self.environment, **(env or {})}
        if "PYTHONPATH" in environment:
            return super().__call__(*arguments, env=env, cwd=cwd, stdin=stdin, timeout=timeout)
        with tempfile.TemporaryDirectory(prefix="modelseal-streams-") as streams:
            files = [Path(streams, name) for name in _STREAMS]
            for path, content in zip(files, (stdin, "", ""), strict=True):
                path.write_text(content, encoding="utf-8")
            process = start(words, environment, cwd or self.home, streams)
            process.join(timeout)
            if process.exitcode is None:
                process.kill()
                raise TimeoutExpired(words, timeout)
            out, err = (path.read_text(encoding="utf-8", errors="replace") for path in files[1:])
        return Result(("modelseal", *words), process.exitcode, out, err)
