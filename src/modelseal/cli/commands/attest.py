# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""sign and attest: statements about what a store holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelseal.cli.oms_options import OmsFile, SignOms
from modelseal.cli.options import (
    NO_FLAGS,
    IdentityToken,
    Offline,
    Output,
    OutputFormat,
    Quiet,
    ReferenceArgument,
    RegistryFlags,
    SigningConfigFile,
    SigningKey,
    TrustedRootFile,
    with_registry,
)

if TYPE_CHECKING:
    from modelseal.workflows.attest import Claim
    from modelseal.workflows.wiring import Settings


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(sign)
    app.command()(attest)


@with_registry
def sign(
    reference: ReferenceArgument,
    key: SigningKey = None,
    identity_token: IdentityToken = "",
    signing_config: SigningConfigFile = None,
    trusted_root: TrustedRootFile = None,
    offline: Offline = False,
    oms: SignOms = False,
    oms_file: OmsFile = None,
    registry: RegistryFlags = NO_FLAGS,
    quiet: Quiet = False,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Sign the manifest that REF points at, as `cosign verify` expects it.

    With --oms also its files, as `model_signing verify` expects it, with the same login.

    \b
    Example:
      modelseal sign ghcr.io/acme/fraud@sha256:…
      modelseal sign ghcr.io/acme/fraud:1.4.0 --oms --oms-file fraud.sig
      modelseal sign oci:./store:1.4.0 --key modelseal.key
    """
    from modelseal.cli.commands.oms import sign_with_oms
    from modelseal.cli.settings import settings
    from modelseal.workflows.attest import SIGNATURE_CLAIM

    chosen = settings(
        key=key,
        identity_token=identity_token,
        signing_config=signing_config,
        trusted_root=trusted_root,
        offline=offline,
        registry=registry,
    )
    if oms or oms_file is not None:
        sign_with_oms(reference, chosen, oms_file, quiet=quiet, output=output)
        return
    _attest(reference, [SIGNATURE_CLAIM], chosen, quiet=quiet, output=output)


@with_registry
def attest(
    reference: ReferenceArgument,
    predicate_type: Annotated[
        str,
        typer.Option(
            "--type",
            metavar="URI",
            help="The predicate type: a URI or a short name such as slsaprovenance1.",
            show_default=False,
        ),
    ],
    predicate: Annotated[
        Path,
        typer.Option(
            "--predicate",
            metavar="FILE",
            help="The predicate: a JSON object.",
            show_default=False,
        ),
    ],
    key: SigningKey = None,
    identity_token: IdentityToken = "",
    signing_config: SigningConfigFile = None,
    trusted_root: TrustedRootFile = None,
    offline: Offline = False,
    registry: RegistryFlags = NO_FLAGS,
    quiet: Quiet = False,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Attach a signed statement about the manifest that REF points at.

    \b
    Example:
      modelseal attest ghcr.io/acme/fraud:1.4.0 --type cyclonedx --predicate bom.json
    """
    from modelseal.attest.predicates.types import OMS, SIGNATURE, parse_predicate_type
    from modelseal.cli.answer import answering
    from modelseal.cli.settings import settings
    from modelseal.errors import UsageError
    from modelseal.workflows.attest import Claim, read_predicate

    answering(output)
    kind = parse_predicate_type(predicate_type)
    if kind == SIGNATURE:
        raise UsageError(
            "a signature has no predicate of its own", hint=f"modelseal sign {reference}"
        )
    if kind == OMS:
        raise UsageError(
            "an OMS signature is about files, and made from the manifest",
            hint=f"modelseal sign {reference} --oms",
        )
    claim = Claim(kind, read_predicate(predicate))
    chosen = settings(
        key=key,
        identity_token=identity_token,
        signing_config=signing_config,
        trusted_root=trusted_root,
        offline=offline,
        registry=registry,
    )
    _attest(reference, [claim], chosen, quiet=quiet, output=output)


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
