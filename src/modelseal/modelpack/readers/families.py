# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Which family an artifact belongs to, and its layers."""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeAlias

from modelseal.documents import parse_json_object
from modelseal.errors import InvalidDocumentError
from modelseal.modelpack.paths import check_paths
from modelseal.modelpack.readers import artifact, docker, image, kitops, modelpack
from modelseal.modelpack.readers.layer import Layer, ReadConfig
from modelseal.oci.manifest import Manifest
from modelseal.oci.store import ContentReader, fetch_bytes

MAX_CONFIG_BYTES = 4 << 20
"""Largest config of a model that is read, in bytes."""


class Family(StrEnum):
    """A way to pack models."""

    MODELPACK = "modelpack"
    KITOPS = "kitops"
    DOCKER = "docker-model"
    IMAGE = "image"
    ARTIFACT = "artifact"


_Reader: TypeAlias = Callable[[Manifest, ReadConfig], tuple[Layer, ...]]
_READERS: Mapping[Family, _Reader] = {
    Family.MODELPACK: modelpack.read,
    Family.KITOPS: kitops.read,
    Family.DOCKER: docker.read,
    Family.IMAGE: image.read,
    Family.ARTIFACT: artifact.read,
}
_TYPES: Mapping[str, Family] = {
    **dict.fromkeys(modelpack.ARTIFACT_TYPES | modelpack.CONFIGS, Family.MODELPACK),
    **dict.fromkeys((kitops.ARTIFACT_TYPE, kitops.CONFIG), Family.KITOPS),
    **dict.fromkeys(docker.CONFIGS, Family.DOCKER),
    **dict.fromkeys(image.CONFIGS, Family.IMAGE),
}


def family_of(manifest: Manifest) -> Family:
    """Return how a model was packed, by the media types of its config and manifest.

    Each family refuses a manifest whose two types do not belong together.
    """
    of_config = _TYPES.get(manifest.config.media_type)
    of_manifest = _TYPES.get(manifest.artifact_type)
    if of_config is Family.IMAGE and of_manifest is None:
        return Family.ARTIFACT  # `oras push --artifact-platform` keeps the platform so
    return of_config or of_manifest or Family.ARTIFACT


def layers_of(reader: ContentReader, manifest: Manifest) -> tuple[Layer, ...]:
    """Return the layers of a model, in the manifest's order; names that it tells are safe.

    Raises:
        InvalidDocumentError: it is no model of a family that is read.
        UnsafePathError: a name leaves the directory, or meets another one.
        ContentMismatchError: manifest and config contradict each other.
        NotFoundError, UnavailableError: the config cannot be had.
    """

    def config() -> dict[str, Any]:
        raw = fetch_bytes(reader, manifest.config, limit=MAX_CONFIG_BYTES)
        return parse_json_object(raw, "the model's config")

    if not manifest.layers:
        raise InvalidDocumentError(f"the model {manifest.descriptor.digest} has no files")
    layers = _READERS[family_of(manifest)](manifest, config)
    check_paths(str(layer.path) for layer in layers if layer.path is not None)
    return layers
