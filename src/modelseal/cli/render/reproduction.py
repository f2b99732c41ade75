# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What building a model again gave, as text or JSON."""

from collections.abc import Iterator
from typing import Any

from modelseal.documents import rfc3339
from modelseal.workflows.reproduce import Difference, Recipe, Reproduction


def as_text(item: Reproduction) -> Iterator[str]:
    """Write for people whether it is the same model, and else everything that differs."""
    if item.reproduced:
        yield f"reproduced: {item.published.digest}"
    else:
        count = len(item.differences)
        yield f"not reproduced: {count} difference{'' if count == 1 else 's'}"
        yield f"- {item.published.digest} (published)"
        yield f"+ {item.rebuilt.digest} (built here)"
    yield f"built: {_recipe(item.recipe)}"
    for difference in item.differences:
        yield from _difference(difference)


def as_json(item: Reproduction, reference: str) -> dict[str, Any]:
    """Return the same for scripts."""
    recipe = item.recipe
    return {
        "reference": reference,
        "reproduced": item.reproduced,
        "published": str(item.published.digest),
        "rebuilt": str(item.rebuilt.digest),
        "profile": str(item.profile),
        "provenance": {
            "verified": recipe.verified,
            "signer": recipe.signer or None,
            "builder": recipe.builder or None,
            "modelseal": recipe.modelseal or None,
            "profile": str(recipe.profile),
            "sourceDate": rfc3339(recipe.time) if recipe.time else None,
        },
        "differences": [
            {
                "part": one.part,
                "name": one.name,
                "published": one.published or None,
                "rebuilt": one.rebuilt or None,
                "likely": one.likely,
            }
            for one in item.differences
        ],
    }


def _recipe(recipe: Recipe) -> str:
    if not recipe.signer and not recipe.builder:
        return f"nothing says how; taken as {recipe.profile}"
    time = f"the time {rfc3339(recipe.time)}" if recipe.time else "no time"
    tool = f"modelseal {recipe.modelseal}" if recipe.modelseal else "an unnamed tool"
    told = "verified" if recipe.verified else "claimed, not verified"
    return (
        f"by {tool} as {recipe.profile}, with {time} in it, at {recipe.builder or 'no builder'}, "
        f"says {recipe.signer or 'nobody'} ({told})"
    )


def _difference(item: Difference) -> Iterator[str]:
    yield f"{item.part} {item.name}"
    if item.published:
        yield f"  - {item.published}"
    if item.rebuilt:
        yield f"  + {item.rebuilt}"
    yield f"  likely: {item.likely}"
