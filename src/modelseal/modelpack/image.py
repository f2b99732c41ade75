# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A model directory as an OCI image with files below `models/` (modelcar).

For what mounts images and knows no ModelPack: containerd's image volumes, KServe. One uncompressed
tar layer a file, in the order of the paths' code points, with constant metadata: the same files
and the same `modelseal.yaml` give the same bytes on every machine. Layers are made while they are
read; nothing is copied to disk.

One manifest, for linux/amd64, on every machine: files of a model have no architecture, and a
runtime that is pointed at one manifest takes it. Weights hardly shrink, and KServe 0.20 refuses
zstd, so nothing is compressed.

Source: OCI image-spec v1.1, config.md and layer.md; KServe v0.20, "modelcar" and `oci+fetch://`.
"""

import hashlib
import io
import tarfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from modelseal.documents import canonical_json, rfc3339
from modelseal.errors import InvalidProjectError
from modelseal.modelpack.inventory import SourceFile
from modelseal.modelpack.plain_files import open_plain
from modelseal.modelpack.readers.image import DIRECTORY
from modelseal.oci.content import CHUNK, FileContent
from modelseal.oci.descriptor import Descriptor, Digest

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

LAYER = "application/vnd.oci.image.layer.v1.tar"
_WORKERS = 4
_BLOCK = 512
_END = bytes(2 * _BLOCK)


@dataclass(frozen=True, slots=True)
class TarContent:
    """An archive of one file, made while it is read."""

    location: Path
    name: str
    size: int

    def open(self) -> BinaryIO:
        """Open the archive at its start. Raises `StorageError`."""
        head, tail = _around(self.name, self.size)
        file = FileContent(self.location).open()
        return cast(BinaryIO, _Framed(head, file, self.size, tail))

    @property
    def length(self) -> int:
        """Bytes of the archive."""
        head, tail = _around(self.name, self.size)
        return len(head) + self.size + len(tail)


def layers_of_image(files: Iterable[SourceFile]) -> tuple[tuple[Descriptor, TarContent], ...]:
    """Return the layers of an image, in the order of the files.

    Raises:
        InvalidProjectError: a file changed since it was listed.
        StorageError: the disk refused.
    """
    with ThreadPoolExecutor(_WORKERS, thread_name_prefix="modelseal-image") as pool:
        return tuple(pool.map(_layer, files))


def image_config(
    layers: Iterable[Descriptor], labels: dict[str, str], *, created: datetime | None
) -> bytes:
    """Return the config of an image: its platform, labels, and the digests of its layers."""
    config: dict[str, object] = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Labels": labels},
        "rootfs": {"type": "layers", "diff_ids": [str(layer.digest) for layer in layers]},
    }
    if created is not None:
        config["created"] = rfc3339(created)
    return canonical_json(config)


def _layer(file: SourceFile) -> tuple[Descriptor, TarContent]:
    content = TarContent(file.location, file.path, file.size)
    head, tail = _around(file.path, file.size)
    of_file, of_archive = hashlib.sha256(), hashlib.sha256(head)
    try:
        with open_plain(file.location) as stream:
            while data := stream.read(CHUNK):
                of_file.update(data)
                of_archive.update(data)
    except FileNotFoundError as error:
        raise _changed(file) from error
    if of_file.hexdigest() != file.digest.encoded:
        raise _changed(file)
    of_archive.update(tail)
    digest = Digest("sha256", of_archive.hexdigest())
    return Descriptor(LAYER, digest, content.length), content


def _changed(file: SourceFile) -> InvalidProjectError:
    return InvalidProjectError(
        f"{file.location} changed while it was read",
        hint="wait until whatever writes there has finished, and try again",
    )


def _around(name: str, size: int) -> tuple[bytes, bytes]:
    """Return what stands before and after the file in its archive."""
    info = tarfile.TarInfo(f"{DIRECTORY}/{name}")
    info.size = size
    info.mode = 0o644
    head = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "strict")
    return head, bytes(-size % _BLOCK) + _END


class _Framed(io.RawIOBase):
    """Bytes, a file of a known size, bytes: one stream that can start anywhere."""

    def __init__(self, head: bytes, file: BinaryIO, size: int, tail: bytes) -> None:
        self._head = head
        self._file = file
        self._size = size
        self._tail = tail
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position}.get(whence, self._length)
        self._position = max(0, start + offset)
        self._file.seek(min(max(0, self._position - len(self._head)), self._size))
        return self._position

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._next(len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
        super().close()

    @property
    def _length(self) -> int:
        return len(self._head) + self._size + len(self._tail)

    def _next(self, wanted: int) -> bytes:
        if self._position < len(self._head):
            return self._head[self._position : self._position + wanted]
        in_file = self._position - len(self._head)
        if in_file < self._size:
            return self._file.read(min(wanted, self._size - in_file))
        in_tail = in_file - self._size
        return self._tail[in_tail : in_tail + wanted]
