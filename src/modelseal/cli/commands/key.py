# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""key: key pairs for where there is no Sigstore."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from modelseal.cli.options import Output, OutputFormat


class AlgorithmName(StrEnum):
    """What a key signs with (`trust.keys.Algorithm`)."""

    ECDSA_P256 = "ecdsa-p256"
    ED25519 = "ed25519"
    RSA_3072 = "rsa-3072"


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
    algorithm: Annotated[
        AlgorithmName,
        typer.Option("--algorithm", help="What it signs with; cosign takes all of them."),
    ] = AlgorithmName.ECDSA_P256,
    json_output: Annotated[bool, typer.Option("--json", help="Answer as JSON.")] = False,
) -> None:
    """Make a key pair; the private key is encrypted by a passphrase.

    The passphrase comes from MODELSEAL_KEY_PASSPHRASE, or is asked for. An existing file is
    never overwritten. `cosign verify --key FILE.pub` takes the public key.

    \b
    Example:
      modelseal key generate --output release.key
      modelseal key generate --output release.key --algorithm ed25519
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.settings import new_passphrase
    from modelseal.trust.keys import Algorithm, generate_key, write_key_pair

    json_wanted = answering(OutputFormat.JSON if json_output else OutputFormat.TEXT)
    pair = write_key_pair(generate_key(Algorithm(algorithm.value)), output, new_passphrase)
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


@app.command()
def show(
    key: Annotated[
        str,
        typer.Argument(
            metavar="FILE|URI",
            help="A public key (PEM), an encrypted private key, or the URI of a key in a KMS.",
            show_default=False,
        ),
    ],
    output: Output = OutputFormat.TEXT,
) -> None:
    """Show a key's public half: its fingerprint, its algorithm, and the PEM to verify with.

    The fingerprint is how policies and answers name a key: the SHA-256 of the public key's DER.

    \b
    Example:
      modelseal key show release.key.pub
      modelseal key show awskms:alias/release --output json
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.settings import ask_passphrase, ask_pin
    from modelseal.workflows.signing_keys import open_either_key

    json_wanted = answering(output)
    public = open_either_key(key, passphrase=ask_passphrase, pin=ask_pin)
    pem = public.pem.decode()
    if json_wanted:
        answer_json(
            {
                "fingerprint": public.identity.fingerprint,
                "algorithm": public.algorithm,
                "publicKey": pem,
            }
        )
    else:
        answer_text(
            [
                f"fingerprint: {public.identity.fingerprint}",
                f"algorithm: {public.algorithm}",
                *pem.splitlines(),
            ]
        )
