# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A copy as text or JSON."""

from collections.abc import Iterator
from typing import Any

from modelseal.cli.render import as_json as json_form
from modelseal.cli.render.text import printable, size
from modelseal.workflows.copy import Arrival, Copied


def as_text(item: Copied) -> Iterator[str]:
    """Write what arrived where."""
    for arrival in item.arrivals:
        outcome = arrival.outcome
        if outcome.error is not None:
            yield f"failed: {printable(str(arrival.reference))}: {printable(str(outcome.error))}"
            continue
        parts = [f"sent {outcome.sent} blobs ({size(outcome.sent_bytes)})"]
        parts += [f"mounted {outcome.mounted}"] if outcome.mounted else []
        parts += [f"there already {outcome.present}"] if outcome.present else []
        yield f"copied: {printable(str(arrival.reference))}: {', '.join(parts)}"
    yield f"digest: {item.subject.digest}"
    if item.referrers:
        yield f"referrers: {len(item.referrers)}"


def notes(item: Copied) -> Iterator[str]:
    """Write what did not go along, for stderr."""
    if item.left_out:
        yield (
            f"{item.left_out} referrers (signatures, attestations) stay behind: "
            "copy with --recursive to take them along"
        )
    if item.left_out is None:
        yield "whether signatures stay behind cannot be told; copy with --recursive to take them"
    for arrival in item.arrivals:
        error = arrival.outcome.error
        if error is not None and error.hint:
            yield printable(f"hint for {arrival.reference}: {error.hint}")
    for unreadable in item.unreadable:
        yield printable(f"left out: {unreadable.referrer}: {unreadable.problem}")


def as_json(item: Copied, reference: str) -> dict[str, Any]:
    """Return what arrived where."""
    return {
        "reference": reference,
        "manifest": json_form.descriptor(item.subject),
        "referrers": [str(referrer.digest) for referrer in item.referrers],
        "unreadable": [
            {"referrer": str(one.referrer), "problem": one.problem} for one in item.unreadable
        ],
        "leftBehind": item.left_out,
        "destinations": [_arrival(arrival) for arrival in item.arrivals],
    }


def _arrival(item: Arrival) -> dict[str, Any]:
    outcome = item.outcome
    return {
        "reference": str(item.reference),
        "sent": outcome.sent,
        "sentBytes": outcome.sent_bytes,
        "mounted": outcome.mounted,
        "present": outcome.present,
        "error": None if outcome.error is None else json_form.error(outcome.error)["error"],
    }
