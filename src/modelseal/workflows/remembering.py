# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a push leaves in the user's cache for the next: digests of files, and open uploads."""

from collections.abc import Mapping, Sequence

from modelseal.errors import UsageError
from modelseal.modelpack.digests import DigestCache
from modelseal.oci.layout import LayoutStore
from modelseal.oci.private import cache_home
from modelseal.oci.reference import LayoutDirectory, Location, Repository, parse_location
from modelseal.oci.registry.options import RegistryOptions
from modelseal.workflows.services import Services


def known_digests(environment: Mapping[str, str]) -> DigestCache:
    """Return the digests of the user's files that were hashed before."""
    return DigestCache(cache_home(environment) / "digests")


def services_to_push(
    location: Location,
    options: RegistryOptions,
    environment: Mapping[str, str],
    *,
    mount_from: Sequence[str] = (),
    remember: bool = True,
) -> Services:
    """Return the store at `location` to be written to; nothing is connected yet.

    Args:
        location: where.
        options: how to speak to its registry.
        environment: of the process; it tells where the cache is.
        mount_from: repositories of the same registry that may have some of the files.
        remember: whether digests and open uploads are noted, and used.

    Raises:
        UsageError: the registry's name is no host and port, or `mount_from` is at another one.
        InvalidReferenceError: what is in `mount_from` is no repository.
    """
    neighbours = neighbours_of(location, mount_from)
    digests = known_digests(environment) if remember else None
    if isinstance(location, LayoutDirectory):
        return Services(store=LayoutStore(location.path), digests=digests)
    from modelseal.oci.registry.store import RegistryStore
    from modelseal.oci.registry.uploads import UploadJournal

    journal = UploadJournal(cache_home(environment) / "uploads") if remember else None
    store = RegistryStore(location, options, journal=journal)
    return Services(store=store, digests=digests, neighbours=neighbours)


def neighbours_of(location: Location, names: Sequence[str]) -> tuple[Repository, ...]:
    """Read the repositories that blobs may be mounted from.

    Args:
        location: where the model goes.
        names: `registry/repository`, each of the same registry.

    Raises:
        UsageError: another registry, or a layout.
        InvalidReferenceError: no repository.
    """
    found = []
    for name in names:
        place = parse_location(name)
        if (
            not isinstance(place, Repository)
            or not isinstance(location, Repository)
            or place.registry != location.registry
        ):
            raise UsageError(
                f"nothing can be mounted from {place} into {location}",
                hint="a registry mounts between its own repositories only",
            )
        found.append(place)
    return tuple(found)
