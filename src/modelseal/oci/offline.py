# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a repository said when it was last asked, for runs without a network.

Beside the blobs the cache keeps, for each repository, what its tags pointed at and which manifests
spoke about a manifest. All of that is a stranger's word, as it is online: digests are computed
again and signatures verified again. What it cannot be is new: a tag is where it last was.
"""

import contextlib
import fcntl
import hashlib
import logging
import os
import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from modelseal.documents import canonical_json, parse_json_object
from modelseal.errors import ContentError, StorageError, UnavailableError
from modelseal.oci.cache import BlobCache
from modelseal.oci.content import BytesContent, Content, verifying
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.store import RangeReader, RangeStream, Store, fetch_bytes

_MAX_RECORD_BYTES = 16 << 20
_KEPT_BYTES = 16 << 20
_KEPT_NAMES = 1_000
_log = logging.getLogger(__name__)
_HINT = "pull or verify it once with the network, through the same cache"


class Record:
    """What one repository said, in a file of the cache."""

    def __init__(self, cache: BlobCache, repository: str) -> None:
        """Name the repository; nothing is read or made yet."""
        self._directory = cache.path / "repositories"
        name = hashlib.sha256(repository.encode()).hexdigest()
        self._path = self._directory / f"{name}.json"
        self._repository = repository

    def points_at(self, name: str) -> Descriptor | None:
        """Return what a tag or digest pointed at."""
        value = self._read()["names"].get(name)
        return None if value is None else Descriptor.parse(value, str(self._path))

    def about(self, subject: Digest) -> list[Descriptor] | None:
        """Return the manifests about a manifest; None when nobody asked."""
        values = self._read()["referrers"].get(str(subject))
        if values is None:
            return None
        return [Descriptor.parse(value, str(self._path)) for value in values]

    def note_name(self, name: str, found: Descriptor) -> None:
        """Write down what a name points at. Raises `StorageError`."""
        value = Descriptor(found.media_type, found.digest, found.size).to_json()
        self._note("names", {name: value, str(found.digest): value})

    def note_referrers(self, subject: Digest, found: list[Descriptor]) -> None:
        """Write down the manifests about a manifest. Raises `StorageError`."""
        self._note("referrers", {str(subject): [entry.to_json() for entry in found]})

    def _note(self, kind: str, new: dict[str, Any]) -> None:
        try:
            self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                with contextlib.suppress(OSError):  # not every network disk has locks
                    fcntl.flock(handle, fcntl.LOCK_EX)
                record = self._read()
                if all(record[kind].get(key) == value for key, value in new.items()):
                    return
                merged = {k: v for k, v in record[kind].items() if k not in new} | new
                record[kind] = dict(list(merged.items())[-_KEPT_NAMES:])
                _replace(self._path, canonical_json(record))
            finally:
                os.close(handle)
        except OSError as error:
            raise StorageError(f"cannot write {self._path}: {error.strerror}") from error

    def _read(self) -> dict[str, Any]:
        empty: dict[str, Any] = {"repository": self._repository, "names": {}, "referrers": {}}
        try:
            with self._path.open("rb") as stream:
                raw = stream.read(_MAX_RECORD_BYTES + 1)
            record = (
                parse_json_object(raw, str(self._path)) if len(raw) <= _MAX_RECORD_BYTES else {}
            )
        except FileNotFoundError:
            return empty
        except OSError as error:
            raise StorageError(f"cannot read {self._path}: {error.strerror}") from error
        except ContentError:
            return empty  # it only helps
        good = (
            record.keys() == empty.keys()
            and record["repository"] == self._repository
            and isinstance(record["names"], dict)
            and isinstance(record["referrers"], dict)
        )
        return record if good else empty


class FarStore(Store, RangeReader, Protocol):
    """A repository that is far away."""


class RememberingStore:
    """A repository whose answers are kept for runs without a network."""

    def __init__(self, inner: FarStore, cache: BlobCache) -> None:
        """Name the parts; nothing is asked or made yet."""
        self.inner = inner
        self._cache = cache
        self._record = Record(cache, str(inner))

    def __str__(self) -> str:
        return str(self.inner)

    def fetch(self, target: Descriptor) -> AbstractContextManager[BinaryIO]:
        """Open content; small content is kept. Raises as the repository does."""
        if target.size > _KEPT_BYTES:
            return self.inner.fetch(target)
        raw = fetch_bytes(self.inner, target, limit=_KEPT_BYTES)
        with _only_helping():
            self._cache.prepare()
            self._cache.store(target, raw)
        return verifying(BytesContent(raw).open(), target)

    def fetch_range(self, target: Descriptor, start: int, end: int) -> RangeStream:
        """Open a part of a blob. Raises as the repository does."""
        return self.inner.fetch_range(target, start, end)

    def resolve(self, name: str | Digest) -> Descriptor:
        """Return what a name points at, and note it. Raises as the repository does."""
        found = self.inner.resolve(name)
        with _only_helping():
            self._record.note_name(str(name), found)
        return found

    def tags(self) -> Iterator[str]:
        """Yield all tags."""
        return self.inner.tags()

    def referrers(self, subject: Descriptor) -> Iterator[Descriptor]:
        """Yield the manifests about `subject`, and note them. Raises as the repository does."""
        found = list(self.inner.referrers(subject))
        with _only_helping():
            self._record.note_referrers(subject.digest, found)
        yield from found

    def push(self, expected: Descriptor, content: Content) -> None:
        """Store content. Raises as the repository does."""
        self.inner.push(expected, content)

    def exists(self, target: Descriptor) -> bool:
        """Tell whether content is there."""
        return self.inner.exists(target)

    def tag(self, target: Descriptor, tag: str) -> None:
        """Point a tag at a manifest. Raises as the repository does."""
        self.inner.tag(target, tag)


class OfflineStore:
    """A repository as it was when somebody last asked; no socket is opened."""

    def __init__(self, repository: str, cache: BlobCache) -> None:
        """Name the repository (`registry/name`) and the cache; nothing is read yet."""
        self._repository = repository
        self._cache = cache
        self._record = Record(cache, repository)

    def __str__(self) -> str:
        return self._repository

    def fetch(self, target: Descriptor) -> AbstractContextManager[BinaryIO]:
        """Open content. Raises `UnavailableError` when it is not in the cache."""
        stream = self._cache.open(target)
        if stream is None:
            raise self._absent(f"{target.name} ({target.digest})")
        return stream

    def fetch_range(self, target: Descriptor, start: int, end: int) -> RangeStream:
        """Raise `UnavailableError`: what is in the cache is whole."""
        raise self._absent(f"{target.name} ({target.digest}, {start} to {end})")

    def resolve(self, name: str | Digest) -> Descriptor:
        """Return what a name pointed at. Raises `UnavailableError` when nobody asked."""
        found = self._record.points_at(str(name))
        if found is None:
            separator = "@" if isinstance(name, Digest) else ":"
            raise self._absent(f"{self._repository}{separator}{name}")
        return found

    def tags(self) -> Iterator[str]:
        """Raise `UnavailableError`: all tags are known to the registry only."""
        raise self._absent(f"the tags of {self._repository}")

    def referrers(self, subject: Descriptor) -> Iterator[Descriptor]:
        """Yield the manifests about `subject` that were known.

        Raises:
            UnavailableError: nobody asked; that must not count as there being none.
        """
        found = self._record.about(subject.digest)
        if found is None:
            raise self._absent(f"what speaks about {subject.digest}")
        yield from found

    def push(self, expected: Descriptor, content: Content) -> None:  # noqa: ARG002 - the protocol's
        """Raise `UnavailableError`."""
        raise self._absent(f"a way to store {expected.digest}")

    def exists(self, target: Descriptor) -> bool:
        """Tell whether content is in the cache."""
        return self._cache.holds(target)

    def tag(self, target: Descriptor, tag: str) -> None:
        """Raise `UnavailableError`."""
        raise self._absent(f"a way to point {tag} at {target.digest}")

    def _absent(self, what: str) -> UnavailableError:
        return UnavailableError(
            f"{what} is not in the cache {self._cache}, and --offline asks nobody else",
            hint=_HINT,
            code="not-cached",
        )


@contextlib.contextmanager
def _only_helping() -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        _log.debug("nothing was kept: %s", error)


def _replace(path: Path, data: bytes) -> None:
    beside = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    try:
        beside.write_bytes(data)
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise
