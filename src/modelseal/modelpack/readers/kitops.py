# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""KitOps ModelKits.

A raw layer is named by `org.cncf.model.filepath`. The names in an archive are whole paths, but for
ModelKits from before kit 0.5, whose archives stand below the directory of the Kitfile's entry.
Newer Kitfiles give each entry the digest of its layer, and of the layer without compression.

Source: kitops v1.15.0, pkg/lib/filesystem/unpack/core.go and legacy.go, pkg/artifact/kitfile.go.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from modelseal.errors import ContentMismatchError, InvalidDocumentError
from modelseal.modelpack import media_types
from modelseal.modelpack.media_types import LayerKind
from modelseal.modelpack.paths import check_relative_path
from modelseal.modelpack.readers.layer import (
    Compression,
    Layer,
    ReadConfig,
    below,
    name_of,
    not_read,
    parse_digest,
    refuse_urls,
    with_diff_id,
)
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.manifest import Manifest

CONFIG = "application/vnd.kitops.modelkit.config.v1+json"
ARTIFACT_TYPE = "application/vnd.kitops.modelkit.manifest.v1+json"
_LAYER = re.compile(
    r"application/vnd\.kitops\.modelkit\.(model|modelpart|dataset|code|docs|mcpb)\.v1"
    r"\.(raw|tar)(?:\+(gzip|zstd))?"
)
_KINDS = {
    "model": LayerKind.WEIGHT,
    "modelpart": LayerKind.WEIGHT_CONFIG,
    "dataset": LayerKind.DATASET,
    "code": LayerKind.CODE,
    "docs": LayerKind.DOC,
    "mcpb": LayerKind.CODE,
}
_SECTIONS = {"code": "code", "dataset": "datasets", "docs": "docs"}


def read(manifest: Manifest, config: ReadConfig) -> tuple[Layer, ...]:
    """Return the layers. Raises `InvalidDocumentError`, `UnsafePathError`."""
    if (
        manifest.artifact_type not in (ARTIFACT_TYPE, CONFIG)
        or manifest.config.media_type != CONFIG
    ):
        raise InvalidDocumentError(
            f"{manifest.descriptor.digest} is a {manifest.artifact_type[:200]!r} with the config "
            f"of a {manifest.config.media_type}, not a ModelKit"
        )
    kitfile = config()
    _refuse_other_modelkit(kitfile, manifest)
    told = dict(_told(kitfile))
    old = _OldPaths(kitfile)
    layers = tuple(_layer(layer, "." if told else old.next(layer)) for layer in manifest.layers)
    return tuple(_checked(layer, told) for layer in layers) if told else layers


def _layer(layer: Descriptor, directory: str) -> Layer:
    refuse_urls(layer)
    match = _LAYER.fullmatch(layer.media_type)
    if match is None:
        raise not_read(
            layer, "layers are those of kit 1.15, tar or raw, with gzip, zstd or neither"
        )
    kind, compression = _KINDS[match[1]], Compression(match[3] or "")
    if match[2] == "raw":
        path = check_relative_path(name_of(layer, media_types.FILEPATH, media_types.TITLE))
        return Layer(descriptor=layer, kind=kind, path=path, compression=compression)
    return Layer(descriptor=layer, kind=kind, place=below(directory), compression=compression)


def _checked(layer: Layer, told: Mapping[Digest, Digest | None]) -> Layer:
    digest = layer.descriptor.digest
    if digest not in told:
        raise ContentMismatchError(f"the Kitfile does not list the layer {digest}")
    diff_id = told[digest]
    return layer if diff_id is None else with_diff_id(layer, diff_id)


def _entries(kitfile: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    model = kitfile.get("model")
    if isinstance(model, dict):
        yield model
        yield from _list(model, "parts")
    for section in ("code", "datasets", "docs", "prompts", "mcpServers"):
        yield from _list(kitfile, section)


def _list(value: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    items = value.get(key) or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InvalidDocumentError(f"the Kitfile's {key!r} is not a list of entries")
    return items


def _told(kitfile: Mapping[str, Any]) -> Iterator[tuple[Digest, Digest | None]]:
    for entry in _entries(kitfile):
        if "digest" in entry:
            diff_id = entry.get("diffId")
            yield (
                parse_digest(entry["digest"], "digest"),
                None if diff_id is None else parse_digest(diff_id, "diffId"),
            )


def _refuse_other_modelkit(kitfile: Mapping[str, Any], manifest: Manifest) -> None:
    model = kitfile.get("model")
    path = model.get("path") if isinstance(model, dict) else None
    matches = map(_LAYER.fullmatch, (layer.media_type for layer in manifest.layers))
    if path and not any(match and match[1] == "model" for match in matches):
        raise InvalidDocumentError(
            f"the weights are in another ModelKit, {str(path)[:200]!r}: nothing here says what it "
            "has to be",
            hint="pull that one, too, and verify it for itself",
        )


class _OldPaths:
    """Where archives of ModelKits from before kit 0.5 go: entries and layers have one order."""

    def __init__(self, kitfile: Mapping[str, Any]) -> None:
        model = kitfile.get("model")
        has_model = isinstance(model, dict)
        self._entries = {
            "model": iter([model] if isinstance(model, dict) else []),
            "modelpart": iter(
                _list(model, "parts") if has_model and isinstance(model, dict) else []
            ),
            **{kind: iter(_list(kitfile, section)) for kind, section in _SECTIONS.items()},
        }

    def next(self, layer: Descriptor) -> str:
        """Return the directory for the members of this layer."""
        match = _LAYER.fullmatch(layer.media_type)
        entries = self._entries.get(match[1]) if match else None
        entry = next(entries, None) if entries is not None else None
        if entry is None:
            raise InvalidDocumentError(f"the Kitfile has no entry for the layer {layer.digest}")
        path = entry.get("path")
        if not isinstance(path, str):
            raise InvalidDocumentError(f"the Kitfile's entry for {layer.digest} has no path")
        clean = path.removeprefix("./").removesuffix("/")
        return "." if clean in ("", ".") else str(check_relative_path(clean).parent)
