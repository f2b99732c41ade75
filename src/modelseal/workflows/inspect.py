# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Inspect: what a manifest and its referrers say, with nothing verified."""

from dataclasses import dataclass

from modelseal.attest.referrers import UnreadableReferrer, attached_bundles
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.manifest import Manifest
from modelseal.oci.store import ReadableStore, fetch_manifest
from modelseal.trust.identity import ClaimedStatement
from modelseal.trust.verifier import read_unsafe


@dataclass(frozen=True, slots=True)
class Inspection:
    """A manifest, and what the bundles about it claim, by their referrer."""

    subject: Descriptor
    manifest: Manifest
    claims: tuple[tuple[Digest, ClaimedStatement], ...]


def inspect(name: str | Digest, store: ReadableStore) -> Inspection:
    """Look at what `name` points at. Raises as `fetch_manifest` and `attached_bundles` do."""
    subject = store.resolve(name)
    manifest = fetch_manifest(store, subject)
    claims = []
    for found in attached_bundles(store, subject):
        if isinstance(found, UnreadableReferrer):
            claim = ClaimedStatement(problem=found.problem)
        else:
            claim = read_unsafe(found.raw)
        claims.append((found.referrer, claim))
    return Inspection(subject, manifest, tuple(claims))
