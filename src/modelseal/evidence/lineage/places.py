# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Where the data of a model lie on this machine: told by the user, written down nowhere."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final, Self
from urllib.parse import unquote, urlsplit

from modelseal.documents import nearest
from modelseal.errors import StorageError, UnsafePathError, UsageError
from modelseal.modelpack.paths import check_relative_path
from modelseal.modelpack.project import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlaces:
    """A directory below which data lie, and places of single datasets by their names."""

    base: Path | None = None
    named: Mapping[str, Path] = field(default_factory=dict)

    @classmethod
    def parse(cls, texts: Sequence[str], names: Collection[str]) -> Self:
        """Read `DIR` and `NAME=PATH`, as `--data` takes them.

        Args:
            texts: what was given.
            names: of the datasets that there are.

        Raises:
            UsageError: no dataset has that name, there is nothing at that place, or it is said
                twice.
        """
        base: Path | None = None
        named: dict[str, Path] = {}
        for text in texts:
            name, separator, path = text.partition("=")
            if separator and name in names:
                if name in named:
                    raise UsageError(f"--data says twice where {name} lies")
                named[name] = _existing(Path(path))
                continue
            if separator and not os.path.isdir(text):  # noqa: PTH112 - it raises for no path
                known = ", ".join(sorted(names)) or "none: modelseal.yaml names no datasets"
                raise UsageError(
                    f"--data {text[:200]!r}: no dataset is called {name[:80]!r}"
                    f"{nearest(name, names)}",
                    hint=f"datasets of modelseal.yaml: {known}",
                )
            if base is not None:
                raise UsageError("--data names two directories", hint="write NAME=PATH for one")
            base = _existing(Path(text))
            if not base.is_dir():
                raise UsageError(f"--data {text}: not a directory", hint="write NAME=FILE for it")
        return cls(base=base, named=named)

    def of(self, dataset: Dataset) -> Path | None:
        """Return the file or the directory that a dataset is; None when it is not at hand.

        What is named for it is the data themselves, or the directory that its `file:` URI is below.
        """
        path = local_path(dataset.uri)
        named = self.named.get(dataset.name)
        if named is None:
            return _below(self.base, path) if self.base is not None and path else None
        inside = _below(named, path) if path and dataset.uri.startswith("file:") else None
        return inside or named

    def file(self, dataset: Dataset, *candidates: str) -> tuple[str, Path] | None:
        """Return the first of some paths, as given and on this disk; None when none is at hand."""
        base = self.named.get(dataset.name, self.base)
        if base is None or not base.is_dir():
            return None
        for candidate in candidates:
            found = _below(base, candidate)
            if found is not None and found.is_file():
                return candidate, found
        return None


NOWHERE: Final = DataPlaces()
"""No data are at hand."""


def local_path(uri: str) -> str:
    """Return the path below a data directory at which the content of a URI is looked for.

    It is the whole path of a relative reference and of `file:`, and the last part of any other.
    Empty when there is none, or when it is not safe.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:
        return ""
    path = unquote(parts.path).rstrip("/")
    if parts.scheme not in {"", "file"} or parts.netloc:
        path = path.rpartition("/")[2]
    try:
        check_relative_path(path)
    except UnsafePathError:
        return ""
    return path


def _below(base: Path, path: str) -> Path | None:
    """Return what has this path below `base`, reached through no link; None: nothing has."""
    try:
        check_relative_path(path)
    except UnsafePathError:
        return None
    found = base
    try:
        for part in PurePosixPath(path).parts:
            found /= part
            if found.is_symlink():
                return None
        return found if found.exists() else None
    except OSError as error:
        raise StorageError(f"cannot look at {found}: {error.strerror}") from error


def _existing(path: Path) -> Path:
    if not os.path.exists(path):  # noqa: PTH110 - it raises for no path
        raise UsageError(f"--data: there is no {path}", hint="name where the data lie")
    return path.resolve()
