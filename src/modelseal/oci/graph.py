# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""All that hangs together: a manifest, what it refers to, and who speaks about it.

Bytes are kept as fetched: a copy has the digests of the original, so signatures stay good.
"""

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from modelseal.documents import parse_json_object
from modelseal.errors import (
    ContentError,
    Error,
    InvalidDocumentError,
    LimitExceededError,
    NotFoundError,
    UsageError,
)
from modelseal.oci.descriptor import INDEX_TYPES, Descriptor, Digest
from modelseal.oci.manifest import MAX_MANIFEST_BYTES, Index, Manifest
from modelseal.oci.store import ContentReader, ReadableStore, fetch_bytes, fetch_index

MAX_MANIFESTS = 10_000
"""Most manifests of one graph, referrers included."""

MAX_LEVELS = 8
"""How deep indexes may stand in indexes, and referrers may speak about referrers."""

_MAX_BYTES = 128 << 20
"""Most bytes of manifests in one graph: they are held until the blobs are there."""

_WORKERS = 8
_FOREIGN = ("nondistributable", "rootfs.foreign.")


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A referrer that was listed and cannot be copied, and why."""

    referrer: Digest
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """What belongs to one manifest or index.

    Attributes:
        root: the manifest or index that was asked for.
        blobs: configs and layers, each once.
        manifests: with their bytes; each stands after what it refers to, and a referrer after
            its subject.
        referrers: the manifests that are here because they speak about another.
        unreadable: referrers that are listed at the source and are not part of this.
        left_out: how many referrers were not asked for; None when that cannot be told.
    """

    root: Descriptor
    blobs: tuple[Descriptor, ...]
    manifests: tuple[tuple[Descriptor, bytes], ...]
    referrers: tuple[Descriptor, ...]
    unreadable: tuple[Unreadable, ...]
    left_out: int | None

    @property
    def size(self) -> int:
        """The bytes of all blobs."""
        return sum(blob.size for blob in self.blobs)


def read_graph(source: ReadableStore, root: Descriptor, *, recursive: bool) -> Graph:
    """Read the manifests of everything that belongs to `root`; no blob is fetched.

    Args:
        source: where it is.
        root: a manifest or an index; all manifests of an index belong to it.
        recursive: also who speaks about them (referrers), and about those, and so on.

    Raises:
        InvalidDocumentError: a manifest is broken, or has layers that are kept elsewhere.
        LimitExceededError: it is more, or deeper, than we take from a stranger.
        Error: as `ContentReader.fetch` and `ReferrerLister.referrers` do.
    """
    walk = _Walk(source)
    walk.add(root)
    subjects = list(walk.manifests.values())
    left_out: int | None = 0
    if recursive:
        walk.add_referrers([descriptor for descriptor, _ in subjects])
    else:
        left_out = _count_referrers(source, [descriptor for descriptor, _ in subjects])
    return Graph(
        root=_bare(root),
        blobs=tuple(walk.blobs.values()),
        manifests=tuple(walk.manifests.values()),
        referrers=tuple(walk.referrers),
        unreadable=tuple(walk.unreadable),
        left_out=left_out,
    )


def select_platform(reader: ContentReader, root: Descriptor, platform: str) -> Descriptor:
    """Return the manifest for `os/architecture[/variant]` that the index `root` lists.

    Raises:
        UsageError: `root` is no index, or `platform` is not written so.
        NotFoundError: the index has no manifest for it; the hint names those it has.
    """
    wanted = platform.split("/")
    if len(wanted) not in {2, 3} or not all(wanted):
        raise UsageError(f"not a platform: {platform!r}", hint="write linux/amd64")
    if root.media_type not in INDEX_TYPES:
        raise UsageError(
            f"{root.digest} is one manifest, not an index by platform", hint="leave out --platform"
        )
    index = fetch_index(reader, root)
    # The view of an index has no platforms, so its own bytes are looked at once more.
    entries = parse_json_object(index.raw, f"the index {root.digest}")["manifests"]
    known = [_platform(entry) for entry in entries]
    for parts, descriptor in zip(known, index.manifests, strict=True):
        if parts[: len(wanted)] == wanted:
            return _bare(descriptor)
    names = sorted({"/".join(part for part in parts if part) for parts in known} - {""})
    raise NotFoundError(
        f"{root.digest} has no manifest for {platform}",
        hint=f"it has: {', '.join(names[:10])}" if names else "it names no platforms",
    )


def _platform(entry: Mapping[str, Any]) -> list[str]:
    value = entry.get("platform")
    value = value if isinstance(value, dict) else {}
    return [str(value.get(part, "")) for part in ("os", "architecture", "variant")]


@dataclass(slots=True)
class _Walk:
    source: ReadableStore
    blobs: dict[Digest, Descriptor] = field(default_factory=dict)
    manifests: dict[Digest, tuple[Descriptor, bytes]] = field(default_factory=dict)
    referrers: list[Descriptor] = field(default_factory=list)
    unreadable: list[Unreadable] = field(default_factory=list)
    size: int = 0

    def add(self, target: Descriptor, level: int = 0) -> None:
        """Add a manifest after all that it refers to."""
        if target.digest in self.manifests:
            return
        if level > MAX_LEVELS:
            raise LimitExceededError(
                f"{target.digest} stands more than {MAX_LEVELS} indexes deep in indexes"
            )
        raw = fetch_bytes(self.source, target, limit=MAX_MANIFEST_BYTES)
        document = _parse(raw, target)
        children = document.manifests if isinstance(document, Index) else document.blobs
        for child in children:
            if child.is_manifest:
                self.add(child, level + 1)
            else:
                self.blobs.setdefault(child.digest, _refuse_foreign(child))
        self._keep(target, raw)

    def add_referrers(self, subjects: list[Descriptor]) -> None:
        """Add who speaks about `subjects`, and about those, level by level."""
        for _ in range(MAX_LEVELS):
            subjects = self._add_level(subjects)
            if not subjects:
                return
        raise LimitExceededError(
            f"{subjects[0].digest} stands at the end of more than {MAX_LEVELS} levels of "
            "manifests that speak about manifests",
            hint="copy without --recursive, or delete junk referrers",
        )

    def _add_level(self, subjects: list[Descriptor]) -> list[Descriptor]:
        found: list[Descriptor] = []
        with ThreadPoolExecutor(_WORKERS) as pool:
            lists = list(pool.map(lambda one: list(self.source.referrers(one)), subjects))
            pairs = [
                (subject, _bare(entry))
                for subject, entries in zip(subjects, lists, strict=True)
                for entry in sorted(entries, key=lambda entry: entry.digest)
                if entry.digest not in self.manifests
            ]
            if len(pairs) + len(self.manifests) > MAX_MANIFESTS:
                raise _too_many()
            problems = list(pool.map(lambda pair: _problem(self.source, *pair), pairs))
        for (_, entry), problem in zip(pairs, problems, strict=True):
            if problem:
                self.unreadable.append(Unreadable(entry.digest, problem))
            elif entry.digest not in self.manifests:
                self.add(entry)
                self.referrers.append(entry)
                found.append(entry)
        return found

    def _keep(self, target: Descriptor, raw: bytes) -> None:
        self.size += len(raw)
        if len(self.manifests) >= MAX_MANIFESTS:
            raise _too_many()
        if self.size > _MAX_BYTES:
            raise LimitExceededError(f"these are over {_MAX_BYTES >> 20} MiB of manifests")
        self.manifests[target.digest] = (_bare(target), raw)


def _too_many() -> LimitExceededError:
    return LimitExceededError(
        f"these are more than {MAX_MANIFESTS} manifests",
        hint="copy without --recursive, or delete junk referrers",
    )


def _problem(source: ReadableStore, subject: Descriptor, entry: Descriptor) -> str:
    """Say why a listed referrer is none; nothing when it is one.

    A list may hold what anybody put there: that must not keep the others from being copied.
    """
    try:
        document = _parse(fetch_bytes(source, entry, limit=MAX_MANIFEST_BYTES), entry)
        for blob in document.blobs if isinstance(document, Manifest) else ():
            _refuse_foreign(blob)
    except (ContentError, NotFoundError) as error:
        return str(error)
    if document.subject is None or document.subject.digest != subject.digest:
        return f"it is listed as a referrer of {subject.digest}, and speaks about something else"
    return ""


def _parse(raw: bytes, target: Descriptor) -> Manifest | Index:
    if target.media_type in INDEX_TYPES:
        return Index.parse(raw, target.media_type)
    return Manifest.parse(raw, target.media_type)


def _refuse_foreign(blob: Descriptor) -> Descriptor:
    if blob.urls or any(word in blob.media_type for word in _FOREIGN):
        raise InvalidDocumentError(
            f"the layer {blob.name} is kept elsewhere ({blob.media_type}): it is not copied",
            hint="such layers come from hosts that the manifest names, which are not asked",
        )
    return blob


def _count_referrers(source: ReadableStore, subjects: Iterable[Descriptor]) -> int | None:
    """Count who speaks about `subjects`; it is for a note, so nothing fails for it."""
    found: set[Digest] = set()
    try:
        for subject in subjects:
            found.update(entry.digest for entry in source.referrers(subject))
    except Error:
        return None
    return len(found)


def _bare(entry: Descriptor) -> Descriptor:
    return Descriptor(entry.media_type, entry.digest, entry.size)
