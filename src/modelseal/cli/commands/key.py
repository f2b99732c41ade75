# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""key: key pairs for where there is no Sigstore."""

from pathlib import Path
from typing import Annotated

import typer

from modelseal.cli.options import OutputFormat

app = typer.Typer(
    help="Key pairs, for where there is no Sigstore.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def _key() -> None:
    """Key pairs, for where there is no Sigstore."""


@app.command()
def generate(
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="Where the private key goes; the public key goes beside it, as FILE.pub.",
        ),
    ] = Path("modelseal.key"),
    json_output: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """Make an ECDSA P-256 key pair; the private key is encrypted by a passphrase.

    The passphrase comes from MODELSEAL_KEY_PASSPHRASE, or is asked for. An existing file is
    never overwritten. `cosign verify --key FILE.pub` takes the public key.

    \b
    Example:
      modelseal key generate --output release.key
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.settings import new_passphrase
    from modelseal.trust.keys import generate_key, write_key_pair

    json_wanted = answering(OutputFormat.JSON if json_output else OutputFormat.TEXT)
    pair = write_key_pair(generate_key(), output, new_passphrase)
    if json_wanted:
        answer_json(
            {
                "privateKey": str(pair.private),
                "publicKey": str(pair.public),
                "fingerprint": pair.fingerprint,
            }
        )
    else:
        answer_text(
            [
                f"private key: {pair.private} (encrypted; keep it and its passphrase)",
                f"public key: {pair.public}",
                f"fingerprint: {pair.fingerprint}",
            ]
        )
