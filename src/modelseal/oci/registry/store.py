# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A repository of a registry as a store. Source: OCI distribution-spec v1.1.

Import this module late: it brings `urllib3`. `modelseal.oci.registry.options` does not.
"""

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, BinaryIO, Self, cast

from modelseal.documents import parse_json_object
from modelseal.errors import (
    ContentMismatchError,
    Error,
    InvalidDocumentError,
    InvalidReferenceError,
    LimitExceededError,
    UnavailableError,
)
from modelseal.oci.content import BytesContent, Content, verifying
from modelseal.oci.descriptor import INDEX_TYPES, MANIFEST_TYPES, Descriptor, Digest
from modelseal.oci.manifest import MAX_MANIFEST_BYTES, Index, Manifest
from modelseal.oci.reference import Repository, check_tag
from modelseal.oci.referrer import referrer_of
from modelseal.oci.registry import sessions
from modelseal.oci.registry.answers import Answer, expect
from modelseal.oci.registry.client import PULL, PUSH, Client, Request
from modelseal.oci.registry.hosts import Target
from modelseal.oci.registry.limits import BodyLimit, check_sizes, policy_of
from modelseal.oci.registry.mending import Access, repair
from modelseal.oci.registry.newness import Newness
from modelseal.oci.registry.options import RegistryOptions
from modelseal.oci.registry.ranges import RangeBody
from modelseal.oci.registry.referrers import Referrers, lock_of, next_page
from modelseal.oci.registry.upload import upload_blob
from modelseal.oci.registry.uploads import Entry, UploadJournal, no_entry
from modelseal.oci.repair import Repair

_ACCEPT = {"Accept": ", ".join(sorted(MANIFEST_TYPES))}
_STORED = frozenset({200, 201, 202})
_MAX_TAGS = 100_000
_MAX_TAG_PAGES = 1_000
_PAGE = 1_000
_CACHED_BYTES = 16 << 20
_FALLBACK_TAG = re.compile(r"sha(?:256|512)-[0-9a-f]{64}")


class RegistryStore:
    """One repository of a registry; safe to use from several threads.

    Credentials come from Docker's configuration, and are looked up only when the registry asks.
    """

    def __init__(
        self,
        repository: Repository,
        options: RegistryOptions | None = None,
        *,
        journal: UploadJournal | None = None,
    ) -> None:
        """Name the repository; nothing is connected yet.

        Args:
            repository: which one.
            options: how to speak to its registry.
            journal: where uploads are noted, so that the next process goes on with them.

        Raises:
            UsageError: the registry's name is no host and port.
        """
        self._repository = repository
        self._options = options or RegistryOptions()
        self._journal = journal
        self._client = Client(repository, self._options)
        self._referrers = Referrers(self._client, self._options)
        # What the registry gave us, and what we gave it, are kept apart: only the first shows
        # what it holds.
        self._fetched = _ManifestCache()
        self._pushed = _ManifestCache()
        self._absent: set[Digest] = set()
        self._newness = Newness()
        self._sessions: dict[Digest, Target] = {}
        policy = self._options.upload_policy or policy_of(repository.registry)
        self._bodies = BodyLimit(policy)
        self._told: set[str] = set()

    def __str__(self) -> str:
        return str(self._repository)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close idle connections, and uploads that were begun; the store can still be used."""
        while self._sessions:
            digest, session = self._sessions.popitem()
            sessions.cancel(self._client, session, f"the upload of {digest}")
        self._client.close()

    def fetch(self, target: Descriptor) -> AbstractContextManager[BinaryIO]:
        """Open content, as a stream that checks itself; close it to give the connection back.

        A manifest that this store read before is not asked for again.

        Raises:
            NotFoundError, UnavailableError, AccessDeniedError, ContentMismatchError.
        """
        if target.is_manifest:
            return verifying(BytesContent(self._manifest_bytes(target, PULL)).open(), target)
        return verifying(cast("BinaryIO", self.fetch_range(target, 0, target.size)), target)

    def fetch_range(self, target: Descriptor, start: int, end: int) -> RangeBody:
        """Open the bytes `start` to `end` of a blob; what breaks off is asked for again.

        Raises:
            NotFoundError, UnavailableError, AccessDeniedError, ContentMismatchError.
        """
        what = f"the blob {target.digest} of {self}"
        retry = self._options.retry
        return RangeBody(self._client, retry, target, what, start=start, end=end)

    def push(self, expected: Descriptor, content: Content) -> None:
        """Store content that is what `expected` says, unless it is there already.

        A manifest is always sent: that costs what asking for it would, and makes up for a
        referrer that was stored but not listed.

        Raises:
            ContentMismatchError, InvalidDocumentError, LimitExceededError, StorageError,
            NotFoundError, UnavailableError, AccessDeniedError, ConflictError.
        """
        if expected.is_manifest:
            self._push_manifest(expected, content)
            return
        known_absent = expected.digest in self._absent
        self._absent.discard(expected.digest)
        if known_absent or not self.exists(expected):
            with self._noted(expected) as entry:
                upload_blob(
                    self._client,
                    self._options,
                    expected,
                    content,
                    is_there=lambda: self.exists(expected),
                    session=self._sessions.pop(expected.digest, None),
                    entry=entry,
                    bodies=self._bodies,
                )
            self._newness.sent(expected)
        self._absent.discard(expected.digest)

    def check_sizes(self, blobs: Iterable[tuple[str, int]]) -> Sequence[str]:
        """Refuse what is known to be too large for this registry; say once what has to hurry.

        Raises:
            LimitExceededError: unless the options ignore limits.
        """
        if self._options.ignore_limits:
            return ()
        found = list(check_sizes(self._bodies.policy, self._repository.registry, blobs))
        fresh = [text for text in found if text not in self._told]
        self._told.update(fresh)
        return fresh

    def _noted(self, blob: Descriptor) -> AbstractContextManager[Entry]:
        if self._journal is None:
            return nullcontext(no_entry())
        return self._journal.entry(self._repository.registry, self._repository.name, blob)

    def mount(self, target: Descriptor, source: Repository) -> bool:
        """Take a blob over from another repository of this registry, without its bytes.

        What is here already may be mounted again. A registry need not mount, and does not when
        we may not read `source`: then `push` sends the bytes, in the session that was started.

        Args:
            target: a blob; the bytes of a manifest are pushed.
            source: where it is; False at once when that is another registry.

        Returns:
            Whether it is here now.

        Raises:
            UnavailableError, ContentMismatchError.
        """
        here = self._repository
        if target.is_manifest or source.registry != here.registry or source.name == here.name:
            return False
        done, session = sessions.mount(self._client, target, source.name)
        former = self._sessions.pop(target.digest, None)
        if former is not None:
            sessions.cancel(self._client, former, f"the upload of {target.digest}")
        if session is not None:
            self._sessions[target.digest] = session
        return done

    def exists(self, target: Descriptor) -> bool:
        """Tell whether the content is here, at the right size.

        It is a writer's question, so the token that it takes may write. Small blobs of a repository
        that the registry does not know are not asked for (`newness`).
        """
        if self._newness.lacks(target):
            self._absent.add(target.digest)
            return False
        kind = "manifests" if target.is_manifest else "blobs"
        headers = {"Accept": target.media_type} if target.is_manifest else {}
        what = f"{target.digest} of {self}"
        answer = self._client.call(
            Request(
                method="HEAD",
                target=f"{kind}/{target.digest}",
                what=what,
                actions=PUSH,
                headers=headers,
            )
        )
        if answer.status == 404:  # noqa: PLR2004 - HTTP
            # A push that follows need not ask again.
            self._absent.add(target.digest)
            if not target.is_manifest:
                self._newness.note(there=False, is_unknown=self._is_unknown)
            return False
        expect(answer, {200}, what, self._client.registry)
        self._newness.note(there=True, is_unknown=self._is_unknown)
        there = answer.length == target.size
        if there and self._journal is not None:
            self._journal.forget(self._repository.registry, self._repository.name, target)
        return there

    def resolve(self, name: str | Digest) -> Descriptor:
        """Return what a tag or digest points at now, from the manifest's own bytes.

        Raises:
            NotFoundError: there is no such tag or manifest.
            ContentMismatchError: the bytes are not what the digest, or the registry, says.
            InvalidDocumentError: they are no manifest, or not of the type they are served as.
        """
        if isinstance(name, Digest):
            known = self._fetched.get(name)
            return (known or self._get_manifest(name, PULL))[0]
        return self._get_manifest(check_tag(name), PULL)[0]

    def tags(self) -> Iterator[str]:
        """Yield all tags in code point order, without fallback tags.

        Raises:
            NotFoundError: there is no such repository.
            LimitExceededError: there are more than 100,000.
        """
        yield from (tag for tag in self._all_tags() if not _FALLBACK_TAG.fullmatch(tag))

    def _is_unknown(self) -> bool:
        """Ask whether the registry knows the repository; what is not clear counts as known."""
        what = f"the tags of {self}"
        request = Request(method="GET", target="tags/list?n=1", what=what, actions=PUSH)
        try:
            answer = self._client.call(request)
        except Error:
            return False
        return answer.status == 404 and b'"NAME_UNKNOWN"' in answer.body  # noqa: PLR2004 - HTTP

    def _all_tags(self) -> list[str]:
        what = f"the tags of {self}"
        found: set[str] = set()
        target: str | Target = f"tags/list?n={_PAGE}"
        for _ in range(_MAX_TAG_PAGES):
            answer = self._client.call(Request(method="GET", target=target, what=what))
            expect(answer, {200}, what, self._client.registry)
            found.update(_tags(answer, what))
            following = next_page(answer, what)
            if following is None:
                return sorted(found)
            if len(found) > _MAX_TAGS:
                break
            target = following
        raise LimitExceededError(f"{what} go on after {len(found)} tags")

    def tag(self, target: Descriptor, tag: str) -> None:
        """Point `tag` at a manifest that is here. Raises `NotFoundError`."""
        check_tag(tag)
        known = self._pushed.get(target.digest)
        raw = self._manifest_bytes(target, PUSH) if known is None else known[1]
        self._put_manifest(target, raw, tag)

    def referrers(self, subject: Descriptor) -> Iterator[Descriptor]:
        """Yield the manifests about `subject`, from the API or the fallback tag.

        Raises:
            LimitExceededError: there are more than `MAX_REFERRERS`; none is yielded then.
            InvalidDocumentError: the list is broken as a whole.
        """
        yield from self._referrers.find(subject.digest)

    def repair_referrers(
        self, subject: Descriptor, digests: Sequence[Digest] = (), *, dry_run: bool = False
    ) -> Repair:
        """Find what is wrong with the list of referrers of `subject`, and mend it.

        Args:
            subject: what the list is about.
            digests: manifests that may belong into it: no registry lists those without a tag.
            dry_run: write nothing.

        Raises:
            Error: as `modelseal.oci.registry.mending.repair` does.
        """
        access = Access(
            get=lambda digest: self._fetched.get(digest) or self._get_manifest(digest, PULL),
            get_tag=lambda tag: self._get_manifest(tag, PULL),
            put=lambda manifest, raw: self._put_manifest(manifest, raw, str(manifest.digest)),
            tags=self._all_tags,
            sleep=self._options.retry.sleep,
        )
        with lock_of(subject.digest):
            return repair(self._referrers, access, subject, digests, dry_run=dry_run)

    def _push_manifest(self, expected: Descriptor, content: Content) -> None:
        if expected.size > MAX_MANIFEST_BYTES:
            raise LimitExceededError(f"the manifest {expected.digest} is larger than 4 MiB")
        with verifying(content.open(), expected) as stream:
            raw = stream.read()
        referrer = referrer_of(raw, expected)
        if referrer is None:
            self._put_manifest(expected, raw, str(expected.digest))
        else:
            with lock_of(referrer[0]):
                answer = self._put_manifest(expected, raw, str(expected.digest))
                self._referrers.record(referrer[0], [(referrer[1], answer)])
        self._pushed.put(_bare(expected), raw)

    def push_referrers(self, manifests: Sequence[Manifest]) -> None:
        """Store manifests about one subject, and list them together.

        Raises:
            InvalidDocumentError: they have no subject, or several.
            UnavailableError, AccessDeniedError, ConflictError, LimitExceededError.
        """
        referrers = [referrer_of(manifest.raw, manifest.descriptor) for manifest in manifests]
        subjects = {found[0] if found else None for found in referrers}
        subject = subjects.pop() if len(subjects) == 1 else None
        if subject is None:
            raise InvalidDocumentError("these manifests are not about one subject")
        with lock_of(subject):
            pushed = []
            for manifest, found in zip(manifests, referrers, strict=True):
                assert found is not None
                name = str(manifest.descriptor.digest)
                answer = self._put_manifest(manifest.descriptor, manifest.raw, name)
                pushed.append((found[1], answer))
            self._referrers.record(subject, pushed)
        for manifest in manifests:
            self._pushed.put(_bare(manifest.descriptor), manifest.raw)

    def _put_manifest(self, manifest: Descriptor, raw: bytes, name: str) -> Answer:
        what = f"the manifest {name} of {self}"
        answer = self._client.call(
            Request(
                method="PUT",
                target=f"manifests/{name}",
                what=what,
                actions=PUSH,
                headers={"Content-Type": manifest.media_type, "Content-Length": str(len(raw))},
                body=lambda: raw,
            )
        )
        expect(answer, _STORED, what, self._client.registry)
        _check_claim(answer.digest, manifest.digest, what)
        return answer

    def _manifest_bytes(self, target: Descriptor, actions: str) -> bytes:
        known = self._fetched.get(target.digest)
        descriptor, raw = known or self._get_manifest(target.digest, actions)
        if descriptor.media_type != target.media_type:
            raise InvalidDocumentError(
                f"{target.digest} is a {descriptor.media_type}, not a {target.media_type}"
            )
        return raw

    def _get_manifest(self, name: str | Digest, actions: str) -> tuple[Descriptor, bytes]:
        separator = "@" if isinstance(name, Digest) else ":"
        what = f"the manifest {self}{separator}{name}"
        answer = self._client.call(
            Request(
                method="GET",
                target=f"manifests/{name}",
                what=what,
                actions=actions,
                headers=_ACCEPT,
                limit=MAX_MANIFEST_BYTES,
            )
        )
        expect(answer, {200}, what, self._client.registry)
        raw = answer.body
        claimed = name if isinstance(name, Digest) else answer.digest
        algorithm = "sha256" if claimed is None else claimed.algorithm
        digest = Digest(algorithm, hashlib.new(algorithm, raw).hexdigest())
        _check_claim(claimed, digest, what)
        _check_claim(answer.digest, digest, what)
        # Reading it checks that it is what it is served as.
        if answer.media_type in INDEX_TYPES:
            Index.parse(raw, answer.media_type)
        else:
            Manifest.parse(raw, answer.media_type)
        descriptor = Descriptor(answer.media_type, digest, len(raw))
        self._fetched.put(descriptor, raw)
        return descriptor, raw


class _ManifestCache:
    """The last manifests, by digest, up to 16 MiB of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[Digest, tuple[Descriptor, bytes]] = OrderedDict()
        self._size = 0

    def get(self, digest: Digest) -> tuple[Descriptor, bytes] | None:
        with self._lock:
            return self._kept.get(digest)

    def put(self, descriptor: Descriptor, raw: bytes) -> None:
        with self._lock:
            if descriptor.digest not in self._kept:
                self._size += len(raw)
            self._kept[descriptor.digest] = (descriptor, raw)
            while self._size > _CACHED_BYTES:
                _, (_, dropped) = self._kept.popitem(last=False)
                self._size -= len(dropped)


def _check_claim(claim: Digest | None, digest: Digest, what: str) -> None:
    if claim is not None and claim.algorithm == digest.algorithm and claim != digest:
        raise ContentMismatchError(
            f"{what}: the bytes have the digest {digest}, not {claim}",
            hint="the registry or the network changed it; fetch it again, or from a mirror",
        )


def _tags(answer: Answer, what: str) -> list[str]:
    value: Any = parse_json_object(answer.body, what).get("tags")
    if value is None:
        return []
    try:
        return [check_tag(tag) for tag in value]
    except (TypeError, InvalidReferenceError) as error:
        raise UnavailableError(f"{what}: the answer is not a list of tags") from error


def _bare(descriptor: Descriptor) -> Descriptor:
    return Descriptor(descriptor.media_type, descriptor.digest, descriptor.size)
