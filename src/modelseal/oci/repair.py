# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a list of referrers, and how it has to be.

Source: distribution-spec v1.1, "Referrers Tag Schema" and "Listing Referrers". Pure: whoever
calls reads the manifests and writes the list.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from modelseal.oci.descriptor import Descriptor, Digest

FIELDS = ("mediaType", "size", "artifactType", "annotations")
"""What an entry says of a manifest, and the manifest says itself."""


class Action(StrEnum):
    """What is done about an entry."""

    CORRECTED = "corrected"
    REMOVED = "removed"
    ADDED = "added"
    RELISTED = "relisted"
    """The manifest is pushed again, so that a registry which keeps the list itself lists it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One entry of the list; `referrer` is its digest as it stands there, or empty."""

    action: Action
    referrer: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """What was found, and done unless it was only to be told.

    Attributes:
        subject: the manifest that the list is about.
        has_api: whether the registry keeps the list itself, so that there is no tag to write.
        tag: the tag that lists otherwise.
        entries: how many entries the list had.
        changes: what is wrong, and what was done about each.
        scanned: how many tags were looked at for manifests that no list names.
        unscanned: how many were not.
        written: whether anything was written.
    """

    subject: Digest
    has_api: bool
    tag: str
    entries: int
    changes: tuple[Change, ...]
    scanned: int
    unscanned: int
    written: bool


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a manifest is no referrer of the subject."""

    text: str


Look = Callable[[Digest], Descriptor | Problem]
"""Returns the entry that a manifest has to have in the list, read from its own bytes."""


def mend(
    entries: Sequence[object], found: Iterable[Digest], look: Look
) -> tuple[list[Any], tuple[Change, ...]]:
    """Return the list as it has to be, and what differs.

    Fields of an entry that say nothing about its manifest (`platform`, unknown ones) stay.

    Args:
        entries: as they stand in the list.
        found: manifests that may belong into it.
        look: reads a manifest.
    """
    mended: list[Any] = []
    changes: list[Change] = []
    seen: set[Digest] = set()
    for entry in entries:
        digest = digest_of(entry)
        if digest is None:
            changes.append(Change(Action.REMOVED, _told(entry), "it names no manifest"))
        elif digest in seen:
            changes.append(Change(Action.REMOVED, str(digest), "it stands there twice"))
        else:
            seen.add(digest)
            _mend_one(entry, digest, look(digest), mended, changes)
    for digest in found:
        if digest in seen:
            continue
        seen.add(digest)
        right = look(digest)
        if isinstance(right, Descriptor):
            mended.append(right.to_json())
            changes.append(Change(Action.ADDED, str(digest), "it was not listed"))
    return mended, tuple(changes)


def digest_of(entry: object) -> Digest | None:
    """Return the digest of an entry, if it has one."""
    try:
        return Digest.parse(entry["digest"]) if isinstance(entry, dict) else None
    except Exception:  # noqa: BLE001 - whatever stands there, it is no digest
        return None


def _mend_one(
    entry: Any,  # noqa: ANN401 - any JSON object
    digest: Digest,
    right: Descriptor | Problem,
    mended: list[Any],
    changes: list[Change],
) -> None:
    if isinstance(right, Problem):
        changes.append(Change(Action.REMOVED, str(digest), right.text))
        return
    wanted = right.to_json()
    wrong = [field for field in FIELDS if entry.get(field) != wanted.get(field)]
    if wrong == ["annotations"] and not wanted.get("annotations") and not entry["annotations"]:
        wrong = []  # `{}` and nothing mean the same
    if wrong:
        rest = {key: value for key, value in entry.items() if key not in FIELDS}
        changes.append(Change(Action.CORRECTED, str(digest), _differs(entry, wrong)))
        entry = {**rest, **wanted}
    mended.append(entry)


def _differs(entry: dict[str, Any], wrong: list[str]) -> str:
    missing = [field for field in wrong if field not in entry]
    other = [field for field in wrong if field in entry]
    parts = [f"{', '.join(missing)} missing"] if missing else []
    parts += [f"{', '.join(other)} not as in the manifest"] if other else []
    return "; ".join(parts)


def _told(entry: object) -> str:
    value = entry.get("digest") if isinstance(entry, dict) else None
    return value[:160] if isinstance(value, str) else ""
