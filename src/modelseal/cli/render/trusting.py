# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a site believes, as text and as JSON."""

from collections.abc import Iterator
from typing import Any

from modelseal.cli.render.text import printable, size
from modelseal.workflows.trust_files import TrustBundle, manifest_of


def as_json(item: TrustBundle) -> dict[str, Any]:
    """Return what it holds."""
    manifest = manifest_of(item)
    keys = ("createdAt", "expires", "files", "parts")
    return {"source": item.source, **{key: manifest[key] for key in keys}}


def as_text(item: TrustBundle) -> Iterator[str]:
    """Write what it holds."""
    for file in item.files:
        yield printable(f"{file.kind}: {file.path} ({size(len(file.raw))}, {file.digest})")
    for part in item.parts:
        until = f"until {part.ends:%Y-%m-%d}" if part.ends else "without an end"
        yield printable(f"  {part.kind}: {part.name or part.fingerprint}")
        yield f"    from {part.starts:%Y-%m-%d} {until}"
    if item.expires:
        yield f"the first of these ends: {item.expires:%Y-%m-%d %H:%M:%S %Z}"
