# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What is installed, compared with a lock.

What can be compared are names and versions. A hash only where the installer wrote one down: for a
package from an archive's address (`direct_url.json`, PEP 610). Of a wheel from an index nobody
keeps the hash of the archive, and `RECORD` has the hashes of files after they were installed; so a
wheel that somebody swapped on its way, under the same version, is found by `pip install
--require-hashes` and not here.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from modelseal.errors import UsageError
from modelseal.evidence.environment.distributions import (
    InstalledDistribution,
    installed_distributions,
    normalised,
    search_path,
)
from modelseal.evidence.locks.entries import Lock, LockedPackage, Manager
from modelseal.evidence.locks.selection import conda_platform, environment_here, selected
from modelseal.modelpack.plain_files import read_small

_INSTALLERS = frozenset({"pip", "setuptools", "wheel", "uv"})
"""What every environment is made with; locks leave them out."""
_MAX_CONFIG = 64 << 10
_MAX_DIRECT_URL = 64 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """An environment of Python packages."""

    what: str
    """In words: `the environment of this process`."""
    path: tuple[str, ...]
    """Directories, as `sys.path` has them."""
    python: str = ""
    """Version of its Python; empty: of this process."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """An environment beside a lock."""

    environment: Environment
    locked: tuple[LockedPackage, ...]
    """What the lock installs on this platform."""
    same: tuple[LockedPackage, ...]
    missing: tuple[LockedPackage, ...]
    other: tuple[tuple[LockedPackage, InstalledDistribution], ...]
    """Of another version."""
    extra: tuple[InstalledDistribution, ...]
    """In no version locked."""
    hashed: tuple[LockedPackage, ...]
    """Their installer wrote down a hash, and it is one of the lock's."""
    swapped: tuple[LockedPackage, ...]
    """Their installer wrote down a hash, and it is none of the lock's."""


def own_environment() -> Environment:
    """Return the environment of this process."""
    return Environment(what="the environment of this process", path=tuple(search_path()))


def environment_at(directory: Path) -> Environment:
    """Return the virtual environment in a directory; nothing of it is run.

    Raises:
        UsageError: it is none.
    """
    found = sorted(directory.glob("lib/python3.*/site-packages"))
    found += sorted(directory.glob("Lib/site-packages"))
    raw = read_small(directory, "pyvenv.cfg", limit=_MAX_CONFIG) if directory.is_dir() else None
    if raw is None or len(found) != 1:
        raise UsageError(
            f"{directory} is no virtual environment",
            hint="name the directory that holds pyvenv.cfg and lib/python3.N/site-packages",
        )
    return Environment(
        what=f"the environment {directory.name}",
        path=(str(found[0]),),
        python=_python_of(raw.decode("utf-8", "replace")),
    )


def _python_of(text: str) -> str:
    for line in text.splitlines():
        key, _, value = (part.strip() for part in line.partition("="))
        if key in {"version", "version_info"}:
            return ".".join(value.split(".")[:3])
    return ""


def compare(
    lock: Lock,
    environment: Environment,
    distributions: Sequence[InstalledDistribution] | None = None,
) -> Comparison:
    """Compare an environment with a lock.

    Args:
        lock: the lock.
        environment: where to look.
        distributions: what is installed there, if somebody has looked already.

    Raises:
        LimitExceededError: it has too many packages.
    """
    if distributions is None:
        distributions = installed_distributions(environment.path)
    installed = {one.name: one for one in distributions}
    known = [
        package
        for package in selected(lock, environment_here(environment.python), conda_platform())
        if package.manager is Manager.PYPI
    ]
    there = [package for package in known if package.name in installed]
    same = [
        package for package in there if _equal(package.version, installed[package.name].version)
    ]
    archives = dict(_archives(environment.path, {package.name for package in same}))
    with_hash = [package for package in same if archives.get(package.name)]
    hashed = [package for package in with_hash if archives[package.name] & set(package.digests)]
    mentioned = {package.name for package in (*lock.packages, *lock.roots)}
    return Comparison(
        environment=environment,
        locked=tuple(known),
        same=tuple(same),
        missing=tuple(package for package in known if package.name not in installed),
        other=tuple((package, installed[package.name]) for package in there if package not in same),
        extra=tuple(
            one
            for one in sorted(distributions)
            if one.name not in mentioned and one.name not in _INSTALLERS
        ),
        hashed=tuple(hashed),
        swapped=tuple(package for package in with_hash if package not in hashed),
    )


def _equal(locked: str, installed: str) -> bool:
    """Compare versions as PEP 440 does; an entry without one (a commit) is not compared."""
    from packaging.version import InvalidVersion, Version

    if not locked:
        return True
    try:
        return Version(locked) == Version(installed)
    except InvalidVersion:
        return locked == installed


def _archives(path: Sequence[str], names: set[str]) -> Iterator[tuple[str, set[str]]]:
    """Yield the hashes of archives that installers wrote down, by package."""
    for distribution in metadata.distributions(path=list(path)):
        fields = distribution.metadata
        name = normalised(fields["Name"]) if fields and "Name" in fields else ""
        if name in names:
            yield name, _hashes(distribution.read_text("direct_url.json") or "")


def _hashes(text: str) -> set[str]:
    try:
        value = json.loads(text) if 0 < len(text) <= _MAX_DIRECT_URL else None
    except ValueError:
        return set()
    archive = value.get("archive_info") if isinstance(value, dict) else None
    hashes = archive.get("hashes") if isinstance(archive, dict) else None
    if not isinstance(hashes, Mapping):
        return set()
    return {f"{name}:{digits}".lower() for name, digits in hashes.items()}


def named_environment(environment: Mapping[str, str]) -> Environment:
    """Return the virtual environment that is active, or else that of this process.

    Args:
        environment: of the process; `VIRTUAL_ENV` says which one is active.
    """
    active = environment.get("VIRTUAL_ENV", "")
    if active and Path(active).is_absolute():
        try:
            found = environment_at(Path(active))
        except UsageError:
            return own_environment()
        return found if found.path[0] not in search_path() else own_environment()
    return own_environment()
