# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a place for OCI content can do, as narrow protocols.

A store is **one repository**: in memory, an OCI layout on disk, or a repository of a registry.
`tests/contract/test_store.py` holds what is promised here on all of them.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from threading import Event
from typing import TYPE_CHECKING, BinaryIO, Protocol, runtime_checkable

from modelseal.errors import InvalidDocumentError, LimitExceededError
from modelseal.oci.content import BytesContent, Content
from modelseal.oci.descriptor import INDEX_TYPES, MANIFEST_TYPES, Descriptor, Digest
from modelseal.oci.manifest import MAX_MANIFEST_BYTES, Index, Manifest
from modelseal.oci.reference import Repository

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_REFERRERS = 1_000
"""Most referrers of one manifest that are listed before a reader gives up."""


class ContentReader(Protocol):
    """Reads content by descriptor, and nothing else."""

    def fetch(self, target: Descriptor) -> AbstractContextManager[BinaryIO]:
        """Open the content that `target` describes, as a stream that checks itself.

        The stream raises `ContentMismatchError` before it hands out its last bytes unless it
        is exactly `target` (`modelseal.oci.content.VerifyingReader`).

        Raises:
            NotFoundError: it is not here.
            UnavailableError, AccessDeniedError, StorageError: it cannot be had.
        """
        ...


class RangeStream(Protocol):
    """Bytes of a part of a blob, checked by nobody yet."""

    @property
    def ranged(self) -> bool:
        """Whether the store gave the part only; else it sends the whole blob, part or not."""
        ...

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill `buffer` with the next bytes; 0 at the end of the part."""
        ...

    def close(self) -> None:
        """Give the connection back."""
        ...


@runtime_checkable
class RangeReader(Protocol):
    """Reads parts of content: a store that is far away."""

    def fetch_range(self, target: Descriptor, start: int, end: int) -> RangeStream:
        """Open the bytes `start` to `end` of the blob `target`, at exactly `start`.

        Raises:
            NotFoundError, UnavailableError, AccessDeniedError, ContentMismatchError.
        """
        ...


@runtime_checkable
class FilePlacer(Protocol):
    """Makes files of content, by the shortest way that it knows."""

    def place(self, target: Descriptor, directory: int, name: str, stop: Event) -> None:
        """Make the new file `name` in an open directory, with exactly the content of `target`.

        Args:
            target: the blob.
            directory: a descriptor of the directory.
            name: of the file, which is not there yet.
            stop: when it is set, this soon raises `StorageError`.

        Raises:
            ContentMismatchError, NotFoundError, UnavailableError, StorageError; a file that was
            begun may stand there then.
        """
        ...

    def there_already(self, targets: Sequence[Descriptor], directory: int) -> int:
        """Return how many bytes of blobs need no more room on the disk of an open directory."""
        ...


class ContentWriter(Protocol):
    """Writes content under the descriptor that it must match."""

    def push(self, expected: Descriptor, content: Content) -> None:
        """Store `content`, unless it is here already.

        A manifest goes in after what it refers to. A manifest with a `subject` becomes a
        referrer of it, visible to `referrers` when this returns.

        Raises:
            ContentMismatchError: it is not `expected`; nothing is kept.
            UnavailableError, AccessDeniedError, StorageError, ConflictError.
        """
        ...

    def exists(self, target: Descriptor) -> bool:
        """Tell whether the content is here, at the size that `target` says."""
        ...


@runtime_checkable
class BlobMounter(Protocol):
    """Takes blobs over from a neighbour, without their bytes: what some registries can do."""

    def mount(self, target: Descriptor, source: Repository) -> bool:
        """Make the blob `target` of the repository `source` one of ours; tell whether it is now.

        False is no failure: the place is another registry, or it does not mount, or we may not
        read `source`. Then `push` brings the bytes.

        Raises:
            UnavailableError, ContentMismatchError.
        """
        ...


@runtime_checkable
class SizeChecker(Protocol):
    """Knows before the first byte what it will not take."""

    def check_sizes(self, blobs: Iterable[tuple[str, int]]) -> Sequence[str]:
        """Refuse what is too large to be taken here.

        Args:
            blobs: the name and the bytes of each.

        Returns:
            What may fail and is tried all the same, as sentences for people.

        Raises:
            LimitExceededError: `layer-too-large`, with what to do about it.
        """
        ...


@runtime_checkable
class ReferrerBatch(Protocol):
    """Lists several referrers of one manifest in one go: what is dear where a tag has to do it."""

    def push_referrers(self, manifests: Sequence[Manifest]) -> None:
        """Store manifests with one `subject`, as `push` does; all are listed when this returns.

        Raises:
            InvalidDocumentError: they have no subject, or several.
            UnavailableError, AccessDeniedError, ConflictError, LimitExceededError.
        """
        ...


class TagResolver(Protocol):
    """Knows what names point at."""

    def resolve(self, name: str | Digest) -> Descriptor:
        """Return what a tag or digest points at now: media type, digest and size.

        The digest is computed from the bytes, never taken from a header.

        Raises:
            NotFoundError: there is no such tag or manifest.
        """
        ...

    def tags(self) -> Iterator[str]:
        """Yield all tags in code point order, without the referrers' fallback tags."""
        ...


class ReferrerLister(Protocol):
    """Knows which manifests speak about a manifest."""

    def referrers(self, subject: Descriptor) -> Iterator[Descriptor]:
        """Yield the manifests whose `subject` is this one, each once, in no certain order.

        `artifact_type` and `annotations` of what is yielded are hints that may be missing or
        wrong: read the manifest.

        Raises:
            LimitExceededError: there are more than `MAX_REFERRERS`.
        """
        ...


class ReadableStore(ContentReader, TagResolver, ReferrerLister, Protocol):
    """Enough to verify and to pull."""


class Store(ReadableStore, ContentWriter, Protocol):
    """Enough to publish."""

    def tag(self, target: Descriptor, tag: str) -> None:
        """Point `tag` at the manifest `target`, which is here already."""
        ...


def fetch_bytes(reader: ContentReader, target: Descriptor, *, limit: int) -> bytes:
    """Read small content into memory, checked.

    Raises:
        LimitExceededError: `target` says more than `limit` bytes; nothing is fetched then.
        Error: as `ContentReader.fetch` does.
    """
    if target.size > limit:
        raise LimitExceededError(
            f"{target.name} has {target.size} bytes; at most {limit} are read here"
        )
    with reader.fetch(target) as stream:
        return stream.read()


def fetch_manifest(reader: ContentReader, target: Descriptor) -> Manifest:
    """Fetch and read a manifest.

    Raises:
        InvalidDocumentError: `target` is an index or a blob, or the document is broken.
    """
    if target.media_type in INDEX_TYPES:
        raise InvalidDocumentError(
            f"{target.digest} is an index, not a model's manifest",
            hint="name the manifest of one platform by its digest",
        )
    if target.media_type not in MANIFEST_TYPES:
        raise InvalidDocumentError(f"{target.digest} is a {target.media_type}, not a manifest")
    raw = fetch_bytes(reader, target, limit=MAX_MANIFEST_BYTES)
    return Manifest.parse(raw, target.media_type)


def fetch_index(reader: ContentReader, target: Descriptor) -> Index:
    """Fetch and read an index. Raises `InvalidDocumentError`."""
    raw = fetch_bytes(reader, target, limit=MAX_MANIFEST_BYTES)
    return Index.parse(raw, target.media_type)


def push_bytes(writer: ContentWriter, data: bytes, media_type: str) -> Descriptor:
    """Store bytes that are at hand; return their descriptor."""
    descriptor = Descriptor.of(data, media_type)
    writer.push(descriptor, BytesContent(data))
    return descriptor


def push_manifests(writer: ContentWriter, manifests: Sequence[Manifest]) -> None:
    """Store manifests about one subject, in one go where the store can. Raises as `push` does."""
    if isinstance(writer, ReferrerBatch) and manifests:
        writer.push_referrers(manifests)
        return
    for manifest in manifests:
        writer.push(manifest.descriptor, BytesContent(manifest.raw))
