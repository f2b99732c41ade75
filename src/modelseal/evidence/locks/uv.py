# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""`uv.lock`, version 1. Source: uv, "Locking and syncing", and what uv 0.13 writes."""

from collections.abc import Iterator
from dataclasses import replace

from modelseal.errors import InvalidDocumentError
from modelseal.evidence.environment.distributions import normalised
from modelseal.evidence.locks.entries import (
    Edge,
    LockedFile,
    LockedPackage,
    Source,
    file_name,
    parse_hash,
    without_credentials,
)
from modelseal.evidence.locks.tables import Table, lines_of, packages_of

VERSION = 1


def is_uv(document: Table) -> bool:
    """Tell whether it is a `uv.lock`, by what stands in it."""
    packages = document.value.get("package", [])
    return type(document.value.get("version")) is int and (
        isinstance(packages, list)
        and all(isinstance(item, dict) and "source" in item for item in packages)
    )


def read_uv(
    document: Table, text: str
) -> tuple[str, tuple[LockedPackage, ...], tuple[LockedPackage, ...]]:
    """Return the Python that it is for, the packages, and the projects that it was made for.

    Raises:
        InvalidDocumentError: another version of the format, or another shape.
    """
    if document.value.get("version") != VERSION:
        raise InvalidDocumentError(
            f"{document.where} has version {document.value.get('version')!r:.20}; {VERSION} is read"
        )
    tables = packages_of(document, "package")
    lines = lines_of(text, r"\[\[package\]\]", len(tables))
    found = [_package(table, line) for table, line in zip(tables, lines, strict=True)]
    roots = tuple(package for package in found if package.source is Source.DIRECTORY)
    others = tuple(package for package in found if package.source is not Source.DIRECTORY)
    return document.text("requires-python"), others, roots


def _package(table: Table, line: int) -> LockedPackage:
    name = normalised(table.text("name"))
    if not name:
        raise InvalidDocumentError(f"{table.where}: a package has no name")
    package = LockedPackage(
        name=name,
        version=table.text("version"),
        files=tuple(_files(table)),
        # Where a lock forks, each version stands for some environments only.
        marker=" or ".join(f"({marker})" for marker in table.texts("resolution-markers")),
        requires=tuple(_edges(table)),
        line=line,
    )
    return _with_source(package, table.table("source"))


def _with_source(package: LockedPackage, source: Table) -> LockedPackage:
    for key in ("registry", "url", "git", "path", "directory", "editable", "virtual"):
        value = source.text(key)
        if not value:
            continue
        if key == "git":
            address, _, commit = value.partition("#")
            clean, _ = without_credentials(address)
            return replace(package, source=Source.VCS, location=clean, commit=commit)
        clean = without_credentials(value)[0] if "://" in value else value
        kind = {"registry": Source.INDEX, "url": Source.URL, "path": Source.URL}.get(
            key, Source.DIRECTORY
        )
        return replace(package, source=kind, location=clean)
    raise InvalidDocumentError(f"{source.where}: {package.name} comes from nowhere")


def _files(table: Table) -> Iterator[LockedFile]:
    files = [*table.tables("wheels")]
    if table.has("sdist"):
        files.append(table.table("sdist"))
    for file in files:
        address = file.text("url") or file.text("path") or file.text("filename")
        found = parse_hash(file.text("hash"))
        yield LockedFile(
            name=file_name(address),
            digests={found[0]: found[1]} if found else {},
            url=without_credentials(address)[0] if "://" in address else "",
        )


def _edges(table: Table) -> Iterator[Edge]:
    for item in table.tables("dependencies"):
        yield _edge(item, "")
    for key in ("optional-dependencies", "dev-dependencies"):
        of_extras = table.table(key)
        for extra in of_extras.value:
            for item in of_extras.tables(extra):
                yield _edge(item, normalised(extra))


def _edge(item: Table, extra: str) -> Edge:
    return Edge(
        name=normalised(item.text("name")),
        version=item.text("version"),
        marker=item.text("marker"),
        extras=tuple(sorted(map(normalised, item.texts("extra")))),
        extra=extra,
    )
