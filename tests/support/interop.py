# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""`docs/interop.md` is made of what tests saw: one table a section, between two marks.

A test fills a `Table` with what each program did and calls `hold`, which compares the page with
it. With `MODELSEAL_WRITE_INTEROP=1` it writes the page instead: look at the difference, and commit
it. A new section is a pair of marks in the page and a test.
"""

import os
import re
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "interop.md"
WRITE = "MODELSEAL_WRITE_INTEROP"


class Table:
    """A table of the page.

    Args:
        section: names it, between the marks `<!-- interop: SECTION -->` and
            `<!-- interop: end -->`.
        columns: the words above.
    """

    def __init__(self, section: str, columns: Sequence[str]) -> None:
        """Begin with no row."""
        self.section = section
        self.columns = tuple(columns)
        self._rows: list[tuple[str, ...]] = []

    def add(self, *cells: str) -> None:
        """Add a row: what one program did."""
        assert len(cells) == len(self.columns), cells
        self._rows.append(cells)

    def __str__(self) -> str:
        rule = tuple("---" for _ in self.columns)
        lines = [self.columns, rule, *self._rows]
        return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)

    def hold(self) -> None:
        """Compare the page with what was seen, or write it there when that is asked for."""
        text = PAGE.read_text(encoding="utf-8")
        begin, end = f"<!-- interop: {self.section} -->\n", "<!-- interop: end -->"
        pattern = re.compile(f"{re.escape(begin)}(.*?){re.escape(end)}", re.DOTALL)
        (shown,) = pattern.findall(text)
        if os.environ.get(WRITE) == "1":
            PAGE.write_text(pattern.sub(lambda _: f"{begin}{self}{end}", text), encoding="utf-8")
            return
        if shown != str(self):
            pytest.fail(
                f"docs/interop.md, {self.section}: seen was\n{self}\nand the page says\n{shown}\n"
                f"If that is right, run this test with {WRITE}=1",
                pytrace=False,
            )


def version_of(peer: str) -> str:
    """Return name and version of a peer, as it is pinned: `kit 1.15.0`."""
    if peer == "oras-py":
        return f"oras-py {metadata.version('oras')}"
    module = (ROOT / "tools" / "peers" / peer / "go.mod").read_text()
    tool = re.findall(r"^tool (\S+)$", module, re.MULTILINE)[0]
    required = re.findall(r"^(?:require )?\s*(\S+) v(\S+)", module, re.MULTILINE)
    found = max((name, version) for name, version in required if tool.startswith(name))
    return f"{peer} {found[1]}"
