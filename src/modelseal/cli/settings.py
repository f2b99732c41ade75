# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Options to `Settings`, and the progress that fits where stderr goes."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from modelseal.cli.options import NO_FLAGS, RegistryFlags
from modelseal.errors import KeyFileError
from modelseal.oci.cache import BlobCache
from modelseal.oci.registry.options import RegistryOptions
from modelseal.workflows.wiring import (
    PASSPHRASE_VARIABLE,
    PIN_VARIABLE,
    Settings,
    no_passphrase,
    no_pin,
)

if TYPE_CHECKING:
    from modelseal.trust.identity import Profile

COSIGN_PASSPHRASE_VARIABLE = "COSIGN_PASSWORD"  # noqa: S105 - the name of it
CLIENT_PASSPHRASE_VARIABLE = "MODELSEAL_CLIENT_KEY_PASSPHRASE"  # noqa: S105 - the name of it


def settings(
    *,
    registry: RegistryFlags = NO_FLAGS,
    key: str | None = None,
    identity_token: str = "",
    trusted_root: str | None = None,
    signing_config: str | None = None,
    certificate: Path | None = None,
    certificate_chain: Path | None = None,
    ca_roots: Path | None = None,
    ca_intermediates: Path | None = None,
    certificate_identity: str = "",
    certificate_oidc_issuer: str = "",
    profile: str | None = None,
    policy: Path | None = None,
    offline: bool = False,
    cache: BlobCache | None = None,
    ignore_limits: bool = False,
) -> Settings:
    """Return what the options say."""
    return Settings(
        registry=_registry(registry, ignore_limits=ignore_limits),
        key=key,
        passphrase=ask_passphrase,
        pin=ask_pin,
        identity_token=identity_token,
        interactive=sys.stdin.isatty() and sys.stderr.isatty(),
        trusted_root=trusted_root,
        signing_config=signing_config,
        certificate=certificate,
        certificate_chain=certificate_chain,
        ca_roots=ca_roots,
        ca_intermediates=ca_intermediates,
        certificate_identity=certificate_identity,
        certificate_oidc_issuer=certificate_oidc_issuer,
        profile=_profile(profile),
        policy=policy,
        offline=offline,
        cache=cache,
    )


def _profile(name: str | None) -> "Profile | None":
    if name is None:
        return None
    from modelseal.trust.identity import Profile

    return Profile(name)


def _registry(flags: RegistryFlags, *, ignore_limits: bool) -> RegistryOptions:
    return RegistryOptions(
        plain_http=frozenset(flags.plain_http or ()),
        ca_file=flags.ca_file,
        client_cert=flags.client_cert,
        client_key=flags.client_key,
        client_key_passphrase=os.environ.get(CLIENT_PASSPHRASE_VARIABLE, ""),
        token_hosts=frozenset(flags.token_host or ()),
        ignore_limits=ignore_limits,
    )


def ask_passphrase() -> str:
    """Return the key's passphrase: from the environment, else asked for on a terminal.

    cosign's variable counts, too, so that its keys work where it was set up for them.
    """
    for variable in (PASSPHRASE_VARIABLE, COSIGN_PASSPHRASE_VARIABLE):
        passphrase = os.environ.get(variable)
        if passphrase is not None:
            return passphrase
    if not sys.stdin.isatty():
        return no_passphrase()
    return str(typer.prompt("Passphrase of the private key", hide_input=True, err=True))


def ask_pin() -> str:
    """Return the PIN of a PKCS#11 token: from the environment, else asked for on a terminal."""
    pin = os.environ.get(PIN_VARIABLE)
    if pin is not None:
        return pin
    if not sys.stdin.isatty():
        return no_pin()
    return str(typer.prompt("PIN of the PKCS#11 token", hide_input=True, err=True))


def new_passphrase() -> str:
    """Return the passphrase for a new key; asked for twice. Raises `KeyFileError`."""
    passphrase = os.environ.get(PASSPHRASE_VARIABLE)
    if passphrase is None:
        if not sys.stdin.isatty():
            raise KeyFileError(
                "a private key is written encrypted only, and no passphrase is at hand",
                hint=f"set {PASSPHRASE_VARIABLE}, or run in a terminal to be asked",
            )
        passphrase = str(
            typer.prompt(
                "Passphrase for the new key", hide_input=True, confirmation_prompt=True, err=True
            )
        )
    if not passphrase:
        raise KeyFileError("the passphrase is empty", hint="choose one; it guards the private key")
    return passphrase
