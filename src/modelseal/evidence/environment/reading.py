# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Reading what the kernel and the distribution tell in small text files.

`root` is `/`, or a tree that stands for it. What is not there, not readable or too large is not
known, and no error: a container hides much.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

MAX_SYSTEM_FILE: Final = 4 << 20
"""Most bytes that are read of a file below /proc, /sys or /etc."""
MAX_DEVICES: Final = 4096
"""Most devices that are looked at."""


def text_of(path: Path) -> str:
    """Return the text of a file without white space around it; empty when it is not known."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SYSTEM_FILE + 1)
    except OSError:
        return ""
    if len(raw) > MAX_SYSTEM_FILE:
        return ""
    return printable(raw.decode("utf-8", "replace")).strip()


def printable(text: str) -> str:
    """Return the text without control characters but line feeds and tabs."""
    return "".join(char for char in text if char.isprintable() or char in "\n\t")


def entries(directory: Path, pattern: str = "*") -> Iterator[Path]:
    """Yield what is in a directory, by name; nothing when there is none."""
    try:
        found = sorted(directory.glob(pattern))
    except OSError:
        return
    yield from found[:MAX_DEVICES]


def pairs(text: str, separator: str) -> Iterator[tuple[str, str]]:
    """Yield the key and the value of every line that has both."""
    for line in text.splitlines():
        key, found, value = line.partition(separator)
        if found:
            yield key.strip(), value.strip()
