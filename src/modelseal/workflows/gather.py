# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Referrers to bundles to verified statements; what failed is kept with its reason."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from modelseal.attest.predicates.types import OMS
from modelseal.attest.referrers import AttachedBundle, Attachments, UnreadableReferrer
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
    unread: int = 0
    """How many were not read: what was read was enough, or they say to be of other types."""
    passed_over: frozenset[str] = frozenset()
    """The predicate types that those say to have that were not read because of it."""


def gather(
    store: ReadableStore,
    subject: Descriptor,
    verifiers: Sequence[Verifier],
    *,
    wanted: Collection[str] = (),
    only_wanted: bool = False,
    enough: Callable[[tuple[VerifiedStatement, ...]], bool] = lambda _: False,
) -> Gathered:
    """Verify the bundles about `subject`, each with the first verifier that accepts it.

    Args:
        store: holds them.
        subject: what they are about.
        verifiers: who is believed.
        wanted: predicate types whose bundles are read first.
        only_wanted: where many hang there, do not read bundles that say to be of other types. As
            `enough`, only for questions that no further statement could answer otherwise.
        enough: told after each batch what was verified so far; when it is content, the rest is
            not read. Only for questions that no further statement could answer otherwise.

    Raises:
        LimitExceededError, UnavailableError: as `attached_bundles` does.
    """
    statements: dict[Digest, VerifiedStatement] = {}
    rejections: list[Rejection] = []
    attached = Attachments(store, subject, wanted, only_wanted=only_wanted)
    for batch in attached:
        for found in batch:
            outcome = _judge(found, subject.digest, verifiers)
            if isinstance(outcome, Rejection):
                rejections.append(outcome)
            else:
                statements[outcome.bundle] = outcome
        if attached.unread and enough(tuple(statements.values())):
            break
    rejections.sort(key=lambda rejection: rejection.referrer)
    return Gathered(
        tuple(statements.values()),
        tuple(rejections),
        attached.unread,
        frozenset(attached.passed_over),
    )


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
