# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A comparison of two models as text or JSON."""

from collections.abc import Iterator
from typing import Any

from modelseal.cli.render import as_json as json_form
from modelseal.cli.render.text import printable
from modelseal.evidence.environment.compare import Difference
from modelseal.evidence.versions import Advice, Step
from modelseal.workflows.diff import Change, Comparison

_ASKED = {
    Step.NONE: "no step",
    Step.PATCH: "a patch step",
    Step.MINOR: "a minor step",
    Step.MAJOR: "a major step",
}


def as_text(item: Comparison) -> Iterator[str]:
    """Write what differs for people."""
    yield f"- {item.left.digest}"
    yield f"+ {item.right.digest}"
    if item.equal:
        yield "equal"
    yield from _section("files", item.files)
    yield from _section("config", item.config)
    yield from _section("statements (claimed, not verified)", item.statements)
    yield from _environment(item)
    if item.left.digest != item.right.digest:
        yield from _advice(item.advice)


def as_json(item: Comparison, left: str, right: str) -> dict[str, Any]:
    """Return what differs for scripts."""
    return {
        "equal": item.equal,
        "left": {"reference": left, "manifest": json_form.descriptor(item.left)},
        "right": {"reference": right, "manifest": json_form.descriptor(item.right)},
        "changedFiles": [_change(change) for change in item.files],
        "changedConfig": [_change(change) for change in item.config],
        "changedUnverifiedStatements": [_change(change) for change in item.statements],
        "changedUnverifiedEnvironment": [_change(change) for change in item.environment],
        "version": {
            "left": item.advice.left or None,
            "right": item.advice.right or None,
            "advised": item.advice.step.word,
            "taken": item.advice.taken or None,
            "fits": item.advice.fits,
            "note": item.advice.note,
            "reasons": [
                {"step": reason.step.word, "reason": reason.text} for reason in item.advice.reasons
            ],
            "notCompared": list(item.advice.gaps),
        },
    }


def _advice(item: Advice) -> Iterator[str]:
    verdict = {True: "fits", False: "does not fit", None: "cannot be told"}[item.fits]
    yield printable(f"version: {item.left or 'none'} → {item.right or 'none'}")
    yield printable(f"  asked for: {_ASKED[item.step]}")
    yield printable(f"  taken: {item.taken or 'unknown'}, which {verdict}: {item.note}")
    for reason in item.reasons:
        yield printable(f"    {reason.step.word}: {reason.text}")
    for gap in item.gaps:
        yield printable(f"    not compared: {gap}")


def _environment(item: Comparison) -> Iterator[str]:
    if item.environment:
        yield "environment of the build (claimed, not verified):"
    for change in item.environment:
        yield printable(f"  {change}")


def _section(title: str, changes: tuple[Change, ...]) -> Iterator[str]:
    if changes:
        yield f"{title}:"
    for change in changes:
        yield printable(f"  {change.name}")
        if change.left:
            yield printable(f"    - {change.left}")
        if change.right:
            yield printable(f"    + {change.right}")


def _change(change: Change | Difference) -> dict[str, str | None]:
    return {"name": change.name, "left": change.left or None, "right": change.right or None}
