# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""sign and attest: statements about what a store holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelseal.cli.flags import with_flags
from modelseal.cli.oms_options import OmsFile, SignOms
from modelseal.cli.options import (
    NO_FLAGS,
    Output,
    OutputFormat,
    Quiet,
    ReferenceArgument,
    RegistryFlags,
)
from modelseal.cli.signing_options import (
    KEYLESS,
    ByDigest,
    SigningFlags,
)

if TYPE_CHECKING:
    from modelseal.workflows.attest import Claim
    from modelseal.workflows.wiring import Settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(sign)
    app.command()(attest)


@with_flags
def sign(
    reference: ReferenceArgument,
    signing: SigningFlags = KEYLESS,
    oms: SignOms = False,
    oms_file: OmsFile = None,
    registry: RegistryFlags = NO_FLAGS,
    quiet: Quiet = False,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Sign the manifest that REF points at. `cosign verify` takes it, too.

    With --oms also its files, as `model_signing verify` expects it, with the same login.

    \b
    Example:
      modelseal sign ghcr.io/acme/fraud@sha256:…
      modelseal sign ghcr.io/acme/fraud:1.4.0 --oms --oms-file fraud.sig
      modelseal sign oci:./store:1.4.0 --key modelseal.key
    """
    from modelseal.cli.commands.oms import sign_with_oms
    from modelseal.cli.settings import signing_settings
    from modelseal.workflows.attest import SIGNATURE_CLAIM

    chosen = signing_settings(signing, registry=registry)
    if oms or oms_file is not None:
        sign_with_oms(reference, chosen, oms_file, quiet=quiet, output=output)
        return
    _attest(reference, [SIGNATURE_CLAIM], chosen, quiet=quiet, output=output)


@with_flags
def attest(
    reference: ReferenceArgument,
    predicate_type: Annotated[
        list[str],
        typer.Option(
            "--type",
            metavar="URI",
            help="The predicate type: a URI or a short name such as slsaprovenance1; repeatable, "
            "each with its --predicate.",
            show_default=False,
        ),
    ],
    predicate: Annotated[
        list[Path],
        typer.Option(
            "--predicate",
            metavar="FILE",
            help="The predicate: a JSON object; repeatable.",
            show_default=False,
        ),
    ],
    by_digest: ByDigest = False,
    signing: SigningFlags = KEYLESS,
    registry: RegistryFlags = NO_FLAGS,
    quiet: Quiet = False,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Attach signed statements about what REF points at.

    A predicate over 8 MiB is stored beside the model, and its digest is signed.

    \b
    Example:
      modelseal attest ghcr.io/acme/fraud:1.4.0 --type cyclonedx --predicate bom.json
      modelseal attest oci:./store:1.4.0 --key modelseal.key \\
        --type cyclonedx --predicate bom.json --type scai --predicate scan.json
    """
    from modelseal.attest.predicates.types import parse_predicate_type
    from modelseal.cli.answer import answering
    from modelseal.cli.settings import signing_settings
    from modelseal.errors import UsageError
    from modelseal.workflows.attest import read_claim

    answering(output)
    if len(predicate_type) != len(predicate):
        raise UsageError(
            f"there are {len(predicate_type)} --type and {len(predicate)} --predicate",
            hint="each --predicate FILE needs the --type that it is of",
        )
    kinds = [parse_predicate_type(text) for text in predicate_type]
    claims = [
        read_claim(kind, path, by_digest=by_digest)
        for kind, path in zip(kinds, predicate, strict=True)
    ]
    chosen = signing_settings(signing, registry=registry)
    _attest(reference, claims, chosen, quiet=quiet, output=output)


def _attest(
    reference: str,
    claims: "list[Claim]",
    chosen: "Settings",
    *,
    quiet: bool,
    output: OutputFormat,
) -> None:
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.progress import progress
    from modelseal.cli.render import as_json, text
    from modelseal.oci.reference import parse_reference
    from modelseal.workflows import attest as workflow
    from modelseal.workflows.services import Services
    from modelseal.workflows.wiring import name_of, open_signer, open_store

    json_wanted = answering(output)
    target = parse_reference(reference)
    signer = open_signer(chosen)
    with progress(quiet=quiet) as on_event:
        services = Services(store=open_store(target.location, chosen), on_event=on_event)
        subject, attached = workflow.attest(name_of(target), claims, signer, services)
    if json_wanted:
        answer_json(
            {
                "reference": reference,
                "manifest": as_json.descriptor(subject),
                "attached": as_json.attached(attached),
            }
        )
    else:
        answer_text([f"digest: {subject.digest}", "attached:", *text.attached(attached)])
