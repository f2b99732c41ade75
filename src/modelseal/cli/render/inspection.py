# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""An inspection as text or JSON; it says of everything that nothing was verified."""

from collections.abc import Iterator
from typing import Any

from modelseal.cli.render import as_json as json_form
from modelseal.cli.render.text import printable, size
from modelseal.workflows.inspect import Inspection


def as_text(item: Inspection, reference: str) -> Iterator[str]:
    """Write manifest, files and claims for people."""
    manifest = item.manifest
    yield f"reference: {printable(reference)}"
    yield f"digest: {item.subject.digest}"
    yield f"artifact type: {printable(manifest.artifact_type)}"
    for key, value in sorted(manifest.annotations.items()):
        yield printable(f"{key}: {value}")
    yield "files:"
    for layer in manifest.layers:
        yield printable(f"  {layer.name}  {size(layer.size)}  {layer.media_type}")
        yield f"    {layer.digest}"
    yield "statements (claimed, not verified):"
    for referrer, claim in item.claims:
        yield printable(f"  {claim.predicate_type or claim.problem}")
        if claim.signer:
            yield printable(f"    claims to be signed by {claim.signer}")
        yield f"    {referrer}"
    if not item.claims:
        yield "  none"


def as_json(item: Inspection, reference: str) -> dict[str, Any]:
    """Return manifest, files and claims for scripts."""
    return {
        "reference": reference,
        "manifest": json_form.descriptor(item.subject),
        "artifactType": item.manifest.artifact_type,
        "annotations": dict(item.manifest.annotations),
        "layers": [layer.to_json() for layer in item.manifest.layers],
        "unverifiedStatements": [
            {
                "referrer": str(referrer),
                "predicateType": claim.predicate_type,
                "signer": claim.signer,
                "subjects": list(claim.subjects),
                "problem": claim.problem,
            }
            for referrer, claim in item.claims
        ],
    }
