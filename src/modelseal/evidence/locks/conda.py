# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""`conda-lock.yml`, the unified format of conda-lock (version 1).

Source: conda-lock, `conda_lock/lockfile/v1/models.py`. One entry a package and platform; conda
itself checks MD5, and a SHA-256 stands beside it.
"""

from collections.abc import Iterator, Mapping

from modelseal.errors import InvalidDocumentError
from modelseal.evidence.environment.distributions import normalised
from modelseal.evidence.locks.entries import (
    Edge,
    LockedFile,
    LockedPackage,
    Manager,
    file_name,
    parse_hash,
    without_credentials,
)
from modelseal.evidence.locks.tables import Table, lines_of, packages_of

VERSION = 1


def is_conda(document: Mapping[str, object]) -> bool:
    """Tell whether it is a `conda-lock.yml`, by what stands in it."""
    metadata = document.get("metadata")
    return isinstance(metadata, dict) and "content_hash" in metadata and "package" in document


def read_conda(document: Table, text: str) -> tuple[LockedPackage, ...]:
    """Return the packages, of all platforms.

    Raises:
        InvalidDocumentError: another version of the format, or another shape.
    """
    if document.value.get("version") != VERSION:
        raise InvalidDocumentError(
            f"{document.where} has version {document.value.get('version')!r:.20}; {VERSION} is read"
        )
    tables = packages_of(document, "package")
    lines = lines_of(text, r"(?:  )?- name:", len(tables))
    return tuple(_package(table, line) for table, line in zip(tables, lines, strict=True))


def _package(table: Table, line: int) -> LockedPackage:
    manager = Manager.PYPI if table.text("manager") == "pip" else Manager.CONDA
    name = table.text("name")
    if not name:
        raise InvalidDocumentError(f"{table.where}: a package has no name")
    address = table.text("url")
    digests = dict(_digests(table.table("hash").value))
    version = table.value.get("version", "")
    return LockedPackage(
        name=normalised(name) if manager is Manager.PYPI else name,
        version=str(version) if isinstance(version, str | int) else "",
        manager=manager,
        files=(
            LockedFile(
                name=file_name(address), digests=digests, url=without_credentials(address)[0]
            ),
        ),
        requires=tuple(
            Edge(name=normalised(other) if manager is Manager.PYPI else other)
            for other in table.table("dependencies").value
            if not other.startswith("__")  # what the machine brings: __glibc, __cuda
        ),
        platform=table.text("platform"),
        optional=table.flag("optional"),
        line=line,
    )


def _digests(hashes: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, digits in hashes.items():
        found = parse_hash(f"{name}:{digits}")
        if found:
            yield found
