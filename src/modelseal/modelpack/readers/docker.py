# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Docker models, v0.1 (a layer for each part, under a name that its kind has) and v0.2 (paths).

A layer is one file, named by `org.cncf.model.filepath`; older ones have no names, and get those
that Docker Model Runner gives them. The two kinds of archives hold paths below the model.

Source: docker/model-runner, pkg/distribution/types/config.go, internal/bundle/unpack.go and
internal/partial/layer.go.
"""

from collections import Counter

from modelseal.errors import InvalidDocumentError
from modelseal.modelpack import media_types
from modelseal.modelpack.media_types import LayerKind
from modelseal.modelpack.paths import check_relative_path
from modelseal.modelpack.readers.layer import (
    Layer,
    ReadConfig,
    as_named,
    name_of,
    not_read,
    refuse_urls,
)
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.manifest import Manifest

CONFIGS = frozenset(
    {
        "application/vnd.docker.ai.model.config.v0.1+json",
        "application/vnd.docker.ai.model.config.v0.2+json",
    }
)
_PREFIX = "application/vnd.docker.ai."
_ARCHIVES = {"vllm.config.tar": LayerKind.WEIGHT_CONFIG, "dir.tar": None}
# The kind, and the name without and with more than one layer of the type.
_FILES: dict[str, tuple[LayerKind | None, str, str]] = {
    "gguf.v3": (LayerKind.WEIGHT, "model.gguf", "model-{:05}-of-{:05}.gguf"),
    "gguf.v3.lora": (LayerKind.WEIGHT, "adapter.gguf", "adapter-{:05}-of-{:05}.gguf"),
    "safetensors": (LayerKind.WEIGHT, "model.safetensors", "model-{:05}-of-{:05}.safetensors"),
    "dduf": (LayerKind.WEIGHT, "model.dduf", "model-{:05}-of-{:05}.dduf"),
    "mmproj": (LayerKind.WEIGHT, "model.mmproj", "model-{:05}-of-{:05}.mmproj"),
    "license": (LayerKind.DOC, "LICENSE", "LICENSE-{}-of-{}"),
    "chat.template.jinja": (LayerKind.WEIGHT_CONFIG, "template.jinja", "template-{}-of-{}.jinja"),
    "model.file": (None, "", ""),  # has a path, always
}


def read(manifest: Manifest, config: ReadConfig) -> tuple[Layer, ...]:
    """Return the layers. Raises `InvalidDocumentError`, `UnsafePathError`."""
    del config  # nothing is compressed
    if not manifest.artifact_type.startswith(_PREFIX):
        raise InvalidDocumentError(
            f"{manifest.descriptor.digest} is a {manifest.artifact_type[:200]!r} with the config "
            "of a Docker model"
        )
    totals = Counter(layer.media_type for layer in manifest.layers)
    seen: Counter[str] = Counter()
    layers = []
    for layer in manifest.layers:
        seen[layer.media_type] += 1
        layers.append(_layer(layer, seen[layer.media_type], totals[layer.media_type]))
    return tuple(layers)


def _layer(layer: Descriptor, number: int, total: int) -> Layer:
    refuse_urls(layer)
    word = layer.media_type.removeprefix(_PREFIX)
    if word in _ARCHIVES and word != layer.media_type:
        # The annotation names the archive, not what is in it.
        return Layer(descriptor=layer, kind=_ARCHIVES[word], place=as_named)
    if word not in _FILES or word == layer.media_type:
        raise not_read(layer, "layers are those of Docker Model Runner 1.2")
    kind, alone, of_several = _FILES[word]
    if media_types.FILEPATH in layer.annotations or not alone:
        name = name_of(layer, media_types.FILEPATH)
    else:
        name = alone if total == 1 else of_several.format(number, total)
    return Layer(descriptor=layer, kind=kind, path=check_relative_path(name))
