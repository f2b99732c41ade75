# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a scan has found, as text and as JSON."""

from collections.abc import Iterator
from typing import Any

from modelseal.cli.render.text import size
from modelseal.evidence.facts import Level
from modelseal.evidence.scan.report import Report


def as_text(report: Report) -> Iterator[str]:
    """Write the findings, the worst first, each with what to do; then the verdict."""
    for one in report.findings:
        if one.level is Level.NOTE:
            continue
        yield f"{one.level}: {one.place}, byte {one.offset}: {one.message} [{one.rule}]"
        yield f"  to do: {one.hint}"
    denied = sorted({name for file in report.files for name, ok in file.globals.items() if not ok})
    if denied:
        yield "imported by pickles and not allowed: " + ", ".join(denied)
    counts = ", ".join(f"{report.count(level)} {level}s" for level in Level)
    total = size(sum(file.size for file in report.files))
    yield f"looked into {len(report.files)} files ({total}): {counts}"
    yield f"result: {'denied' if report.denied else 'passed'}"


def as_json(report: Report, opinion: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the report, and the second opinion if one was asked for."""
    return {**report.to_json(), **({"secondOpinion": list(opinion)} if opinion else {})}
