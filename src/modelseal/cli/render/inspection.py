# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""An inspection as text or JSON; it says of everything that nothing was verified."""

from collections.abc import Iterator
from typing import Any

from modelseal.cli.render import as_json as json_form
from modelseal.cli.render.text import printable, size
from modelseal.modelpack.readers.families import family_of
from modelseal.workflows.inspect import Inspection


def as_text(item: Inspection, reference: str) -> Iterator[str]:
    """Write manifest, files and claims for people."""
    manifest = item.manifest
    yield f"reference: {printable(reference)}"
    yield f"digest: {item.subject.digest}"
    if item.index is not None:
        yield f"index: {item.index.digest}"
    yield f"artifact type: {printable(manifest.artifact_type)}"
    yield f"packed as: {family_of(manifest)}"
    for key, value in sorted(manifest.annotations.items()):
        yield printable(f"{key}: {value}")
    yield "files:"
    for layer in manifest.layers:
        yield printable(f"  {layer.name}  {size(layer.size)}  {layer.media_type}")
        yield f"    {layer.digest}"
    yield "statements (claimed, not verified):"
    for claim in item.claims:
        said = claim.statement
        about = " (about the index)" if claim.about != item.subject.digest else ""
        yield printable(f"  {said.predicate_type or said.problem}{about}")
        if said.signer:
            yield printable(f"    claims to be signed by {said.signer}")
        yield f"    {claim.referrer}"
    if not item.claims:
        yield "  none"


def as_json(item: Inspection, reference: str) -> dict[str, Any]:
    """Return manifest, files and claims for scripts."""
    return {
        "reference": reference,
        "manifest": json_form.descriptor(item.subject),
        "index": json_form.descriptor(item.index) if item.index else None,
        "family": str(family_of(item.manifest)),
        "artifactType": item.manifest.artifact_type,
        "annotations": dict(item.manifest.annotations),
        "layers": [layer.to_json() for layer in item.manifest.layers],
        "unverifiedStatements": [
            {
                "about": str(claim.about),
                "referrer": str(claim.referrer),
                "predicateType": claim.statement.predicate_type,
                "signer": claim.statement.signer,
                "subjects": list(claim.statement.subjects),
                "problem": claim.statement.problem,
            }
            for claim in item.claims
        ],
    }
