# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What is known about a build, as text for people and as JSON.

Whatever a collector finds stands here by itself: facts by their topic, then the findings, the
worst first.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from modelseal.cli.render.text import printable
from modelseal.evidence.facts import Basis, Fact, Finding, Level

if TYPE_CHECKING:
    from modelseal.workflows.explain_build import BuildExplanation

_MARKS = {Basis.VERIFIED: "verified", Basis.DECLARED: "declared", Basis.INFERRED: "inferred"}
_LEGEND = (
    "verified: computed from bytes, or asked of the system itself",
    "declared: somebody wrote it down, and nobody has checked it",
    "inferred: concluded from other facts; right as a rule",
)
_ORDER = (Level.ERROR, Level.WARNING, Level.NOTE)
_WIDTH = max(map(len, _MARKS.values()))


def as_text(item: "BuildExplanation") -> Iterator[str]:
    """Write what is known, topic by topic, and what to add where something is missing."""
    metadata, package = item.made.project.metadata, item.made.package
    facts, findings = item.collected.facts, worst_first(item.collected.findings)
    yield printable(f"explained: {metadata.name} {metadata.version}, in {item.directory}")
    yield f"digest: {item.made.subject.digest}"
    yield f"inputs: {package.inputs_digest}"
    yield ""
    yield f"known: {len(facts)} facts"
    for line in _LEGEND:
        yield f"  {line}"
    yield from fact_lines(facts)
    yield ""
    yield f"findings: {counted(findings)}"
    for number, finding in enumerate(findings, 1):
        yield ""
        yield from finding_lines(number, finding)
    yield ""
    yield "would be attested:"
    for claim in item.collected.claims:
        yield printable(f"  {claim.predicate_type}")


def as_json(item: "BuildExplanation") -> dict[str, Any]:
    """Return all of it, with the predicates that `publish` would sign."""
    metadata, package = item.made.project.metadata, item.made.package
    return {
        "directory": str(item.directory),
        "name": metadata.name,
        "version": metadata.version,
        "digest": str(item.made.subject.digest),
        "inputsDigest": str(package.inputs_digest),
        "facts": [fact_json(fact) for fact in item.collected.facts],
        "findings": [finding.to_json() for finding in worst_first(item.collected.findings)],
        "claims": [
            {"predicateType": claim.predicate_type, "predicate": dict(claim.predicate)}
            for claim in item.collected.claims
        ],
    }


def fact_lines(facts: Iterable[Fact]) -> Iterator[str]:
    """Write facts by their topic, each with how it is known."""
    for topic, told in _by_topic(facts):
        yield ""
        yield printable(topic)
        for fact in told:
            yield printable(f"  {_MARKS[fact.basis]:<{_WIDTH}}  {fact.text}")


def fact_json(fact: Fact) -> dict[str, str]:
    """Return one fact."""
    return {"topic": fact.topic, "text": fact.text, "basis": str(fact.basis)}


def worst_first(findings: Iterable[Finding]) -> list[Finding]:
    """Return errors before warnings before notes, else in the order in which they were found."""
    return sorted(findings, key=lambda finding: _ORDER.index(finding.level))


def counted(findings: Sequence[Finding]) -> str:
    """Write how many there are of each level: `1 error, 3 warnings`."""
    counts = [(level, sum(found.level is level for found in findings)) for level in _ORDER]
    told = [f"{count} {level}{'' if count == 1 else 's'}" for level, count in counts if count]
    return ", ".join(told) or "none"


def _by_topic(facts: Iterable[Fact]) -> Iterator[tuple[str, list[Fact]]]:
    topics: dict[str, list[Fact]] = {}
    for fact in facts:
        topics.setdefault(fact.topic, []).append(fact)
    yield from topics.items()


def finding_lines(number: int, finding: Finding) -> Iterator[str]:
    """Write one finding: what, where, and what to add or do."""
    yield printable(f"{number}. {finding.level}: {finding.message} [{finding.id}]")
    if finding.where:
        yield printable(f"   where: {finding.where}")
    if finding.add:
        yield "   add to modelseal.yaml:"
        for line in finding.add.splitlines():
            yield printable(f"     {line}")
    if finding.hint:
        yield printable(f"   {'or' if finding.add else 'to do'}: {finding.hint}")
