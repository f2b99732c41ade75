# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The packages of a conda environment: libraries and tools that no Python metadata tells.

Source: conda, "Managing environments"; each package leaves `conda-meta/NAME-VERSION-BUILD.json`.
"""

import json
import re
from pathlib import Path
from typing import Final

from modelseal.evidence.environment.reading import entries, text_of

_NAME: Final = re.compile(r"(?P<name>.+)-(?P<version>[^-]+)-(?P<build>[^-]+)\.json")
_SHA256: Final = re.compile("[0-9a-f]{64}")


def conda_packages(prefix: Path) -> list[dict[str, str]]:
    """Return what conda has installed below `prefix`, by name; empty outside of conda.

    `archiveDigest` is the SHA-256 of the archive that a package came in, where conda has noted it.
    """
    found = []
    for path in entries(prefix / "conda-meta", "*.json"):
        told = _NAME.fullmatch(path.name)
        if told is None:  # such as a history, or somebody's own file
            continue
        digest = _digest(path)
        found.append({**told.groupdict(), **({"archiveDigest": digest} if digest else {})})
    return sorted(found, key=lambda item: (item["name"], item["version"], item["build"]))


def _digest(path: Path) -> str:
    try:
        value = json.loads(text_of(path) or "null")
    except ValueError:
        return ""
    said = value.get("sha256") if isinstance(value, dict) else None
    return f"sha256:{said}" if isinstance(said, str) and _SHA256.fullmatch(said) else ""
