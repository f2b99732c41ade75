# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""login and logout: credentials of registries, kept where Docker keeps them."""

import sys
from typing import Annotated

import typer

from modelseal.cli.flags import with_flags
from modelseal.cli.options import NO_FLAGS, RegistryFlags

_MOST = 64 << 10

RegistryArgument = Annotated[
    str, typer.Argument(metavar="REGISTRY", help="host or host:port", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(login)
    app.command()(logout)


@with_flags
def login(
    registry_name: RegistryArgument,
    username: Annotated[
        str,
        typer.Option("--username", "-u", metavar="USER", help="Who.", show_default=False),
    ],
    password_stdin: Annotated[
        bool,
        typer.Option("--password-stdin", help="Read the password, or token, from stdin."),
    ] = False,
    registry: RegistryFlags = NO_FLAGS,
) -> None:
    """Try a user name and a password at REGISTRY; keep them.

    They are kept as Docker keeps them, by its credential program when one is set up, so docker,
    cosign, oras and others know them, too. On a terminal the password is asked for.

    \b
    Example:
      modelseal login ghcr.io -u octocat --password-stdin < token.txt
    """
    from modelseal.cli.settings import settings
    from modelseal.oci.registry.credentials import Credentials
    from modelseal.oci.registry.login import check_registry
    from modelseal.oci.registry.login import login as log_in

    name = check_registry(registry_name)
    password = _password(name, from_stdin=password_stdin)
    chosen = settings(registry=registry).registry
    kept = log_in(name, Credentials(username, password), chosen)
    if not kept.checked:
        typer.echo(f"{name} asks nobody for credentials: they were not tried", err=True)
    if not kept.encrypted:
        typer.echo(
            f"kept in {kept.place}, readable by you only but not encrypted; a credential program "
            "(credsStore) keeps them safer",
            err=True,
        )
    typer.echo(f"logged in: {name} as {username}")


def logout(registry_name: RegistryArgument) -> None:
    """Forget the credentials for REGISTRY.

    \b
    Example:
      modelseal logout ghcr.io
    """
    from modelseal.oci.registry.login import logout as log_out

    known = log_out(registry_name)
    typer.echo(f"logged out: {registry_name}" if known else f"not logged in: {registry_name}")


def _password(registry: str, *, from_stdin: bool) -> str:
    from modelseal.errors import UsageError

    if not from_stdin:
        if not sys.stdin.isatty():
            raise UsageError(
                "there is nobody to ask for the password", hint="give it with --password-stdin"
            )
        return str(typer.prompt(f"Password or token for {registry}", hide_input=True, err=True))
    raw = sys.stdin.buffer.read(_MOST + 1)
    if len(raw) > _MOST:
        raise UsageError("what is on stdin is too long for a password")
    try:
        return raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise UsageError("what is on stdin is no text") from None
