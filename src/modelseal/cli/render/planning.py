# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a pull would do, for people and for programs."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from modelseal.cli.render import as_json
from modelseal.cli.render.text import printable, size

if TYPE_CHECKING:
    from modelseal.workflows.pull import PlannedLayer, PullPlan


def plan_as_json(plan: "PullPlan", reference: str) -> dict[str, Any]:
    """Return what would be done."""
    checked = plan.verification
    return {
        "reference": reference,
        "manifest": as_json.descriptor(plan.subject),
        "index": as_json.descriptor(plan.index) if plan.index else None,
        "layers": [
            {
                "path": None if planned.layer.path is None else str(planned.layer.path),
                "digest": str(planned.layer.descriptor.digest),
                "size": planned.layer.descriptor.size,
                "missing": planned.layer.descriptor.size - planned.here,
                "from": _source(planned),
            }
            for planned in plan.layers
        ],
        "size": plan.size,
        "missing": plan.missing,
        "verification": as_json.verification(checked, reference) if checked else None,
    }


def plan_as_text(plan: "PullPlan", reference: str) -> Iterator[str]:
    """Write what would be done."""
    yield f"would pull: {printable(reference)}"
    yield f"digest: {plan.subject.digest}"
    for planned in plan.layers:
        layer = planned.layer
        name = printable(str(layer.path or f"archive {layer.descriptor.digest}"))
        yield f"  {name} ({size(layer.descriptor.size)}): {_source(planned)}"
    yield f"to fetch: {size(plan.missing)} of {size(plan.size)}"
    if plan.verification is None:
        yield "signers: not checked (name them with --certificate-identity, --key or --policy)"
    else:
        names = sorted({str(found.signer) for found in plan.verification.statements})
        yield f"signers: {printable(', '.join(names))}"


def _source(planned: "PlannedLayer") -> str:
    if planned.here == planned.layer.descriptor.size:
        return "here"
    return "begun" if planned.here else "store"
