# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What `sign`, `publish` and `verify` do when they are asked for OMS signatures."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modelseal.cli.options import OutputFormat

if TYPE_CHECKING:
    from modelseal.workflows.wiring import Settings


def sign_with_oms(
    reference: str,
    chosen: "Settings",
    oms_file: Path | None,
    *,
    quiet: bool,
    output: OutputFormat,
) -> None:
    """Sign a manifest and its files with one login, and answer."""
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.progress import progress
    from modelseal.cli.render import as_json, text
    from modelseal.cli.render import oms as render
    from modelseal.oci.reference import parse_reference
    from modelseal.workflows import oms as workflow
    from modelseal.workflows.services import Services
    from modelseal.workflows.wiring import name_of, open_signer, open_store

    json_wanted = answering(output)
    if oms_file is not None:
        workflow.check_new(oms_file)
    target = parse_reference(reference)
    signer = open_signer(chosen)
    with progress(quiet=quiet) as on_event:
        services = Services(store=open_store(target.location, chosen), on_event=on_event)
        subject, attached, verified = workflow.sign_with_oms(name_of(target), signer, services)
    if oms_file is not None:
        workflow.write_signature(oms_file, verified.bundle)
    if json_wanted:
        answer_json(
            {
                "reference": reference,
                "manifest": as_json.descriptor(subject),
                "attached": as_json.attached(attached),
                "oms": render.as_json(verified, reference),
            }
        )
    else:
        answer_text([f"digest: {subject.digest}", "attached:", *text.attached(attached)])


def verify_oms(
    reference: str,
    chosen: "Settings",
    *,
    signature: Path | None,
    platform: str,
    ignore_unsigned_files: bool,
    ignore_path: Sequence[str],
    allow_symlinks: bool,
    oms_file: Path | None,
    json_wanted: bool,
) -> None:
    """Verify an OMS signature of a model in a store or in a directory, and answer."""
    from modelseal.cli.answer import answer_json, answer_text
    from modelseal.cli.render import oms as render
    from modelseal.errors import InvalidReferenceError, UsageError
    from modelseal.oci.reference import parse_reference
    from modelseal.workflows import oms as workflow
    from modelseal.workflows.oms_trust import oms_verifier
    from modelseal.workflows.wiring import name_of, open_reading_store

    if oms_file is not None:
        workflow.check_new(oms_file)
    options = workflow.OmsOptions(
        ignore_unsigned_files=ignore_unsigned_files,
        ignored=tuple(_path_to_ignore(path) for path in ignore_path),
        allow_symlinks=allow_symlinks,
    )
    verifier = oms_verifier(chosen)
    if verifier is None:
        raise UsageError(
            "nobody is named who has to have signed",
            hint="give --certificate-identity and --certificate-oidc-issuer, --key, or --ca-roots",
        )
    directory = Path(reference)
    try:
        target = parse_reference(reference)
    except InvalidReferenceError as error:
        if not directory.exists():
            raise InvalidReferenceError(
                f"{error}, and there is no directory of that name", hint=error.hint
            ) from error
        if platform:
            raise UsageError("a directory has no --platform") from error
        done = workflow.verify_directory(directory, verifier, signature=signature, options=options)
    else:
        done = workflow.verify_artifact(
            name_of(target),
            verifier,
            open_reading_store(target.location, chosen),
            signature=signature,
            platform=platform,
            options=options,
        )
    if oms_file is not None:
        workflow.write_signature(oms_file, done.bundle)
    if json_wanted:
        answer_json(render.as_json(done, reference))
    else:
        answer_text(render.as_text(done, reference))


def _path_to_ignore(path: str) -> str:
    from modelseal.attest.predicates.oms import check_ignored
    from modelseal.errors import UsageError, VerificationError

    try:
        return check_ignored(path)
    except VerificationError as error:
        raise UsageError(
            f"--ignore-path {path!r} is not a path below the model",
            hint="write it as it stands below the model, with /, without patterns",
        ) from error
