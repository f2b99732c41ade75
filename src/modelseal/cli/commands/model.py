# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""init, build, push, publish: from a model directory to a store."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelseal.cli.flags import with_flags
from modelseal.cli.oms_options import OmsFile, SignOms
from modelseal.cli.options import (
    NO_FLAGS,
    DataPlace,
    DirectoryArgument,
    IgnoreLimits,
    MountFrom,
    NoMemory,
    Output,
    OutputFormat,
    ProfileName,
    ProfileOption,
    ProfileOrAsBefore,
    Quiet,
    ReferenceArgument,
    RegistryFlags,
)
from modelseal.cli.signing_options import (
    KEYLESS,
    Attestations,
    SigningFlags,
)
from modelseal.cli.trust_options import NOBODY, Offline, TrustFlags

if TYPE_CHECKING:
    from modelseal.modelpack.build import Profile

from modelseal.cli.scan_options import (
    BUILT_IN_ONLY,
    AcceptFindings,
    AllowListFlags,
    chosen_allow_list,
)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(init)
    app.command()(build)
    app.command()(push)
    app.command()(publish)


def init(directory: DirectoryArgument, output: Output = OutputFormat.TEXT) -> None:
    """Write a modelseal.yaml from what DIR holds. Never over one that is there.

    Looks into a Hugging Face model card, safetensors and ONNX headers, config.json and MLmodel.

    \b
    Example:
      modelseal init ./fraud
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.modelpack.initialise import initialise

    json_wanted = answering(output)
    made = initialise(directory)
    found = made.findings
    if json_wanted:
        answer_json({"path": str(made.path), "found": list(found.seen), "notes": list(found.notes)})
    else:
        answer_text([f"wrote {made.path}", *(f"  {line}" for line in (*found.seen, *found.notes))])
        typer.echo(
            f"next: read it, above all name, version and licences; then modelseal publish "
            f"{directory} REF",
            err=True,
        )


@with_flags
def build(
    context: typer.Context,
    directory: DirectoryArgument,
    store: Annotated[
        str,
        typer.Option(
            "--store",
            metavar="oci:PATH[:tag]",
            help="Where to; the local store, under the model's name and version, when not given.",
        ),
    ] = "",
    profile: ProfileOrAsBefore = None,
    explain: Annotated[
        bool,
        typer.Option(
            "--explain",
            help="Store nothing; say what is known about the model and how it came to be, and what "
            "is missing in modelseal.yaml, with the lines to add.",
        ),
    ] = False,
    reproduce: Annotated[
        str,
        typer.Option(
            "--reproduce",
            metavar="REF",
            help="Store nothing; build as the published REF was built, and say in what it differs. "
            "Exit 1 when it does.",
        ),
    ] = "",
    data: DataPlace = None,
    no_cache: NoMemory = False,
    whom: TrustFlags = NOBODY,
    offline: Offline = False,
    registry: RegistryFlags = NO_FLAGS,
    quiet: Quiet = False,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Make the artifact of DIR in a local store; print its digest.

    The same files give the same digest, on every machine. Whom to believe is asked for
    --reproduce only: who says how REF was built. Without it, what REF's provenance says is called
    claimed.

    \b
    Example:
      modelseal build ./fraud
      modelseal build ./fraud --store oci:./out:1.4.0
      modelseal build ./fraud --explain --data ./data
      modelseal build ./fraud --reproduce ghcr.io/acme/fraud:1.4.0 --key modelseal.key.pub
    """
    from modelseal.cli.answer import answer_json, answering
    from modelseal.cli.commands.reproduce import refuse_trust_alone
    from modelseal.cli.commands.reproduce import reproduce as compare
    from modelseal.cli.progress import progress
    from modelseal.cli.settings import settings
    from modelseal.errors import UsageError
    from modelseal.modelpack.build import Profile
    from modelseal.oci.reference import LayoutDirectory, TagReference, parse_reference
    from modelseal.workflows.package import build_into, local_reference
    from modelseal.workflows.remembering import known_digests
    from modelseal.workflows.wiring import open_store

    json_wanted = answering(output)
    asked = Profile(profile.value) if profile is not None else None
    if bool(explain) + bool(reproduce) + bool(store) > 1:
        raise UsageError(
            "--explain, --reproduce and --store exclude each other",
            hint="the first two store nothing: choose one",
        )
    if data and not explain:
        raise UsageError("--data is for --explain", hint="say --explain, or publish with --data")
    if reproduce:
        chosen = settings(trust=whom, offline=offline, registry=registry)
        compare(directory, reproduce, chosen, asked, remember=not no_cache, quiet=quiet)
        return
    refuse_trust_alone(context)
    kind = asked or Profile.MODELPACK
    if explain:
        _explain(directory, kind, data or (), remember=not no_cache, quiet=quiet)
        return
    named = parse_reference(store) if store else None
    if named is not None and not (
        isinstance(named, TagReference) and isinstance(named.location, LayoutDirectory)
    ):
        raise UsageError(
            f"{store} is no OCI layout on disk",
            hint=f"write oci:PATH:tag, or modelseal push {directory} {store}",
        )
    chosen = settings()
    with progress(quiet=quiet) as on_event:
        built = build_into(
            directory,
            lambda metadata: named or local_reference(metadata, os.environ, kind),
            lambda location: open_store(location, chosen),
            environment=os.environ,
            on_event=on_event,
            profile=kind,
            digests=None if no_cache else known_digests(os.environ),
        )
    if json_wanted:
        answer_json(
            {
                "reference": str(built.reference),
                "digest": str(built.subject.digest),
                "inputsDigest": str(built.inputs_digest),
            }
        )
    else:
        typer.echo(f"stored: {built.reference}", err=True)
        typer.echo(str(built.subject.digest))


def _explain(
    directory: Path, profile: "Profile", data: Sequence[str], *, remember: bool, quiet: bool
) -> None:
    from modelseal.cli.answer import answer_json, answer_text
    from modelseal.cli.progress import progress
    from modelseal.cli.render import as_json, evidence
    from modelseal.workflows.explain_build import explain_build
    from modelseal.workflows.lineage import data_places
    from modelseal.workflows.remembering import known_digests

    places = data_places(directory, data)
    with progress(quiet=quiet) as on_event:
        found = explain_build(
            directory,
            environment=os.environ,
            on_event=on_event,
            profile=profile,
            digests=known_digests(os.environ) if remember else None,
            data=places,
        )
    if as_json.wanted():
        answer_json(evidence.as_json(found))
    else:
        answer_text(evidence.as_text(found))


@with_flags
def push(
    directory: DirectoryArgument,
    reference: ReferenceArgument,
    profile: ProfileOption = ProfileName.MODELPACK,
    mount_from: MountFrom = None,
    no_cache: NoMemory = False,
    ignore_limits: IgnoreLimits = False,
    registry: RegistryFlags = NO_FLAGS,
    quiet: Quiet = False,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Build DIR and push it to REF, without a signature.

    \b
    Example:
      modelseal push ./fraud ghcr.io/acme/fraud:1.4.0
      modelseal push ./fraud ghcr.io/acme/fraud:1.4.0-image --profile image
      modelseal sign ghcr.io/acme/fraud:1.4.0
    """
    from modelseal.cli.answer import answer_json, answering
    from modelseal.cli.progress import progress
    from modelseal.cli.settings import settings
    from modelseal.modelpack.build import Profile
    from modelseal.oci.reference import parse_reference
    from modelseal.workflows.package import push_directory
    from modelseal.workflows.remembering import services_to_push
    from modelseal.workflows.wiring import tag_of

    json_wanted = answering(output)
    target = parse_reference(reference)
    tag = tag_of(target)
    services = services_to_push(
        target.location,
        settings(registry=registry, ignore_limits=ignore_limits).registry,
        os.environ,
        mount_from=mount_from or (),
        remember=not no_cache,
    )
    with progress(quiet=quiet) as on_event:
        subject = push_directory(
            directory,
            tag,
            replace(services, on_event=on_event),
            os.environ,
            Profile(profile.value),
        )
    if json_wanted:
        answer_json({"reference": reference, "digest": str(subject.digest)})
    else:
        typer.echo(str(subject.digest))
        typer.echo(f"not signed yet: modelseal sign {target.location}@{subject.digest}", err=True)


@with_flags
def publish(
    directory: DirectoryArgument,
    reference: ReferenceArgument,
    profile: ProfileOption = ProfileName.MODELPACK,
    signing: SigningFlags = KEYLESS,
    oms: SignOms = False,
    oms_file: OmsFile = None,
    attest: Attestations = None,
    data: DataPlace = None,
    allowing: AllowListFlags = BUILT_IN_ONLY,
    accept_findings: AcceptFindings = "",
    mount_from: MountFrom = None,
    no_cache: NoMemory = False,
    ignore_limits: IgnoreLimits = False,
    registry: RegistryFlags = NO_FLAGS,
    quiet: Quiet = False,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Build, push, sign, attest, verify; then tag. Nobody meets a REF that is unsigned.

    Signs keylessly unless --key is given, and attests SLSA provenance with the materials that
    modelseal.yaml names. One login and one certificate for all statements. With --oms also an
    OMS signature of the files, for `model_signing verify`; the files are not read again for it.
    The files are scanned first, as `modelseal scan` does: what is denied is not sent.

    \b
    Example:
      modelseal publish ./fraud ghcr.io/acme/fraud:1.4.0
      modelseal publish ./fraud oci:./store:1.4.0 --key modelseal.key
      modelseal publish ./fraud ghcr.io/acme/fraud:1.4.0 --oms --oms-file fraud.sig
      modelseal publish ./fraud ghcr.io/acme/fraud:1.4.0 \\
        --attest cyclonedx=bom.json --attest test-result=tests.json
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.progress import progress
    from modelseal.cli.render import as_json, text
    from modelseal.cli.render.oms import as_json as oms_as_json
    from modelseal.cli.settings import signing_settings
    from modelseal.modelpack.build import Profile
    from modelseal.oci.reference import parse_reference
    from modelseal.workflows import publish as workflow
    from modelseal.workflows.attest import parse_claim
    from modelseal.workflows.lineage import data_places
    from modelseal.workflows.oms_signing import check_new, write_signature
    from modelseal.workflows.remembering import services_to_push
    from modelseal.workflows.scan import ScanChoice
    from modelseal.workflows.wiring import open_signer, tag_of

    json_wanted = answering(output)
    chosen = signing_settings(signing, registry=registry, ignore_limits=ignore_limits)
    target = parse_reference(reference)
    tag = tag_of(target)
    claims = [parse_claim(text) for text in attest or ()]
    places = data_places(directory, data or ())
    services = services_to_push(
        target.location,
        chosen.registry,
        os.environ,
        mount_from=mount_from or (),
        remember=not no_cache,
    )
    if oms_file is not None:
        check_new(oms_file)
    scanning = ScanChoice(
        chosen_allow_list(allowing, signing.trusted_root),
        accept_findings.strip(),
    )
    signer = open_signer(chosen)  # before anything is hashed or sent: it may ask, or refuse
    with progress(quiet=quiet) as on_event:
        done = workflow.publish(
            directory,
            tag,
            signer=signer,
            services=replace(services, on_event=on_event),
            environment=os.environ,
            profile=Profile(profile.value),
            oms=oms or oms_file is not None,
            scan=scanning,
            claims=claims,
            data=places,
        )
    if oms_file is not None and done.oms is not None:
        write_signature(oms_file, done.oms.bundle)
    if json_wanted:
        files = oms_as_json(done.oms, reference) if done.oms is not None else None
        answer_json({**as_json.publication(done, reference), "oms": files})
    else:
        answer_text(text.publication(done, reference))
        if done.collected.findings:
            from modelseal.cli.render.evidence import counted

            typer.echo(
                f"findings: {counted(done.collected.findings)}; what to do: "
                f"modelseal build --explain {directory}",
                err=True,
            )
