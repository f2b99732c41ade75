# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""cache: what was fetched before, and its size."""

from typing import Annotated

import typer

from modelseal.cli.cache_options import DEFAULT_LIMIT, CacheDir, CacheLimit
from modelseal.cli.options import Output, OutputFormat

app = typer.Typer(
    help="Files that were fetched before.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def _cache() -> None:
    """Files that were fetched before."""


@app.command()
def info(
    cache: CacheDir = None,
    cache_limit: CacheLimit = DEFAULT_LIMIT,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Say where the cache is, and what it holds.

    \b
    Example:
      modelseal cache info
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.cache_options import chosen_cache
    from modelseal.cli.render.text import size

    json_wanted = answering(output)
    chosen = chosen_cache(cache, cache_limit)
    assert chosen is not None
    use = chosen.use()
    if json_wanted:
        answer_json(
            {
                "path": str(chosen.path),
                "files": use.blobs,
                "size": use.size,
                "unfinished": use.unfinished,
                "limit": chosen.limit,
            }
        )
        return
    answer_text(
        [
            f"cache: {chosen.path}",
            f"files: {use.blobs}, {size(use.size)} of {size(chosen.limit)}",
            f"unfinished: {size(use.unfinished)}",
        ]
    )


@app.command()
def prune(
    cache: CacheDir = None,
    cache_limit: CacheLimit = DEFAULT_LIMIT,
    everything: Annotated[
        bool, typer.Option("--all", help="Remove all of it, and all that is unfinished.")
    ] = False,
    output: Output = OutputFormat.TEXT,
) -> None:
    """Remove what was not used for longest, until the cache is below its limit.

    What is in use just now stays. What is unfinished stays for a week.

    \b
    Example:
      modelseal cache prune --cache-limit 5G
      modelseal cache prune --all
    """
    from modelseal.cli.answer import answer_json, answer_text, answering
    from modelseal.cli.cache_options import chosen_cache
    from modelseal.cli.render.text import size

    json_wanted = answering(output)
    chosen = chosen_cache(cache, cache_limit)
    assert chosen is not None
    removed = chosen.prune(0, parts_older=0) if everything else chosen.prune()
    if json_wanted:
        answer_json({"path": str(chosen.path), "removed": removed, "size": chosen.use().size})
    else:
        answer_text([f"removed: {size(removed)} from {chosen.path}"])
