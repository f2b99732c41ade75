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
    from modelseal.workflows import oms_signing as workflow
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
    from modelseal.workflows.oms_signing import check_new, write_signature
    from modelseal.workflows.oms_trust import oms_options, verify_named

    if oms_file is not None:
        check_new(oms_file)
    done = verify_named(
        reference,
        chosen,
        signature=signature,
        platform=platform,
        options=oms_options(
            ignore_unsigned_files=ignore_unsigned_files,
            ignore_paths=ignore_path,
            allow_symlinks=allow_symlinks,
        ),
    )
    if oms_file is not None:
        write_signature(oms_file, done.bundle)
    if json_wanted:
        answer_json(render.as_json(done, reference))
    else:
        answer_text(render.as_text(done, reference))
