# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""diff: in what two models differ."""

import os
from pathlib import Path
from typing import Annotated

import typer

from modelseal.cli.flags import with_flags
from modelseal.cli.options import NO_FLAGS, Output, OutputFormat, PlatformOption, RegistryFlags

_HELP = "A reference as everywhere, or a model directory."


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(diff)


@with_flags
def diff(
    left: Annotated[str, typer.Argument(metavar="A", help=_HELP, show_default=False)],
    right: Annotated[str, typer.Argument(metavar="B", help=_HELP, show_default=False)],
    platform: PlatformOption = "",
    registry: RegistryFlags = NO_FLAGS,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Show in what two models differ. Files, config, claimed statements; no weights are fetched.

    Says which step of the version from A to B that asks for: major when the interface, the
    architecture or the labels change, minor when it was trained anew, patch when it is only
    described or packaged otherwise; and whether the two versions take it. A directory is compared
    as it would be published. Exit 0 when they are equal, 1 when they differ, as diff does. Nothing
    is verified here.

    \b
    Example:
      modelseal diff ghcr.io/acme/fraud:1.4.0 ghcr.io/acme/fraud:1.5.0
      modelseal diff ghcr.io/acme/fraud:1.4.0 ./fraud
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.exit_codes import ExitCode
    from modelseal.cli.render import comparison
    from modelseal.cli.settings import settings
    from modelseal.oci.reference import parse_reference
    from modelseal.workflows.diff import Side
    from modelseal.workflows.diff import diff as compare
    from modelseal.workflows.local import is_model_directory, side_of_directory
    from modelseal.workflows.wiring import name_of, open_store

    json_wanted = answering(output)
    chosen = settings(registry=registry)

    def side(named: str) -> Side:
        if is_model_directory(named):
            return side_of_directory(Path(named), os.environ)
        target = parse_reference(named)
        return Side(
            store=open_store(target.location, chosen), name=name_of(target), platform=platform
        )

    found = compare(side(left), side(right))
    if json_wanted:
        answer_json(comparison.as_json(found, left, right))
    else:
        answer_text(comparison.as_text(found))
    if not found.equal:
        raise typer.Exit(ExitCode.FAILED)
