# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The options that say who signs, and what, each spelled and explained once."""

import dataclasses
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from modelseal.cli.trust_options import Offline, TrustedRootFile

_SIGNING = "Signing"

SigningKey: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="FILE|URI",
        help="Sign with this private key: an encrypted file (passphrase from "
        "MODELSEAL_KEY_PASSPHRASE, or asked for), or a key in a KMS: awskms:, azurekms:, gcpkms:, "
        "hv: (Vault), hsm: (PKCS#11). Without it: keyless.",
        envvar="MODELSEAL_KEY",
        rich_help_panel=_SIGNING,
    ),
]
SigningCertificate: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--certificate",
        metavar="FILE",
        help="The certificate (PEM) of --key by a company's authority; it goes into the bundle.",
        envvar="MODELSEAL_CERTIFICATE",
        rich_help_panel=_SIGNING,
    ),
]
CertificateChain: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--certificate-chain",
        metavar="FILE",
        help="The certificates (PEM) above --certificate, the root last.",
        envvar="MODELSEAL_CERTIFICATE_CHAIN",
        rich_help_panel=_SIGNING,
    ),
]
IdentityToken: TypeAlias = Annotated[
    str,
    typer.Option(
        "--identity-token",
        metavar="TOKEN|FILE",
        help="OIDC token, or better a file that holds it (also SIGSTORE_ID_TOKEN). Without it: "
        "the CI system's own, else the browser.",
        envvar="MODELSEAL_IDENTITY_TOKEN",
        show_default=False,
        rich_help_panel=_SIGNING,
    ),
]
SigningConfigFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--signing-config",
        metavar="FILE|URI",
        help="Where a private Sigstore signs (as cosign signing-config create writes it).",
        envvar="MODELSEAL_SIGNING_CONFIG",
        rich_help_panel=_SIGNING,
    ),
]
ByDigest: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--by-digest",
        help="Store the predicate beside the model and sign its digest, also when it is small.",
    ),
]
Attestations: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--attest",
        metavar="TYPE=FILE",
        help="Attest this predicate, too, with the same login: a URI or a short name, and a JSON "
        "file; repeatable.",
        show_default=False,
        rich_help_panel=_SIGNING,
    ),
]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SigningFlags:
    """Who signs; `with_flags` makes one option of each field."""

    key: SigningKey = None
    certificate: SigningCertificate = None
    certificate_chain: CertificateChain = None
    identity_token: IdentityToken = ""
    signing_config: SigningConfigFile = None
    trusted_root: TrustedRootFile = None
    offline: Offline = False


KEYLESS = SigningFlags()
