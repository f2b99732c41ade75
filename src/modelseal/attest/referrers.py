# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Bundles as OCI 1.1 referrers: attach one, list them all.

Source: cosign's BUNDLE_SPEC and OCI image-spec v1.1; the form is the one cosign 3 writes. What a
referrer says of itself (`artifactType`, annotations) is a hint: the manifest is read, and what
counts is the verified statement inside the bundle.
"""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias, TypeVar

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
EVIDENCE = "application/vnd.modelseal.evidence.v1"
"""Artifact type of what a statement names as its evidence (docs/environment-attestation.md)."""

BUNDLE_PREFIX = "application/vnd.dev.sigstore.bundle"
CONTENT_ANNOTATION = "dev.sigstore.bundle.content"
PREDICATE_TYPE_ANNOTATION = "dev.sigstore.bundle.predicateType"
CREATED_ANNOTATION = "org.opencontainers.image.created"

MAX_BUNDLE_BYTES = 16 << 20
MAX_TOTAL_BYTES = 64 << 20
"""Most bytes of bundles that are read for one model."""

MAX_SAID = 1024
"""How much is kept, in characters, of the predicate type that a referrer says it has."""

BATCH = 16
"""How many bundles are read before it is asked whether they are enough; so few are always read."""

_WORKERS = 8
T = TypeVar("T")
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

    Raises as `ContentWriter.push` does.
    """
    said = {PREDICATE_TYPE: predicate_type}
    kind = media_type_of(predicate_type)
    return _attach_blob(store, subject, raw, kind, created, artifact_type=DOCUMENT, said=said)


def attach_evidence(
    store: Store, subject: Descriptor, raw: bytes, media_type: str, created: datetime
) -> Descriptor:
    """Store what shows a statement beside `subject`, unsigned; return the blob's descriptor.

    Raises as `ContentWriter.push` does.
    """
    return _attach_blob(store, subject, raw, media_type, created, artifact_type=EVIDENCE, said={})


def _attach_blob(
    store: Store,
    subject: Descriptor,
    raw: bytes,
    media_type: str,
    created: datetime,
    *,
    artifact_type: str,
    said: Mapping[str, str],
) -> Descriptor:
    """Store a blob under a referrer: it is copied along, and not thrown away as garbage."""
    layer = push_bytes(store, raw, media_type)
    store.push(EMPTY_DESCRIPTOR, BytesContent(EMPTY_BYTES))
    manifest = Manifest.build(
        artifact_type=artifact_type,
        layers=[layer],
        subject=subject,
        annotations={**said, CREATED_ANNOTATION: rfc3339(created)},
    )
    store.push(manifest.descriptor, BytesContent(manifest.raw))
    return layer


Found: TypeAlias = AttachedBundle | UnreadableReferrer


def attached_bundles(store: ReadableStore, subject: Descriptor) -> tuple[Found, ...]:
    """Read every bundle that hangs on `subject`, in the order of the referrers' digests.

    Referrers of another kind are left out; a broken one is told, not skipped in silence.

    Raises:
        LimitExceededError: more referrers, or more bytes, than are read for one model.
        UnavailableError: the store did not answer; what is not seen must not count as absent.
    """
    batches = Attachments(store, subject)
    return tuple(sorted((item for batch in batches for item in batch), key=lambda i: i.referrer))


@dataclass(frozen=True, slots=True)
class _Pointer:
    """A referrer's bundle, not read yet. `said` is the predicate type that it says it has."""

    referrer: Digest
    layer: Descriptor
    said: str


class Attachments:
    """The bundles that hang on a manifest, read batch by batch, so that one can stop in between.

    Those that say that they are of a wanted predicate type come first. What a listing says of a
    referrer changes the order only. What its own manifest says, which is what its author wrote
    beside the bundle, may end the reading: see `only_wanted`.
    """

    def __init__(
        self,
        store: ReadableStore,
        subject: Descriptor,
        wanted: Collection[str] = (),
        *,
        only_wanted: bool = False,
    ) -> None:
        """List the referrers of `subject`; bundles are read when this is iterated.

        Args:
            store: holds them.
            subject: what they are about.
            wanted: predicate types that are asked for.
            only_wanted: of more than `BATCH` referrers, read no bundle whose own manifest says
                that it is of another type. Only for questions to which such a bundle cannot
                answer no: a statement under a wrong name is then as good as not there.

        Raises:
            LimitExceededError, UnavailableError: as `attached_bundles` does.
        """
        self._store = store
        self._subject = subject
        self._wanted = frozenset(wanted)
        self._only_wanted = only_wanted
        self._entries = sorted(store.referrers(subject), key=lambda entry: entry.digest)
        self._bytes = 0
        self.unread = len(self._entries)
        """How many referrers may be bundles and were not read yet."""
        self.passed_over: set[str] = set()
        """The predicate types that bundles say they have that are not read: `only_wanted`."""

    def __iter__(self) -> Iterator[list[Found]]:
        """Yield what hangs there. Raises as `attached_bundles` does."""
        hints = [entry.annotations.get(PREDICATE_TYPE_ANNOTATION, "") for entry in self._entries]
        pairs = list(zip(self._entries, hints, strict=True))
        silent = [entry for entry, said in pairs if not said]
        with ThreadPoolExecutor(_WORKERS) as pool:
            if len(pairs) <= BATCH:
                yield self._read(pool, self._look(pool, self._entries))
                return
            for batch in _batches([entry for entry, said in pairs if said in self._wanted]):
                yield self._read(pool, self._look(pool, batch))
            # A fallback index may say nothing of its entries; their manifests do.
            for pointers in self._wanted_first(self._look(pool, silent)):
                yield self._read(pool, pointers)
            others = [entry for entry, said in pairs if said and said not in self._wanted]
            for batch in _batches(others):
                for pointers in self._wanted_first(self._look(pool, batch)):
                    yield self._read(pool, pointers)

    def _wanted_first(
        self, items: Sequence[_Pointer | UnreadableReferrer]
    ) -> Iterator[Sequence[_Pointer | UnreadableReferrer]]:
        """Yield those that say that they are wanted, and then the others, if they are to be read.

        Who says nothing is read in any case.
        """
        wanted: list[_Pointer | UnreadableReferrer] = []
        others: list[_Pointer | UnreadableReferrer] = []
        for item in items:
            said = item.said if isinstance(item, _Pointer) else ""
            if said in self._wanted:
                wanted.append(item)
            elif said and self._only_wanted:
                self.passed_over.add(said)
            else:
                others.append(item)
        yield from _batches(wanted)
        yield from _batches(others)

    def _look(
        self, pool: ThreadPoolExecutor, entries: Sequence[Descriptor]
    ) -> list[_Pointer | UnreadableReferrer]:
        looked = pool.map(lambda entry: _read_manifest(self._store, entry), entries)
        found = [item for item in looked if item is not None]
        self.unread -= len(entries) - len(found)
        return found

    def _read(
        self, pool: ThreadPoolExecutor, items: Sequence[_Pointer | UnreadableReferrer]
    ) -> list[Found]:
        self._bytes += sum(item.layer.size for item in items if isinstance(item, _Pointer))
        if self._bytes > MAX_TOTAL_BYTES:
            raise LimitExceededError(
                f"the bundles about {self._subject.digest} have over {MAX_TOTAL_BYTES >> 20} MiB"
            )
        self.unread -= len(items)
        return list(pool.map(self._bundle, items))

    def _bundle(self, item: _Pointer | UnreadableReferrer) -> Found:
        if isinstance(item, UnreadableReferrer):
            return item
        return _read_bundle(self._store, item.referrer, item.layer)


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    yield from (items[start : start + BATCH] for start in range(0, len(items), BATCH))


def _read_manifest(
    reader: ContentReader, entry: Descriptor
) -> _Pointer | UnreadableReferrer | None:
    """Return where the referrer's bundle is, or None for another kind of referrer."""
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
    said = manifest.annotations.get(PREDICATE_TYPE_ANNOTATION, "")
    return _Pointer(entry.digest, layers[0], said if len(said) <= MAX_SAID else "")


def _read_bundle(
    reader: ContentReader, referrer: Digest, layer: Descriptor
) -> AttachedBundle | UnreadableReferrer:
    try:
        return AttachedBundle(referrer, fetch_bytes(reader, layer, limit=MAX_BUNDLE_BYTES))
    except (ContentError, NotFoundError) as error:
        return UnreadableReferrer(referrer, str(error))
