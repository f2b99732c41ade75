# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The options of OMS signatures, each spelled and explained once."""

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

_PANEL = "OMS signatures"

SignOms: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--oms",
        help="Attach also an OMS signature (OpenSSF Model Signing) of the files, made from the "
        "manifest alone.",
        envvar="MODELSEAL_OMS",
        rich_help_panel=_PANEL,
    ),
]
OmsFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--oms-file",
        metavar="FILE",
        help="Write the OMS signature to a new file, too, for `model_signing verify`.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
VerifyOms: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--oms",
        help="Verify an OMS signature of the files: one that is attached, or model.sig in the "
        "model. REF may be a directory.",
        rich_help_panel=_PANEL,
    ),
]
SignatureFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--signature",
        metavar="FILE",
        help="The OMS signature is in this file.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
IgnoreUnsigned: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--ignore-unsigned-files",
        help="Take files that are there and not signed.",
        rich_help_panel=_PANEL,
    ),
]
IgnorePath: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--ignore-path",
        metavar="PATH",
        help="Do not ask whether this file, or what is below this directory, is signed; "
        "repeatable.",
        show_default=False,
        rich_help_panel=_PANEL,
    ),
]
AllowSymlinks: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--allow-symlinks",
        help="In a directory, follow links if the signer did so, too.",
        rich_help_panel=_PANEL,
    ),
]
