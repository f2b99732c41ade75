# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""referrers: what speaks about a manifest, and the list of it."""

from typing import Annotated

import typer

from modelseal.cli.flags import with_flags
from modelseal.cli.options import NO_FLAGS, Output, OutputFormat, ReferenceArgument, RegistryFlags

app = typer.Typer(
    help="The list of what speaks about a manifest.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def _referrers() -> None:
    """The list of what speaks about a manifest."""


@app.command()
@with_flags
def repair(
    reference: ReferenceArgument,
    digest: Annotated[
        list[str] | None,
        typer.Option(
            "--digest",
            metavar="DIGEST",
            help="A referrer that the list lacks; repeatable.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what is wrong, and write nothing.")
    ] = False,
    registry: RegistryFlags = NO_FLAGS,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Mend the list of referrers of REF where the registry does not keep it itself.

    Entries get the artifactType and annotations of their manifests; what is gone, stands there
    twice or speaks about something else goes; what a tag or --digest names and the list lacks is
    added. No registry lists manifests without a tag: name those with --digest.

    \b
    Example:
      modelseal referrers repair ghcr.io/acme/fraud:1.4.0 --dry-run
      modelseal referrers repair ghcr.io/acme/fraud:1.4.0 --digest sha256:…
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.render import repairing
    from modelseal.cli.settings import settings
    from modelseal.oci.descriptor import Digest
    from modelseal.oci.reference import parse_reference
    from modelseal.workflows import referrers as workflow
    from modelseal.workflows.wiring import name_of, open_store

    json_wanted = answering(output)
    target = parse_reference(reference)
    digests = [Digest.parse(text) for text in digest or ()]
    store = open_store(target.location, settings(registry=registry))
    done = workflow.repair(name_of(target), store, digests, dry_run=dry_run)
    if json_wanted:
        answer_json(repairing.as_json(done, reference))
    else:
        answer_text(repairing.as_text(done, reference))
