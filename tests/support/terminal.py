# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A terminal for tests: a command that sees a person at it, and what that person would see."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_CHUNK = 1 << 16


@dataclass(frozen=True, slots=True)
class Session:
    """A command that has ended, and all that stood on the screen."""

    returncode: int
    screen: str


def run(
    command: Sequence[str | Path],
    *,
    env: Mapping[str, str],
    answers: Mapping[str, str] | None = None,
    timeout: float = 60.0,
) -> Session:
    """Run a command in a terminal, and type an answer when its prompt appears.

    Args:
        command: The program and its arguments.
        env: The whole environment.
        answers: What to type, by the prompt that it answers; each prompt is answered each time.
        timeout: Seconds after which the command is killed and AssertionError raised.
    """
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(word) for word in command],
        env=dict(env) | {"TERM": "xterm-256color", "COLUMNS": "120"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    screen, unread = "", ""
    deadline = time.monotonic() + timeout
    try:
        while True:
            ready, _, _ = select.select([ours], [], [], 0.5)
            if ready:
                try:
                    data = os.read(ours, _CHUNK).decode(errors="replace")
                except OSError:  # the other side is closed: the command has ended
                    break
                if not data:
                    break
                screen += data
                unread += data
            for prompt, answer in (answers or {}).items():
                if prompt in unread:
                    unread = unread.partition(prompt)[2]
                    os.write(ours, f"{answer}\n".encode())
            assert time.monotonic() < deadline, f"still running after {timeout} s:\n{screen}"
    finally:
        if process.poll() is None and time.monotonic() >= deadline:
            process.kill()
        os.close(ours)
        process.wait(10)
    return Session(process.returncode, screen)
