# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""sbom and card: what a model is made of, for tools and for people."""

import os
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from modelseal.cli.cache_options import CacheDir, NoCache, OfflineReading
from modelseal.cli.flags import with_flags
from modelseal.cli.options import NO_FLAGS, DirectoryArgument, Json, Quiet, RegistryFlags
from modelseal.cli.trust_options import NOBODY, VerifyingFlags

if TYPE_CHECKING:
    from modelseal.evidence.facts import Finding
    from modelseal.workflows.attested import AttestedDocument
    from modelseal.workflows.wiring import Settings

OutputFile = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="Write it to this file instead of stdout.",
        show_default=False,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace FILE if it is there.")]


class FormatName(StrEnum):
    """In which words a bill of materials is written (`workflows.bom.BomFormat`)."""

    CYCLONEDX = "cyclonedx"
    SPDX = "spdx"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(sbom)
    app.command()(card)


@with_flags
def sbom(
    target: Annotated[
        str,
        typer.Argument(
            metavar="DIR|REF",
            help="A model directory, or the reference of a published model.",
            show_default=False,
        ),
    ],
    bom_format: Annotated[
        FormatName,
        typer.Option(
            "--format",
            help="cyclonedx: ML-BOM, CycloneDX 1.6; spdx: SPDX 3.0.1 with its AI profile (needs "
            "the extra spdx).",
        ),
    ] = FormatName.CYCLONEDX,
    output: OutputFile = None,
    force: Force = False,
    claimed: Annotated[
        bool,
        typer.Option(
            "--claimed",
            help="Of REF: show what somebody says, with nothing of it verified.",
        ),
    ] = False,
    statement: Annotated[
        str,
        typer.Option(
            "--statement",
            metavar="DIGEST",
            help="Of REF: the bundle to take, when several are attested.",
            show_default=False,
        ),
    ] = "",
    whom: VerifyingFlags = NOBODY,
    offline: OfflineReading = False,
    cache: CacheDir = None,
    no_cache: NoCache = False,
    registry: RegistryFlags = NO_FLAGS,
    quiet: Quiet = False,
    json_output: Json = False,
) -> None:
    """Say what a model is made of: a bill of materials (ML-BOM).

    Of DIR it is made from the files and modelseal.yaml; every field is marked verified, declared
    or inferred, and what is missing is told on stderr with the lines to add. Of REF it is the one
    that was attested, verified as `verify` does; --claimed shows what nobody vouches for.

    \b
    Example:
      modelseal sbom ./fraud --output fraud.cdx.json
      modelseal sbom ./fraud --format spdx
      modelseal sbom ghcr.io/acme/fraud:1.4.0 --key release.key.pub
      modelseal sbom oci:./store:1.4.0 --claimed
    """
    from modelseal.cli.answer import answering
    from modelseal.cli.cache_options import chosen_cache
    from modelseal.cli.settings import settings
    from modelseal.errors import UsageError
    from modelseal.workflows.bom import BomFormat, check_place

    json_wanted = answering(json_output)
    check_place(output, force=force)
    kind = BomFormat(bom_format.value)
    directory = Path(target)
    chosen = settings(
        trust=whom,
        offline=offline,
        cache=chosen_cache(cache, none=no_cache),
        registry=registry,
    )
    if directory.is_dir() and not target.startswith("oci:"):
        if claimed or statement:
            raise UsageError("--claimed and --statement are about a reference, not a directory")
        from modelseal.cli.progress import progress
        from modelseal.workflows.bom import bom_of_directory
        from modelseal.workflows.remembering import known_digests

        with progress(quiet=quiet) as on_event:
            made = bom_of_directory(
                directory,
                kind,
                environment=os.environ,
                on_event=on_event,
                digests=None if no_cache else known_digests(os.environ),
            )
        findings = made.findings
        told: dict[str, Any] = {"digest": str(made.subject)}
        document = made.document
    else:
        attested = _attested(target, kind.predicate_type, chosen, statement, claimed=claimed)
        findings = ()
        told = {
            "digest": str(attested.subject.digest),
            "verified": attested.verified,
            "signer": attested.signer,
            "statement": str(attested.bundle),
        }
        document = attested.document
        _tell_origin(attested)
    _answer(
        document,
        told,
        output,
        target=target,
        force=force,
        findings=findings,
        json_wanted=json_wanted,
    )


def _attested(
    target: str, predicate_type: str, chosen: "Settings", statement: str, *, claimed: bool
) -> "AttestedDocument":
    from modelseal.attest.predicates.types import SIGNATURE
    from modelseal.errors import UsageError
    from modelseal.oci.descriptor import Digest
    from modelseal.oci.reference import parse_reference
    from modelseal.workflows import attested as workflow
    from modelseal.workflows.services import system_clock
    from modelseal.workflows.wiring import name_of, open_reading_store, trust_for

    reference = parse_reference(target)
    which = Digest.parse(statement) if statement else None
    # A policy says itself what it asks for.
    trust = trust_for(chosen, SIGNATURE if chosen.policy is not None else predicate_type)
    if claimed and trust is not None:
        raise UsageError("--claimed and who is to be believed exclude each other")
    if not claimed and trust is None:
        raise UsageError(
            "nobody is named who has to have signed",
            hint="give --certificate-identity and --certificate-oidc-issuer, --key, or --policy; "
            "or --claimed, to see what nobody vouches for",
        )
    store = open_reading_store(reference.location, chosen)
    name = name_of(reference)
    if trust is None:
        return workflow.claimed_document(name, predicate_type, store=store, statement=which)
    return workflow.verified_document(
        name, predicate_type, trust, store=store, clock=system_clock, statement=which
    )


def _tell_origin(attested: "AttestedDocument") -> None:
    from modelseal.cli.render.text import printable

    signer = printable(attested.signer or "nobody that can be read")
    if attested.verified:
        typer.echo(f"verified: signed by {signer}, about {attested.subject.digest}", err=True)
    else:
        typer.echo(f"NOT VERIFIED: it is only claimed to be signed by {signer}", err=True)


def card(
    directory: DirectoryArgument,
    output: OutputFile = None,
    force: Force = False,
    no_cache: NoCache = False,
    quiet: Quiet = False,
    json_output: Json = False,
) -> None:
    """Render a model card (README.md) from what is known of DIR.

    Markdown with the front matter of Hugging Face. Each section says only what is known from the
    files and modelseal.yaml, and "not declared" where nothing is. A file that is there already is
    never replaced without --force.

    \b
    Example:
      modelseal card ./fraud
      modelseal card ./fraud --output ./fraud/README.md
    """
    from modelseal.cli.answer import answer_json, answering
    from modelseal.cli.progress import progress
    from modelseal.workflows.bom import card_of_directory, check_place, write_document
    from modelseal.workflows.remembering import known_digests

    json_wanted = answering(json_output)
    check_place(output, force=force)
    with progress(quiet=quiet) as on_event:
        text, findings = card_of_directory(
            directory,
            environment=os.environ,
            on_event=on_event,
            digests=None if no_cache else known_digests(os.environ),
        )
    if output is not None:
        write_document(output, text.encode(), force=force)
    if json_wanted:
        told = [finding.to_json() for finding in findings]
        answer_json({"card": text, "path": str(output or ""), "findings": told})
    elif output is None:
        typer.echo(text, nl=False)
    else:
        typer.echo(str(output))
    _tell_findings(findings, str(directory))


def _answer(
    document: Mapping[str, Any],
    told: Mapping[str, Any],
    output: Path | None,
    *,
    target: str,
    force: bool,
    findings: Sequence["Finding"],
    json_wanted: bool,
) -> None:
    from modelseal.cli.answer import answer_json
    from modelseal.evidence.bom.cyclonedx import document_bytes
    from modelseal.workflows.bom import write_document

    raw = document_bytes(document)
    if output is not None:
        write_document(output, raw, force=force)
    if json_wanted:
        found = [finding.to_json() for finding in findings]
        path = str(output or "")
        answer_json({**told, "path": path, "document": dict(document), "findings": found})
    elif output is None:
        typer.echo(raw.decode(), nl=False)
    else:
        typer.echo(str(output))
    _tell_findings(findings, target)


def _tell_findings(findings: Sequence["Finding"], directory: str) -> None:
    """Say on stderr what is missing, in a line each; `build --explain` has all of it."""
    from modelseal.cli.render.evidence import counted, worst_first
    from modelseal.cli.render.text import printable

    if not findings:
        return
    for finding in worst_first(findings):
        typer.echo(printable(f"{finding.level}: {finding.message} [{finding.id}]"), err=True)
    typer.echo(
        f"{counted(findings)}; the lines to add to modelseal.yaml: "
        f"modelseal build --explain {printable(directory)}",
        err=True,
    )
