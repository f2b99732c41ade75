# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A model in a store as files again.

What a manifest or an archive says about names is a stranger's word: names are checked before a
byte is fetched, or, in archives, as they come, and modes, owners and times are ignored. Archives
and compressed layers have limits on their growth. A file gets its name when its layer's digest,
and that of all others, matched.
"""

import contextlib
import itertools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from modelseal.errors import InvalidDocumentError
from modelseal.modelpack._extract import Budget, ModelFile, Sink, extract, file_of
from modelseal.modelpack._staging import Staging, staging
from modelseal.modelpack.paths import check_paths
from modelseal.modelpack.readers.families import layers_of
from modelseal.modelpack.readers.layer import Layer
from modelseal.modelpack.selection import ALL_FILES, Selection
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.manifest import Manifest
from modelseal.oci.store import ContentReader, FilePlacer

__all__ = ["ModelFile", "files_of", "unpack", "unpack_layers"]

_Take: TypeAlias = Callable[[Layer], list[ModelFile]]

_WORKERS = min(4, (os.cpu_count() or 1) + 2)


def unpack(
    reader: ContentReader,
    manifest: Manifest,
    output: Path,
    *,
    overwrite: bool = False,
    workers: int = _WORKERS,
    on_file: Callable[[ModelFile], None] = lambda _: None,
) -> tuple[ModelFile, ...]:
    """Write the files of a model into a directory, as `unpack_layers` does.

    Raises:
        InvalidDocumentError, UnsafePathError: as `layers_of` does.
        Error: as `unpack_layers` does.
    """
    layers = layers_of(reader, manifest)
    return unpack_layers(
        reader, layers, output, overwrite=overwrite, workers=workers, on_file=on_file
    )


def unpack_layers(
    reader: ContentReader,
    layers: Sequence[Layer],
    output: Path,
    *,
    overwrite: bool = False,
    selection: Selection = ALL_FILES,
    workers: int = _WORKERS,
    on_file: Callable[[ModelFile], None] = lambda _: None,
) -> tuple[ModelFile, ...]:
    """Write the files of a model into a directory: all that are wanted, or none.

    Args:
        reader: where the layers are; it is asked from several threads.
        layers: the model's (`layers_of`).
        output: a directory that is empty or not there.
        overwrite: take a directory that is not empty, and replace files of the same names. Other
            files stay as they are.
        selection: the files that are wanted.
        workers: layers that are fetched at once; each holds a few MiB.
        on_file: called here, in this thread, when a file was fetched and found right; it has its
            name only when this returns.

    Raises:
        UsageError: no file is wanted.
        ContentMismatchError: a layer is not what the manifest or the config says.
        InvalidDocumentError, LimitExceededError: an archive is broken, or grows too much.
        UnsafePathError: a name in an archive leaves the directory, or meets another one.
        ConflictError: `output` is in use.
        StorageError: the disk is full, or refused.
        NotFoundError, UnavailableError: the reader cannot have it.
    """
    layers = selection.layers(layers)
    with staging(output, overwrite=overwrite) as stage:
        # An archive may hold more: that is counted as it comes.
        stage.check_space(_needed(reader, layers, stage))
        numbered = _Numbered(stage)
        budget = Budget(stage.free_space())
        take = _taking(reader, numbered, budget)
        found = _take_all(take, layers, budget, workers=workers, on_file=on_file)
        files = tuple(itertools.chain.from_iterable(found))
        _check(files)
        files = tuple(file for file in files if selection.takes(file.path.as_posix()))
        stage.commit([(numbered.numbers[file.path], file.path) for file in files])
    return files


def files_of(
    reader: ContentReader, layers: Sequence[Layer], *, workers: int = _WORKERS
) -> tuple[ModelFile, ...]:
    """Return the files of a model, with their digests, writing nothing.

    Layers that are a file as it is are not fetched; archives are, because nothing else says what
    is in them. Raises as `unpack_layers` does.
    """

    @contextlib.contextmanager
    def nowhere(_: PurePosixPath) -> Iterator[Sink]:
        yield _Nowhere()

    told = [file_of(layer) for layer in layers]
    untold = [layer for layer, file in zip(layers, told, strict=True) if file is None]
    budget = Budget(None)
    found = iter(
        _take_all(
            lambda layer: extract(reader, layer, nowhere, budget), untold, budget, workers=workers
        )
    )
    files = tuple(
        itertools.chain.from_iterable(next(found) if file is None else [file] for file in told)
    )
    _check(files)
    return files


def _check(files: Sequence[ModelFile]) -> None:
    """See that there are files, and that no two meet, from whichever layers they come."""
    if not files:
        raise InvalidDocumentError(
            "the model has no files", hint="of an image, the model is what stands below models/"
        )
    check_paths(str(file.path) for file in files)


class _Nowhere:
    """Takes bytes that are only hashed."""

    def write(self, data: bytes) -> None:
        """Forget `data`."""


class _Numbered:
    """Files in the hidden folder, each under the next number."""

    def __init__(self, stage: Staging) -> None:
        self._stage = stage
        self._next = itertools.count()
        self.numbers: dict[PurePosixPath, int] = {}

    @contextlib.contextmanager
    def open(self, path: PurePosixPath) -> Iterator[Sink]:
        number = next(self._next)  # one step of the interpreter, so that no two threads share it
        self.numbers[path] = number
        with self._stage.create(number, path) as sink:
            yield sink

    def place(
        self, placer: FilePlacer, target: Descriptor, path: PurePosixPath, stop: threading.Event
    ) -> None:
        number = next(self._next)
        self.numbers[path] = number
        self._stage.place(placer, target, number, stop)


def _needed(reader: ContentReader, layers: Sequence[Layer], stage: Staging) -> int:
    """Return the bytes that the disk has to have room for, as far as the manifest tells."""
    needed = sum(layer.descriptor.size for layer in layers)
    if isinstance(reader, FilePlacer):
        whole = [layer.descriptor for layer in layers if file_of(layer) is not None]
        needed -= stage.there_already(reader, whole)
    return needed


def _taking(reader: ContentReader, numbered: _Numbered, budget: Budget) -> _Take:
    def take(layer: Layer) -> list[ModelFile]:
        file = file_of(layer)
        if file is None or not isinstance(reader, FilePlacer):
            return extract(reader, layer, numbered.open, budget)
        numbered.place(reader, layer.descriptor, file.path, budget.stop)
        return [file]

    return take


def _take_all(
    take: _Take,
    layers: Sequence[Layer],
    budget: Budget,
    *,
    workers: int,
    on_file: Callable[[ModelFile], None] = lambda _: None,
) -> list[list[ModelFile]]:
    pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="modelseal-unpack")
    try:
        # The largest first: what is begun last should not be what takes longest.
        order = sorted(range(len(layers)), key=lambda n: -layers[n].descriptor.size)
        begun = {number: pool.submit(take, layers[number]) for number in order}
        for future in as_completed(begun.values()):
            for file in future.result():
                on_file(file)
        return [begun[number].result() for number in range(len(layers))]
    finally:
        # After an error, or Ctrl-C, the other layers are not fetched to their end.
        budget.stop.set()
        pool.shutdown(cancel_futures=True)
