# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The options that say whom to believe, each spelled and explained once."""

import dataclasses
import itertools
import os
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

_TRUST = "Whom to believe"


def _decides(ctx: typer.Context, param: typer.CallbackParam, value: Any) -> Any:  # noqa: ANN401 - of any option
    """Refuse who is to be believed when it is given, and empty, or given twice.

    `--policy "$UNSET"`, taken for "not given", would make `pull` write a model that nobody vouches
    for. Of `--key A --key B` the last would count, and whoever wrote it may have meant both.
    """
    source = ctx.get_parameter_source(str(param.name))
    named = source is not None and source.name != "DEFAULT"
    if (named and not value) or os.environ.get(str(param.envvar)) == "":
        raise typer.BadParameter(
            f"it is empty, and decides whom to believe; name it, or leave out {param.opts[0]} "
            f"and {param.envvar}"
        )
    if _times(param.opts, sys.argv) > 1:
        raise typer.BadParameter(
            f"{param.opts[0]} stands there twice, and would name one signer; for several write a "
            "policy, with a role and its threshold"
        )
    return value


def _times(options: Sequence[str], words: Sequence[str]) -> int:
    """Count how often an option stands on a command line."""
    named = itertools.takewhile(lambda word: word != "--", words)
    return sum(word.partition("=")[0] in options for word in named)


CertificateIdentity: TypeAlias = Annotated[
    str,
    typer.Option(
        "--certificate-identity",
        metavar="SUBJECT",
        help="Exactly who has to have signed: an e-mail address, a workflow's URI.",
        envvar="MODELSEAL_CERTIFICATE_IDENTITY",
        show_default=False,
        callback=_decides,
        rich_help_panel=_TRUST,
    ),
]
CertificateIssuer: TypeAlias = Annotated[
    str,
    typer.Option(
        "--certificate-oidc-issuer",
        metavar="URL",
        help="Exactly who has to vouch for the signer.",
        envvar="MODELSEAL_CERTIFICATE_OIDC_ISSUER",
        show_default=False,
        callback=_decides,
        rich_help_panel=_TRUST,
    ),
]
CaRoots: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--ca-roots",
        metavar="FILE",
        help="Roots (PEM) of a company's authority that has to vouch for --certificate-identity, "
        "in place of an OIDC issuer.",
        envvar="MODELSEAL_CA_ROOTS",
        callback=_decides,
        rich_help_panel=_TRUST,
    ),
]
CaIntermediates: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--ca-intermediates",
        metavar="FILE",
        help="Certificates (PEM) between the roots and the signer's; not trusted themselves.",
        envvar="MODELSEAL_CA_INTERMEDIATES",
        rich_help_panel=_TRUST,
    ),
]
PublicKey: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="FILE|URI",
        help="The public key (PEM) that has to have signed, or the URI of a key in a KMS.",
        envvar="MODELSEAL_PUBLIC_KEY",
        callback=_decides,
        rich_help_panel=_TRUST,
    ),
]


class TrustProfile(StrEnum):
    """What a verifier insists on (`trust.identity.Profile`)."""

    KEYLESS = "keyless"
    KEYLESS_PRIVATE = "keyless-private"
    KEY = "key"
    CERTIFICATE = "certificate"


VerificationProfile: TypeAlias = Annotated[
    TrustProfile | None,
    typer.Option(
        "--profile",
        help="What to insist on. keyless: certificate, CT log, transparency log and time; "
        "keyless-private: all that --trusted-root names; key: a signature by --key; certificate: "
        "one by --ca-roots. Without it: what the other options are for.",
        envvar="MODELSEAL_PROFILE",
        show_default=False,
        rich_help_panel=_TRUST,
    ),
]
PolicyFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        metavar="FILE",
        help="A policy that has to allow it; exit 10 when it does not.",
        envvar="MODELSEAL_POLICY",
        callback=_decides,
        rich_help_panel=_TRUST,
    ),
]
TrustedRootFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--trusted-root",
        metavar="FILE|URI",
        help="The Sigstore that is believed: a file (as cosign trusted-root create writes it), "
        "tuf+https://HOST/PATH[#ROOT.json], or k8s://NAMESPACE/NAME. Without it: the public good "
        "one.",
        envvar="MODELSEAL_TRUSTED_ROOT",
        rich_help_panel=_TRUST,
    ),
]
Offline: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--offline",
        help="Ask no Sigstore service for the trusted root: use the file or what is cached.",
        envvar="MODELSEAL_OFFLINE",
        rich_help_panel=_TRUST,
    ),
]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SignerFlags:
    """Who has to have signed; `with_flags` makes one option of each field."""

    certificate_identity: CertificateIdentity = ""
    certificate_oidc_issuer: CertificateIssuer = ""
    ca_roots: CaRoots = None
    ca_intermediates: CaIntermediates = None
    key: PublicKey = None
    trusted_root: TrustedRootFile = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrustFlags(SignerFlags):
    """The same, or a policy."""

    policy: PolicyFile = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VerifyingFlags(TrustFlags):
    """The same, and what to insist on."""

    profile: VerificationProfile = None


NOBODY = VerifyingFlags()
