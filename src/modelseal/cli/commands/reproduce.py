# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""build --reproduce: build a published model again, and say in what it differs."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from modelseal.modelpack.build import Profile
    from modelseal.workflows.wiring import Settings

_ONLY_WITH_IT = (
    "key",
    "certificate_identity",
    "certificate_oidc_issuer",
    "ca_roots",
    "ca_intermediates",
    "policy",
)


def refuse_trust_alone(context: typer.Context) -> None:
    """Refuse options that say whom to believe where nothing is to be believed.

    Raises:
        UsageError: one stands on the command line.
    """
    from modelseal.errors import UsageError

    for name in _ONLY_WITH_IT:
        source = context.get_parameter_source(name)
        if source is not None and source.name == "COMMANDLINE":
            raise UsageError(
                f"--{name.replace('_', '-')} needs --reproduce",
                hint="it says who is believed about how REF was built; a build is not signed: "
                "modelseal sign, modelseal publish",
            )


def reproduce(
    directory: Path,
    reference: str,
    settings: "Settings",
    profile: "Profile | None",
    *,
    remember: bool,
    quiet: bool,
) -> None:
    """Compare what `directory` gives with `reference`; exit 1 when they differ."""
    from modelseal.attest.predicates.types import PROVENANCE, SIGNATURE
    from modelseal.cli.answer import answer_json, answer_text
    from modelseal.cli.exit_codes import ExitCode
    from modelseal.cli.progress import progress
    from modelseal.cli.render import as_json, reproduction
    from modelseal.oci.reference import parse_reference
    from modelseal.workflows import reproduce as workflow
    from modelseal.workflows.remembering import known_digests
    from modelseal.workflows.services import system_clock
    from modelseal.workflows.wiring import name_of, open_store, trust_for

    target = parse_reference(reference)
    # A policy says itself what it asks for.
    trust = trust_for(settings, SIGNATURE if settings.policy is not None else PROVENANCE)
    with progress(quiet=quiet) as on_event:
        found = workflow.reproduce(
            directory,
            name_of(target),
            open_store(target.location, settings),
            trust=trust,
            environment=os.environ,
            on_event=on_event,
            clock=system_clock,
            profile=profile,
            digests=known_digests(os.environ) if remember else None,
        )
    if as_json.wanted():
        answer_json(reproduction.as_json(found, reference))
    else:
        answer_text(reproduction.as_text(found))
    if not found.reproduced:
        raise typer.Exit(ExitCode.FAILED)
