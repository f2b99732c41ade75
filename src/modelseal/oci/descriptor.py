# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Digests, descriptors and the media types of OCI content.

Source: OCI image-spec v1.1, descriptor.md and media-types.md.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Self

from modelseal.errors import InvalidDocumentError, InvalidReferenceError

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
EMPTY = "application/vnd.oci.empty.v1+json"
OCTET_STREAM = "application/octet-stream"

INDEX_TYPES = frozenset({INDEX, DOCKER_INDEX})
MANIFEST_TYPES = frozenset({MANIFEST, DOCKER_MANIFEST}) | INDEX_TYPES
"""What the manifests endpoint of a registry serves; everything else is a blob."""

EMPTY_BYTES = b"{}"
MAX_SIZE = 1 << 50
"""Largest size, in bytes, that a descriptor may claim (1 PiB)."""

_FORMS = {
    "sha256": re.compile(r"[0-9a-f]{64}"),
    "sha512": re.compile(r"[0-9a-f]{128}"),
}
_MEDIA_TYPE = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}"
)
_NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A content digest. An object of this class is always well-formed.

    Raises `InvalidReferenceError`. Source: image-spec, descriptor.md, "Digests".
    """

    algorithm: str
    encoded: str

    def __post_init__(self) -> None:
        form = _FORMS.get(self.algorithm)
        if form is None or not form.fullmatch(self.encoded):
            text = f"{self.algorithm}:{self.encoded}"[:160]
            raise InvalidReferenceError(
                f"not a digest: {text!r}", hint="a digest is sha256: and 64 lower-case hex digits"
            )

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `algorithm:encoded`."""
        algorithm, _, encoded = text.partition(":")
        return cls(algorithm, encoded)

    @classmethod
    def of(cls, data: bytes) -> Self:
        """Compute the SHA-256 digest of `data`."""
        return cls("sha256", hashlib.sha256(data).hexdigest())

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.encoded}"


@dataclass(frozen=True, slots=True)
class Descriptor:
    """What some content is: media type, digest and size in bytes.

    Annotations are hints by whoever wrote the descriptor, never proof. `urls` stands here only
    to be refused by whoever would fetch: content comes from the store, from nowhere else.
    """

    media_type: str
    digest: Digest
    size: int
    annotations: Mapping[str, str] = field(default_factory=lambda: _NOTHING, hash=False)
    artifact_type: str = ""
    urls: tuple[str, ...] = ()

    @classmethod
    def of(cls, data: bytes, media_type: str) -> Self:
        """Describe bytes that are at hand."""
        return cls(media_type, Digest.of(data), len(data))

    @classmethod
    def parse(cls, value: object, where: str) -> Self:
        """Read a descriptor out of a document; `where` names the place in errors.

        Raises:
            InvalidDocumentError: a field is missing or of the wrong shape.
        """
        if not isinstance(value, dict):
            raise InvalidDocumentError(f"{where} is not a descriptor")
        return cls(
            media_type=_media_type(value.get("mediaType"), where),
            digest=_digest(value.get("digest"), where),
            size=_size(value.get("size"), where),
            annotations=_annotations(value.get("annotations"), where),
            artifact_type=_optional_text(value.get("artifactType"), f"{where}.artifactType"),
            urls=_urls(value.get("urls"), where),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the descriptor as it stands in a manifest; empty fields are left out."""
        value: dict[str, Any] = {
            "mediaType": self.media_type,
            "digest": str(self.digest),
            "size": self.size,
        }
        if self.artifact_type:
            value["artifactType"] = self.artifact_type
        if self.annotations:
            value["annotations"] = dict(self.annotations)
        return value

    @property
    def is_manifest(self) -> bool:
        """Whether a registry keeps it under `/manifests/`."""
        return self.media_type in MANIFEST_TYPES

    @property
    def name(self) -> str:
        """A word for people: the file name if the descriptor has one, else a short digest."""
        title = self.annotations.get("org.opencontainers.image.title", "")
        return title or f"{self.digest.algorithm}:{self.digest.encoded[:12]}"


def parse_annotations(value: object, where: str) -> Mapping[str, str]:
    """Read an annotations object: text to text. Raises `InvalidDocumentError`."""
    return _annotations(value, where)


EMPTY_DESCRIPTOR = Descriptor.of(EMPTY_BYTES, EMPTY)


def _media_type(value: object, where: str) -> str:
    if not isinstance(value, str) or not _MEDIA_TYPE.fullmatch(value):
        raise InvalidDocumentError(f"{where}.mediaType is not a media type")
    return value


def _digest(value: object, where: str) -> Digest:
    if not isinstance(value, str):
        raise InvalidDocumentError(f"{where}.digest is missing")
    try:
        return Digest.parse(value)
    except InvalidReferenceError as error:
        raise InvalidDocumentError(f"{where}.digest is {error}") from error


def _size(value: object, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_SIZE:
        raise InvalidDocumentError(f"{where}.size is not a size in bytes")
    return value


def _annotations(value: object, where: str) -> Mapping[str, str]:
    if value is None:
        return _NOTHING
    if not isinstance(value, dict) or not all(
        isinstance(key, str) and isinstance(item, str) for key, item in value.items()
    ):
        raise InvalidDocumentError(f"{where}.annotations is not a mapping of text to text")
    return MappingProxyType(dict(value))


def _optional_text(value: object, where: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise InvalidDocumentError(f"{where} is not text")
    return value


def _urls(value: object, where: str) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise InvalidDocumentError(f"{where}.urls is not a list of texts")
    return tuple(value)
