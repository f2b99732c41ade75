# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Plain artifacts, as `oras push` makes them: each layer is a file with a title.

A directory is pushed as one tar archive with gzip, marked with `io.deis.oras.content.unpack`; all
of its members stand below its title, and `io.deis.oras.content.digest` is the archive's digest
without compression. The media types of files say nothing here.

Source: oras-go v2.6, content/file/file.go and utils.go.
"""

from modelseal.errors import InvalidDocumentError, UnsafePathError
from modelseal.modelpack import media_types
from modelseal.modelpack.paths import check_relative_path
from modelseal.modelpack.readers.layer import (
    Compression,
    Layer,
    Place,
    ReadConfig,
    as_named,
    name_of,
    parse_digest,
    refuse_urls,
)
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.manifest import Manifest

_UNPACK = "io.deis.oras.content.unpack"
_DIFF_ID = "io.deis.oras.content.digest"


def read(manifest: Manifest, config: ReadConfig) -> tuple[Layer, ...]:
    """Return the layers. Raises `InvalidDocumentError`, `UnsafePathError`."""
    del config  # it is the artifact's own affair
    if not any(media_types.TITLE in layer.annotations for layer in manifest.layers):
        raise InvalidDocumentError(
            f"{manifest.descriptor.digest} is a {manifest.artifact_type[:200]!r}, not a model: its "
            "layers have no file names",
            hint="docs/formats.md lists what is read",
        )
    return tuple(map(_layer, manifest.layers))


def _layer(layer: Descriptor) -> Layer:
    refuse_urls(layer)
    name = name_of(layer, media_types.TITLE)
    if layer.annotations.get(_UNPACK) != "true":
        return Layer(descriptor=layer, kind=None, path=check_relative_path(name))
    diff_id = layer.annotations.get(_DIFF_ID)
    return Layer(
        descriptor=layer,
        kind=None,
        place=_inside(name),
        compression=Compression.GZIP,
        diff_id=None if diff_id is None else parse_digest(diff_id, _DIFF_ID),
    )


def _inside(title: str) -> Place:
    directory = title.removesuffix("/")
    if directory == ".":
        return as_named
    check_relative_path(directory)

    def place(name: str) -> str:
        if name != directory and not name.startswith(f"{directory}/"):
            raise UnsafePathError(f"the archive {title[:200]!r} has {name[:200]!r} outside of it")
        return name

    return place
