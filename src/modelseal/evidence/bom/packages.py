# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The packages of a lock file as components, each once, and what needs what."""

from collections.abc import Iterable, Iterator, Mapping

from modelseal.evidence.bom.facts import Lock, Package
from modelseal.evidence.locks.entries import Edge, LockedPackage
from modelseal.evidence.locks.entries import Lock as LockFile
from modelseal.oci.descriptor import Digest

_ALGORITHMS = ("sha256", "sha512")


def lock_of(lock: LockFile) -> Lock:
    """Return what is pinned; the same package under several conditions is one component."""
    by_name: dict[str, list[LockedPackage]] = {}
    for package in lock.packages:
        by_name.setdefault(package.name, []).append(package)
    hashes: dict[str, set[Digest]] = {}
    needs: dict[str, set[str]] = {}
    first: dict[str, LockedPackage] = {}
    for package in lock.packages:
        purl = package.purl
        first.setdefault(purl, package)
        hashes.setdefault(purl, set()).update(_hashes(package))
        needs.setdefault(purl, set()).update(_resolved(package.requires, by_name))
    packages = tuple(
        Package(
            purl=purl,
            name=package.name,
            version=package.version,
            hashes=tuple(sorted(hashes[purl])),
            needs=tuple(sorted(needs[purl] - {purl})),
        )
        for purl, package in sorted(first.items())
    )
    asked = {purl for root in lock.roots for purl in _resolved(root.requires, by_name)}
    return Lock(path=lock.path, packages=packages, roots=tuple(sorted(asked or _roots(packages))))


def _roots(packages: Iterable[Package]) -> set[str]:
    """Return what no other package needs; all, if the lock does not tell or tells a circle."""
    everything = {package.purl for package in packages}
    needed = {purl for package in packages for purl in package.needs}
    return everything - needed or everything


def _resolved(edges: Iterable[Edge], by_name: Mapping[str, list[LockedPackage]]) -> Iterator[str]:
    """Yield every entry that an edge can mean: which of several it is depends on the machine."""
    for edge in edges:
        for package in by_name.get(edge.name, ()):
            if edge.version in {"", package.version}:
                yield package.purl


def _hashes(package: LockedPackage) -> Iterator[Digest]:
    for file in package.files:
        for algorithm in _ALGORITHMS:
            if algorithm in file.digests:
                yield Digest(algorithm, file.digests[algorithm])
