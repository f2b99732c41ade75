# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""scan and allowlist: what is in a model's files, and what its pickles may import."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from modelseal.cli.flags import with_flags
from modelseal.cli.options import NO_FLAGS, Quiet
from modelseal.cli.scan_options import BUILT_IN_ONLY, AllowListFlags, chosen_allow_list
from modelseal.cli.signing_options import KEYLESS, SigningFlags
from modelseal.cli.trust_options import TrustedRootFile


class ReportFormat(StrEnum):
    """How a scan is written to stdout."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


app = typer.Typer(
    help="Lists of names that pickles may import.", no_args_is_help=True, rich_markup_mode=None
)


def register(root: typer.Typer) -> None:
    """Add the commands."""
    root.command()(scan)
    root.add_typer(app, name="allowlist")


@with_flags
def scan(
    paths: Annotated[
        list[Path],
        typer.Argument(metavar="DIR|FILE…", help="What to look into.", show_default=False),
    ],
    allowing: AllowListFlags = BUILT_IN_ONLY,
    trusted_root: TrustedRootFile = None,
    second_opinion: Annotated[
        bool,
        typer.Option(
            "--second-opinion",
            help="Ask modelaudit-picklescan, too: pip install 'modelseal[picklescan]'.",
        ),
    ] = False,
    output: Annotated[
        ReportFormat,
        typer.Option("--output", "-o", help="How to answer on stdout.", envvar="MODELSEAL_OUTPUT"),
    ] = ReportFormat.TEXT,
) -> None:
    """Look into a model's files, by their bytes; nothing is loaded. Exit 10 when one is denied.

    Formats that can run code are denied, and so is what is not known; secrets in texts, too. A
    pickle passes when it imports nothing but what makes plain arrays and tensors, or what a signed
    allow-list opens.

    \b
    Example:
      modelseal scan ./fraud
      modelseal scan model.pt tokenizer.json --output sarif > scan.sarif
      modelseal scan ./fraud --allow-list allow.yaml --allow-list-key security.pub
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.exit_codes import ExitCode
    from modelseal.cli.render import scanning
    from modelseal.evidence.scan.sarif import to_sarif
    from modelseal.workflows import scan as workflow

    answering(output is not ReportFormat.TEXT)
    allowed = chosen_allow_list(allowing, trusted_root)
    report = workflow.scan_paths(paths, allowed)
    opinion = workflow.second_opinion(paths) if second_opinion else ()
    match output:
        case ReportFormat.SARIF:
            answer_json(to_sarif(report))
        case ReportFormat.JSON:
            answer_json(scanning.as_json(report, opinion))
        case ReportFormat.TEXT:
            answer_text(scanning.as_text(report))
            answer_text(f"second opinion: {line}" for line in opinion)
    raise typer.Exit(ExitCode.DENIED if report.denied else ExitCode.OK)


@app.callback()
def _allow_list() -> None:
    """Lists of names that pickles may import."""


@app.command()
@with_flags
def sign(
    allow_list: Annotated[
        Path, typer.Argument(metavar="FILE", help="The list.", show_default=False)
    ],
    signature: Annotated[
        Path | None,
        typer.Option(
            "--signature",
            metavar="FILE",
            help="Where the bundle goes, a new file; FILE.sigstore.json when not given.",
        ),
    ] = None,
    signing: SigningFlags = KEYLESS,
    quiet: Quiet = False,
) -> None:
    """Sign an allow-list, so that `scan` and `publish` take it.

    \b
    Example:
      modelseal allowlist sign allow.yaml --key security.key
    """
    from modelseal.cli.answer import answer_text
    from modelseal.cli.settings import signing_settings
    from modelseal.workflows.allow_list import sign_allow_list
    from modelseal.workflows.oms_signing import check_new, write_signature
    from modelseal.workflows.wiring import open_signer

    target = signature or allow_list.with_name(f"{allow_list.name}.sigstore.json")
    check_new(target)
    signer = open_signer(signing_settings(signing, registry=NO_FLAGS))
    write_signature(target, sign_allow_list(allow_list, signer))
    if not quiet:
        answer_text([f"signed: {target}"])
