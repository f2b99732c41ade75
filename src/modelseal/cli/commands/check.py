# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""check: whether the parts of a model fit each other."""

from pathlib import Path
from typing import Annotated

import typer

from modelseal.cli.options import DirectoryArgument, Output, OutputFormat


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(check)


def check(
    directory: DirectoryArgument,
    environment: Annotated[
        Path | None,
        typer.Option(
            "--environment",
            metavar="VENV",
            help="A virtual environment that has to be what the lock says. Nothing of it is run.",
            show_default=False,
        ),
    ] = None,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Check whether DIR fits together: lock, packages, weights.

    Looks whether every package is pinned and hashed, and installed as locked; whether images are
    named by digest; whether config.json, shards, precision, signature, opset and tokenizer fit
    the weights; whether the lock fits Python, runtimes and platforms. Headers are read, nothing
    is loaded, nobody is asked. Exit 1 when something contradicts itself.

    \b
    Example:
      modelseal check ./fraud
      modelseal check ./fraud --environment .venv
      modelseal check ./fraud --output json
    """
    import os

    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.exit_codes import ExitCode
    from modelseal.cli.render import checking
    from modelseal.workflows.check import check as workflow

    json_wanted = answering(output)
    found = workflow(directory, environment=os.environ, venv=environment)
    if json_wanted:
        answer_json(checking.as_json(found))
    else:
        answer_text(checking.as_text(found))
    if not found.holds:
        raise typer.Exit(ExitCode.FAILED)
