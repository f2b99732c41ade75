# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What was wrong with a list of referrers, as text and as JSON."""

from collections.abc import Iterator
from typing import Any

from modelseal.cli.render.text import printable
from modelseal.oci.repair import Repair


def as_json(item: Repair, reference: str) -> dict[str, Any]:
    """Return what was found and done."""
    return {
        "reference": reference,
        "subject": str(item.subject),
        "referrersAPI": item.has_api,
        "tag": item.tag,
        "entries": item.entries,
        "changes": [
            {"action": str(change.action), "referrer": change.referrer, "problem": change.problem}
            for change in item.changes
        ],
        "scannedTags": item.scanned,
        "unscannedTags": item.unscanned,
        "written": item.written,
    }


def as_text(item: Repair, reference: str) -> Iterator[str]:
    """Write what was found and done."""
    yield f"{'repaired' if item.written else 'looked at'}: {printable(reference)}"
    yield f"digest: {item.subject}"
    where = "kept by the registry" if item.has_api else f"under the tag {item.tag}"
    yield f"list: {item.entries} entries, {where}"
    for change in item.changes:
        yield printable(f"  {change.action}: {change.referrer or 'an entry'}: {change.problem}")
    if not item.changes:
        yield "  nothing is wrong with it"
    elif not item.written:
        yield "nothing was written"
    if item.unscanned:
        yield f"tags not looked at: {item.unscanned} of {item.scanned + item.unscanned}"
    yield "manifests without a tag that no list names are not found: name them with --digest"
