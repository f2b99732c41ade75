# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The command line's one entrance: here, and only here, errors become messages and exit codes."""

import json
import os
import sys
from typing import Annotated

import typer

from modelseal.cli import config
from modelseal.cli.commands import (
    attest,
    bom,
    cache,
    check,
    copy,
    diff,
    environment,
    explain,
    inspect,
    key,
    lineage,
    login,
    model,
    pull,
    referrers,
    scan,
    trust,
    verify,
)
from modelseal.cli.exit_codes import ExitCode, exit_code_for
from modelseal.errors import Error
from modelseal.version import __version__

app = typer.Typer(
    name="modelseal",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # plain help: quick to start, the same in every terminal
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start here: modelseal init DIR, then modelseal publish DIR REF. "
    "Exit codes: 0 done, 1 failed, 2 wrong usage, 10 denied by policy, 11 not verified, "
    "20 registry or Sigstore unavailable.",
)

model.register(app)
check.register(app)
attest.register(app)
verify.register(app)
pull.register(app)
copy.register(app)
login.register(app)
inspect.register(app)
diff.register(app)
explain.register(app)
lineage.register(app)
bom.register(app)
scan.register(app)
app.add_typer(key.app, name="key")
app.add_typer(environment.app, name="environment")
app.add_typer(cache.app, name="cache")
app.add_typer(referrers.app, name="referrers")
app.add_typer(trust.app, name="trust")


def _version(value: bool) -> None:
    if value:
        typer.echo(f"modelseal {__version__}")
        raise typer.Exit


@app.callback()
def _modelseal(
    ctx: typer.Context,
    version: Annotated[  # noqa: ARG001 - the callback acts
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Log what is done to stderr.", envvar="MODELSEAL_DEBUG")
    ] = False,
) -> None:
    """Ship machine-learning models the way containers are shipped, with proof."""
    if debug:
        from modelseal.cli.logs import log_to_stderr

        log_to_stderr()
    ctx.default_map = config.defaults(os.environ, ctx.command)


def main() -> None:
    """Run the command line."""
    try:
        app()
    except Error as error:
        _tell(error)
        sys.exit(exit_code_for(error))
    except KeyboardInterrupt:
        typer.echo("interrupted; nothing stands half-written under its final name", err=True)
        sys.exit(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output went away; not even the interpreter may complain about it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(ExitCode.FAILED)


def _tell(error: Error) -> None:
    from modelseal.cli.render import as_json, text

    if as_json.wanted():
        typer.echo(json.dumps(as_json.error(error), indent=2))
    for line in text.error_details(error):
        typer.echo(line, err=True)
    typer.echo(f"error: {text.printable(str(error))} [{error.reason}]", err=True)
    if error.hint:
        typer.echo(f"hint: {text.printable(error.hint)}", err=True)
