# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Findings about lock files: one for each kind, with the entries and their lines.

A lock of hundreds of entries without hashes is one thing to mend, not hundreds.
"""

from collections.abc import Iterable, Sequence

from modelseal.evidence.facts import Finding, Level

_MOST_NAMED = 20


def listed(names: Sequence[str]) -> str:
    """Write names for people; the first twenty, and how many more."""
    told = ", ".join(names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    return f"{told} and {more} more" if more > 0 else told


def at_lines(entries: Iterable[tuple[str, int]]) -> list[str]:
    """Write each entry with its line, where that is known."""
    return [f"{name} (line {line})" if line else name for name, line in entries]


def place(path: str, lines: Iterable[int]) -> str:
    """Write the file, and the first line that it is about."""
    known = sorted(line for line in lines if line)
    return f"{path}:{known[0]}" if known else path


def about(
    path: str,
    id_: str,
    what: str,
    entries: Sequence[tuple[str, int]],
    *,
    hint: str,
    level: Level = Level.WARNING,
) -> Iterable[Finding]:
    """Yield one finding about all `entries`, or none when there are none.

    Args:
        path: of the lock file.
        id_: of the finding.
        what: what is said about them, with `{}` where they are named.
        entries: each with its line.
        hint: what to do.
        level: how bad it is.
    """
    if entries:
        yield Finding(
            id=id_,
            level=level,
            message=f"{path}: {what.replace('{}', listed(at_lines(entries)))}",
            where=place(path, (line for _, line in entries)),
            hint=hint,
        )
