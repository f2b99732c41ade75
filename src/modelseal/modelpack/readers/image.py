# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""OCI and Docker images with files below `models/` (modelcar).

What stands below `models/` is the model; the rest (a base with a shell, for the sidecar of KServe)
is read over. Layers are not laid over each other: a file comes once, and nothing is taken away
again, so that what is read does not depend on how an order of layers is understood.

Source: OCI image-spec v1.1, layer.md ("Whiteouts") and config.md; Docker image manifest v2.2.
"""

import re

from modelseal.errors import InvalidDocumentError
from modelseal.modelpack.readers.layer import (
    Compression,
    Layer,
    ReadConfig,
    not_read,
    refuse_urls,
    whiteout,
    with_diff_ids,
)
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.manifest import Manifest

DIRECTORY = "models"
"""Where the files of a model stand in an image (KServe, modelcar)."""

CONFIG = "application/vnd.oci.image.config.v1+json"
_DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
CONFIGS = frozenset({CONFIG, _DOCKER_CONFIG})
_LAYER = re.compile(
    r"application/vnd\.oci\.image\.layer\.v1\.tar(?:\+(gzip|zstd))?"
    r"|application/vnd\.docker\.image\.rootfs\.diff\.tar(?:\.(gzip|zstd))?"
)
_WHITEOUT = ".wh."


def read(manifest: Manifest, config: ReadConfig) -> tuple[Layer, ...]:
    """Return the layers. Raises `InvalidDocumentError`."""
    if manifest.artifact_type not in CONFIGS:
        raise InvalidDocumentError(
            f"{manifest.descriptor.digest} is a {manifest.artifact_type[:200]!r} with the config "
            "of an image"
        )
    layers = tuple(map(_layer, manifest.layers))
    return with_diff_ids(layers, config, "rootfs", "diff_ids")


def _layer(layer: Descriptor) -> Layer:
    refuse_urls(layer)
    match = _LAYER.fullmatch(layer.media_type)
    if match is None:
        raise not_read(layer, "layers of images are read as tar, with gzip, zstd or neither")
    compression = Compression(match[1] or match[2] or "")
    return Layer(descriptor=layer, kind=None, place=_place, compression=compression)


def _place(name: str) -> str | None:
    top, _, rest = name.partition("/")
    # Of something in the directory, of the directory itself, or of all that stands at the top.
    hidden = any(part.startswith(_WHITEOUT) for part in name.split("/"))
    if hidden and top in (DIRECTORY, f"{_WHITEOUT}{DIRECTORY}", f"{_WHITEOUT}{_WHITEOUT}.opq"):
        raise whiteout(name)
    if top != DIRECTORY:
        return None
    return rest
