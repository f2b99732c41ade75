# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What every family of artifacts comes down to: layers, and where their files go."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, TypeAlias

from modelseal.errors import ContentMismatchError, InvalidDocumentError, UnsafePathError
from modelseal.modelpack.media_types import LayerKind
from modelseal.oci.descriptor import Descriptor, Digest


class Compression(StrEnum):
    """How the bytes of a layer are compressed."""

    NONE = ""
    GZIP = "gzip"
    ZSTD = "zstd"


Place: TypeAlias = Callable[[str], str | None]
"""From a member's name in an archive to a path below the model; None: it is no part of the model.

Raises `InvalidDocumentError` or `UnsafePathError` for a name that must not be there.
"""
ReadConfig: TypeAlias = Callable[[], Mapping[str, Any]]
"""Fetches the config of a manifest, checked; asked only by who needs it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer of a model: a file as it is, or an archive of files.

    Attributes:
        descriptor: of the layer, as the manifest has it.
        kind: what its files are for; None when only their names tell.
        path: where the one file goes; None for an archive.
        place: where the members of an archive go.
        compression: of the file or the archive.
        diff_id: the digest of the layer's bytes without compression, when the config tells.
    """

    descriptor: Descriptor
    kind: LayerKind | None
    path: PurePosixPath | None = None
    place: Place | None = None
    compression: Compression = Compression.NONE
    diff_id: Digest | None = None

    def __post_init__(self) -> None:
        assert (self.path is None) != (self.place is None)


def as_named(name: str) -> str | None:
    """Place a member where its own name says."""
    return name


def below(directory: str) -> Place:
    """Place members in `directory`, under their own names."""
    return as_named if directory == "." else lambda name: f"{directory}/{name}"


def refuse_urls(layer: Descriptor) -> None:
    """Refuse a layer that is to be fetched from elsewhere. Raises `InvalidDocumentError`."""
    if layer.urls:
        raise InvalidDocumentError(
            f"the layer {layer.name!r} is to be fetched from elsewhere (urls), which is refused"
        )


def name_of(layer: Descriptor, *keys: str) -> str:
    """Return the file name that a layer's annotations agree on.

    Raises:
        InvalidDocumentError: there is none, or there are two.
    """
    names = list(dict.fromkeys(layer.annotations[key] for key in keys if key in layer.annotations))
    if not names:
        raise InvalidDocumentError(f"the layer {layer.digest} has no file name")
    if len(names) > 1:
        raise InvalidDocumentError(
            f"the layer {layer.digest} has two names: {names[0][:200]!r} and {names[1][:200]!r}",
            hint="tools would write two different files; build the model anew",
        )
    return names[0]


def not_read(layer: Descriptor, hint: str) -> InvalidDocumentError:
    """Return the error for a layer of a media type that is not known here."""
    return InvalidDocumentError(
        f"the layer {layer.name!r} is a {layer.media_type}, which is not read here", hint=hint
    )


def with_diff_ids(
    layers: tuple[Layer, ...], config: ReadConfig, section: str, key: str
) -> tuple[Layer, ...]:
    """Return the layers with the digests of their uncompressed bytes out of the config.

    The config is fetched only when a layer is compressed: without compression the layer's own
    digest says the same.

    Raises:
        InvalidDocumentError: the config lists another number of layers, or no digests.
    """
    if all(layer.compression is Compression.NONE for layer in layers):
        return layers
    value = config().get(section)
    listed = value.get(key) if isinstance(value, dict) else None
    if listed is None:  # older writers leave it out; the layer's own digest holds all the same
        return layers
    if not isinstance(listed, list) or len(listed) != len(layers):
        raise InvalidDocumentError(
            f"the model's config does not list its {len(layers)} layers in {section}.{key}"
        )
    diff_ids = [parse_digest(item, f"{section}.{key}") for item in listed]
    return tuple(map(with_diff_id, layers, diff_ids))


def with_diff_id(layer: Layer, diff_id: Digest) -> Layer:
    """Return the layer with what its uncompressed bytes have to be."""
    descriptor = layer.descriptor
    uncompressed = layer.compression is Compression.NONE
    same_kind = diff_id.algorithm == descriptor.digest.algorithm
    if uncompressed and same_kind and diff_id != descriptor.digest:
        raise ContentMismatchError(
            f"the layer {descriptor.name!r} is not compressed and has the digest "
            f"{descriptor.digest}; the model's config says {diff_id}"
        )
    return Layer(
        descriptor=descriptor,
        kind=layer.kind,
        path=layer.path,
        place=layer.place,
        compression=layer.compression,
        diff_id=diff_id,
    )


def parse_digest(value: object, where: str) -> Digest:
    """Read a digest out of a config. Raises `InvalidDocumentError`."""
    # The one reader of digests in documents is that of descriptors.
    fields = {"mediaType": "application/octet-stream", "digest": value, "size": 0}
    return Descriptor.parse(fields, f"the model's config, {where}").digest


def whiteout(name: str) -> UnsafePathError:
    """Return the error for a layer that takes away what an earlier one brought."""
    return UnsafePathError(
        f"a layer removes {name[:200]!r}, which an earlier layer may have brought",
        hint="build the image anew, so that each file below models/ comes once",
    )
