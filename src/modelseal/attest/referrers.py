# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Bundles as OCI 1.1 referrers: attach one, list them all.

Source: cosign's BUNDLE_SPEC and OCI image-spec v1.1; the form is the one cosign 3 writes. What a
referrer says of itself (`artifactType`, annotations) is a hint: the manifest is read, and what
counts is the verified statement inside the bundle.
"""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

from modelseal.attest.predicates.reference import PREDICATE_TYPE, media_type_of
from modelseal.documents import rfc3339
from modelseal.errors import ContentError, LimitExceededError, NotFoundError
from modelseal.oci.content import BytesContent
from modelseal.oci.descriptor import (
    EMPTY_BYTES,
    EMPTY_DESCRIPTOR,
    INDEX_TYPES,
    Descriptor,
    Digest,
)
from modelseal.oci.manifest import MAX_MANIFEST_BYTES, Manifest
from modelseal.oci.store import (
    ContentReader,
    ReadableStore,
    Store,
    fetch_bytes,
    fetch_manifest,
    push_bytes,
    push_manifests,
)

BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
DOCUMENT = "application/vnd.modelseal.predicate.v1+json"
"""Artifact type of a predicate that is attested by its digest (docs/referrers.md)."""

BUNDLE_PREFIX = "application/vnd.dev.sigstore.bundle"
CONTENT_ANNOTATION = "dev.sigstore.bundle.content"
PREDICATE_TYPE_ANNOTATION = "dev.sigstore.bundle.predicateType"
CREATED_ANNOTATION = "org.opencontainers.image.created"

MAX_BUNDLE_BYTES = 16 << 20
MAX_TOTAL_BYTES = 64 << 20
"""Most bytes of bundles that are read for one model."""

_WORKERS = 8
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AttachedBundle:
    """A bundle that hangs on a manifest; nothing of it is verified."""

    referrer: Digest
    raw: bytes


@dataclass(frozen=True, slots=True)
class UnreadableReferrer:
    """A referrer that cannot be what we look for, and why."""

    referrer: Digest
    problem: str


def attach(
    store: Store, subject: Descriptor, bundle: bytes, predicate_type: str, created: datetime
) -> Descriptor:
    """Store `bundle` as a referrer of `subject`; return the referrer's descriptor.

    Raises:
        Error: as `ContentWriter.push` does.
    """
    return attach_all(store, subject, [(bundle, predicate_type)], created)[0]


def attach_all(
    store: Store, subject: Descriptor, bundles: Sequence[tuple[bytes, str]], created: datetime
) -> list[Descriptor]:
    """Store bundles, each with its predicate type, as referrers of `subject`, in one go.

    Returns:
        The referrers' descriptors, in the order of the bundles.

    Raises:
        Error: as `ContentWriter.push` does.
    """
    store.push(EMPTY_DESCRIPTOR, BytesContent(EMPTY_BYTES))
    with ThreadPoolExecutor(_WORKERS) as pool:
        layers = list(pool.map(lambda pair: push_bytes(store, pair[0], BUNDLE), bundles))
    manifests = [
        Manifest.build(
            artifact_type=BUNDLE,
            layers=[layer],
            subject=subject,
            annotations={
                CONTENT_ANNOTATION: "dsse-envelope",
                PREDICATE_TYPE_ANNOTATION: predicate_type,
                CREATED_ANNOTATION: rfc3339(created),
            },
        )
        for layer, (_, predicate_type) in zip(layers, bundles, strict=True)
    ]
    push_manifests(store, manifests)
    return [manifest.descriptor for manifest in manifests]


def attach_document(
    store: Store, subject: Descriptor, raw: bytes, predicate_type: str, created: datetime
) -> Descriptor:
    """Store a predicate beside `subject`, unsigned; return the blob's descriptor.

    The manifest that holds it is a referrer, so that it is copied along and not thrown away as
    garbage. Raises as `ContentWriter.push` does.
    """
    layer = push_bytes(store, raw, media_type_of(predicate_type))
    store.push(EMPTY_DESCRIPTOR, BytesContent(EMPTY_BYTES))
    manifest = Manifest.build(
        artifact_type=DOCUMENT,
        layers=[layer],
        subject=subject,
        annotations={PREDICATE_TYPE: predicate_type, CREATED_ANNOTATION: rfc3339(created)},
    )
    store.push(manifest.descriptor, BytesContent(manifest.raw))
    return layer


def attached_bundles(
    store: ReadableStore, subject: Descriptor
) -> tuple[AttachedBundle | UnreadableReferrer, ...]:
    """Read every bundle that hangs on `subject`, in the order of the referrers' digests.

    Referrers of another kind are left out; a broken one is told, not skipped in silence.

    Raises:
        LimitExceededError: more referrers, or more bytes, than are read for one model.
        UnavailableError: the store did not answer; what is not seen must not count as absent.
    """
    entries = sorted(store.referrers(subject), key=lambda entry: entry.digest)
    with ThreadPoolExecutor(_WORKERS) as pool:
        manifests = list(pool.map(lambda entry: _read_manifest(store, entry), entries))
        layers = [found for found in manifests if isinstance(found, tuple)]
        if sum(layer.size for _, layer in layers) > MAX_TOTAL_BYTES:
            raise LimitExceededError(
                f"the bundles about {subject.digest} have over {MAX_TOTAL_BYTES >> 20} MiB"
            )
        found = list(pool.map(lambda pair: _read_bundle(store, *pair), layers))
    broken = [item for item in manifests if isinstance(item, UnreadableReferrer)]
    return tuple(sorted([*found, *broken], key=lambda item: item.referrer))


def _read_manifest(
    reader: ContentReader, entry: Descriptor
) -> tuple[Digest, Descriptor] | UnreadableReferrer | None:
    """Return the referrer's digest and its bundle layer, or None for another kind."""
    if entry.media_type in INDEX_TYPES:
        return None
    if entry.size > MAX_MANIFEST_BYTES:
        return UnreadableReferrer(entry.digest, "its manifest is larger than 4 MiB")
    try:
        manifest = fetch_manifest(reader, entry)
    except (ContentError, NotFoundError) as error:
        return UnreadableReferrer(entry.digest, str(error))
    layers = [layer for layer in manifest.layers if layer.media_type.startswith(BUNDLE_PREFIX)]
    if not layers:
        _log.debug("%s is a %s, not a bundle", entry.digest, manifest.artifact_type)
        return None
    if len(manifest.layers) != 1:
        return UnreadableReferrer(entry.digest, "it has more layers than the one bundle")
    return entry.digest, layers[0]


def _read_bundle(
    reader: ContentReader, referrer: Digest, layer: Descriptor
) -> AttachedBundle | UnreadableReferrer:
    try:
        return AttachedBundle(referrer, fetch_bytes(reader, layer, limit=MAX_BUNDLE_BYTES))
    except (ContentError, NotFoundError) as error:
        return UnreadableReferrer(referrer, str(error))
