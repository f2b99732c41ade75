# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What `check` has found, as text for people and as JSON."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from modelseal.cli.render.evidence import (
    counted,
    fact_json,
    fact_lines,
    finding_lines,
    worst_first,
)

if TYPE_CHECKING:
    from modelseal.workflows.check import CheckedModel


def as_text(item: "CheckedModel") -> Iterator[str]:
    """Write what holds, topic by topic, and then what does not, the worst first."""
    metadata, findings = item.project.metadata, worst_first(item.findings)
    yield f"checked: {metadata.name} {metadata.version}, in {item.directory}"
    yield from fact_lines(item.facts)
    yield ""
    yield f"findings: {counted(findings)}"
    for number, finding in enumerate(findings, 1):
        yield ""
        yield from finding_lines(number, finding)


def as_json(item: "CheckedModel") -> dict[str, Any]:
    """Return all of it."""
    metadata = item.project.metadata
    return {
        "directory": str(item.directory),
        "name": metadata.name,
        "version": metadata.version,
        "holds": item.holds,
        "facts": [fact_json(fact) for fact in item.facts],
        "findings": [finding.to_json() for finding in worst_first(item.findings)],
    }
