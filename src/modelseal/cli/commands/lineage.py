# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""lineage: what a model was made from."""

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from modelseal.cli.cache_options import CacheDir, NoCache, OfflineReading
from modelseal.cli.flags import with_flags
from modelseal.cli.options import (
    NO_FLAGS,
    DataPlace,
    Output,
    OutputFormat,
    PlatformOption,
    RegistryFlags,
)
from modelseal.cli.trust_options import NOBODY, VerifyingFlags


class LineageFormat(StrEnum):
    """How a lineage is written."""

    TEXT = "text"
    JSON = "json"
    OPENLINEAGE = "openlineage"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(lineage)


@with_flags
def lineage(
    target: Annotated[
        str,
        typer.Argument(
            metavar="DIR|REF",
            help="A model directory, or a reference as everywhere.",
            show_default=False,
        ),
    ],
    form: Annotated[
        LineageFormat | None,
        typer.Option(
            "--format",
            help="openlineage: RunEvents of OpenLineage, one JSON document a line.",
            show_default=False,
        ),
    ] = None,
    data: DataPlace = None,
    whom: VerifyingFlags = NOBODY,
    offline: OfflineReading = False,
    cache: CacheDir = None,
    no_cache: NoCache = False,
    platform: PlatformOption = "",
    registry: RegistryFlags = NO_FLAGS,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Show what a model was made from: data, base model, code. Also as OpenLineage events.

    Of DIR, with what its Croissant files say, and with the digests of the data compared if --data
    says where they lie. Of REF, what its provenance says: verified for whom you believe, else
    merely claimed, and called so.

    \b
    Example:
      modelseal lineage ./fraud --data ./data
      modelseal lineage ghcr.io/acme/fraud:1.4.0 --key modelseal.key.pub
      modelseal lineage ghcr.io/acme/fraud:1.4.0 --key modelseal.key.pub --format openlineage
    """
    from modelseal.attest.predicates.types import PROVENANCE, SIGNATURE
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.cache_options import chosen_cache
    from modelseal.cli.render import lineage as render
    from modelseal.cli.settings import settings
    from modelseal.errors import UsageError
    from modelseal.oci.reference import parse_reference
    from modelseal.workflows import lineage as workflow
    from modelseal.workflows.explain_build import explain_build
    from modelseal.workflows.remembering import known_digests
    from modelseal.workflows.services import system_clock
    from modelseal.workflows.wiring import name_of, open_reading_store, trust_for

    asked = form or LineageFormat(output.value)
    answering(asked is not LineageFormat.TEXT)
    directory = Path(target)
    if os.path.isdir(target):  # noqa: PTH112 - it raises for no text
        places = workflow.data_places(directory, data or ())
        known = None if no_cache else known_digests(os.environ)
        built = explain_build(directory, environment=os.environ, data=places, digests=known)
        found = workflow.lineage_of_build(built)
    else:
        if data:
            raise UsageError("--data is for a model directory", hint="name the directory, not REF")
        chosen = settings(
            trust=whom,
            offline=offline,
            cache=chosen_cache(cache, none=no_cache),
            registry=registry,
        )
        reference = parse_reference(target)
        found = workflow.lineage_of(
            name_of(reference),
            trust_for(chosen, SIGNATURE if whom.policy is not None else PROVENANCE),
            store=open_reading_store(reference.location, chosen),
            clock=system_clock,
            platform=platform,
        )
    if asked is LineageFormat.OPENLINEAGE:
        answer_text(render.as_openlineage(found))
    elif asked is LineageFormat.JSON:
        answer_json(render.as_json(found, target))
    else:
        answer_text(render.as_text(found, target))
