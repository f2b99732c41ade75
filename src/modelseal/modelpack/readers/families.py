# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The layers of an artifact, whichever family it belongs to."""

from typing import Any

from modelseal.documents import parse_json_object
from modelseal.errors import InvalidDocumentError
from modelseal.modelpack.paths import check_paths
from modelseal.modelpack.readers import modelpack
from modelseal.modelpack.readers.layer import Layer
from modelseal.oci.manifest import Manifest
from modelseal.oci.store import ContentReader, fetch_bytes

MAX_CONFIG_BYTES = 4 << 20
"""Largest config of a model that is read, in bytes."""


def layers_of(reader: ContentReader, manifest: Manifest) -> tuple[Layer, ...]:
    """Return the layers of a model, in the manifest's order; their names are safe.

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
    layers = modelpack.read(manifest, config)
    check_paths(str(layer.path) for layer in layers if layer.path is not None)
    return layers
