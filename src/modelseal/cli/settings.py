# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Options to `Settings`, and the progress that fits where stderr goes."""

import os
import sys
from typing import TYPE_CHECKING

import typer

from modelseal.cli.options import NO_FLAGS, RegistryFlags
from modelseal.cli.signing_options import SigningFlags
from modelseal.cli.trust_options import NOBODY, SignerFlags, TrustFlags, VerifyingFlags
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
    trust: SignerFlags = NOBODY,
    offline: bool = False,
    cache: BlobCache | None = None,
    ignore_limits: bool = False,
) -> Settings:
    """Return what the options of a command say that reads."""
    return Settings(
        registry=_registry(registry, ignore_limits=ignore_limits),
        passphrase=ask_passphrase,
        pin=ask_pin,
        key=trust.key,
        trusted_root=trust.trusted_root,
        ca_roots=trust.ca_roots,
        ca_intermediates=trust.ca_intermediates,
        certificate_identity=trust.certificate_identity,
        certificate_oidc_issuer=trust.certificate_oidc_issuer,
        profile=_profile(trust.profile) if isinstance(trust, VerifyingFlags) else None,
        policy=trust.policy if isinstance(trust, TrustFlags) else None,
        offline=offline,
        cache=cache,
    )


def signing_settings(
    signing: SigningFlags, *, registry: RegistryFlags, ignore_limits: bool = False
) -> Settings:
    """Return what the options of a command say that signs."""
    return Settings(
        registry=_registry(registry, ignore_limits=ignore_limits),
        passphrase=ask_passphrase,
        pin=ask_pin,
        interactive=sys.stdin.isatty() and sys.stderr.isatty(),
        key=signing.key,
        certificate=signing.certificate,
        certificate_chain=signing.certificate_chain,
        identity_token=signing.identity_token,
        trusted_root=signing.trusted_root,
        signing_config=signing.signing_config,
        offline=signing.offline,
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
