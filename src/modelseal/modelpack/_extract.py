# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""One layer as files: fetched, decompressed and taken apart in one pass.

Every byte goes by once: it is compared with the layer's digest, with the digest of the layer
without compression if the config tells one, and hashed for the file that it belongs to.
"""

import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Protocol, TypeAlias, cast

from modelseal.errors import (
    ContentMismatchError,
    LimitExceededError,
    StorageError,
    UnsafePathError,
)
from modelseal.modelpack._patterns import guess_kind
from modelseal.modelpack.media_types import LayerKind
from modelseal.modelpack.paths import check_relative_path
from modelseal.modelpack.readers.layer import Compression, Layer, Place
from modelseal.modelpack.tar import Member, MemberType, TarReader
from modelseal.oci.content import CHUNK
from modelseal.oci.descriptor import OCTET_STREAM, Descriptor, Digest
from modelseal.oci.store import ContentReader

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_FILES = 50_000
"""Most files that are taken out of one model."""

MAX_MEMBERS = 500_000
"""Most members of all archives of one model, with directories and what is no part of the model."""


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model in a store."""

    path: PurePosixPath
    kind: LayerKind
    descriptor: Descriptor
    """Digest and size of the file. Of a layer that is the file as it is: the layer's."""
    layer: Descriptor
    """The layer that it comes from."""


class Sink(Protocol):
    """Takes the bytes of one file."""

    def write(self, data: bytes) -> None:
        """Take all of `data`. Raises `StorageError`."""
        ...


OpenSink: TypeAlias = Callable[[PurePosixPath], AbstractContextManager[Sink]]

_ODD = frozenset({"", ".", ".."})


class Budget:
    """What all layers of a model may need together; asked from several threads."""

    def __init__(self, room: int | None) -> None:
        """Allow `room` bytes of files; None: any number, when nothing is written."""
        self._lock = threading.Lock()
        self._room = room
        self._files = 0
        self._members = 0
        self.stop = threading.Event()

    def spend(self, count: int) -> None:
        """Count bytes that are about to be written. Raises `StorageError`."""
        if self.stop.is_set():
            raise StorageError("the model was not fetched to its end")
        if self._room is None:
            return
        with self._lock:
            self._room -= count
            if self._room < 0:
                raise StorageError(
                    "the model's archives hold more than the disk has room for",
                    hint="make room, or name a directory on another disk",
                )

    def add(self, *, member: bool, file: bool) -> None:
        """Count a member of an archive, or a file. Raises `LimitExceededError`."""
        with self._lock:
            self._files += file
            self._members += member
            if self._files > MAX_FILES:
                raise LimitExceededError(f"the model has more than {MAX_FILES} files")
            if self._members > MAX_MEMBERS:
                raise LimitExceededError(
                    f"the model's archives have more than {MAX_MEMBERS} members"
                )


def file_of(layer: Layer) -> ModelFile | None:
    """Return the file that a layer is, from the manifest alone; None when only its bytes tell."""
    if layer.path is None or layer.compression is not Compression.NONE:
        return None
    return ModelFile(layer.path, _kind(layer, layer.path), layer.descriptor, layer.descriptor)


def extract(
    reader: ContentReader, layer: Layer, open_sink: OpenSink, budget: Budget
) -> list[ModelFile]:
    """Fetch a layer and write its files, in its order, each into a sink of its own.

    Nothing that was written counts before this returned.

    Raises:
        ContentMismatchError: the layer is not what the manifest, or the config, says.
        InvalidDocumentError, LimitExceededError, UnsafePathError: its archive is not taken.
        StorageError, NotFoundError, UnavailableError.
    """
    with reader.fetch(layer.descriptor) as fetched:
        if layer.path is not None and layer.compression is Compression.NONE:
            return [_take_as_it_is(fetched, layer, layer.path, open_sink, budget)]
        source = _Source(fetched, layer.descriptor, budget)
        stream, hashed = _decompressed(source, layer)
        if layer.path is not None:
            files = [_take_file(stream, layer, layer.path, open_sink, budget)]
        else:
            files = list(_take_members(stream, layer, open_sink, budget))
        source.check_end()
    if hashed is not None:
        hashed.check(layer.descriptor.name)
    return files


def _take_as_it_is(
    fetched: BinaryIO, layer: Layer, path: PurePosixPath, open_sink: OpenSink, budget: Budget
) -> ModelFile:
    budget.add(member=False, file=True)
    left = layer.descriptor.size
    with open_sink(path) as sink:
        while data := fetched.read(CHUNK):
            left -= len(data)
            if left < 0:
                break
            budget.spend(len(data))
            sink.write(data)
    # The reader promises it (`ContentReader.fetch`); the disk is not filled on a promise.
    if left:
        raise ContentMismatchError(f"{path}: the content has another size than its layer")
    return ModelFile(path, _kind(layer, path), layer.descriptor, layer.descriptor)


def _decompressed(source: "_Source", layer: Layer) -> tuple[BinaryIO, "_Hashed | None"]:
    buffered = cast(BinaryIO, io.BufferedReader(source, CHUNK))
    if layer.compression is Compression.NONE:
        return buffered, None
    from modelseal.modelpack.decompress import Decompressed

    content = Decompressed(buffered, layer.compression, layer.descriptor.name)
    hashed = _Hashed(content, layer.diff_id)
    return cast(BinaryIO, io.BufferedReader(hashed, CHUNK)), hashed


def _take_file(
    stream: BinaryIO, layer: Layer, path: PurePosixPath, open_sink: OpenSink, budget: Budget
) -> ModelFile:
    budget.add(member=False, file=True)
    counted = _Count()
    with open_sink(path) as sink:
        while data := stream.read(CHUNK):
            budget.spend(len(data))
            counted.update(data)
            sink.write(data)
    return ModelFile(path, _kind(layer, path), counted.descriptor(), layer.descriptor)


def _take_members(
    stream: BinaryIO, layer: Layer, open_sink: OpenSink, budget: Budget
) -> Iterator[ModelFile]:
    assert layer.place is not None  # it is an archive
    archive = TarReader(stream, layer.descriptor.name)
    for member in archive:
        budget.add(member=True, file=False)
        path = _path(member, layer.place)
        if path is None:
            continue
        budget.add(member=False, file=True)
        counted = _Count()
        with open_sink(path) as sink:
            for data in archive.chunks():
                budget.spend(len(data))
                counted.update(data)
                sink.write(data)
        yield ModelFile(path, _kind(layer, path), counted.descriptor(), layer.descriptor)


def _kind(layer: Layer, path: PurePosixPath) -> LayerKind:
    return layer.kind or guess_kind(str(path))


def _path(member: Member, place: Place) -> PurePosixPath | None:
    """Return where a member goes; None for a directory, and for what is no part of the model."""
    name = member.name.removeprefix("./")
    if member.type is MemberType.DIRECTORY:
        name = name.removesuffix("/")
        if name in ("", "."):
            return None
    # Also of what is not taken: under another spelling it would go missing unseen.
    if any(part in _ODD for part in name.split("/")):
        raise UnsafePathError(
            f"the name {member.name[:200]!r} in an archive is absolute, or has `..` or empty parts",
            hint="pack it anew",
        )
    wanted = place(name)
    if wanted is None:
        return None
    if member.type not in (MemberType.FILE, MemberType.DIRECTORY):
        raise UnsafePathError(
            f"{name[:200]!r} in an archive is {member.type.value}, which is not taken",
            hint="pack the files themselves",
        )
    if member.type is MemberType.DIRECTORY:
        return None
    return check_relative_path(wanted)


class _Count:
    """Digest and size of what goes by."""

    def __init__(self) -> None:
        self._hasher = hashlib.sha256()
        self._size = 0

    def update(self, data: bytes) -> None:
        self._hasher.update(data)
        self._size += len(data)

    def descriptor(self) -> Descriptor:
        return Descriptor(OCTET_STREAM, Digest("sha256", self._hasher.hexdigest()), self._size)


class _Source(io.RawIOBase):
    """A layer as it comes in: never more than its size, and stopped when the others failed.

    The reader checks size and digest (`ContentReader.fetch`); a disk is not filled on a promise.
    """

    def __init__(self, fetched: BinaryIO, expected: Descriptor, budget: Budget) -> None:
        self._fetched = fetched
        self._name = expected.name
        self._left = expected.size
        self._budget = budget

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        self._budget.spend(0)
        view = memoryview(buffer).cast("B")
        data = self._fetched.read(len(view))
        self._left -= len(data)
        if self._left < 0:
            raise self._mismatch()
        view[: len(data)] = data
        return len(data)

    def check_end(self) -> None:
        """See that the layer ends here, and has ended as it must."""
        if self._left or self._fetched.read(1):
            raise self._mismatch()

    def _mismatch(self) -> ContentMismatchError:
        return ContentMismatchError(f"{self._name}: the content has another size than its layer")


class _Hashed(io.RawIOBase):
    """A layer without its compression, hashed when somebody knows what it has to be."""

    def __init__(self, source: io.RawIOBase, expected: Digest | None) -> None:
        self._source = source
        self._expected = expected
        self._hasher = hashlib.new(expected.algorithm) if expected is not None else None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        count = self._source.readinto(view) or 0
        if self._hasher is not None:
            self._hasher.update(view[:count])
        return count

    def check(self, name: str) -> None:
        """Compare what went by with what the config says."""
        if self._hasher is not None and self._expected is not None:
            found = Digest(self._expected.algorithm, self._hasher.hexdigest())
            if found != self._expected:
                raise ContentMismatchError(
                    f"the layer {name!r} without compression is {found}; the model's config says "
                    f"{self._expected}"
                )
