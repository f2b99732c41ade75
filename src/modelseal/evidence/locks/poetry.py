# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""`poetry.lock`, as Poetry 1.1 to 2.x write it (lock-version 1.1 to 2.1)."""

from collections.abc import Iterator, Mapping

from modelseal.errors import InvalidDocumentError
from modelseal.evidence.environment.distributions import normalised
from modelseal.evidence.locks.entries import (
    Edge,
    LockedFile,
    LockedPackage,
    Source,
    parse_hash,
    without_credentials,
)
from modelseal.evidence.locks.tables import Table, lines_of, packages_of

_VERSIONS = ("1.1", "2.0", "2.1")
MAIN = "main"


def is_poetry(document: Table) -> bool:
    """Tell whether it is a `poetry.lock`, by what stands in it."""
    metadata = document.value.get("metadata")
    return isinstance(metadata, dict) and "content-hash" in metadata


def read_poetry(document: Table, text: str) -> tuple[str, tuple[LockedPackage, ...], bool]:
    """Return the Python that it is for, the packages, and whether these have no markers.

    Raises:
        InvalidDocumentError: another version of the format, or another shape.
    """
    metadata = document.table("metadata")
    version = metadata.text("lock-version")
    if version not in _VERSIONS:
        raise InvalidDocumentError(
            f"{document.where} has lock-version {version[:20]!r}; read are {', '.join(_VERSIONS)}"
        )
    tables = packages_of(document, "package")
    lines = lines_of(text, r"\[\[package\]\]", len(tables))
    # Until 1.4 the files of all packages stood together.
    files = metadata.table("files") if metadata.has("files") else None
    packages = tuple(
        _package(table, line, files) for table, line in zip(tables, lines, strict=True)
    )
    return metadata.text("python-versions"), packages, version != _VERSIONS[-1]


def _package(table: Table, line: int, all_files: Table | None) -> LockedPackage:
    written = table.text("name")
    name = normalised(written)
    if not name:
        raise InvalidDocumentError(f"{table.where}: a package has no name")
    files = all_files.tables(written) if all_files is not None else table.tables("files")
    source = table.table("source")
    kind = {
        "git": Source.VCS,
        "hg": Source.VCS,
        "directory": Source.DIRECTORY,
        "url": Source.URL,
        "file": Source.URL,
    }.get(source.text("type"), Source.INDEX)
    location = source.text("url")
    groups = table.texts("groups")
    return LockedPackage(
        name=name,
        version=table.text("version"),
        files=tuple(map(_file, files)),
        source=kind,
        location=without_credentials(location)[0] if "://" in location else location,
        commit=source.text("resolved_reference") if kind is Source.VCS else "",
        marker=_marker(table.value.get("markers", ""), groups),
        requires_python=table.text("python-versions"),
        requires=tuple(_edges(table.table("dependencies").value)),
        optional=table.flag("optional") or (bool(groups) and MAIN not in groups),
        line=line,
    )


def _marker(value: object, groups: tuple[str, ...]) -> str:
    """Return the marker; where each group has its own, that of the first group that has one."""
    if isinstance(value, dict):
        return next((str(value[group]) for group in (MAIN, *groups) if group in value), "")
    return value if isinstance(value, str) else ""


def _file(item: Table) -> LockedFile:
    found = parse_hash(item.text("hash"))
    return LockedFile(
        name=item.text("file"),
        digests={found[0]: found[1]} if found else {},
        url=without_credentials(item.text("url"))[0] if item.has("url") else "",
    )


def _edges(dependencies: Mapping[str, object]) -> Iterator[Edge]:
    for name, value in dependencies.items():
        for one in value if isinstance(value, list) else [value]:
            said = one if isinstance(one, dict) else {}
            marker, extras = said.get("markers", ""), said.get("extras", [])
            yield Edge(
                name=normalised(name),
                marker=marker if isinstance(marker, str) else "",
                extras=tuple(sorted(map(str, extras))) if isinstance(extras, list) else (),
            )
