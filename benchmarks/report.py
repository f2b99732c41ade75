# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Tables of results: as markdown for people, as JSON for programs."""

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        title: What it shows.
        note: How it was measured, in a sentence or two.
        columns: The heads.
        rows: The cells, as they are shown.
        data: All the numbers behind it, by row.
    """

    title: str
    note: str
    columns: Sequence[str]
    rows: list[Sequence[str]] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def markdown(self) -> str:
        """Return it as GitHub shows it; numbers stand on the right."""
        rule = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = [self.columns, rule, *self.rows]
        table = "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
        return f"### {self.title}\n\n{self.note}\n\n{table}\n"

    def as_json(self) -> dict[str, Any]:
        """Return the numbers."""
        return {"title": self.title, "results": self.data}


def machine(work: Path) -> dict[str, str]:
    """Return on what this runs, for the reader of the numbers."""
    cores = os.sched_getaffinity(0)
    return {
        "processor": f"{_first('model name', Path('/proc/cpuinfo'))}, {len(cores)} cores",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / (1 << 30):.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "files on": _file_system(work),
        "load before (1, 5, 15 minutes)": ", ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def seconds(value: float) -> str:
    """Return a time for a cell."""
    return f"{value:.2f} s"


def mebibytes(count: int) -> str:
    """Return an amount of memory for a cell."""
    return f"{count / (1 << 20):.0f} MiB"


def ratio(ours: float, theirs: float) -> str:
    """Return how many times the other we take, for a cell."""
    return f"{ours / theirs:.2f}" if theirs else "-"


def judged(value: float, goal: float) -> str:
    """Return the verdict for a cell."""
    return "met" if value <= goal else "missed"


def _first(key: str, path: Path) -> str:
    found = re.search(rf"^{key}\s*:\s*(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else platform.machine()


def _file_system(place: Path) -> str:
    """Return the type of the file system that `place` is on. Source: proc_pid_mounts(5)."""
    mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    holding = [(len(point), kind) for point, kind in mounts if place.is_relative_to(point)]
    return max(holding, default=(0, "unknown"))[1]
