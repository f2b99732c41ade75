# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Locked packages as the `resolvedDependencies` of a provenance.

The lock itself stands there by its digest, with every file of the project; that binds all that it
says. These descriptors name the packages besides, so that somebody can ask which models were built
with one. A package with several archives has no one digest: the lock and the BOM have them all.
"""

from collections.abc import Iterable, Iterator

from modelseal.attest.predicates.provenance import ResourceDescriptor
from modelseal.evidence.locks.entries import LockedPackage, Source

MOST_DESCRIPTORS = 500
"""Above that many packages a provenance names the lock alone: every verifier reads it whole."""


def package_descriptors(packages: Iterable[LockedPackage]) -> tuple[ResourceDescriptor, ...]:
    """Return a descriptor for each package, by package URL, in the order given; none for too many.

    Args:
        packages: what a lock installs (`selected`), or all of it.
    """
    chosen = [package for package in packages if package.source is not Source.DIRECTORY]
    if len(chosen) > MOST_DESCRIPTORS:
        return ()
    return tuple(
        ResourceDescriptor(name=package.name, uri=package.purl, digest=dict(_digest(package)))
        for package in chosen
    )


def _digest(package: LockedPackage) -> Iterator[tuple[str, str]]:
    if package.commit:
        yield "gitCommit", package.commit
        return
    found = {file.digests["sha256"] for file in package.files if "sha256" in file.digests}
    if len(found) == 1:
        yield "sha256", found.pop()
