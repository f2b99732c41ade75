# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""environment: what a TPM, or a service, says of the machine that a model was made on."""

import os
from pathlib import Path
from typing import Annotated

import typer

from modelseal.cli.commands import environment_token
from modelseal.cli.commands.environment_token import NO_TOKENS, TokenFlags, token_policy
from modelseal.cli.flags import with_flags
from modelseal.cli.options import (
    NO_FLAGS,
    Output,
    OutputFormat,
    Quiet,
    ReferenceArgument,
    RegistryFlags,
)
from modelseal.cli.signing_options import KEYLESS, SigningFlags
from modelseal.cli.trust_options import NOBODY, Offline, SignerFlags

_TPM = "TPM"

app = typer.Typer(
    help="Attest, and verify, the machine that made a model.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def _environment() -> None:
    """Attest, and verify, the machine that made a model."""


AttestationKeys = Annotated[
    list[Path] | None,
    typer.Option(
        "--ak",
        metavar="FILE",
        help="An attestation key that is believed: its public area, as tpm2_readpublic -o writes "
        "it, or (less bound) its public key as PEM; repeatable.",
        show_default=False,
        rich_help_panel=_TPM,
    ),
]
AttestationAuthorities = Annotated[
    list[Path] | None,
    typer.Option(
        "--ak-ca",
        metavar="FILE",
        help="Roots (PEM) of who certifies attestation keys; repeatable.",
        show_default=False,
        rich_help_panel=_TPM,
    ),
]
Pcrs = Annotated[
    list[str] | None,
    typer.Option(
        "--pcr",
        metavar="BANK:NUMBER=HEX",
        help="The value that a PCR has to have; repeatable.",
        show_default=False,
        rich_help_panel=_TPM,
    ),
]


@app.command()
@with_flags
def quote(
    reference: ReferenceArgument,
    ak: Annotated[
        str,
        typer.Option(
            "--ak",
            metavar="FILE|HANDLE",
            help="The attestation key: the context file that tpm2_createak -c wrote, or its "
            "persistent handle (0x81010002). What authorises its use comes from "
            "MODELSEAL_TPM_AUTH.",
            show_default=False,
            rich_help_panel=_TPM,
        ),
    ],
    pcrs: Annotated[
        str,
        typer.Option(
            "--pcrs",
            metavar="BANK:NUMBERS",
            help="Which PCRs to quote; several banks with + between them.",
            rich_help_panel=_TPM,
        ),
    ] = "sha256:0,1,2,3,4,5,6,7",
    ak_certificate: Annotated[
        Path | None,
        typer.Option(
            "--ak-certificate",
            metavar="FILE",
            help="The attestation key's certificate (PEM), and those above it but the root.",
            show_default=False,
            rich_help_panel=_TPM,
        ),
    ] = None,
    tcti: Annotated[
        str,
        typer.Option(
            "--tcti",
            metavar="TCTI",
            help="How the TPM is reached, as tpm2-tools has it: device:/dev/tpmrm0; else "
            "TPM2TOOLS_TCTI, else what tpm2-tools finds.",
            envvar="MODELSEAL_TPM_TCTI",
            rich_help_panel=_TPM,
        ),
    ] = "",
    signing: SigningFlags = KEYLESS,
    registry: RegistryFlags = NO_FLAGS,
    quiet: Quiet = False,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Have this machine's TPM quote its PCRs for REF.

    The evidence is attached, and a statement that names it is signed. The TPM signs the digest of
    the model together with how the machine was started, so that the quote counts for this model
    only. Needs the commands of tpm2-tools.

    \b
    Example:
      modelseal environment quote ghcr.io/acme/fraud:1.4.0 --ak 0x81010002
      modelseal environment quote oci:./store:1.4.0 --ak ak.ctx --pcrs sha256:0,2,4,7 \\
        --key modelseal.key
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.progress import progress
    from modelseal.cli.render import environment
    from modelseal.cli.settings import signing_settings
    from modelseal.evidence.tpm2_tools import Tpm, parse_selection
    from modelseal.evidence.tpm2_tools import quote as quote_with
    from modelseal.oci.descriptor import Digest
    from modelseal.oci.reference import parse_reference
    from modelseal.trust.environment import Quote
    from modelseal.trust.tpm.ak import load_ak_certificates
    from modelseal.workflows.environment import attest_quote
    from modelseal.workflows.services import Services
    from modelseal.workflows.wiring import name_of, open_signer, open_store

    json_wanted = answering(output)
    selection = parse_selection(pcrs)
    certificates = load_ak_certificates(ak_certificate) if ak_certificate is not None else ()
    auth = os.environ.get("MODELSEAL_TPM_AUTH", "")
    tpm = Tpm(ak=ak, tcti=tcti, auth=auth, environment=os.environ)
    chosen = signing_settings(signing, registry=registry)
    target = parse_reference(reference)
    signer = open_signer(chosen)

    def make(subject: Digest) -> tuple[bytes, Quote]:
        return quote_with(tpm, subject, selection, certificates)

    with progress(quiet=quiet) as on_event:
        services = Services(store=open_store(target.location, chosen), on_event=on_event)
        done = attest_quote(name_of(target), make, signer, services)
    if json_wanted:
        answer_json(environment.quoted_as_json(done, reference))
    else:
        answer_text(environment.quoted_as_text(done))


@app.command()
@with_flags
def verify(
    reference: ReferenceArgument,
    ak: AttestationKeys = None,
    ak_ca: AttestationAuthorities = None,
    pcr: Pcrs = None,
    tokens: TokenFlags = NO_TOKENS,
    at: Annotated[
        str,
        typer.Option(
            "--at",
            metavar="TIME",
            help="When a token has to have been valid (RFC 3339), where nothing verified says when "
            "it was attached; else now.",
            show_default=False,
            rich_help_panel="Token",
        ),
    ] = "",
    whom: SignerFlags = NOBODY,
    offline: Offline = False,
    registry: RegistryFlags = NO_FLAGS,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Verify that a TPM you know quoted for REF.

    Its PCRs have to be as you say.

    Say whom you believe to have attached it (an identity and its issuer, or a public key), and
    which attestation key. Needs no TPM and no tpm2-tools. Exit 0 when it holds, 11 when not. In a
    policy: the rule `environment`.

    With --jwks (experimental) a token of an attestation service instead, or as well.

    \b
    Example:
      modelseal environment verify ghcr.io/acme/fraud:1.4.0 --ak ak.pub \\
        --key modelseal.key.pub --pcr sha256:7=65ca…
      modelseal environment verify ghcr.io/acme/fraud:1.4.0 --key modelseal.key.pub \\
        --jwks jwks.json --issuer https://confidentialcomputing.googleapis.com \\
        --claim dbgstat=disabled-since-boot
    """
    from modelseal.attest.predicates.types import SCAI
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.render import environment
    from modelseal.cli.settings import settings
    from modelseal.documents import parse_time
    from modelseal.errors import UsageError
    from modelseal.oci.reference import parse_reference
    from modelseal.trust.tpm.ak import load_aks
    from modelseal.workflows.environment import parse_expected, verify_environment
    from modelseal.workflows.environment_tokens import verify_tokens
    from modelseal.workflows.services import system_clock
    from modelseal.workflows.wiring import name_of, open_store, trust_for

    json_wanted = answering(output)
    expected = parse_expected(pcr or ())
    token_rules = token_policy(tokens)
    moment = parse_time(at) if at else None
    keys = load_aks(ak or (), ak_ca or ()) if ak or ak_ca or pcr or token_rules is None else None
    chosen = settings(trust=whom, offline=offline, registry=registry)
    target = parse_reference(reference)
    trust = trust_for(chosen, SCAI)
    if trust is None:
        raise UsageError(
            "nobody is named who has to have attached the evidence",
            hint="give --certificate-identity and --certificate-oidc-issuer, or --key",
        )
    store, name = open_store(target.location, chosen), name_of(target)
    quotes = (
        verify_environment(name, trust, keys, expected, store=store, clock=system_clock)
        if keys is not None
        else None
    )
    found = (
        verify_tokens(name, trust, token_rules, store=store, clock=system_clock, at=moment)
        if token_rules is not None
        else None
    )
    if json_wanted:
        answer_json(environment.verification_as_json(quotes, found, reference))
    else:
        answer_text(environment.verification_as_text(quotes, found))


environment_token.register(app)
