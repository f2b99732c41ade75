# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Directories of our own below the user's cache: what stands there helps, or is not there.

Nothing here may make a command fail: who cannot write to the cache works without it. And nothing
here is believed that somebody else could have written.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

_PRIVATE = 0o700
_OTHERS = 0o077
_READ = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


def cache_home(environment: Mapping[str, str]) -> Path:
    """Return where the project keeps what it can make again: below `XDG_CACHE_HOME`."""
    home = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "modelseal"


def make_private(directory: Path) -> bool:
    """Make a directory that only we can look into; tell whether it is one."""
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=_PRIVATE, exist_ok=True)
        status = directory.lstat()
    except OSError:
        return False
    ours = stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid()
    return ours and not status.st_mode & _OTHERS


def is_ours(file: int) -> bool:
    """Tell whether an open file is a plain one of ours that nobody else can write to."""
    status = os.fstat(file)
    ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
    return ours and not status.st_mode & (_OTHERS & 0o022)


def read_private(path: Path, limit: int) -> bytes | None:
    """Return the bytes of a file of ours; None when it is not there, not ours, or too large."""
    try:
        file = os.open(path, _READ)
    except OSError:
        return None
    with os.fdopen(file, "rb") as opened:
        try:
            if not is_ours(file):
                return None
            data = opened.read(limit + 1)
        except OSError:
            return None
    return data if len(data) <= limit else None
