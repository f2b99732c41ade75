# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Answers on stdout: text for people, or one JSON document for scripts."""

import json
from collections.abc import Iterable
from typing import Any

import typer

from modelseal.cli.options import OutputFormat
from modelseal.cli.render.text import printable


def answering(output: OutputFormat | bool) -> bool:
    """Tell whether to answer in JSON, and remember it for errors."""
    json_wanted = output is True or output is OutputFormat.JSON
    if json_wanted:
        from modelseal.cli.render import as_json

        as_json.ask()
    return json_wanted


def answer_json(value: dict[str, Any]) -> None:
    """Write one JSON document."""
    typer.echo(json.dumps(value, indent=2))  # ASCII: JSON itself leaves U+009B in a name as it is


def answer_text(lines: Iterable[str]) -> None:
    """Write lines for people; each stays one, whatever a stranger or a path put into it."""
    for line in lines:
        typer.echo(printable(line))
