# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""`pylock.toml`. Source: PEP 751; https://packaging.python.org/specifications/pylock-toml/."""

from collections.abc import Iterator, Mapping

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

_MAJOR = "1."


def is_pylock(document: Table) -> bool:
    """Tell whether it is a `pylock.toml`, by what stands in it."""
    return document.has("lock-version") and document.has("created-by")


def read_pylock(
    document: Table, text: str
) -> tuple[str, str, tuple[LockedPackage, ...], tuple[LockedPackage, ...]]:
    """Return the tool, the Python that it is for, the packages, and directories among them.

    Raises:
        InvalidDocumentError: another version of the format, or another shape.
    """
    version = document.text("lock-version")
    if not version.startswith(_MAJOR):
        raise InvalidDocumentError(
            f"{document.where} has lock-version {version[:20]!r}; 1.x is read"
        )
    tables = packages_of(document, "packages")
    lines = lines_of(text, r"\[\[packages\]\]", len(tables))
    found = [_package(table, line) for table, line in zip(tables, lines, strict=True)]
    others = tuple(package for package in found if package.source is not Source.DIRECTORY)
    roots = tuple(package for package in found if package.source is Source.DIRECTORY)
    return document.text("created-by"), document.text("requires-python"), others, roots


def _package(table: Table, line: int) -> LockedPackage:
    name = normalised(table.text("name"))
    if not name:
        raise InvalidDocumentError(f"{table.where}: a package has no name")
    kind, location, commit, files = Source.INDEX, table.text("index"), "", tuple(_files(table))
    if table.has("vcs"):
        vcs = table.table("vcs")
        kind, location, commit = Source.VCS, vcs.text("url"), vcs.text("commit-id")
    elif table.has("directory"):
        kind, location = Source.DIRECTORY, table.table("directory").text("path")
    elif table.has("archive"):
        archive = table.table("archive")
        kind, location = Source.URL, archive.text("url") or archive.text("path")
        files = (_file(archive),)
    return LockedPackage(
        name=name,
        version=table.text("version"),
        files=files,
        source=kind,
        location=without_credentials(location)[0] if "://" in location else location,
        commit=commit,
        marker=table.text("marker"),
        requires_python=table.text("requires-python"),
        requires=tuple(
            Edge(name=normalised(item.text("name")), version=item.text("version"))
            for item in table.tables("dependencies")
            if item.text("name")
        ),
        line=line,
    )


def _files(table: Table) -> Iterator[LockedFile]:
    for item in table.tables("wheels"):
        yield _file(item)
    if table.has("sdist"):
        yield _file(table.table("sdist"))


def _file(item: Table) -> LockedFile:
    address = item.text("url") or item.text("path")
    return LockedFile(
        name=item.text("name") or file_name(address),
        digests=dict(_digests(item.table("hashes").value)),
        url=without_credentials(address)[0] if "://" in address else "",
    )


def _digests(hashes: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for name, digits in hashes.items():
        found = parse_hash(f"{name}:{digits}")
        if found:
            yield found
