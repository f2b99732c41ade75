# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""trust: whom a site believes, looked at and packed."""

from pathlib import Path
from typing import Annotated

import typer

from modelseal.cli.options import Output, OutputFormat
from modelseal.cli.trust_options import Offline

app = typer.Typer(
    help="Whom a site believes: look at it, pack it.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def _trust() -> None:
    """Whom a site believes: look at it, pack it."""


@app.command()
def show(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A trusted root (a file, tuf+https://…, k8s://…), or a bundle of `trust export`.",
            show_default=False,
        ),
    ],
    offline: Offline = False,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Show whom a trusted root names and until when; check the digests of a bundle.

    \b
    Example:
      modelseal trust show trusted_root.json
      modelseal trust show tuf+https://tuf.acme.example
      modelseal trust show /media/usb/trust
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.render import trusting
    from modelseal.workflows import trust_files

    json_wanted = answering(output)
    shown = trust_files.show(source, offline=offline)
    if json_wanted:
        answer_json(trusting.as_json(shown))
    else:
        answer_text(trusting.as_text(shown))


@app.command()
def export(
    destination: Annotated[
        Path,
        typer.Argument(
            metavar="DIR|FILE.tar", help="A new directory, or a new archive.", show_default=False
        ),
    ],
    trusted_root: Annotated[
        str | None,
        typer.Option(
            "--trusted-root",
            metavar="FILE|URI",
            help="The Sigstore that the site believes; a TUF repository is brought up to date. "
            "Without it: the public instance, unless only keys are packed.",
            envvar="MODELSEAL_TRUSTED_ROOT",
            show_default=False,
        ),
    ] = None,
    signing_config: Annotated[
        str | None,
        typer.Option(
            "--signing-config",
            metavar="FILE|URI",
            help="Where the site signs, if it does.",
            show_default=False,
        ),
    ] = None,
    policy: Annotated[
        list[Path] | None,
        typer.Option("--policy", metavar="FILE", help="A policy; repeatable.", show_default=False),
    ] = None,
    key: Annotated[
        list[Path] | None,
        typer.Option(
            "--key", metavar="FILE", help="A public key (PEM); repeatable.", show_default=False
        ),
    ] = None,
    offline: Offline = False,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Pack what a site needs that reaches nobody, with digests, and when what ends.

    There, --trusted-root, --policy and --key name the files of the bundle; nothing else is asked.

    \b
    Example:
      modelseal trust export /media/usb/trust
      modelseal trust export /media/usb/trust --policy production.yaml \\
        --trusted-root tuf+https://tuf.acme.example
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.render import trusting
    from modelseal.workflows import trust_files

    json_wanted = answering(output)
    wanted = trust_files.Wanted(
        trusted_root=trusted_root,
        signing_config=signing_config,
        policies=policy or (),
        keys=key or (),
        offline=offline,
    )
    bundle = trust_files.export(destination, wanted)
    if json_wanted:
        answer_json(trusting.as_json(bundle))
    else:
        answer_text([f"packed: {destination}", *trusting.as_text(bundle)])
