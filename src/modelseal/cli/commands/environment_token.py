# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""environment nonce and token: what an attestation service says of a machine. Experimental."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from modelseal.cli.flags import with_flags
from modelseal.cli.options import (
    NO_FLAGS,
    Output,
    OutputFormat,
    Quiet,
    ReferenceArgument,
    RegistryFlags,
)
from modelseal.cli.signing_options import KEYLESS, SigningFlags

if TYPE_CHECKING:
    from modelseal.trust.eat.token import TokenPolicy

_TOKEN = "Token"  # noqa: S105 - the name of a group of options

JwksFile = Annotated[
    Path | None,
    typer.Option(
        "--jwks",
        metavar="FILE",
        help="The keys of the attestation service (JWKS), pinned: none is fetched.",
        show_default=False,
        rich_help_panel=_TOKEN,
    ),
]
TokenIssuer = Annotated[
    str,
    typer.Option(
        "--issuer",
        metavar="URL",
        help="Exactly the issuer of the token (iss).",
        show_default=False,
        rich_help_panel=_TOKEN,
    ),
]
TokenClaims = Annotated[
    list[str] | None,
    typer.Option(
        "--claim",
        metavar="NAME=VALUE",
        help="A claim that has to have exactly this value; /a/b=VALUE for one inside another. A "
        "value that is JSON is taken as such (true, 2, [1]), else as text; repeatable.",
        show_default=False,
        rich_help_panel=_TOKEN,
    ),
]
NonceClaim = Annotated[
    str,
    typer.Option(
        "--nonce-claim",
        metavar="NAME",
        help="Where the service writes the nonce; /a/b for one inside another.",
        rich_help_panel=_TOKEN,
    ),
]
IgnoredHeaders = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore-header",
        metavar="NAME",
        help="Leave a header unread that points at a key (jku, x5u, x5c, x5t): it is never "
        "followed, and without this a token that has it is refused; repeatable.",
        show_default=False,
        rich_help_panel=_TOKEN,
    ),
]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TokenFlags:
    """Which tokens count; `with_flags` makes one option of each field."""

    jwks: JwksFile = None
    issuer: TokenIssuer = ""
    claim: TokenClaims = None
    nonce_claim: NonceClaim = "eat_nonce"
    ignore_header: IgnoredHeaders = None


NO_TOKENS = TokenFlags()


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(nonce)
    app.command()(token)


def token_policy(flags: TokenFlags) -> "TokenPolicy | None":
    """Return which tokens count; None when nothing is said about tokens.

    Raises:
        UsageError: half of it is said.
        KeyFileError: the key set cannot be used.
    """
    from modelseal.errors import UsageError

    ignored = flags.ignore_header or []
    if flags.jwks is None:
        if flags.issuer or flags.claim or ignored:
            raise UsageError("--issuer, --claim and --ignore-header need --jwks beside them")
        return None
    if not flags.issuer:
        raise UsageError(
            "--jwks needs --issuer beside it", hint="say exactly whose tokens count (iss)"
        )
    from modelseal.trust.eat.jws import IGNORABLE, load_jwks
    from modelseal.trust.eat.token import TokenPolicy, parse_claims, parse_pointer

    unknown = set(ignored) - IGNORABLE
    if unknown:
        raise UsageError(
            f"the header {min(unknown)[:40]!r} cannot be ignored",
            hint=f"these can: {', '.join(sorted(IGNORABLE))}",
        )
    return TokenPolicy(
        keys=load_jwks(flags.jwks),
        issuer=flags.issuer,
        claims=parse_claims(flags.claim or ()),
        nonce_claim=parse_pointer(flags.nonce_claim),
        ignored=frozenset(ignored),
    )


@with_flags
def nonce(
    reference: ReferenceArgument,
    registry: RegistryFlags = NO_FLAGS,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Show the nonce that binds evidence to REF.

    It is what to hand to an attestation service.

    It is the SHA-256 of the manifest's digest as text, in the spellings that services take.

    \b
    Example:
      modelseal environment nonce ghcr.io/acme/fraud:1.4.0
    """
    import base64

    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.settings import settings
    from modelseal.oci.reference import parse_reference
    from modelseal.trust.environment import nonce_for
    from modelseal.workflows.wiring import name_of, open_store

    json_wanted = answering(output)
    target = parse_reference(reference)
    store = open_store(target.location, settings(registry=registry))
    digest = store.resolve(name_of(target)).digest
    value = nonce_for(digest)
    url = base64.urlsafe_b64encode(value).rstrip(b"=").decode()
    if json_wanted:
        answer_json(
            {
                "reference": reference,
                "digest": str(digest),
                "hex": value.hex(),
                "base64url": url,
                "base64": base64.b64encode(value).decode(),
            }
        )
    else:
        answer_text([f"digest: {digest}", f"hex: {value.hex()}", f"base64url: {url}"])


@with_flags
def token(
    reference: ReferenceArgument,
    token_file: Annotated[
        Path,
        typer.Option(
            "--token",
            metavar="FILE",
            help="The token, as the service gave it (JWT).",
            show_default=False,
            rich_help_panel=_TOKEN,
        ),
    ],
    tokens: TokenFlags = NO_TOKENS,
    signing: SigningFlags = KEYLESS,
    registry: RegistryFlags = NO_FLAGS,
    quiet: Quiet = False,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Verify an attestation service's token; attach it.

    The token is about this machine; the statement that names it is signed.

    Experimental. The token has to hold the nonce of REF (`environment nonce`), be signed by a
    pinned key, and be valid now.

    \b
    Example:
      modelseal environment token ghcr.io/acme/fraud:1.4.0 --token token.jwt --jwks jwks.json \\
        --issuer https://confidentialcomputing.googleapis.com --claim dbgstat=disabled-since-boot
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.progress import progress
    from modelseal.cli.render import environment
    from modelseal.cli.settings import signing_settings
    from modelseal.errors import UsageError
    from modelseal.oci.reference import parse_reference
    from modelseal.trust.eat.jws import MAX_TOKEN_BYTES
    from modelseal.workflows.environment_tokens import attest_token
    from modelseal.workflows.files import read_file
    from modelseal.workflows.services import Services
    from modelseal.workflows.wiring import name_of, open_signer, open_store

    json_wanted = answering(output)
    policy = token_policy(tokens)
    if policy is None:
        raise UsageError(
            "nobody is named whose token counts", hint="give --jwks FILE and --issuer URL"
        )
    raw = read_file(token_file, "token", limit=2 * MAX_TOKEN_BYTES).strip()
    chosen = signing_settings(signing, registry=registry)
    target = parse_reference(reference)
    signer = open_signer(chosen)
    with progress(quiet=quiet) as on_event:
        services = Services(store=open_store(target.location, chosen), on_event=on_event)
        done = attest_token(name_of(target), raw, policy, signer, services)
    if json_wanted:
        answer_json(environment.attached_token_as_json(done, reference))
    else:
        answer_text(environment.attached_token_as_text(done))
