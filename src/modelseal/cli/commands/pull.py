# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""pull: a model onto this disk, verified first."""

from pathlib import Path
from typing import Annotated

import typer

from modelseal.cli.options import (
    NO_FLAGS,
    CertificateIdentity,
    CertificateIssuer,
    Json,
    Offline,
    PlatformOption,
    PolicyFile,
    PublicKey,
    Quiet,
    ReferenceArgument,
    RegistryFlags,
    TrustedRootFile,
    with_registry,
)


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(pull)


@with_registry
def pull(
    reference: ReferenceArgument,
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="The directory to write; it has to be new or empty.",
            show_default=False,
        ),
    ],
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace files of the same name in DIR.")
    ] = False,
    platform: PlatformOption = "",
    certificate_identity: CertificateIdentity = "",
    certificate_oidc_issuer: CertificateIssuer = "",
    key: PublicKey = None,
    policy: PolicyFile = None,
    trusted_root: TrustedRootFile = None,
    offline: Offline = False,
    registry: RegistryFlags = NO_FLAGS,
    quiet: Quiet = False,
    json_output: Json = False,
) -> None:
    """Write the files of the model that REF points at to a directory.

    Told who may sign, it verifies first and fetches nothing else when that fails. Every file is
    compared with its digest before it gets its name.

    \b
    Example:
      modelseal pull ghcr.io/acme/fraud:1.4.0 --output ./fraud --policy production.yaml
      modelseal pull oci:./store:1.4.0 --output ./fraud --key modelseal.key.pub
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.progress import progress
    from modelseal.cli.render import as_json, text
    from modelseal.cli.settings import settings
    from modelseal.oci.reference import parse_reference
    from modelseal.workflows import pull as workflow
    from modelseal.workflows.services import Services
    from modelseal.workflows.wiring import name_of, open_store, trust_for

    json_wanted = answering(json_output)
    chosen = settings(
        certificate_identity=certificate_identity,
        certificate_oidc_issuer=certificate_oidc_issuer,
        key=key,
        policy=policy,
        trusted_root=trusted_root,
        offline=offline,
        registry=registry,
    )
    target = parse_reference(reference)
    trust = trust_for(chosen)
    with progress(quiet=quiet) as on_event:
        done = workflow.pull(
            name_of(target),
            output,
            trust=trust,
            services=Services(store=open_store(target.location, chosen), on_event=on_event),
            overwrite=overwrite,
            platform=platform,
        )
    if json_wanted:
        answer_json(as_json.pulled(done, reference))
    else:
        answer_text(text.pulled(done, reference))
