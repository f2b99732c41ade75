# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""inspect and list: look, without believing."""

import typer

from modelseal.cli.flags import with_flags
from modelseal.cli.options import (
    NO_FLAGS,
    Output,
    OutputFormat,
    PlatformOption,
    ReferenceArgument,
    RegistryFlags,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(inspect)
    app.command(name="list")(list_tags)


@with_flags
def inspect(
    reference: ReferenceArgument,
    platform: PlatformOption = "",
    registry: RegistryFlags = NO_FLAGS,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Show the files and the claimed statements of a model. Nothing is verified here.

    \b
    Example:
      modelseal inspect ghcr.io/acme/fraud:1.4.0
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.render import inspection
    from modelseal.cli.settings import settings
    from modelseal.oci.reference import parse_reference
    from modelseal.workflows.inspect import inspect as look
    from modelseal.workflows.wiring import name_of, open_store

    json_wanted = answering(output)
    target = parse_reference(reference)
    store = open_store(target.location, settings(registry=registry))
    found = look(name_of(target), store, platform)
    if json_wanted:
        answer_json(inspection.as_json(found, reference))
    else:
        answer_text(inspection.as_text(found, reference))


@with_flags
def list_tags(
    reference: ReferenceArgument,
    registry: RegistryFlags = NO_FLAGS,
    output: Output = OutputFormat.TEXT,
) -> None:
    """List the tags of a repository or of an OCI layout. REF has no tag here.

    \b
    Example:
      modelseal list ghcr.io/acme/fraud
      modelseal list oci:./store
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.settings import settings
    from modelseal.oci.reference import parse_location
    from modelseal.workflows.wiring import open_store

    json_wanted = answering(output)
    location = parse_location(reference)
    store = open_store(location, settings(registry=registry))
    tags = list(store.tags())
    if json_wanted:
        answer_json({"location": str(location), "tags": tags})
    else:
        answer_text(tags)
