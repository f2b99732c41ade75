# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The options about scanning that commands share."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from modelseal.cli.trust_options import SignerFlags

if TYPE_CHECKING:
    from modelseal.evidence.scan.allowed import Allowed

_SCAN = "Scanning"

AllowList: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--allow-list",
        metavar="FILE",
        help="Names that pickles may import besides the built-in ones; it has to be signed.",
        envvar="MODELSEAL_ALLOW_LIST",
        rich_help_panel=_SCAN,
    ),
]
AllowListSignature: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--allow-list-signature",
        metavar="FILE",
        help="The bundle that signs the allow-list; FILE.sigstore.json beside it when not given.",
        rich_help_panel=_SCAN,
    ),
]
AllowListKey: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--allow-list-key",
        metavar="FILE|URI",
        help="The public key that has to have signed the allow-list.",
        envvar="MODELSEAL_ALLOW_LIST_KEY",
        rich_help_panel=_SCAN,
    ),
]
AllowListIdentity: TypeAlias = Annotated[
    str,
    typer.Option(
        "--allow-list-identity",
        metavar="SUBJECT",
        help="Exactly who has to have signed the allow-list keylessly.",
        envvar="MODELSEAL_ALLOW_LIST_IDENTITY",
        show_default=False,
        rich_help_panel=_SCAN,
    ),
]
AllowListIssuer: TypeAlias = Annotated[
    str,
    typer.Option(
        "--allow-list-oidc-issuer",
        metavar="URL",
        help="Exactly who has to vouch for that signer.",
        envvar="MODELSEAL_ALLOW_LIST_OIDC_ISSUER",
        show_default=False,
        rich_help_panel=_SCAN,
    ),
]
AcceptFindings: TypeAlias = Annotated[
    str,
    typer.Option(
        "--accept-findings",
        metavar="REASON",
        help="Publish although the scan denies the model; the findings and the reason are signed.",
        show_default=False,
        rich_help_panel=_SCAN,
    ),
]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AllowListFlags:
    """What pickles may import, and who has to have said so."""

    allow_list: AllowList = None
    allow_list_signature: AllowListSignature = None
    allow_list_key: AllowListKey = None
    allow_list_identity: AllowListIdentity = ""
    allow_list_oidc_issuer: AllowListIssuer = ""


BUILT_IN_ONLY = AllowListFlags()


def chosen_allow_list(flags: AllowListFlags, trusted_root: str | None) -> "Allowed":
    """Return what the options allow pickles to import. Raises as `read_allow_list` does."""
    from modelseal.cli.settings import settings
    from modelseal.errors import UsageError
    from modelseal.evidence.scan.allowed import BUILT_IN
    from modelseal.workflows.allow_list import read_allow_list
    from modelseal.workflows.wiring import trust_for

    if flags.allow_list is None:
        if flags.allow_list_signature is not None:
            raise UsageError("--allow-list-signature needs --allow-list", hint="name the list")
        return BUILT_IN
    signer = SignerFlags(
        key=flags.allow_list_key,
        certificate_identity=flags.allow_list_identity,
        certificate_oidc_issuer=flags.allow_list_oidc_issuer,
        trusted_root=trusted_root,
    )
    trust = trust_for(settings(trust=signer))
    if trust is None:
        raise UsageError(
            "nobody is named who has to have signed the allow-list",
            hint="give --allow-list-key, or --allow-list-identity and --allow-list-oidc-issuer",
        )
    path = flags.allow_list
    beside = flags.allow_list_signature or path.with_name(f"{path.name}.sigstore.json")
    return read_allow_list(path, beside, trust)
