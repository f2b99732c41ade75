# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""diff: in what two models differ."""

from typing import Annotated

import typer

from modelseal.cli.options import (
    NO_FLAGS,
    Output,
    OutputFormat,
    PlatformOption,
    RegistryFlags,
    with_registry,
)

_HELP = "A reference as everywhere."


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(diff)


@with_registry
def diff(
    left: Annotated[str, typer.Argument(metavar="A", help=_HELP, show_default=False)],
    right: Annotated[str, typer.Argument(metavar="B", help=_HELP, show_default=False)],
    platform: PlatformOption = "",
    registry: RegistryFlags = NO_FLAGS,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Show in what two models differ. Files, config, claimed statements; no weights are fetched.

    Exit 0 when they are equal, 1 when they differ, as diff does. Nothing is verified here.

    \b
    Example:
      modelseal diff ghcr.io/acme/fraud:1.4.0 ghcr.io/acme/fraud:1.5.0
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.exit_codes import ExitCode
    from modelseal.cli.render import comparison
    from modelseal.cli.settings import settings
    from modelseal.oci.reference import parse_reference
    from modelseal.workflows.diff import Side
    from modelseal.workflows.diff import diff as compare
    from modelseal.workflows.wiring import name_of, open_store

    json_wanted = answering(output)
    chosen = settings(registry=registry)
    sides = [
        Side(store=open_store(target.location, chosen), name=name_of(target), platform=platform)
        for target in map(parse_reference, (left, right))
    ]
    found = compare(*sides)
    if json_wanted:
        answer_json(comparison.as_json(found, left, right))
    else:
        answer_text(comparison.as_text(found))
    if not found.equal:
        raise typer.Exit(ExitCode.FAILED)
