# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A ModelPack artifact as files again.

What a manifest says about names is a stranger's word: names are checked before the first byte is
fetched, and modes, owners and times are ignored. Only raw layers are read here: no archive, no
compression, so nothing that grows on its way. A file gets its name when its digest, and that of
all others, matched.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from modelseal.errors import ContentMismatchError, InvalidDocumentError, StorageError
from modelseal.modelpack import media_types
from modelseal.modelpack._staging import Staging, staging
from modelseal.modelpack.media_types import LayerKind
from modelseal.modelpack.paths import check_paths
from modelseal.oci.content import CHUNK
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.manifest import Manifest
from modelseal.oci.store import ContentReader

_WORKERS = min(4, (os.cpu_count() or 1) + 2)


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model in a store."""

    path: PurePosixPath
    kind: LayerKind
    descriptor: Descriptor
    """The layer: its digest and size are the file's."""


def files_of(manifest: Manifest) -> tuple[ModelFile, ...]:
    """Return the files of a model, in the manifest's order, under names that are safe.

    Raises:
        InvalidDocumentError: it is no ModelPack artifact, or has a layer that is not read.
        UnsafePathError: a name leaves the directory, or meets another one.
    """
    if manifest.artifact_type != media_types.ARTIFACT_TYPE:
        raise InvalidDocumentError(
            f"{manifest.descriptor.digest} is a {manifest.artifact_type[:200]!r}, not a model",
            hint=f"a model's artifactType is {media_types.ARTIFACT_TYPE}",
        )
    if manifest.config.media_type != media_types.CONFIG:
        raise InvalidDocumentError(
            f"the model's config is a {manifest.config.media_type}, not a {media_types.CONFIG}"
        )
    if not manifest.layers:
        raise InvalidDocumentError(f"the model {manifest.descriptor.digest} has no files")
    kinds = [_kind(layer) for layer in manifest.layers]
    paths = check_paths(map(_name, manifest.layers))
    return tuple(map(ModelFile, paths, kinds, manifest.layers))


def unpack(
    reader: ContentReader,
    manifest: Manifest,
    output: Path,
    *,
    overwrite: bool = False,
    workers: int = _WORKERS,
    on_file: Callable[[ModelFile], None] = lambda _: None,
) -> tuple[ModelFile, ...]:
    """Write the files of a model into a directory: all of them, or none.

    Args:
        reader: where the layers are; it is asked from several threads.
        manifest: the model's.
        output: a directory that is empty or not there.
        overwrite: take a directory that is not empty, and replace files of the same names. Other
            files stay as they are.
        workers: layers that are fetched at once; each holds a few MiB.
        on_file: called here, in this thread, when a file was fetched and found right; it has its
            name only when this returns.

    Raises:
        InvalidDocumentError, UnsafePathError: as `files_of`.
        ContentMismatchError: a layer is not what the manifest says.
        ConflictError: `output` is in use.
        StorageError: the disk is full, or refused.
        NotFoundError, UnavailableError: the reader cannot have it.
    """
    files = files_of(manifest)
    with staging(output, overwrite=overwrite) as stage:
        stage.check_space(sum(file.descriptor.size for file in files))
        _fetch_all(reader, files, stage, workers, on_file)
        stage.commit([file.path for file in files])
    return files


def _kind(layer: Descriptor) -> LayerKind:
    if layer.urls:
        raise InvalidDocumentError(
            f"the layer {layer.name!r} is to be fetched from elsewhere (urls), which is refused"
        )
    kind = media_types.kind_of_raw_layer(layer.media_type)
    if kind is None:
        raise InvalidDocumentError(
            f"the layer {layer.name!r} is a {layer.media_type}, which is not read here",
            hint=f"layers are read as {media_types.raw_layer(LayerKind.WEIGHT)} and its like",
        )
    return kind


def _name(layer: Descriptor) -> str:
    filepath = layer.annotations.get(media_types.FILEPATH)
    title = layer.annotations.get(media_types.TITLE)
    if filepath is not None and title is not None and filepath != title:
        raise InvalidDocumentError(
            f"the layer {layer.digest} has two names: {filepath[:200]!r} and {title[:200]!r}",
            hint="tools would write two different files; build the model anew",
        )
    name = title if filepath is None else filepath
    if name is None:
        raise InvalidDocumentError(f"the layer {layer.digest} has no file name")
    return name


def _fetch_all(
    reader: ContentReader,
    files: tuple[ModelFile, ...],
    stage: Staging,
    workers: int,
    on_file: Callable[[ModelFile], None],
) -> None:
    stop = threading.Event()
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="modelseal-unpack")
    try:
        futures = [
            pool.submit(_fetch, reader, file, number, stage, stop)
            for number, file in enumerate(files)
        ]
        for future in as_completed(futures):
            on_file(future.result())
    finally:
        # After an error, or Ctrl-C, the other layers are not fetched to their end.
        stop.set()
        pool.shutdown(cancel_futures=True)


def _fetch(
    reader: ContentReader, file: ModelFile, number: int, stage: Staging, stop: threading.Event
) -> ModelFile:
    left = file.descriptor.size
    with reader.fetch(file.descriptor) as source, stage.create(number, file.path) as sink:
        while chunk := source.read(CHUNK):
            left -= len(chunk)
            if left < 0:
                break
            if stop.is_set():
                raise StorageError(f"{file.path} was not fetched to its end")
            sink.write(chunk)
    # The reader promises it (`ContentReader.fetch`); the disk is not filled on a promise.
    if left:
        raise ContentMismatchError(f"{file.path}: the content has another size than its layer")
    return file
