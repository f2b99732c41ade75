# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A store on disk: an OCI image layout.

Source: OCI image-spec v1.1, image-layout.md. Every manifest stands in `index.json`, with
`org.opencontainers.image.ref.name` when it has a tag, as `oras` writes it, so that a referrer
is found by reading the manifests that are listed there.
"""

import fcntl
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from modelseal.documents import canonical_json, parse_json_object
from modelseal.errors import (
    ContentMismatchError,
    InvalidDocumentError,
    LimitExceededError,
    NotFoundError,
    StorageError,
)
from modelseal.oci.content import CHUNK, Content, open_plain, verifying
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.manifest import MAX_MANIFEST_BYTES, Index
from modelseal.oci.reference import check_tag
from modelseal.oci.referrer import referrer_of
from modelseal.oci.store import MAX_REFERRERS

REF_NAME = "org.opencontainers.image.ref.name"
_LAYOUT_VERSION = "1.0.0"
_MAX_INDEX_BYTES = MAX_MANIFEST_BYTES  # what `Index.build` makes, and so what we write
_MAKE_ONE = "`modelseal build DIR --store oci:PATH:tag` makes one"
_UNFINISHED = ".ingest-"
"""How files begin that somebody is still writing: another thread may make the same layout."""


class LayoutStore:
    """One repository as a directory; made on the first `push`.

    Several processes may write at once: `index.json` is changed under a lock on the directory
    and replaced whole, a blob gets its name only when its digest matched.
    """

    def __init__(self, path: Path) -> None:
        """Name the directory; nothing is read or made yet."""
        self._path = path

    def __str__(self) -> str:
        return f"oci:{self._path}"

    def fetch(self, target: Descriptor) -> AbstractContextManager[BinaryIO]:
        """Open content. Raises `NotFoundError`, `StorageError`."""
        path = self._blob(target.digest)
        try:
            return verifying(open_plain(path), target)
        except FileNotFoundError as error:
            raise NotFoundError(f"{target.digest} is not in {self}") from error
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}") from error

    def push(self, expected: Descriptor, content: Content) -> None:
        """Store content that is what `expected` says."""
        self._prepare()
        if not self.exists(expected):
            self._write_blob(expected, content)
        if expected.is_manifest:
            self._list_manifest(expected)

    def exists(self, target: Descriptor) -> bool:
        """Tell whether the content is here, at the right size."""
        try:
            found = self._blob(target.digest).stat()
        except OSError:
            return False
        return stat.S_ISREG(found.st_mode) and found.st_size == target.size

    def resolve(self, name: str | Digest) -> Descriptor:
        """Return what a tag or digest points at. Raises `NotFoundError`."""
        for entry in self._entries():
            found = entry.digest if isinstance(name, Digest) else entry.annotations.get(REF_NAME)
            if found == name:
                return self._checked(entry)
        what = f"{self}:{name}" if isinstance(name, str) else f"{self}@{name}"
        raise NotFoundError(f"there is no {what}", hint=self._hint())

    def tags(self) -> Iterator[str]:
        """Yield all tags. Raises `NotFoundError` when there is no layout."""
        if not self._is_layout():
            raise NotFoundError(f"{self._path} is no OCI layout", hint=_MAKE_ONE)
        names = {entry.annotations.get(REF_NAME, "") for entry in self._entries()}
        yield from sorted(names - {""})

    def tag(self, target: Descriptor, tag: str) -> None:
        """Point `tag` at `target`. Raises `NotFoundError`."""
        check_tag(tag)
        manifest = self.resolve(target.digest)
        with self._changing() as entries:
            kept = [e for e in entries if e.annotations.get(REF_NAME) != tag]
            kept = [e for e in kept if e.digest != manifest.digest or REF_NAME in e.annotations]
            listed = {e.digest for e in kept} | {manifest.digest}
            # A manifest that loses its last tag stays listed, and so reachable by digest.
            untagged = [_bare(e) for e in entries if e.digest not in listed]
            entries[:] = [*kept, *untagged, _bare(manifest, {REF_NAME: tag})]

    def referrers(self, subject: Descriptor) -> Iterator[Descriptor]:
        """Yield the manifests about `subject`. Raises `LimitExceededError`."""
        found: dict[Digest, Descriptor] = {}
        for entry in {e.digest: e for e in self._entries()}.values():
            referrer = self._referrer(entry)
            if referrer is None or referrer[0] != subject.digest:
                continue
            if len(found) >= MAX_REFERRERS:
                raise LimitExceededError(f"{subject.digest} has over {MAX_REFERRERS} referrers")
            found[entry.digest] = referrer[1]
        yield from found.values()

    def _referrer(self, entry: Descriptor) -> tuple[Digest, Descriptor] | None:
        # Others may list what is broken, gone or no manifest at all: that is no referrer.
        if not entry.is_manifest or entry.size > MAX_MANIFEST_BYTES:
            return None
        try:
            with self.fetch(entry) as stream:
                return referrer_of(stream.read(), entry)
        except (NotFoundError, ContentMismatchError, InvalidDocumentError, LimitExceededError):
            return None

    def _blob(self, digest: Digest) -> Path:
        return self._path / "blobs" / digest.algorithm / digest.encoded

    def _hint(self) -> str:
        if not self._is_layout():
            return f"{self._path} is no OCI layout; {_MAKE_ONE}"
        known = list(self.tags())[:10]
        return f"tags here: {', '.join(known)}" if known else "no tag is here"

    def _is_layout(self) -> bool:
        path = self._path / "index.json"
        try:
            return path.is_file()
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}") from error

    def _prepare(self) -> None:
        marker = self._path / "oci-layout"
        try:
            if marker.is_file():
                return
            self._path.mkdir(parents=True, exist_ok=True)
            others = {entry.name for entry in self._path.iterdir()} - {"blobs", "index.json"}
            others = {name for name in others if not name.startswith(_UNFINISHED)}
            if others and "oci-layout" not in others and not (self._path / "index.json").exists():
                raise StorageError(
                    f"{self._path} holds other files ({min(others)}, …)",
                    hint="name an empty or new directory for the OCI layout",
                )
            (self._path / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
            with self._replacing(marker) as sink:
                sink.write(canonical_json({"imageLayoutVersion": _LAYOUT_VERSION}))
        except OSError as error:
            raise StorageError(f"cannot make an OCI layout at {self._path}: {error}") from error

    def _write_blob(self, expected: Descriptor, content: Content) -> None:
        path = self._blob(expected.digest)
        with self._replacing(path) as sink, verifying(content.open(), expected) as stream:
            while chunk := stream.read(CHUNK):
                sink.write(chunk)

    def _list_manifest(self, manifest: Descriptor) -> None:
        with self.fetch(manifest) as stream:
            referrer_of(stream.read(), manifest)  # what is no manifest must not be listed as one
        with self._changing() as entries:
            if all(entry.digest != manifest.digest for entry in entries):
                entries.append(_bare(manifest))

    def _entries(self) -> list[Descriptor]:
        path = self._path / "index.json"
        try:
            with open_plain(path, buffering=CHUNK) as stream:
                raw = stream.read(_MAX_INDEX_BYTES + 1)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}") from error
        if len(raw) > _MAX_INDEX_BYTES:
            raise LimitExceededError(f"{path} is larger than {_MAX_INDEX_BYTES >> 20} MiB")
        listed = parse_json_object(raw, str(path)).get("manifests")
        if not isinstance(listed, list):
            raise InvalidDocumentError(f"{path} has no list of manifests")
        return [Descriptor.parse(item, f"{path}: manifests[{n}]") for n, item in enumerate(listed)]

    @contextmanager
    def _changing(self) -> Iterator[list[Descriptor]]:
        """Let the caller change the entries; write them back under a lock."""
        self._prepare()
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise StorageError(f"cannot open {self._path}: {error.strerror}") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            entries = self._entries()
            before = list(entries)
            yield entries
            if entries != before or not (self._path / "index.json").exists():
                with self._replacing(self._path / "index.json") as sink:
                    sink.write(Index.build(entries).raw)
                    sink.flush()
                    os.fsync(sink.fileno())
        except OSError as error:
            raise StorageError(f"cannot change {self._path}/index.json: {error}") from error
        finally:
            os.close(handle)

    @contextmanager
    def _replacing(self, path: Path) -> Iterator[BinaryIO]:
        """Write a file that appears under its name whole, or not at all."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=_UNFINISHED)
        except OSError as error:
            raise StorageError(f"cannot write to {path.parent}: {error.strerror}") from error
        temporary = Path(name)
        try:
            with os.fdopen(handle, "wb") as sink:
                yield sink
                os.fchmod(sink.fileno(), 0o644)
            temporary.replace(path)
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}") from error
        finally:
            temporary.unlink(missing_ok=True)

    def _checked(self, entry: Descriptor) -> Descriptor:
        """Return the entry when the bytes under it are there and are what it says."""
        if not entry.is_manifest:
            raise InvalidDocumentError(f"{entry.digest} in {self} is a {entry.media_type}")
        if entry.size > MAX_MANIFEST_BYTES:
            raise LimitExceededError(f"the manifest {entry.digest} is larger than 4 MiB")
        with self.fetch(entry) as stream:
            stream.read()
        return _bare(entry)


def _bare(entry: Descriptor, annotations: dict[str, str] | None = None) -> Descriptor:
    return Descriptor(entry.media_type, entry.digest, entry.size, annotations=annotations or {})
