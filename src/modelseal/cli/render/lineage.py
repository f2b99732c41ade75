# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A model's lineage: as text for people, as JSON, and as OpenLineage events."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from modelseal.cli.render.evidence import fact_json, finding_lines, worst_first
from modelseal.cli.render.text import printable
from modelseal.evidence.lineage.openlineage import run_events, run_id
from modelseal.evidence.lineage.runs import Input, Run
from modelseal.evidence.lineage.usage import label
from modelseal.workflows.lineage import Lineage, Standing

_STANDINGS = {
    Standing.BUILT: "not published: read from the directory, and signed by nobody",
    Standing.VERIFIED: "verified",
    Standing.CLAIMED: "claimed, not verified: name whom you believe with --key and its like",
}


def as_text(item: Lineage, reference: str) -> Iterator[str]:
    """Write what went into the model, and what is said of it."""
    yield printable(f"lineage: {reference}")
    yield f"digest: {item.subject}"
    yield f"standing: {_STANDINGS[item.standing]}"
    for signer in item.signers:
        yield printable(f"  signed by {signer}")
    for run in item.runs:
        yield from _run(run)
    if item.attributes:
        yield "attributes:"
    for entry in item.attributes:
        yield printable(f"  {_attribute(entry)}")
    if item.facts:
        yield "data:"
    for fact in item.facts:
        yield printable(f"  {fact.basis:<8}  {fact.text}")
    for number, finding in enumerate(worst_first(item.findings), 1):
        yield from finding_lines(number, finding)


def as_json(item: Lineage, reference: str) -> dict[str, Any]:
    """Return all of it."""
    return {
        "reference": reference,
        "digest": str(item.subject),
        "standing": str(item.standing),
        "signers": list(item.signers),
        "runs": [{"id": run_id(item.subject, run), **run.to_json()} for run in item.runs],
        "attributes": [dict(entry) for entry in item.attributes],
        "facts": [fact_json(fact) for fact in item.facts],
        "findings": [finding.to_json() for finding in worst_first(item.findings)],
    }


def as_openlineage(item: Lineage) -> Iterator[str]:
    """Write OpenLineage events, one a line."""
    for run in item.runs:
        for event in run_events(item.subject, run, str(item.standing)):
            yield json.dumps(event)


def _run(run: Run) -> Iterator[str]:
    if run.model:
        yield printable(f"model: {run.model} {run.version}".rstrip())
    if run.builder:
        yield printable(f"built by: {run.builder}")
    if run.invocation:
        yield printable(f"  in {run.invocation}")
    if run.started and run.finished:
        yield printable(f"  from {run.started} to {run.finished}")
    yield "made from:" if run.inputs else "made from: nothing is named"
    for entry in run.inputs:
        yield from _input(entry)


def _input(item: Input) -> Iterator[str]:
    name = item.role if item.name == item.role else f"{item.role} {item.name}"
    version = item.said.get("version", "")
    yield printable(f"  {name} {version}".rstrip())
    if item.uri:
        yield printable(f"    at {item.uri}")
    yield printable(f"    {item.digest}") if item.digest else "    no digest"
    for key, word in _WORDS.items():
        if key in item.said:
            told = item.said[key]
            if key == "usage":
                told = "; ".join(map(label, told.split(", ")))
            yield printable(f"    {word}: {told}")


_WORDS = {
    "license": "licence",
    "personalData": "personal data",
    "legalBasis": "legal basis",
    "usage": "use",
    "croissant": "described by",
}


def _condition(key: str, value: object) -> str:
    return f"{key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}"


def _attribute(entry: Mapping[str, Any]) -> str:
    target = entry.get("target")
    name = target.get("name") if isinstance(target, dict) else ""
    conditions = entry.get("conditions")
    told = ""
    if isinstance(conditions, dict) and conditions:
        told = f" ({', '.join(_condition(*pair) for pair in conditions.items())})"
    return f"{entry['attribute']}{f', of {name}' if name else ''}{told}"
