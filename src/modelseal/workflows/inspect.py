# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Inspect: what a manifest and its referrers say, with nothing verified."""

from collections.abc import Iterator
from dataclasses import dataclass

from modelseal.attest.referrers import UnreadableReferrer, attached_bundles
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.manifest import Manifest
from modelseal.oci.store import ReadableStore
from modelseal.trust.identity import ClaimedStatement
from modelseal.trust.verifier import read_unsafe
from modelseal.workflows.choose import choose


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a bundle claims, the referrer that holds it, and what that refers to."""

    about: Digest
    referrer: Digest
    statement: ClaimedStatement


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """A model's manifest, the index that lists it, and what the bundles about both claim."""

    subject: Descriptor
    manifest: Manifest
    index: Descriptor | None
    claims: tuple[Claim, ...]


def inspect(name: str | Digest, store: ReadableStore, platform: str = "") -> Inspection:
    """Look at the model that `name` points at.

    Raises:
        Error: as `choose` and `attached_bundles` do.
    """
    chosen = choose(name, store, platform)
    claims = list(claims_about(store, chosen.subject))
    if chosen.index is not None:
        claims += claims_about(store, chosen.index)
    return Inspection(
        subject=chosen.subject,
        manifest=chosen.manifest,
        index=chosen.index,
        claims=tuple(claims),
    )


def claims_about(store: ReadableStore, subject: Descriptor) -> Iterator[Claim]:
    """Yield what the bundles about a manifest or an index claim; nothing is verified."""
    for found in attached_bundles(store, subject):
        if isinstance(found, UnreadableReferrer):
            statement = ClaimedStatement(problem=found.problem)
        else:
            statement = read_unsafe(found.raw)
        yield Claim(about=subject.digest, referrer=found.referrer, statement=statement)
