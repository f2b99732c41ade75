# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The options of commands that read through the cache."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from modelseal.errors import UsageError

if TYPE_CHECKING:
    from modelseal.oci.cache import BlobCache

_CACHE = "Cache"
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}

CacheDir: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        metavar="DIR",
        help="Where fetched files are kept by digest; ~/.cache/modelseal when not given.",
        envvar="MODELSEAL_CACHE",
        show_default=False,
        rich_help_panel=_CACHE,
    ),
]
CacheLimit: TypeAlias = Annotated[
    str,
    typer.Option(
        "--cache-limit",
        metavar="SIZE",
        help="What the cache may hold, for example 500M or 20G.",
        envvar="MODELSEAL_CACHE_LIMIT",
        rich_help_panel=_CACHE,
    ),
]
NoCache: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--no-cache",
        help="Keep nothing: a run that is killed starts again from nothing.",
        envvar="MODELSEAL_NO_CACHE",
        rich_help_panel=_CACHE,
    ),
]
OfflineReading: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--offline",
        help="Connect to nobody but, to verify what the cache lacks, the registry: the model comes "
        "from the cache, the trusted root from its file or as it is cached.",
        envvar="MODELSEAL_OFFLINE",
        rich_help_panel=_CACHE,
    ),
]
DEFAULT_LIMIT = "20G"


def chosen_cache(
    path: Path | None, limit: str = DEFAULT_LIMIT, *, none: bool = False
) -> "BlobCache | None":
    """Return the cache that the options name. Raises `UsageError`."""
    from modelseal.workflows.wiring import cache_at

    size = parse_size(limit)
    return None if none else cache_at(path, os.environ, size)


def parse_size(text: str) -> int:
    """Read a size in bytes: `1048576`, `500M`, `20G`, `20GiB`. Raises `UsageError`."""
    match = re.fullmatch(r"([0-9]{1,15})\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None:
        raise UsageError(f"not a size: {text[:40]!r}", hint="write it like 500M or 20G")
    return int(match[1]) * _UNITS[match[2].upper()]
