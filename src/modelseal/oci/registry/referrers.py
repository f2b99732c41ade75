# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Who speaks about a manifest: the referrers API, and the tag that stands in for it.

Source: distribution-spec v1.1, "Listing Referrers", "Unavailable Referrers API" and "Referrers
Tag Schema".

Reading fails closed where a list cannot be read as a whole (no JSON, no index, over a limit):
that is an error, never an empty list. An entry that is no descriptor of a manifest points at
nothing that could be fetched and is passed over, so that one broken entry does not hide the
others; hints of the wrong shape (`artifactType`, `annotations`) are dropped.

Writing the fallback tag is read, merge, write, read back: registries ignore `If-Match`, so two
writers can still overwrite each other. In one process a lock keeps them apart. Between
processes every writer puts back not only its own entries but all that it has seen in the list,
and leaves only when nobody changed it for a while: a multiple of what the registry takes for an
answer just now, because that is how old a copy is that another writer may still hold. Whoever
was overwritten waits for a moment chosen by chance, longer each time. A writer that holds an old
copy for longer than all that can still drop an entry, which is why no decision may rest on the
absence of a statement.
"""

import contextlib
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from modelseal.documents import canonical_json, parse_json_object
from modelseal.errors import (
    ConflictError,
    InvalidDocumentError,
    LimitExceededError,
    UnavailableError,
)
from modelseal.oci.descriptor import INDEX, MANIFEST_TYPES, Descriptor, Digest
from modelseal.oci.manifest import MAX_DESCRIPTORS, MAX_MANIFEST_BYTES
from modelseal.oci.referrer import fallback_tag
from modelseal.oci.registry.answers import Answer, expect, quote
from modelseal.oci.registry.client import PULL, PUSH, Client, Request
from modelseal.oci.registry.hosts import Target
from modelseal.oci.registry.options import RegistryOptions
from modelseal.oci.registry.retry import between
from modelseal.oci.store import MAX_REFERRERS

_MAX_PAGES = 200
_MAX_LIST_BYTES = 32 << 20
"""Most bytes of all pages of one list: whoever may push writes annotations into it."""
_NO_API = frozenset({400, 404, 405, 406, 501})
_WRITES = 32
"""How often the fallback index is written while others keep overwriting it; once if none."""
_READS = 10 * _WRITES
_SETTLING = (0.05, 0.2)
"""Seconds for which the index has to stay as it is; chosen by chance in between."""
_SLOWNESS = 4
"""How many times the slowest answer it has to stay as it is, if that is longer."""
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 2.0

# One lock for each of a few groups of subjects, so that the stores of one process (and of any
# number of repositories) share them without a table that grows.
_LOCKS = tuple(threading.Lock() for _ in range(32))


def lock_of(subject: Digest) -> threading.Lock:
    """Return the lock to hold while a manifest about `subject` is pushed and recorded.

    The registries that keep the list themselves need it too: olareg 0.1.2 loses one of two
    manifests about one subject that arrive at once.
    """
    return _LOCKS[hash(subject) % len(_LOCKS)]


class Referrers:
    """Lists and records the referrers in one repository."""

    def __init__(self, client: Client, options: RegistryOptions) -> None:
        """Prepare; whether the registry has the API is found out by asking it."""
        self._client = client
        self._options = options
        self._has_no_api = False
        self._written: dict[Digest, dict[str, dict[str, Any]]] = {}

    def find(self, subject: Digest) -> list[Descriptor]:
        """Return the referrers of a manifest.

        Raises:
            InvalidDocumentError: the list is none.
            LimitExceededError: there are more than `MAX_REFERRERS`.
        """
        entries = self._from_api(subject, PULL)
        if entries is None:
            entries = _entries(self._read_tag(subject, PULL))
        return _descriptors(entries, subject)

    def record(self, subject: Digest, pushed: Sequence[tuple[Descriptor, Answer]]) -> None:
        """See to it that manifests that were just pushed are listed.

        Args:
            subject: what the manifests are about.
            pushed: each manifest, with `artifactType` and annotations, and the answer to its
                push; with `OCI-Subject` the registry says that it keeps the list.

        The caller holds the lock of the subject, from before the push on.

        Raises:
            ConflictError: others keep overwriting the fallback tag.
        """
        entries = [
            entry
            for entry, answer in pushed
            if answer.headers.get("oci-subject", "") != str(subject)
        ]
        if not entries:
            return
        listed = self._from_api(subject, PUSH)
        if listed is not None and all(_has(listed, str(entry.digest)) for entry in entries):
            return
        self._merge(subject, entries)

    def listed_by_api(self, subject: Digest) -> list[object] | None:
        """Return the entries of the registry's own list; None if it keeps none."""
        return self._from_api(subject, PULL)

    def listed_by_tag(self, subject: Digest) -> tuple[list[object], str]:
        """Return the entries under the fallback tag, and why they are none if that is broken."""
        try:
            return _entries(self._read_tag(subject, PULL)), ""
        except InvalidDocumentError as error:
            return [], str(error)

    def write_list(self, subject: Digest, entries: Sequence[object]) -> None:
        """Put these entries under the fallback tag; what else the index says stays.

        Raises:
            LimitExceededError: the list would be larger than a manifest may be.
        """
        try:
            index = self._read_tag(subject, PUSH)
        except InvalidDocumentError:
            index = {"schemaVersion": 2, "mediaType": INDEX}
        self._put_tag(subject, {**index, "manifests": list(entries)})

    def _from_api(self, subject: Digest, actions: str) -> list[object] | None:
        """Return the raw entries of all pages; None if the registry has no such API."""
        if self._has_no_api:
            return None
        what = f"the referrers of {subject}"
        entries: list[object] = []
        target: str | Target = f"referrers/{subject}"
        size = 0
        for page in range(_MAX_PAGES):
            answer = self._client.call(
                Request(method="GET", target=target, what=what, actions=actions, headers=_ACCEPT)
            )
            if page == 0 and self._is_no_api(answer):
                return None
            expect(answer, {200}, what, self._client.registry)
            size += len(answer.body)
            if size > _MAX_LIST_BYTES:
                raise LimitExceededError(
                    f"{what} take over {_MAX_LIST_BYTES >> 20} MiB to list",
                    hint="delete junk referrers, or make the model anew in a clean repository",
                )
            entries += _entries(_index(answer.body, what))
            following = next_page(answer, what)
            if following is None:
                return entries
            if len(entries) > MAX_REFERRERS:
                break
            target = following
        raise LimitExceededError(
            f"{what} go on after {len(entries)} entries; at most {MAX_REFERRERS} are read",
            hint="delete junk referrers, or make the model anew in a clean repository",
        )

    def _is_no_api(self, answer: Answer) -> bool:
        if answer.status == 200:  # noqa: PLR2004 - HTTP
            return answer.media_type != INDEX
        if answer.status not in _NO_API:
            return False
        # An error in the registry's own words may be about this repository only; any other page
        # says that there is no such endpoint, and there will be none for the next question.
        self._has_no_api = not quote(answer.body)
        return True

    def _read_tag(self, subject: Digest, actions: str) -> dict[str, Any]:
        tag = fallback_tag(subject)
        what = f"the list of referrers {tag}"
        answer = self._client.call(
            Request(
                method="GET", target=f"manifests/{tag}", what=what, actions=actions, headers=_ACCEPT
            )
        )
        if answer.status == 404:  # noqa: PLR2004 - HTTP
            return {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}
        expect(answer, {200}, what, self._client.registry)
        return _index(answer.body, what)

    def _merge(self, subject: Digest, entries: Sequence[Descriptor]) -> None:
        """Put our entries into the fallback index, and see that they stay."""
        ours = self._written.setdefault(subject, {})
        ours.update({str(entry.digest): entry.to_json() for entry in entries})
        wanted: dict[str, Any] = {}
        watch = _Watch(self._options.retry.sleep)
        for number in range(_READS):
            with watch.timing():
                index = self._read_tag(subject, PUSH)
            listed = _by_digest(_entries(index))
            wanted = {**wanted, **listed, **ours}
            missing = [item for digest, item in wanted.items() if digest not in listed]
            if not missing:
                if number == 0 or watch.stayed(listed):
                    return
            elif watch.may_write():
                if watch.writes > _WRITES:
                    break
                with watch.timing():
                    self._write_tag(subject, index, missing)
        raise ConflictError(
            f"others keep overwriting the list of referrers of {subject}",
            hint="attach again when fewer write at once; the statement itself is stored",
        )

    def _write_tag(
        self, subject: Digest, index: Mapping[str, Any], missing: list[dict[str, Any]]
    ) -> None:
        # Whatever others wrote stays as they wrote it; only what stands there twice goes.
        entries = [*_once(_entries(index)), *missing]
        self._put_tag(subject, {**index, "manifests": entries})

    def _put_tag(self, subject: Digest, index: Mapping[str, Any]) -> None:
        tag = fallback_tag(subject)
        what = f"the list of referrers {tag}"
        raw = canonical_json({**index, "mediaType": INDEX})
        if len(raw) > MAX_MANIFEST_BYTES:
            raise LimitExceededError(f"{what} would be larger than 4 MiB")
        answer = self._client.call(
            Request(
                method="PUT",
                target=f"manifests/{tag}",
                what=what,
                actions=PUSH,
                headers={"Content-Type": INDEX, "Content-Length": str(len(raw))},
                body=lambda: raw,
            )
        )
        expect(answer, {200, 201, 202}, what, self._client.registry)


class _Watch:
    """Watches a list that others write, too: when to write, and when it is left alone."""

    def __init__(self, sleep: Callable[[float], None]) -> None:
        self.writes = 0
        self._sleep = sleep
        self._slowest = 0.0
        self._rested = True
        self._last: object = None

    @contextlib.contextmanager
    def timing(self) -> Iterator[None]:
        """Note how long the registry takes for an answer."""
        started = time.monotonic()
        yield
        self._slowest = max(self._slowest, time.monotonic() - started)

    def stayed(self, listed: object) -> bool:
        """Tell whether the list is as it was a while ago; if not, wait for that while."""
        if self._last == listed:
            return True
        self._last = listed
        self._sleep(max(between(*_SETTLING), _SLOWNESS * self._slowest))
        return False

    def may_write(self) -> bool:
        """Tell whether to write now; if we were overwritten, wait, and read again first."""
        self._last = None
        if self._rested:
            self.writes += 1
            self._rested = False
            return True
        longest = min(_FIRST_PAUSE * 2.0**self.writes, _LONGEST_PAUSE)
        self._sleep(between(0.0, max(longest, self._slowest)))
        self._rested = True
        return False


_ACCEPT = {"Accept": INDEX}
_LINK = re.compile(r"<([^<>]*)>([^<>]*)")
_NEXT = re.compile(r";\s*rel\s*=\s*\"?next\b", re.IGNORECASE)


def next_page(answer: Answer, what: str) -> Target | None:
    """Return the next page of a list (`Link: <…>; rel="next"`, RFC 8288); same origin only.

    Raises:
        UnavailableError: it is at another origin, or is the page itself.
    """
    links = _LINK.findall(answer.headers.get("link", ""))
    following = [location for location, parameters in links if _NEXT.search(parameters)]
    if not following:
        return None
    target = answer.target.join(following[0], f"the next page of {what}")
    if target.origin != answer.target.origin or target == answer.target:
        raise UnavailableError(f"the next page of {what} is at {target.url}, which is not followed")
    return target


def _index(raw: bytes, what: str) -> dict[str, Any]:
    value = parse_json_object(raw, what)
    if value.get("manifests", raw) is None:
        value["manifests"] = []  # how Go writes an empty list, and olareg its answer
    if not isinstance(value.get("manifests"), list) or "layers" in value:
        raise InvalidDocumentError(
            f"{what}: there is no list of manifests in it",
            hint="delete the tag or repair it, then attach the statements again",
        )
    if len(value["manifests"]) > MAX_DESCRIPTORS:
        raise LimitExceededError(f"{what}: more than {MAX_DESCRIPTORS} entries")
    return value


def _entries(index: Mapping[str, Any]) -> list[object]:
    entries: list[object] = index["manifests"]
    return entries


def _digest_of(entry: object) -> object:
    return entry.get("digest") if isinstance(entry, dict) else None


def _by_digest(entries: list[object]) -> dict[str, Any]:
    named = ((_digest_of(entry), entry) for entry in entries)
    return {digest: entry for digest, entry in named if isinstance(digest, str)}


def _has(entries: list[object], digest: str) -> bool:
    return any(_digest_of(entry) == digest for entry in entries)


def _once(entries: list[object]) -> list[object]:
    seen: set[str] = set()
    kept = []
    for entry in entries:
        digest = _digest_of(entry)
        if isinstance(digest, str):
            if digest in seen:
                continue
            seen.add(digest)
        kept.append(entry)
    return kept


def _descriptors(entries: list[object], subject: Digest) -> list[Descriptor]:
    found: dict[Digest, Descriptor] = {}
    for entry in entries:
        descriptor = _descriptor(entry)
        if descriptor is not None:
            found.setdefault(descriptor.digest, descriptor)
    if len(found) > MAX_REFERRERS:
        raise LimitExceededError(
            f"{subject} has {len(found)} referrers; at most {MAX_REFERRERS} are read",
            hint="delete junk referrers, or make the model anew in a clean repository",
        )
    return list(found.values())


def _descriptor(entry: object) -> Descriptor | None:
    """Read one entry as far as it is sound; None if it names no manifest."""
    if not isinstance(entry, dict):
        return None
    core = {name: entry.get(name) for name in ("mediaType", "digest", "size")}
    try:
        descriptor = Descriptor.parse(core, "entry")
    except InvalidDocumentError:
        return None
    if descriptor.media_type not in MANIFEST_TYPES or descriptor.size > MAX_MANIFEST_BYTES:
        return None
    for hint in ("artifactType", "annotations"):
        try:
            descriptor = Descriptor.parse({**core, hint: entry.get(hint)}, "entry")
        except InvalidDocumentError:
            continue
        core[hint] = entry.get(hint)
    return Descriptor.parse(core, "entry")
