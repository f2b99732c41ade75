# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Rotations and uses of keys, as text and as JSON."""

from collections.abc import Iterator, Sequence
from typing import Any

from modelseal.workflows.key_use import KeyUse
from modelseal.workflows.rotate import Release, Rotated, SignedStatement


def uses_as_json(uses: Sequence[KeyUse]) -> list[dict[str, Any]]:
    """Return one object a statement."""
    return [
        {
            "key": use.key,
            "verified": use.verified,
            "release": use.release,
            "predicateType": use.predicate_type,
        }
        for use in uses
    ]


def uses_as_text(uses: Sequence[KeyUse]) -> Iterator[str]:
    """Write a paragraph a key, the claimed ones told apart."""
    last: tuple[str, bool] | None = None
    for use in uses:
        if (use.key, use.verified) != last:
            last = (use.key, use.verified)
            yield f"{use.key} ({'verified' if use.verified else 'claimed, not checked'})"
        yield f"  {use.release}: {use.predicate_type}"
    if last is None:
        yield "no statement is signed by a key"


def rotation_as_json(
    location: str, keys: tuple[str, str], done: Sequence[Rotated], *, dry_run: bool
) -> dict[str, Any]:
    """Return what was done, or would be, about every release."""
    return {
        "location": location,
        "oldKey": keys[0],
        "newKey": keys[1],
        "dryRun": dry_run,
        "releases": [_release(one) for one in done],
    }


def _release(one: Rotated) -> dict[str, Any]:
    release = one.release
    return {
        "digest": str(release.subject.digest),
        "tags": list(release.tags),
        "signedAnew": [_statement(item) for item in release.missing],
        "signedAlready": [
            _statement(item) for item in release.signed_before if item not in release.missing
        ],
        "leftAlone": [_statement(item) for item in release.left_alone],
        "recorded": release.recorded and bool(release.signed_before),
        "referrers": [str(digest) for digest in one.referrers],
    }


def _statement(item: SignedStatement) -> dict[str, str]:
    return {"predicateType": item.predicate_type, "payload": str(item.digest)}


def rotation_as_text(
    keys: tuple[str, str], done: Sequence[Rotated], *, dry_run: bool
) -> Iterator[str]:
    """Write a line a release, and what was signed below it."""
    yield f"old key: {keys[0]}"
    yield f"new key: {keys[1]}"
    for one in done:
        release = one.release
        yield f"{', '.join(release.tags) or release.subject.digest}: {_told(release, dry_run)}"
        yield from (f"  {item.predicate_type}" for item in release.missing)
        yield from (f"  left alone: {item.predicate_type}" for item in release.left_alone)


def _told(release: Release, dry_run: bool) -> str:
    if not release.signed_before:
        return "nothing that the old key signed and that may be signed anew"
    if release.done:
        return "done before"
    verb = "would be signed" if dry_run else "signed"
    return f"{len(release.missing)} {verb} anew, and {'to be ' if dry_run else ''}recorded"
