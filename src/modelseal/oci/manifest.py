# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Manifests and indexes: the bytes as they were pushed or fetched, and a checked view of them.

Source: OCI image-spec v1.1, manifest.md and image-index.md; the media type agreement and the
refusal of documents that are both come from advisory GHSA-77vh-xpmg-72qh.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from modelseal.documents import canonical_json, parse_json_object
from modelseal.errors import InvalidDocumentError, LimitExceededError
from modelseal.oci.descriptor import (
    EMPTY_DESCRIPTOR,
    INDEX,
    INDEX_TYPES,
    MANIFEST,
    MANIFEST_TYPES,
    Descriptor,
    Digest,
    parse_annotations,
)

MAX_MANIFEST_BYTES = 4 << 20
"""The size every registry takes (distribution-spec v1.1, "Pushing manifests")."""

MAX_DESCRIPTORS = 20_000
"""Most descriptors that are read out of one document."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image manifest, byte for byte, and what it says."""

    raw: bytes
    media_type: str
    artifact_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    subject: Descriptor | None
    annotations: Mapping[str, str]

    @classmethod
    def parse(cls, raw: bytes, media_type: str = MANIFEST) -> Self:
        """Read a manifest and keep the bytes.

        `artifact_type` falls back to the config's media type, as image-spec says.

        Raises:
            InvalidDocumentError, LimitExceededError.
        """
        content = _parse(raw, media_type, other="manifests")
        if media_type in INDEX_TYPES:
            raise InvalidDocumentError(f"{Digest.of(raw)} is an index, not a manifest")
        config = Descriptor.parse(content.get("config"), "config")
        artifact_type = content.get("artifactType") or config.media_type
        if not isinstance(artifact_type, str):
            raise InvalidDocumentError("artifactType is not text")
        subject = content.get("subject")
        return cls(
            raw=raw,
            media_type=media_type,
            artifact_type=artifact_type,
            config=config,
            layers=_descriptors(content.get("layers"), "layers"),
            subject=None if subject is None else Descriptor.parse(subject, "subject"),
            annotations=parse_annotations(content.get("annotations"), "manifest"),
        )

    @classmethod
    def build(
        cls,
        *,
        artifact_type: str,
        layers: Iterable[Descriptor],
        config: Descriptor = EMPTY_DESCRIPTOR,
        subject: Descriptor | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> Self:
        """Serialise once; from here on only these bytes are used. An image has no artifact type."""
        content: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            **({"artifactType": artifact_type} if artifact_type else {}),
            "config": config.to_json(),
            "layers": [layer.to_json() for layer in layers],
        }
        if subject is not None:
            # Only the three fields that say which bytes are meant.
            content["subject"] = Descriptor(
                subject.media_type, subject.digest, subject.size
            ).to_json()
        if annotations:
            content["annotations"] = dict(annotations)
        return cls.parse(canonical_json(content))

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of the bytes, never of a re-serialised copy."""
        return Descriptor.of(self.raw, self.media_type)

    @property
    def blobs(self) -> tuple[Descriptor, ...]:
        """Config and layers, in the order in which they have to be there before the manifest."""
        return (self.config, *self.layers)


@dataclass(frozen=True, slots=True)
class Index:
    """An image index, byte for byte, and what it lists."""

    raw: bytes
    media_type: str
    artifact_type: str
    manifests: tuple[Descriptor, ...]
    subject: Descriptor | None
    annotations: Mapping[str, str]

    @classmethod
    def parse(cls, raw: bytes, media_type: str = INDEX) -> Self:
        """Read an index and keep the bytes. Raises as `Manifest.parse` does."""
        content = _parse(raw, media_type, other="layers")
        if media_type not in INDEX_TYPES:
            raise InvalidDocumentError(f"{Digest.of(raw)} is a manifest, not an index")
        subject = content.get("subject")
        artifact_type = content.get("artifactType") or ""
        if not isinstance(artifact_type, str):
            raise InvalidDocumentError("artifactType is not text")
        return cls(
            raw=raw,
            media_type=media_type,
            artifact_type=artifact_type,
            manifests=_descriptors(content.get("manifests"), "manifests"),
            subject=None if subject is None else Descriptor.parse(subject, "subject"),
            annotations=parse_annotations(content.get("annotations"), "index"),
        )

    @classmethod
    def build(
        cls, manifests: Iterable[Descriptor], annotations: Mapping[str, str] | None = None
    ) -> Self:
        """Serialise once."""
        content: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": INDEX,
            "manifests": [entry.to_json() for entry in manifests],
        }
        if annotations:
            content["annotations"] = dict(annotations)
        return cls.parse(canonical_json(content))

    @property
    def descriptor(self) -> Descriptor:
        """The descriptor of the bytes."""
        return Descriptor.of(self.raw, self.media_type)


def _parse(raw: bytes, media_type: str, *, other: str) -> dict[str, Any]:
    if len(raw) > MAX_MANIFEST_BYTES:
        raise LimitExceededError("a manifest is larger than 4 MiB")
    what = f"the document {Digest.of(raw)}"
    content = parse_json_object(raw, what)
    if media_type not in MANIFEST_TYPES:
        raise InvalidDocumentError(f"{what} has the media type {media_type!r}: not a manifest")
    if content.get("schemaVersion") != 2:  # noqa: PLR2004 - the only version there is
        raise InvalidDocumentError(f"{what} has no schemaVersion 2")
    if content.get("mediaType", media_type) != media_type:
        raise InvalidDocumentError(
            f"{what} calls itself {content['mediaType']!r} and was served as {media_type!r}"
        )
    if other in content:
        raise InvalidDocumentError(f"{what} is a manifest and an index at once")
    return content


def _descriptors(value: object, where: str) -> tuple[Descriptor, ...]:
    if not isinstance(value, list):
        raise InvalidDocumentError(f"{where} is not a list")
    if len(value) > MAX_DESCRIPTORS:
        raise LimitExceededError(f"{where} has more than {MAX_DESCRIPTORS} entries")
    return tuple(Descriptor.parse(item, f"{where}[{place}]") for place, item in enumerate(value))
