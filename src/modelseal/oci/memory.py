# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A store in memory: for dry runs and tests."""

import io
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import BinaryIO

from modelseal.errors import NotFoundError
from modelseal.oci.content import Content, verifying
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.reference import check_tag
from modelseal.oci.referrer import referrer_of


class MemoryStore:
    """One repository in memory; safe to use from several threads."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._content: dict[Digest, bytes] = {}
        self._manifests: dict[Digest, Descriptor] = {}
        self._tags: dict[str, Descriptor] = {}
        self._referrers: dict[Digest, dict[Digest, Descriptor]] = {}

    def fetch(self, target: Descriptor) -> AbstractContextManager[BinaryIO]:
        """Open content. Raises `NotFoundError`."""
        data = self._content.get(target.digest)
        if data is None:
            raise NotFoundError(f"{target.digest} is not in this store")
        return verifying(io.BytesIO(data), target)

    def push(self, expected: Descriptor, content: Content) -> None:
        """Store content that is what `expected` says."""
        with verifying(content.open(), expected) as stream:
            data = stream.read()
        entry = referrer_of(data, expected) if expected.is_manifest else None
        with self._lock:
            self._content[expected.digest] = data
            if expected.is_manifest:
                self._manifests[expected.digest] = _bare(expected)
            if entry is not None:
                subject, descriptor = entry
                self._referrers.setdefault(subject, {})[descriptor.digest] = descriptor

    def exists(self, target: Descriptor) -> bool:
        """Tell whether the content is here."""
        data = self._content.get(target.digest)
        return data is not None and len(data) == target.size

    def resolve(self, name: str | Digest) -> Descriptor:
        """Return what a tag or digest points at. Raises `NotFoundError`."""
        found = self._tags.get(name) if isinstance(name, str) else self._manifests.get(name)
        if found is None:
            raise NotFoundError(f"{name} is not in this store")
        return found

    def tags(self) -> Iterator[str]:
        """Yield all tags."""
        yield from sorted(self._tags)

    def tag(self, target: Descriptor, tag: str) -> None:
        """Point `tag` at `target`. Raises `NotFoundError`."""
        manifest = self.resolve(target.digest)
        with self._lock:
            self._tags[check_tag(tag)] = manifest

    def referrers(self, subject: Descriptor) -> Iterator[Descriptor]:
        """Yield the manifests about `subject`."""
        yield from list(self._referrers.get(subject.digest, {}).values())


def _bare(descriptor: Descriptor) -> Descriptor:
    return Descriptor(descriptor.media_type, descriptor.digest, descriptor.size)
