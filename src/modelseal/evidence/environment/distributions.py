# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The Python distributions that are installed, each with the digest of what was installed.

The digest is of the files that the wheel brought, as the installer recorded them in `RECORD`
(https://packaging.python.org/specifications/recording-installed-packages/). It is the SHA-256 of
one line for each such file, `<sha256 in hex>  <path>` and a line feed, sorted by path by code
point, in UTF-8: what `sha256sum` writes. Left out is whatever depends on where, when or with what
it was installed:

- files outside of the directory that it is installed into (scripts name the interpreter's path);
- compiled files (`*.pyc`, `__pycache__`);
- the installer's own notes in `*.dist-info`: `RECORD` and its signatures, `INSTALLER`, `REQUESTED`,
  `direct_url.json`, `uv_cache.json`, `uv_build.json`, `provenance_url.json`;
- files without a SHA-256.
"""

import base64
import binascii
import csv
import hashlib
import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import metadata
from typing import Final

from modelseal.errors import LimitExceededError

MAX_DISTRIBUTIONS: Final = 10_000
"""Most distributions of one environment."""
MAX_RECORD_BYTES: Final = 64 << 20
"""Largest `RECORD`."""

_NOT_THE_WHEELS: Final = frozenset(
    {"RECORD", "RECORD.jws", "RECORD.p7s", "INSTALLER", "REQUESTED", "direct_url.json"}
    | {"uv_cache.json", "uv_build.json", "provenance_url.json"}
)
_NOT_NORMAL: Final = re.compile(r"[-_.]+")
_SHA256_BYTES: Final = 32


@dataclass(frozen=True, slots=True, order=True)
class InstalledDistribution:
    """One distribution."""

    name: str
    """Normalised as PEP 503 says."""
    version: str
    """As the distribution writes it."""
    record_digest: str = ""
    """`sha256:` and hex; empty when no `RECORD` tells what was installed."""
    editable: bool = False
    """Whether its code is read from a working tree, so that no `RECORD` tells what it is."""

    def to_json(self) -> dict[str, object]:
        """Return the fields that are set."""
        value: dict[str, object] = {"name": self.name, "version": self.version}
        if self.record_digest:
            value["recordDigest"] = self.record_digest
        if self.editable:
            value["editable"] = True
        return value


def normalised(name: str) -> str:
    """Return a distribution's name as PEP 503 compares them."""
    return _NOT_NORMAL.sub("-", name).lower()


def search_path() -> list[str]:
    """Return where this Python looks for packages, without the directory that it stands in.

    `python -m` puts the working directory first; what lies there is not installed.
    """
    here = os.getcwd()  # noqa: PTH109 - compared with text
    return [entry for entry in sys.path if entry and os.path.abspath(entry) != here]  # noqa: PTH100


def installed_distributions(path: Sequence[str] | None = None) -> tuple[InstalledDistribution, ...]:
    """Return every distribution once, sorted by name and version.

    Args:
        path: directories to look into, as `sys.path` has them; of those with one name, the one in
            the first directory counts, as for an import. None: where this Python looks.

    Raises:
        LimitExceededError: there are more than `MAX_DISTRIBUTIONS`, or a `RECORD` is too large.
    """
    found: dict[str, set[InstalledDistribution]] = {}
    for entry in search_path() if path is None else path:
        here: dict[str, set[InstalledDistribution]] = {}
        for distribution in metadata.distributions(path=[entry]):
            one = _read(distribution)
            if one is not None:
                here.setdefault(one.name, set()).add(one)
        # Several of one name in one directory are a broken installation, and all of them are told.
        found = {**here, **found}
        if len(found) > MAX_DISTRIBUTIONS:
            raise LimitExceededError(
                f"over {MAX_DISTRIBUTIONS} Python packages are installed",
                hint="publish from an environment that has what the build needs",
            )
    return tuple(sorted(one for several in found.values() for one in several))


def _read(distribution: metadata.Distribution) -> InstalledDistribution | None:
    name, version = _named(distribution)
    # What a killed installation leaves behind has no metadata, and is no distribution.
    if not name or not version:
        return None
    editable = _is_editable(distribution.read_text("direct_url.json"))
    # The RECORD of an editable one lists the path of a working tree, and not what is in it.
    record = "" if editable else distribution.read_text("RECORD") or ""
    return InstalledDistribution(
        name=normalised(name),
        version=version,
        record_digest=record_digest(record, name),
        editable=editable,
    )


def _named(distribution: metadata.Distribution) -> tuple[str, str]:
    """Return name and version out of the metadata's head: below it there may be a whole manual."""
    # The last one is a file by itself: an egg-info of distutils.
    for place in ("METADATA", "PKG-INFO", ""):
        text = distribution.read_text(place)
        if text:
            break
    else:
        return "", ""
    head: dict[str, str] = {}
    for line in text.splitlines():
        if not line.strip():
            break
        key, _, value = line.partition(":")
        head.setdefault(key.strip().lower(), value.strip())
    return head.get("name", ""), head.get("version", "")


def record_digest(record: str, name: str = "the package") -> str:
    """Return the digest of what a `RECORD` lists, as the module describes; empty without any.

    Raises:
        LimitExceededError: it is larger than `MAX_RECORD_BYTES`; `name` says of what.
    """
    if len(record) > MAX_RECORD_BYTES:
        raise LimitExceededError(
            f"the RECORD of {name} is larger than {MAX_RECORD_BYTES >> 20} MiB",
            hint=f"install {name} again: no wheel has so many files",
        )
    lines = sorted(_lines(record))
    if not lines:
        return ""
    listed = "".join(f"{digest}  {path}\n" for path, digest in lines)
    return f"sha256:{hashlib.sha256(listed.encode('utf-8', 'surrogateescape')).hexdigest()}"


def _lines(record: str) -> Iterator[tuple[str, str]]:
    try:
        rows = list(csv.reader(record.splitlines()))
    except csv.Error:
        return
    for row in rows:
        path = row[0] if row else ""
        said = row[1] if len(row) > 1 else ""
        if not path or not _of_the_wheel(path.split("/")):
            continue
        digest = _sha256(said)
        if digest:
            yield path, digest


def _of_the_wheel(parts: Sequence[str]) -> bool:
    if parts[0] in {"", ".."} or "\\" in parts[0] or "__pycache__" in parts:
        return False  # absolute, or outside of where it is installed
    if parts[-1].endswith(".pyc"):
        return False
    return not (parts[0].endswith(".dist-info") and parts[-1] in _NOT_THE_WHEELS)


def _sha256(said: str) -> str:
    algorithm, _, encoded = said.partition("=")
    if algorithm != "sha256":
        return ""
    try:
        raw = base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    except (binascii.Error, ValueError):
        return ""
    return raw.hex() if len(raw) == _SHA256_BYTES else ""


def _is_editable(text: str | None) -> bool:
    """Read `direct_url.json` (PEP 610); its URL is a path of this machine, and is not kept."""
    try:
        value = json.loads(text or "null")
    except ValueError:
        return False
    directory = value.get("dir_info") if isinstance(value, dict) else None
    return isinstance(directory, dict) and directory.get("editable") is True


def without_digest(
    distributions: Iterable[InstalledDistribution],
) -> tuple[InstalledDistribution, ...]:
    """Return those whose content is not known: no `RECORD`, or read from a working tree."""
    return tuple(one for one in distributions if one.editable or not one.record_digest)
