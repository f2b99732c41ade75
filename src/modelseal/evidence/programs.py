# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Asking a program of the machine: found by its name, with an end in time and in size.

It gets no input, no shell, and an environment that is made for it: nothing of the user's that it
could act upon, and no secret.
"""

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

PROGRAM_TIMEOUT: Final = 20.0
"""Seconds that a program may take."""
MAX_PROGRAM_OUTPUT: Final = 8 << 20
"""Most bytes that a program may write."""


class ProgramError(Exception):
    """A program did not answer; the message says why, and its callers say what is not known."""


def find_program(name: str, environment: Mapping[str, str]) -> Path | None:
    """Return where `name` stands on the `PATH`; None when it is nowhere.

    Only absolute entries are looked into: a relative one, or an empty one, would find a program in
    the directory of a stranger's model.
    """
    for entry in environment.get("PATH", os.defpath).split(os.pathsep):
        candidate = Path(entry, name)
        if candidate.is_absolute() and candidate.is_file() and os.access(candidate, os.X_OK):
            return candidate
    return None


def ask_program(
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    *,
    timeout: float = PROGRAM_TIMEOUT,
    limit: int = MAX_PROGRAM_OUTPUT,
    answers: Sequence[int] = (0,),
    stderr: bool = False,
) -> tuple[int, bytes]:
    """Run a program to its end; return its exit code and what it wrote to stdout.

    Args:
        command: the program's absolute path, and its arguments.
        environment: all that it gets to see.
        timeout: seconds after which it and all that it started are killed.
        limit: most bytes that it may write.
        answers: exit codes that are an answer.
        stderr: take what it writes there, too.

    Raises:
        ProgramError: it cannot be started, is killed, or ends with another code.
    """
    name = Path(command[0]).name
    try:
        process = subprocess.Popen(  # noqa: S603 - no shell, and found by `find_program`
            [str(part) for part in command],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if stderr else subprocess.DEVNULL,
            start_new_session=True,  # so that all that it starts ends with it
        )
    except OSError as error:
        raise ProgramError(f"{name} cannot be started: {error.strerror}") from error
    late = threading.Event()

    def end() -> None:
        late.set()
        _kill(process)

    timer = threading.Timer(timeout, end)
    timer.start()
    try:
        with process:
            assert process.stdout is not None
            written = process.stdout.read(limit + 1)
            if len(written) > limit:
                _kill(process)
    finally:
        timer.cancel()
    if late.is_set():
        raise ProgramError(f"{name} took longer than {timeout:.0f} seconds")
    if len(written) > limit:
        raise ProgramError(f"{name} wrote more than {limit} bytes")
    if process.returncode not in answers:
        raise ProgramError(f"{name} ended with {process.returncode}")
    return process.returncode, written


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
