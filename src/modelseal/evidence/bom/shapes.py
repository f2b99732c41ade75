# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Small objects of CycloneDX that stand in many places."""

from collections.abc import Mapping
from typing import Any, Final

from modelseal.oci.descriptor import Digest

Json = dict[str, Any]

_ALGORITHMS: Final = {"sha256": "SHA-256", "sha384": "SHA-384", "sha512": "SHA-512"}


def filled(values: Mapping[str, object]) -> Json:
    """Return the fields that say something."""
    return {key: value for key, value in values.items() if value not in ("", None, [], {})}


def hashes(digest: Digest | None) -> list[Json]:
    """Return a digest as CycloneDX writes one; none where there is none."""
    if digest is None or digest.algorithm not in _ALGORITHMS:
        return []
    return [{"alg": _ALGORITHMS[digest.algorithm], "content": digest.encoded}]


def named(name: str) -> Json:
    """Return an organisation; empty without a name."""
    return {"name": name} if name else {}


def references(url: str, kind: str) -> list[Json]:
    """Return a list of one external reference; an empty one without a URL."""
    return [{"type": kind, "url": url}] if url else []
