# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""pull: a model onto this disk, verified first."""

from pathlib import Path
from typing import Annotated

import typer

from modelseal.cli.cache_options import (
    DEFAULT_LIMIT,
    CacheDir,
    CacheLimit,
    NoCache,
    OfflineReading,
)
from modelseal.cli.flags import with_flags
from modelseal.cli.options import (
    NO_FLAGS,
    Json,
    PlatformOption,
    Quiet,
    ReferenceArgument,
    RegistryFlags,
)
from modelseal.cli.trust_options import (
    NOBODY,
    VerifyingFlags,
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(pull)


@with_flags
def pull(
    reference: ReferenceArgument,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="The directory to write; it has to be new or empty.",
            show_default=False,
        ),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(
            "--include",
            metavar="GLOB",
            help="Only files like this, for example '*.safetensors' or 'onnx/**'; repeatable.",
            show_default=False,
        ),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(
            "--exclude",
            metavar="GLOB",
            help="No files like this, also if --include means them; repeatable.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Verify, say what would be fetched, and write nothing."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files of the same name in DIR.")
    ] = False,
    connections: Annotated[
        int,
        typer.Option(
            "--connections",
            metavar="N",
            min=1,
            max=64,
            help="Connections for large files, at most; a slow one gets help of others.",
            envvar="MODELSEAL_CONNECTIONS",
        ),
    ] = 8,
    platform: PlatformOption = "",
    whom: VerifyingFlags = NOBODY,
    offline: OfflineReading = False,
    cache: CacheDir = None,
    cache_limit: CacheLimit = DEFAULT_LIMIT,
    no_cache: NoCache = False,
    registry: RegistryFlags = NO_FLAGS,
    quiet: Quiet = False,
    json_output: Json = False,
) -> None:
    """Write the files of the model REF to a directory.

    Told who may sign, it verifies first and fetches nothing else when that fails. Every file is
    compared with its digest before it gets its name. A run that was killed is gone on with, and
    what was fetched before comes from the cache.

    \b
    Example:
      modelseal pull ghcr.io/acme/fraud:1.4.0 --output ./fraud --policy production.yaml
      modelseal pull oci:./store:1.4.0 --output ./fraud --key modelseal.key.pub
      modelseal pull ghcr.io/acme/fraud:1.4.0 --output ./fraud --include '*.safetensors'
      modelseal pull ghcr.io/acme/fraud:1.4.0 --dry-run
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.cache_options import chosen_cache
    from modelseal.cli.progress import progress
    from modelseal.cli.render import text
    from modelseal.cli.settings import settings
    from modelseal.errors import UsageError
    from modelseal.modelpack.selection import Selection
    from modelseal.oci.reference import parse_reference
    from modelseal.workflows import pull as workflow
    from modelseal.workflows.services import Services
    from modelseal.workflows.wiring import name_of, open_reading_store, trust_for

    json_wanted = answering(json_output)
    if output is None and not dry_run:
        raise UsageError("no directory is named", hint="give --output DIR, or --dry-run")
    chosen = settings(
        trust=whom,
        offline=offline,
        cache=chosen_cache(cache, cache_limit, none=no_cache),
        registry=registry,
    )
    target = parse_reference(reference)
    trust = trust_for(chosen)
    selection = Selection(tuple(include or ()), tuple(exclude or ()))
    with progress(quiet=quiet) as on_event:
        services = Services(
            store=open_reading_store(target.location, chosen),
            on_event=on_event,
            cache=chosen.cache,
            connections=connections,
        )
        name = name_of(target)
        if output is None or dry_run:
            plan = workflow.plan_pull(
                name, trust=trust, services=services, platform=platform, selection=selection
            )
        else:
            done = workflow.pull(
                name,
                output,
                trust=trust,
                services=services,
                overwrite=overwrite,
                platform=platform,
                selection=selection,
            )
    if output is None or dry_run:
        from modelseal.cli.render import planning

        if json_wanted:
            answer_json(planning.plan_as_json(plan, reference))
        else:
            answer_text(planning.plan_as_text(plan, reference))
    elif json_wanted:
        from modelseal.cli.render import as_json

        answer_json(as_json.pulled(done, reference))
    else:
        answer_text(text.pulled(done, reference))
