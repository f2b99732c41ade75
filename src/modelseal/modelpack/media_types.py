# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Media types and annotation keys of CNCF ModelPack v0.0.7, and the few of our own.

Source: model-spec v0.0.7, docs/spec.md and docs/annotations.md; OCI image-spec, annotations.md.
"""

import re
from enum import StrEnum

ARTIFACT_TYPE = "application/vnd.cncf.model.manifest.v1+json"
CONFIG = "application/vnd.cncf.model.config.v1+json"

FILEPATH = "org.cncf.model.filepath"
FILE_METADATA = "org.cncf.model.file.metadata+json"
MEDIA_TYPE_UNTESTED = "org.cncf.model.file.mediatype.untested"

TITLE = "org.opencontainers.image.title"
VERSION = "org.opencontainers.image.version"
DESCRIPTION = "org.opencontainers.image.description"
AUTHORS = "org.opencontainers.image.authors"
LICENSES = "org.opencontainers.image.licenses"
VENDOR = "org.opencontainers.image.vendor"
SOURCE = "org.opencontainers.image.source"
REVISION = "org.opencontainers.image.revision"
CREATED = "org.opencontainers.image.created"

INPUTS_DIGEST = "dev.modelseal.inputs-digest"
"""Manifest annotation: the digest of all that the model was made from (`build.inputs_of`)."""


class LayerKind(StrEnum):
    """What the file in a layer is for."""

    WEIGHT = "weight"
    WEIGHT_CONFIG = "weight.config"
    DOC = "doc"
    CODE = "code"
    DATASET = "dataset"


_RAW_LAYER = re.compile(
    rf"application/vnd\.cncf\.model\.({'|'.join(re.escape(kind) for kind in LayerKind)})\.v1\.raw"
)


def raw_layer(kind: LayerKind) -> str:
    """Return the media type of a layer that is one file as it stands on disk."""
    return f"application/vnd.cncf.model.{kind}.v1.raw"


def kind_of_raw_layer(media_type: str) -> LayerKind | None:
    """Return the kind of a raw layer; None when the media type is any other."""
    match = _RAW_LAYER.fullmatch(media_type)
    return LayerKind(match.group(1)) if match else None
