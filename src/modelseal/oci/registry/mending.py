# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Mending the list of referrers of a manifest, from what a registry lets us see.

A registry has no catalog of untagged manifests. So what no list names is found only if a tag
points at it, or if somebody knows its digest.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from modelseal.errors import (
    ConflictError,
    ContentMismatchError,
    InvalidDocumentError,
    InvalidReferenceError,
    LimitExceededError,
    NotFoundError,
)
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.referrer import fallback_tag, referrer_of
from modelseal.oci.registry.referrers import Referrers
from modelseal.oci.registry.retry import between
from modelseal.oci.repair import Action, Change, Look, Problem, Repair, digest_of, mend
from modelseal.oci.store import MAX_REFERRERS

MAX_SCANNED_TAGS = 2_000
"""Most tags of a repository that are looked at for referrers which no list names."""

_WRITES = 12
_SETTLING = (0.05, 0.2)
_WORKERS = 8


@dataclass(frozen=True, slots=True)
class Access:
    """What it takes of a repository: reading and writing manifests, listing tags, waiting."""

    get: Callable[[Digest], tuple[Descriptor, bytes]]
    get_tag: Callable[[str], tuple[Descriptor, bytes]]
    put: Callable[[Descriptor, bytes], object]
    tags: Callable[[], Iterable[str]]
    sleep: Callable[[float], None]


def repair(
    referrers: Referrers,
    access: Access,
    subject: Descriptor,
    digests: Sequence[Digest],
    *,
    dry_run: bool,
) -> Repair:
    """Find out what is wrong with the list of referrers of `subject`, and mend it.

    The caller holds the lock of the subject.

    Args:
        referrers: of the repository.
        access: to the repository.
        subject: what the list is about.
        digests: of manifests that may belong into it.
        dry_run: write nothing.

    Raises:
        NotFoundError: one of `digests` is not there.
        InvalidReferenceError: one of `digests` is not about `subject`.
        LimitExceededError: the list is longer than is looked at.
        ConflictError: others keep overwriting the list.
        UnavailableError, AccessDeniedError: it cannot be told; nothing is written then.
    """
    manifests = _Manifests(access, subject.digest)
    for digest in digests:
        problem = manifests.look(digest)
        if isinstance(problem, Problem):
            raise InvalidReferenceError(f"{digest} belongs into no list: {problem.text}")
    scanned, unscanned, tagged = _scan(access, subject.digest)
    found = [*digests, *tagged]
    listed = referrers.listed_by_api(subject.digest)
    entries, broken = referrers.listed_by_tag(subject.digest)
    if len(entries) > MAX_REFERRERS:
        raise LimitExceededError(
            f"the list of referrers of {subject.digest} has {len(entries)} entries; at most "
            f"{MAX_REFERRERS} are looked at",
            hint="delete junk referrers, or make the model anew in a clean repository",
        )
    named = [one for entry in entries if (one := digest_of(entry))]
    manifests.read_all(named)
    if listed is not None:
        known = {digest_of(entry) for entry in listed}
        found += named
        changes = _relist(manifests, [d for d in dict.fromkeys(found) if d not in known])
        if not dry_run:
            for change in changes:
                access.put(*manifests.get(Digest.parse(change.referrer)))
    else:
        changes = mend(entries, found, manifests.look)[1]
        if broken:
            changes = (Change(Action.REMOVED, "", broken), *changes)
        if changes and not dry_run:
            _write(referrers, access, subject.digest, found, manifests.look)
    return Repair(
        subject=subject.digest,
        has_api=listed is not None,
        tag=fallback_tag(subject.digest),
        entries=len(entries) if listed is None else len(listed),
        changes=changes,
        scanned=scanned,
        unscanned=unscanned,
        written=bool(changes) and not dry_run,
    )


def _relist(manifests: "_Manifests", missing: Sequence[Digest]) -> tuple[Change, ...]:
    return tuple(
        Change(Action.RELISTED, str(digest), "the registry does not list it")
        for digest in missing
        if isinstance(manifests.look(digest), Descriptor)
    )


def _write(
    referrers: Referrers, access: Access, subject: Digest, found: Sequence[Digest], look: Look
) -> None:
    """Write the list, and read it back until it stays right.

    It is read again right before it is written, so that what others added meanwhile stays; and
    what was right once and is gone then, comes back.
    """
    known: dict[Digest, None] = dict.fromkeys(found)
    settled = False
    for _ in range(_WRITES):
        entries, broken = referrers.listed_by_tag(subject)
        mended, changes = mend(entries, known, look)
        known |= dict.fromkeys(one for entry in mended if (one := digest_of(entry)))
        if changes or broken:
            referrers.write_list(subject, mended)
            settled = False
        elif settled:
            return
        else:
            access.sleep(between(*_SETTLING))
            settled = True
    raise ConflictError(
        f"others keep overwriting the list of referrers of {subject}",
        hint="repair it again when nobody attaches",
    )


class _Manifests:
    """Manifests by digest, each read once, and what they are to the subject."""

    def __init__(self, access: Access, subject: Digest) -> None:
        self._access = access
        self._subject = subject
        self._seen: dict[Digest, Descriptor | Problem] = {}

    def get(self, digest: Digest) -> tuple[Descriptor, bytes]:
        return self._access.get(digest)

    def read_all(self, digests: Sequence[Digest]) -> None:
        with ThreadPoolExecutor(_WORKERS) as pool:
            list(pool.map(self.look, dict.fromkeys(digests)))

    def look(self, digest: Digest) -> Descriptor | Problem:
        if digest not in self._seen:
            self._seen[digest] = self._read(digest)
        return self._seen[digest]

    def _read(self, digest: Digest) -> Descriptor | Problem:
        try:
            descriptor, raw = self._access.get(digest)
            referrer = referrer_of(raw, descriptor)
        except NotFoundError:
            return Problem("the manifest is gone")
        except (ContentMismatchError, InvalidDocumentError, LimitExceededError) as error:
            return Problem(f"the manifest cannot be read: {error}")
        if referrer is None or referrer[0] != self._subject:
            return Problem("the manifest is not about this subject")
        return referrer[1]


def _scan(access: Access, subject: Digest) -> tuple[int, int, list[Digest]]:
    """Return how many tags were looked at and how many not, and the referrers that were found."""
    try:
        tags = [tag for tag in access.tags() if tag != fallback_tag(subject)]
    except NotFoundError:  # how some registries say that there are none
        tags = []

    def look(tag: str) -> list[Digest]:
        try:
            descriptor, raw = access.get_tag(tag)
            referrer = referrer_of(raw, descriptor)
        except (NotFoundError, ContentMismatchError, InvalidDocumentError, LimitExceededError):
            return []  # whatever it is, it is no referrer
        return [descriptor.digest] if referrer and referrer[0] == subject else []

    # Tags that look like another subject's list come last: they hold no referrer of ours.
    ordered = sorted(tags, key=lambda tag: (tag.startswith(("sha256-", "sha512-")), tag))
    with ThreadPoolExecutor(_WORKERS) as pool:
        found = [d for some in pool.map(look, ordered[:MAX_SCANNED_TAGS]) for d in some]
    return min(len(tags), MAX_SCANNED_TAGS), max(0, len(tags) - MAX_SCANNED_TAGS), found
