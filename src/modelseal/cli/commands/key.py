# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""key: key pairs for where there is no Sigstore."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from modelseal.cli.flags import with_flags
from modelseal.cli.options import (
    NO_FLAGS,
    Output,
    OutputFormat,
    Quiet,
    RegistryFlags,
    RepositoryArgument,
)


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
    """Show a key's public half. That is its fingerprint, its algorithm, the PEM to verify with.

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


@app.command("list")
@with_flags
def list_keys(
    repository: RepositoryArgument,
    keys: Annotated[
        list[str] | None,
        typer.Option(
            "--key",
            metavar="FILE|URI",
            help="A public key whose signatures are verified; repeatable. What others are said "
            "to have signed is listed as claimed.",
        ),
    ] = None,
    registry: RegistryFlags = NO_FLAGS,
    output: Output = OutputFormat.TEXT,
) -> None:
    """List which keys signed what about the releases of a repository.

    \b
    Example:
      modelseal key list ghcr.io/acme/fraud --key release.key.pub
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.render import keys as render
    from modelseal.cli.settings import ask_pin, settings
    from modelseal.oci.reference import parse_location
    from modelseal.workflows.key_use import key_uses
    from modelseal.workflows.signing_keys import open_public_key
    from modelseal.workflows.wiring import open_store

    json_wanted = answering(output)
    location = parse_location(repository)
    known = [open_public_key(key, pin=ask_pin) for key in keys or ()]
    uses = key_uses(open_store(location, settings(registry=registry)), known)
    if json_wanted:
        answer_json({"location": str(location), "keys": render.uses_as_json(uses)})
    else:
        answer_text(render.uses_as_text(uses))


@app.command()
@with_flags
def rotate(
    repository: RepositoryArgument,
    old_key: Annotated[
        str,
        typer.Option(
            "--old-key",
            metavar="FILE|URI",
            help="The public key whose signatures are to be followed by the new one's.",
            show_default=False,
        ),
    ],
    key: Annotated[
        str,
        typer.Option(
            "--key",
            metavar="FILE|URI",
            help="The new private key, as `sign` takes it; for --dry-run its public half will do.",
            envvar="MODELSEAL_KEY",
            show_default=False,
        ),
    ],
    tags: Annotated[
        list[str] | None,
        typer.Option("--tag", metavar="TAG", help="Only this release; repeatable."),
    ] = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="Why; it stands in the record.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be signed, and sign nothing.")
    ] = False,
    registry: RegistryFlags = NO_FLAGS,
    quiet: Quiet = False,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Sign with a new key what an old one signed. That is, about the releases of a repository.

    Only what verifies with the old key is signed again, byte for byte. The old signatures stay, so
    that both keys hold until everybody asks for the new one. What was done is recorded in a signed
    statement. A second run does what is left. After a theft, do not do this: see docs/rotation.md.

    \b
    Example:
      modelseal key rotate ghcr.io/acme/fraud --old-key 2025.key.pub --key 2026.key --dry-run
      modelseal key rotate ghcr.io/acme/fraud --old-key 2025.key.pub --key awskms:alias/2026
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.progress import progress
    from modelseal.cli.render import keys as render
    from modelseal.cli.settings import ask_passphrase, ask_pin, settings
    from modelseal.oci.reference import parse_location
    from modelseal.trust.signer import KeySigner
    from modelseal.workflows.rotate import Rotated, check_reason, plan_rotation
    from modelseal.workflows.rotate import rotate as workflow
    from modelseal.workflows.services import Services
    from modelseal.workflows.signing_keys import (
        open_either_key,
        open_public_key,
        open_signing_key,
    )
    from modelseal.workflows.wiring import open_store

    json_wanted = answering(output)
    check_reason(reason)
    location = parse_location(repository)
    old = open_public_key(old_key, pin=ask_pin)
    store = open_store(location, settings(registry=registry))
    if dry_run:
        new = open_either_key(key, passphrase=ask_passphrase, pin=ask_pin)
        done = [
            Rotated(release=release, referrers=())
            for release in plan_rotation(store, old, new, tags or ())
        ]
    else:
        private = open_signing_key(key, passphrase=ask_passphrase, pin=ask_pin)
        new = private.public_key()
        releases = plan_rotation(store, old, new, tags or ())
        with progress(quiet=quiet) as on_event:
            services = Services(store=store, on_event=on_event)
            done = list(workflow(releases, old, KeySigner(private), reason, services))
    fingerprints = (old.identity.fingerprint, new.identity.fingerprint)
    if json_wanted:
        answer_json(render.rotation_as_json(str(location), fingerprints, done, dry_run=dry_run))
    else:
        answer_text(render.rotation_as_text(fingerprints, done, dry_run=dry_run))
