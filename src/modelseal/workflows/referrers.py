# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Repair the list of referrers of a manifest, where the registry does not keep it itself."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from modelseal.errors import UsageError
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.repair import Repair
from modelseal.oci.store import Store


@runtime_checkable
class Repairable(Protocol):
    """A store that lists referrers under a tag, which writers can break."""

    def repair_referrers(
        self, subject: Descriptor, digests: Sequence[Digest] = (), *, dry_run: bool = False
    ) -> Repair:
        """Find what is wrong, and mend it unless `dry_run`."""
        ...


def repair(
    name: str | Digest, store: Store, digests: Sequence[Digest] = (), *, dry_run: bool = False
) -> Repair:
    """Repair the list of referrers of what `name` points at.

    Args:
        name: a tag or a digest.
        store: of a registry.
        digests: manifests that are not listed and should be.
        dry_run: only tell.

    Raises:
        UsageError: an OCI layout, which keeps no such list.
        InvalidReferenceError: one of `digests` is not about it.
        Error: as the registry's store does.
    """
    if not isinstance(store, Repairable):
        raise UsageError(
            f"{store} keeps no list of referrers: it is made of the manifests themselves",
            hint="name a repository of a registry",
        )
    return store.repair_referrers(store.resolve(name), digests, dry_run=dry_run)
