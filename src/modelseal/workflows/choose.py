# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""From a name to the one manifest of a model, also through an index by platform."""

import os
from dataclasses import dataclass

from modelseal.errors import NotFoundError
from modelseal.oci.descriptor import INDEX_TYPES, Descriptor, Digest
from modelseal.oci.manifest import Index, Manifest
from modelseal.oci.store import ReadableStore, fetch_index, fetch_manifest

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """A model's manifest, and the index that lists it by its digest, if it came through one."""

    subject: Descriptor
    manifest: Manifest
    index: Descriptor | None = None


def document_of(store: ReadableStore, target: Descriptor) -> Manifest | Index:
    """Fetch a manifest or an index. Raises as `fetch_manifest` does."""
    if target.media_type in INDEX_TYPES:
        return fetch_index(store, target)
    return fetch_manifest(store, target)


def choose(name: str | Digest, store: ReadableStore, platform: str = "") -> Chosen:
    """Return the model that `name` points at; of an index, the one for a platform.

    Args:
        name: a tag or a digest; it is resolved once.
        store: where it is.
        platform: `os/architecture[/variant]`; empty: this machine's under Linux, or the only
            manifest that the index lists.

    Raises:
        UsageError: a platform was named, and it is no index.
        NotFoundError: the index has no manifest for the platform; the hint says what it has.
        ContentError, UnavailableError.
    """
    root = store.resolve(name)
    if root.media_type not in INDEX_TYPES and not platform:
        return Chosen(subject=root, manifest=fetch_manifest(store, root))
    from modelseal.oci.graph import select_platform

    try:
        subject = select_platform(store, root, platform or default_platform())
    except NotFoundError as error:
        listed = () if platform else fetch_index(store, root).manifests
        if len(listed) != 1:
            raise NotFoundError(
                str(error), hint=f"name one with --platform, or by its digest; {error.hint}"
            ) from error
        subject = Descriptor(listed[0].media_type, listed[0].digest, listed[0].size)
    return Chosen(subject=subject, manifest=fetch_manifest(store, subject), index=root)


def default_platform() -> str:
    """Return what an index is asked for: images are for Linux, wherever they are read."""
    machine = os.uname().machine
    return f"linux/{_ARCHITECTURES.get(machine, machine)}"
