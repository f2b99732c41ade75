# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""verify: who vouches for a model."""

from typing import TYPE_CHECKING, Annotated

import typer

from modelseal.cli.cache_options import CacheDir, NoCache, OfflineReading
from modelseal.cli.flags import with_flags
from modelseal.cli.oms_options import (
    AllowSymlinks,
    IgnorePath,
    IgnoreUnsigned,
    OmsFile,
    SignatureFile,
    VerifyOms,
)
from modelseal.cli.options import NO_FLAGS, Output, OutputFormat, ReferenceArgument, RegistryFlags
from modelseal.cli.trust_options import (
    NOBODY,
    VerifyingFlags,
)

if TYPE_CHECKING:
    from modelseal.oci.store import ReadableStore


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)


@with_flags
def verify(
    reference: ReferenceArgument,
    whom: VerifyingFlags = NOBODY,
    offline: OfflineReading = False,
    cache: CacheDir = None,
    no_cache: NoCache = False,
    predicate_type: Annotated[
        str,
        typer.Option(
            "--type",
            metavar="URI",
            help="Ask for a statement of exactly this predicate type instead of a signature.",
            show_default=False,
        ),
    ] = "signature",
    platform: Annotated[
        str,
        typer.Option(
            "--platform",
            metavar="OS/ARCH",
            help="Verify this model of an index; without it the index as a whole.",
            show_default=False,
        ),
    ] = "",
    oms: VerifyOms = False,
    signature: SignatureFile = None,
    ignore_unsigned_files: IgnoreUnsigned = False,
    ignore_path: IgnorePath = None,
    allow_symlinks: AllowSymlinks = False,
    oms_file: OmsFile = None,
    registry: RegistryFlags = NO_FLAGS,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Verify that REF is signed by whom it has to be.

    Say whom you believe: an identity and its issuer, a public key, or a policy. Exit 0 when it
    holds, 10 when the policy denies, 11 when it is not verified, 20 when it cannot be told.

    \b
    Example:
      modelseal verify ghcr.io/acme/fraud:1.4.0 \\
        --certificate-identity trainer@acme.example \\
        --certificate-oidc-issuer https://accounts.google.com
      modelseal verify oci:./store:1.4.0 --key modelseal.key.pub
      modelseal verify ghcr.io/acme/fraud:1.4.0 --policy production.yaml
      modelseal verify ghcr.io/acme/fraud:1.4.0 --oms --key modelseal.key.pub
      modelseal verify ./fraud --oms --signature fraud.sig --key modelseal.key.pub
    """
    from dataclasses import replace

    from modelseal.attest.predicates.types import SIGNATURE, parse_predicate_type
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.cache_options import chosen_cache
    from modelseal.cli.commands.oms import verify_oms
    from modelseal.cli.render import as_json, text
    from modelseal.cli.settings import settings
    from modelseal.errors import UsageError
    from modelseal.oci.reference import Repository, parse_reference
    from modelseal.workflows import verify as workflow
    from modelseal.workflows.services import system_clock
    from modelseal.workflows.wiring import name_of, open_reading_store, trust_for

    json_wanted = answering(output)
    kind = parse_predicate_type(predicate_type)
    chosen = settings(
        trust=whom,
        offline=offline,
        cache=chosen_cache(cache, none=no_cache),
        registry=registry,
    )
    of_oms = (signature, ignore_path, oms_file)
    if oms:
        if kind != SIGNATURE:
            raise UsageError("--oms and --type exclude each other")
        verify_oms(
            reference,
            chosen,
            signature=signature,
            platform=platform,
            ignore_unsigned_files=ignore_unsigned_files,
            ignore_path=ignore_path or (),
            allow_symlinks=allow_symlinks,
            oms_file=oms_file,
            json_wanted=json_wanted,
        )
        return
    if any(of_oms) or ignore_unsigned_files or allow_symlinks:
        raise UsageError("options of OMS signatures need --oms", hint="say --oms, too")
    target = parse_reference(reference)
    trust = trust_for(chosen, kind)
    if trust is None:
        raise UsageError(
            "nobody is named who has to have signed",
            hint="give --certificate-identity and --certificate-oidc-issuer, --key, or --policy",
        )
    stores = [open_reading_store(target.location, chosen)]
    if offline and isinstance(target.location, Repository):
        # Of the network, --offline allows the registry: it knows what the cache does not.
        stores.append(open_reading_store(target.location, replace(chosen, offline=False)))
    name = name_of(target)

    def verify_in(store: "ReadableStore") -> workflow.Verification:
        if platform:
            return workflow.verify_model(
                name, trust, store=store, clock=system_clock, platform=platform
            )[1]
        return workflow.verify(name, trust, store=store, clock=system_clock)

    done = workflow.verify_in_turn(stores, verify_in)
    if json_wanted:
        answer_json(as_json.verification(done, reference))
    else:
        answer_text(text.verification(done, reference))
