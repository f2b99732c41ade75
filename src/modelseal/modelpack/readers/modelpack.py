# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""CNCF ModelPack, also under its old name (`cnai`), in all encodings of the specification.

Source: model-spec v0.0.7, docs/spec.md and docs/annotations.md; v0.0.6 (`dragonflyoss/model-spec`)
for the old names. Where a member of an archive goes is said by its name in the archive, as modctl
and kit have it.
"""

import re

from modelseal.errors import InvalidDocumentError
from modelseal.modelpack import media_types
from modelseal.modelpack.media_types import LayerKind
from modelseal.modelpack.paths import check_relative_path
from modelseal.modelpack.readers.layer import (
    Compression,
    Layer,
    ReadConfig,
    as_named,
    name_of,
    not_read,
    refuse_urls,
    with_diff_ids,
)
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.manifest import Manifest

_OLD_ARTIFACT_TYPE = "application/vnd.cnai.model.manifest.v1+json"
_OLD_CONFIG = "application/vnd.cnai.model.config.v1+json"
_OLD_FILEPATH = "org.cnai.model.filepath"
ARTIFACT_TYPES = frozenset({media_types.ARTIFACT_TYPE, _OLD_ARTIFACT_TYPE})
CONFIGS = frozenset({media_types.CONFIG, _OLD_CONFIG})
_LAYER = re.compile(
    rf"application/vnd\.(?:cncf|cnai)\.model\.({'|'.join(map(re.escape, LayerKind))})"
    r"\.v1\.(raw|tar|tar\+gzip|tar\+zstd)"
)


def read(manifest: Manifest, config: ReadConfig) -> tuple[Layer, ...]:
    """Return the layers. Raises `InvalidDocumentError`, `UnsafePathError`."""
    # Without an artifactType the config's media type stands for it (image-spec, manifest.md).
    if manifest.artifact_type not in ARTIFACT_TYPES | CONFIGS:
        raise InvalidDocumentError(
            f"{manifest.descriptor.digest} is a {manifest.artifact_type[:200]!r}, not a model",
            hint=f"a model's artifactType is {media_types.ARTIFACT_TYPE}",
        )
    if manifest.config.media_type not in CONFIGS:
        raise InvalidDocumentError(
            f"the model's config is a {manifest.config.media_type}, not a {media_types.CONFIG}"
        )
    layers = tuple(map(_layer, manifest.layers))
    return with_diff_ids(layers, config, "modelfs", "diffIds")


def _layer(layer: Descriptor) -> Layer:
    refuse_urls(layer)
    match = _LAYER.fullmatch(layer.media_type)
    if match is None:
        example = media_types.raw_layer(LayerKind.WEIGHT)
        raise not_read(layer, f"layers are read as {example} and its like")
    kind, encoding = LayerKind(match[1]), match[2]
    if encoding == "raw":
        name = name_of(layer, media_types.FILEPATH, _OLD_FILEPATH, media_types.TITLE)
        return Layer(descriptor=layer, kind=kind, path=check_relative_path(name))
    compression = Compression(encoding.partition("+")[2])
    return Layer(descriptor=layer, kind=kind, place=as_named, compression=compression)
