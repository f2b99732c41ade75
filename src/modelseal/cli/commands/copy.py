# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""copy and tag: what is in a store, elsewhere or under another name."""

from typing import Annotated

import typer

from modelseal.cli.flags import with_flags
from modelseal.cli.options import (
    NO_FLAGS,
    IgnoreLimits,
    Output,
    OutputFormat,
    Quiet,
    ReferenceArgument,
    RegistryFlags,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(copy)
    app.command()(tag)


@with_flags
def copy(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SRC", help="What to copy: a reference as everywhere.", show_default=False
        ),
    ],
    destination: Annotated[
        str,
        typer.Argument(
            metavar="DST",
            help="Where to: registry/repository:tag or oci:PATH[:tag].",
            show_default=False,
        ),
    ],
    more: Annotated[
        list[str] | None,
        typer.Option("--to", metavar="DST", help="One more destination; repeatable."),
    ] = None,
    recursive: Annotated[
        bool,
        typer.Option(
            "--recursive",
            "-r",
            help="With all that speaks about it: signatures, attestations, and so on.",
        ),
    ] = False,
    platform: Annotated[
        str,
        typer.Option(
            "--platform",
            metavar="OS/ARCH[/VARIANT]",
            help="Of an index by platform only this one; else all.",
            show_default=False,
        ),
    ] = "",
    ignore_limits: IgnoreLimits = False,
    registry: RegistryFlags = NO_FLAGS,
    quiet: Quiet = False,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Copy a model between registries and OCI layouts. Every byte stays as it is.

    Digests stay the same, so signatures stay good: take them along with --recursive. Several
    destinations are served by one read. Within one registry no layer moves. Copying again sends
    only what is not there.

    \b
    Example:
      modelseal copy -r ghcr.io/acme/fraud:1.4.0 registry.acme.example/models/fraud:1.4.0
      modelseal copy -r ghcr.io/acme/fraud:1.4.0 oci:./carrier:1.4.0
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.exit_codes import exit_code_for
    from modelseal.cli.progress import progress
    from modelseal.cli.render import as_json, copying
    from modelseal.cli.settings import settings
    from modelseal.oci.reference import parse_reference
    from modelseal.workflows import copy as workflow
    from modelseal.workflows.wiring import name_of, open_store

    json_wanted = answering(output)
    chosen = settings(registry=registry, ignore_limits=ignore_limits)
    origin = parse_reference(source)
    references = [parse_reference(text) for text in (destination, *(more or ()))]
    failed: workflow.IncompleteCopyError | None = None
    with progress(quiet=quiet) as on_event:
        try:
            done = workflow.copy(
                name_of(origin),
                open_store(origin.location, chosen),
                origin.location,
                [
                    workflow.Target(reference=one, store=open_store(one.location, chosen))
                    for one in references
                ],
                recursive=recursive,
                platform=platform,
                on_event=on_event,
            )
        except workflow.IncompleteCopyError as error:
            failed, done = error, error.copied
    if json_wanted:
        problem = as_json.error(failed) if failed else {}
        answer_json({**copying.as_json(done, source), **problem})
    else:
        answer_text(copying.as_text(done))
    for note in copying.notes(done):
        typer.echo(note, err=True)
    if failed:
        typer.echo(f"hint: {failed.hint}", err=True)
        raise typer.Exit(exit_code_for(failed.first))


@with_flags
def tag(
    reference: ReferenceArgument,
    name: Annotated[str, typer.Argument(metavar="TAG", help="The other name.", show_default=False)],
    registry: RegistryFlags = NO_FLAGS,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Point TAG at what REF points at, in the same repository. No layer moves.

    \b
    Example:
      modelseal tag ghcr.io/acme/fraud:1.4.0 stable
    """
    from modelseal.cli.answer import answer_json, answering
    from modelseal.cli.settings import settings
    from modelseal.oci.reference import parse_reference
    from modelseal.workflows.copy import retag
    from modelseal.workflows.wiring import name_of, open_store

    json_wanted = answering(output)
    target = parse_reference(reference)
    store = open_store(target.location, settings(registry=registry))
    subject = retag(store, name_of(target), name)
    if json_wanted:
        answer_json({"reference": f"{target.location}:{name}", "digest": str(subject.digest)})
    else:
        typer.echo(str(subject.digest))
