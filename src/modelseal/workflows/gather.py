# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Referrers to bundles to verified statements; what failed is kept with its reason."""

from collections.abc import Sequence
from dataclasses import dataclass

from modelseal.attest.predicates.types import OMS
from modelseal.attest.referrers import AttachedBundle, UnreadableReferrer, attached_bundles
from modelseal.errors import VerificationError
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.store import ReadableStore
from modelseal.trust.identity import VerifiedStatement
from modelseal.trust.verifier import Verifier, read_unsafe

ANOTHER_KIND = frozenset({"key-signed-bundle", "certificate-bundle"})
"""Reasons that only say: this verifier is for the other kind of bundle."""

ABOUT_FILES = "about-files"
"""The reason that is none to worry: an OMS signature, which is verified in another way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """A referrer that does not count, and why. `claimed_type` is what it says of itself."""

    referrer: Digest
    reason: str
    message: str
    claimed_type: str = ""


@dataclass(frozen=True, slots=True)
class Gathered:
    """What hangs on a manifest: what was verified, and what was not."""

    statements: tuple[VerifiedStatement, ...]
    rejections: tuple[Rejection, ...]


def gather(store: ReadableStore, subject: Descriptor, verifiers: Sequence[Verifier]) -> Gathered:
    """Verify every bundle about `subject` with the first verifier that accepts it.

    Raises:
        LimitExceededError, UnavailableError: as `attached_bundles` does.
    """
    statements: dict[Digest, VerifiedStatement] = {}
    rejections = []
    for found in attached_bundles(store, subject):
        outcome = _judge(found, subject.digest, verifiers)
        if isinstance(outcome, Rejection):
            rejections.append(outcome)
        else:
            statements[outcome.bundle] = outcome
    return Gathered(tuple(statements.values()), tuple(rejections))


def _judge(
    found: AttachedBundle | UnreadableReferrer, subject: Digest, verifiers: Sequence[Verifier]
) -> VerifiedStatement | Rejection:
    if isinstance(found, UnreadableReferrer):
        return Rejection(
            referrer=found.referrer, reason="unreadable-referrer", message=found.problem
        )
    errors = []
    for verifier in verifiers:
        try:
            return verifier.verify(found.raw, subject=subject)
        except VerificationError as error:
            errors.append(error)
    # The verifier that is made for this kind of bundle says the most.
    told = next((error for error in errors if error.reason not in ANOTHER_KIND), errors[0])
    claimed_type = read_unsafe(found.raw).predicate_type
    if claimed_type == OMS and told.reason == "wrong-subject":
        told = VerificationError(
            "it is about the model's files, not about the manifest: verify it with --oms",
            code=ABOUT_FILES,
        )
    return Rejection(
        referrer=found.referrer,
        reason=told.reason,
        message=str(told),
        claimed_type=claimed_type,
    )
