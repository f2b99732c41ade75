# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What is known of a model without its weights: its small documents, read out of its store."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from modelseal.documents import parse_json_object
from modelseal.errors import ContentError, InvalidProjectError, NotFoundError
from modelseal.evidence.versions import Contents, FileFact
from modelseal.modelpack.media_types import VERSION
from modelseal.modelpack.project import FILE_NAME, Project
from modelseal.modelpack.project_file import MAX_BYTES, parse_project
from modelseal.modelpack.readers.layer import Compression, Layer
from modelseal.oci.manifest import Manifest
from modelseal.oci.store import ContentReader, fetch_bytes

_CONFIG = "config.json"
_IN_CONFIG = ("id2label", "label2id", "num_labels", "architectures", "model_type")
_LABEL_FILES = frozenset({"labels.txt", "labels.json", "classes.txt", "classes.json"})


def contents_of(
    store: ContentReader,
    manifest: Manifest,
    layers: Sequence[Layer],
    files: Mapping[str, str],
    config: Mapping[str, str],
) -> Contents:
    """Return what is known of a model; only `modelseal.yaml` and `config.json` are fetched.

    Args:
        store: where it is.
        manifest: of the model.
        layers: of the model.
        files: the digest of each layer, by the name that it has in a comparison, in their order.
        config: fields of its config and of its annotations.

    Raises:
        UnavailableError, StorageError: the store did not answer.
    """
    kinds = {name: layer.kind for name, layer in zip(files, layers, strict=True)}
    return Contents(
        version=manifest.annotations.get(VERSION, ""),
        files={name: FileFact(digest, kinds[name]) for name, digest in files.items()},
        project=_project(store, layers),
        labels=dict(_labels(store, layers)),
        config=config,
    )


def _project(store: ContentReader, layers: Sequence[Layer]) -> Project | None:
    raw = _small(store, layers, FILE_NAME)
    try:
        return None if raw is None else parse_project(raw)
    except InvalidProjectError:  # by another version of this tool, or by nobody
        return None


def _labels(store: ContentReader, layers: Sequence[Layer]) -> Iterator[tuple[str, str]]:
    for layer in layers:
        if layer.path is not None and layer.path.name in _LABEL_FILES:
            yield str(layer.path), str(layer.descriptor.digest)
    raw = _small(store, layers, _CONFIG)
    try:
        fields: dict[str, Any] = {} if raw is None else parse_json_object(raw, _CONFIG)
    except ContentError:
        return
    for key in _IN_CONFIG:
        if key in fields:
            yield f"{key} in {_CONFIG}", json.dumps(fields[key], sort_keys=True)


def _small(store: ContentReader, layers: Sequence[Layer], path: str) -> bytes | None:
    """Return a small file that is a layer of its own; None when there is none."""
    for layer in layers:
        plain = layer.compression is Compression.NONE and layer.descriptor.size <= MAX_BYTES
        if plain and str(layer.path) == path:
            try:
                return fetch_bytes(store, layer.descriptor, limit=MAX_BYTES)
            except (ContentError, NotFoundError):
                return None
    return None
