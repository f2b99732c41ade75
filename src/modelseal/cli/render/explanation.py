# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""An explanation as text for a newcomer, and as JSON."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from modelseal.cli.render import as_json as values
from modelseal.cli.render.text import printable, size
from modelseal.documents import rfc3339
from modelseal.oci.manifest import Index

if TYPE_CHECKING:
    from modelseal.workflows.explain import Explained, Explanation
    from modelseal.workflows.predictions import Prediction

_MOST = 20
_WORDS = {"accepts": "yes", "refuses": "no", "depends": "it depends"}


def as_text(
    item: "Explanation", predictions: "Sequence[Prediction]", reference: str
) -> Iterator[str]:
    """Write what is attached, and then what tools would make of it."""
    yield f"explained: {printable(reference)}"
    yield f"digest: {item.subject.digest}"
    yield f"  {_document(item)}"
    if item.believed.words:
        yield printable(f"believed: {item.believed.words}")
    else:
        yield "believed: nobody was named, so nothing was verified; what follows is only claimed"
    yield ""
    yield f"attached: {len(item.items) or 'nothing'}"
    for number, found in enumerate(item.items[:_MOST], 1):
        yield from _item(number, found)
    if len(item.items) > _MOST:
        yield f"… and {len(item.items) - _MOST} more (`--output json` has all of them)"
    if item.decision is not None:
        yield ""
        allowed = "allows" if item.decision.allowed else "denies"
        yield printable(f"the policy {item.decision.policy} {allowed} it")
        for finding in item.decision.findings:
            yield printable(f"  {finding.rule}: {finding.message}")
            yield printable(f"    to do: {finding.remediation.summary}")
    yield ""
    yield "would it be accepted by"
    for prediction in predictions:
        yield from _prediction(prediction)


def _document(item: "Explanation") -> str:
    if isinstance(item.document, Index):
        return f"an index; a signature on it covers the {len(item.document.manifests)} it lists"
    layers = item.document.layers
    return f"a manifest with {len(layers)} layers, {size(sum(layer.size for layer in layers))}"


def _item(number: int, found: "Explained") -> Iterator[str]:
    yield printable(f"{number}. {found.title}")
    if found.facts is not None:
        yield printable(f"   type: {found.facts.predicate_type}")
    elif found.artifact_type:
        yield printable(f"   type: {found.artifact_type}")
    yield printable(f"   where: {found.place}")
    yield from _signer(found)
    if found.refusal is not None:
        yield printable(f"   does not count: {found.refusal} [{found.refusal.reason}]")
        if found.refusal.hint:
            yield printable(f"   to do: {found.refusal.hint}")


def _signer(found: "Explained") -> Iterator[str]:
    statement, facts = found.statement, found.facts
    if statement is not None:
        when = f" at {statement.signed_at:%Y-%m-%d %H:%M:%S %Z}" if statement.signed_at else ""
        yield printable(f"   signed by {statement.signer}{when}")
        yield f"   verified: {', '.join(found.checks)}"
        if not statement.signed_at:
            yield f"   when: {_claimed_time(found)}"
    elif facts is not None:
        who = facts.signer or "somebody who cannot be read"
        yield printable(f"   claims to be signed by {who}")
        yield f"   when: {_claimed_time(found)}"


def _claimed_time(found: "Explained") -> str:
    times = found.facts.times if found.facts else ()
    if not times:
        return "nothing in it says so"
    return f"{times[0]:%Y-%m-%d %H:%M:%S} UTC, as it claims; not verified"


def _prediction(item: "Prediction") -> Iterator[str]:
    basis = "" if item.tested else " (predicted, no cluster was asked)"
    yield f"  {item.tool} {item.version}: {_verdict(item)}{basis}"
    if item.command:
        yield printable(f"    $ {item.command}")
    for reason in item.reasons:
        yield printable(f"    - {reason.text} [{reason.code}]")
        if reason.fix:
            yield printable(f"      to do: {reason.fix}")


def _verdict(item: "Prediction") -> str:
    here = _WORDS[item.verdict]
    if item.copied is None or item.copied is item.verdict:
        return here
    return f"{here}, not as it lies here; once copied to a registry: {_WORDS[item.copied]}"


def as_json(
    item: "Explanation", predictions: "Sequence[Prediction]", reference: str
) -> dict[str, Any]:
    """Return all of it."""
    return {
        "reference": reference,
        "manifest": values.descriptor(item.subject),
        "isIndex": isinstance(item.document, Index),
        "believed": item.believed.words or None,
        "fallbackTag": item.has_fallback,
        "attached": [_item_json(found) for found in item.items],
        "decision": values.decision(item.decision) if item.decision else None,
        "tools": [_prediction_json(prediction) for prediction in predictions],
    }


def _item_json(found: "Explained") -> dict[str, Any]:
    facts, statement, refusal = found.facts, found.statement, found.refusal
    return {
        "kind": str(found.kind),
        "title": found.title,
        "where": found.place,
        "artifactType": found.artifact_type,
        "listedArtifactType": found.listed.artifact_type if found.listed else "",
        "claimed": None
        if facts is None
        else {
            "predicateType": facts.predicate_type,
            "method": str(facts.method),
            "signer": facts.signer,
            "times": [rfc3339(moment) for moment in facts.times],
            "subjects": list(facts.subjects),
            "logEntries": list(facts.log_kinds),
            "timestamps": facts.timestamps,
        },
        "verified": None
        if statement is None
        else {
            "signer": values.signer(statement.signer),
            "signedAt": rfc3339(statement.signed_at) if statement.signed_at else None,
            "checks": list(found.checks),
        },
        "refused": None
        if refusal is None
        else {"code": refusal.reason, "message": str(refusal), "hint": refusal.hint},
    }


def _prediction_json(item: "Prediction") -> dict[str, Any]:
    return {
        "tool": item.tool,
        "version": item.version,
        "verdict": str(item.verdict),
        "copied": str(item.copied) if item.copied else None,
        "tested": item.tested,
        "command": item.command,
        "reasons": [
            {"code": reason.code, "text": reason.text, "fix": reason.fix} for reason in item.reasons
        ],
    }
