# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The transfer part of `docs/benchmarks.md`, written anew from results that were kept."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import goals
from benchmarks.picture import picture

_DOCS = Path(__file__).resolve().parent.parent / "docs"
_BEGIN = "<!-- transfer: written by `make bench`, from here -->"
_END = "<!-- transfer: to here -->"


def write(results: Mapping[str, Any], machine: Mapping[str, str], docs: Path = _DOCS) -> list[Path]:
    """Put tables and picture where the page has room for them; return the files."""
    page, drawn = docs / "benchmarks.md", docs / "transfer.svg"
    before, begin, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{page} has no place for the tables: {_BEGIN} … {_END}")
    lines = [f"- {name}: {value}" for name, value in machine.items()]
    parts = ["\n".join(lines), "![Seconds to push and pull, each run](transfer.svg)"]
    parts += [table.markdown().rstrip() for table in goals.tables(results)]
    page.write_text(f"{before}{_BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{_END}{after}", "utf-8")
    drawn.write_text(picture(results), encoding="utf-8")
    return [page, drawn]
