# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A model directory as an artifact: config, one layer a file, manifest.

By default a ModelPack with raw layers; the other profile is an image (`image`).

The same files and the same `modelseal.yaml` give the same bytes on every machine: layers in the
order of their paths' code points, constant file metadata, no time unless the caller gives one. A
layer is a file as it is, so that the layer's digest is the file's.

Source: model-spec v0.0.7, docs/spec.md; reproducible: docs of `SOURCE_DATE_EPOCH`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from modelseal.documents import canonical_json, rfc3339
from modelseal.errors import InvalidProjectError, LimitExceededError
from modelseal.modelpack import media_types
from modelseal.modelpack.config import build_config
from modelseal.modelpack.inventory import Inventory, SourceFile
from modelseal.modelpack.plain_files import hash_plain
from modelseal.modelpack.project import FILE_NAME, Dataset, Project
from modelseal.modelpack.readers.image import CONFIG as IMAGE_CONFIG
from modelseal.oci.content import BytesContent, Content, FileContent
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.manifest import Manifest

_FILE_MODE = 0o644
_MTIME = "1970-01-01T00:00:00Z"
_REGULAR_FILE = 0  # what modctl writes as `typeflag`


class Profile(StrEnum):
    """What kind of artifact a model is packed as."""

    MODELPACK = "modelpack"
    IMAGE = "image"


@dataclass(frozen=True, slots=True)
class ModelPackage:
    """A model, ready to be pushed into a store."""

    manifest: Manifest
    config: bytes
    layers: tuple[tuple[Descriptor, Content], ...]
    files: Mapping[str, Digest]
    """The digest of every file, by its path."""
    inputs: Mapping[str, Any]
    """All that the model was made from, as it goes into `inputs_digest`."""
    inputs_digest: Digest

    @property
    def descriptor(self) -> Descriptor:
        """The manifest's descriptor; its digest is the model's."""
        return self.manifest.descriptor

    def contents(self) -> Iterator[tuple[Descriptor, Content]]:
        """Yield all content in the order in which a store takes it: the manifest last.

        Files with equal content come one by one, under one digest; a store skips what it has.
        """
        yield self.manifest.config, BytesContent(self.config)
        yield from self.layers
        yield self.manifest.descriptor, BytesContent(self.manifest.raw)


def build(
    directory: Path,
    project: Project,
    inventory: Inventory,
    *,
    created: datetime | None = None,
    profile: Profile = Profile.MODELPACK,
) -> ModelPackage:
    """Make the artifact of a model; the files stay where they are.

    Args:
        directory: where the project's own files (lock, hyper-parameters …) are.
        project: what `modelseal.yaml` says.
        inventory: what `scan` found there.
        created: stands in the config and the manifest (`config.source_date`); None: no time.
        profile: what kind of artifact.

    Raises:
        InvalidProjectError: too many files, or a file of the project changed or went away.
        StorageError: the disk refused.
    """
    inputs = inputs_of(directory, project, inventory)
    inputs_digest = Digest.of(canonical_json(inputs))
    annotations = _annotations(project, inputs_digest, created)
    layers: tuple[tuple[Descriptor, Content], ...]
    if profile is Profile.IMAGE:
        from modelseal.modelpack.image import image_config, layers_of_image

        layers = layers_of_image(inventory.files)
        config = image_config((layer for layer, _ in layers), annotations, created=created)
        config_type, artifact_type = IMAGE_CONFIG, ""
    else:
        layers = tuple(map(layer_of, inventory.files))
        config = build_config(project, (layer.digest for layer, _ in layers), created=created)
        config_type, artifact_type = media_types.CONFIG, media_types.ARTIFACT_TYPE
    try:
        manifest = Manifest.build(
            artifact_type=artifact_type,
            config=Descriptor.of(config, config_type),
            layers=(layer for layer, _ in layers),
            annotations=annotations,
        )
    except LimitExceededError as error:
        raise InvalidProjectError(
            f"{directory} has too many files for one manifest: {error}",
            hint=f"leave some out in {FILE_NAME}, spec.files",
        ) from error
    files = {file.path: file.digest for file in inventory.files}
    return ModelPackage(manifest, config, layers, files, inputs, inputs_digest)


def layer_of(file: SourceFile) -> tuple[Descriptor, FileContent]:
    """Return the layer that a file is, and its content."""
    return _layer(file), FileContent(file.location, file.identity)


def inputs_of(directory: Path, project: Project, inventory: Inventory) -> dict[str, Any]:
    """Return all that the model was made from, as JSON values; what is not known is left out.

    `modelseal.yaml` itself is no input: what counts of it stands here field by field, and a new
    description or version alone makes no other model. Raises as `build` does.
    """
    training, requirements = project.training, project.requirements
    digests = {file.path: file.digest for file in inventory.files if file.path != FILE_NAME}

    def digest_of(path: str) -> str:
        # A file that is named, and left out of the artifact, is an input all the same.
        return str(digests.get(path) or hash_plain(directory / path).digest) if path else ""

    inputs: dict[str, Any] = {
        "files": {path: str(digest) for path, digest in digests.items()},
        "code": {"repository": training.code.repository, "commit": training.code.commit}
        if training.code
        else None,
        "baseModel": str(training.base_model or ""),
        "datasets": sorted(
            (_dataset(item, digest_of(item.croissant)) for item in training.datasets),
            key=canonical_json,
        ),
        "hyperparameters": digest_of(training.hyperparameters),
        "lock": digest_of(requirements.lock),
        "image": str(requirements.image or ""),
        "seeds": list(training.seeds),
    }
    return {key: value for key, value in inputs.items() if value}


def _dataset(dataset: Dataset, croissant: str) -> dict[str, str]:
    value = {
        "name": dataset.name,
        "version": dataset.version,
        "digest": str(dataset.digest or ""),
        "dirHash": dataset.dir_hash,
        "croissant": croissant,
    }
    return {key: item for key, item in value.items() if item}


def _layer(file: SourceFile) -> Descriptor:
    # The name, the mode and the rest are the same on every machine, whatever the disk says.
    metadata = {
        "name": file.path.rpartition("/")[2],
        "mode": _FILE_MODE,
        "uid": 0,
        "gid": 0,
        "size": file.size,
        "mtime": _MTIME,
        "typeflag": _REGULAR_FILE,
    }
    annotations = {
        media_types.FILEPATH: file.path,
        media_types.TITLE: file.path,
        media_types.FILE_METADATA: canonical_json(metadata).decode(),
        media_types.MEDIA_TYPE_UNTESTED: "true" if file.guessed else "false",
    }
    return Descriptor(media_types.raw_layer(file.kind), file.digest, file.size, annotations)


def _annotations(
    project: Project, inputs_digest: Digest, created: datetime | None
) -> dict[str, str]:
    metadata, code = project.metadata, project.training.code
    annotations = {
        media_types.TITLE: metadata.name,
        media_types.VERSION: metadata.version,
        media_types.DESCRIPTION: metadata.description,
        media_types.AUTHORS: ", ".join(metadata.authors),
        media_types.LICENSES: _expression(metadata.licenses),
        media_types.VENDOR: metadata.vendor,
        media_types.SOURCE: metadata.source_url,
        media_types.REVISION: code.commit if code else "",
        media_types.CREATED: rfc3339(created) if created else "",
        media_types.INPUTS_DIGEST: str(inputs_digest),
    }
    return {key: value for key, value in annotations.items() if value}


def _expression(licenses: tuple[str, ...]) -> str:
    """Return one SPDX expression that asks for all of the licences."""
    if len(licenses) == 1:
        return licenses[0]
    return " AND ".join(f"({item})" if " " in item else item for item in licenses)
