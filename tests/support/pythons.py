# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Other Pythons of this machine, as pyenv, uv, the system and CI systems install them."""

import glob
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.support.peers import missing

_OLDEST = (3, 11)
_PLACES = (
    "~/.pyenv/versions/3.*/bin/python3",
    "~/.local/share/uv/python/cpython-3.*/bin/python3",
    "/opt/hostedtoolcache/Python/3.*/x64/bin/python3",
    "/opt/python/cp3*/bin/python3",
)


def another_python() -> tuple[Path, str]:
    """Return a Python of another minor version that modelseal runs on, and its version.

    Without one the test is skipped, and with `CI=true` it fails: a second version is named where
    the suite runs.
    """
    for candidate in _candidates():
        version = _version(candidate)
        minor = tuple(map(int, version.split(".")[:2])) if version else (0, 0)
        if minor >= _OLDEST and minor != sys.version_info[:2]:
            return candidate, version
    return missing("there is no second Python: install 3.12 or newer beside this one")


def _candidates() -> Iterator[Path]:
    for minor in range(_OLDEST[1], _OLDEST[1] + 6):
        named = shutil.which(f"python3.{minor}")
        if named:
            yield Path(named)
    for pattern in _PLACES:
        yield from map(Path, sorted(glob.glob(os.path.expanduser(pattern))))  # noqa: PTH111, PTH207


def _version(python: Path) -> str:
    question = "import platform; print(platform.python_version())"
    try:
        done = subprocess.run(
            [python, "-I", "-c", question], capture_output=True, check=True, encoding="utf-8"
        )
    except (OSError, subprocess.CalledProcessError):  # a shim of pyenv without that version
        return ""
    version = done.stdout.strip()
    return version if version.replace(".", "").isdigit() else ""
