# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Verify: who vouches for a model, and does the policy take it.

The steps are those of docs/verification.md, in its order and numbering.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from modelseal.attest.predicates.types import SIGNATURE
from modelseal.errors import DeniedError, Error, UnavailableError, VerificationError
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.manifest import Index, Manifest
from modelseal.oci.store import ReadableStore
from modelseal.policy.decision import Decision
from modelseal.policy.document import Policy
from modelseal.policy.evaluate import (
    asked_types,
    asks_for_environments,
    evaluate,
    is_positive,
)
from modelseal.policy.evidence import Evidence
from modelseal.trust.environment import ProvenEnvironment
from modelseal.trust.identity import VerifiedStatement
from modelseal.workflows.choose import Chosen, choose, document_of
from modelseal.workflows.gather import ANOTHER_KIND, Gathered, Rejection, gather
from modelseal.workflows.references import read_documents
from modelseal.workflows.services import Clock
from modelseal.workflows.trust import Trust


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """A manifest or an index, what was verified about it, and the decision.

    Attributes:
        subject: what the statements are about, by its digest.
        manifest: the document with that digest.
        model: the one manifest that this is the verification of: `subject` itself, or one that
            the index `subject` lists; None for an index as a whole.
        unread: how many referrers were not looked at, because the policy holds without them, or
            because they say to be of types that it does not ask for.
    """

    subject: Descriptor
    manifest: Manifest | Index
    model: Descriptor | None
    decision: Decision
    statements: tuple[VerifiedStatement, ...]
    rejections: tuple[Rejection, ...]
    unread: int = 0

    @property
    def counted(self) -> tuple[VerifiedStatement, ...]:
        """The statements, signatures first, then by predicate type."""
        return tuple(sorted(self.statements, key=lambda s: (s.predicate_type, str(s.bundle))))


class NotVerifiedError(VerificationError):
    """Nobody who was asked for vouches for the model; `verification` holds the details."""

    def __init__(self, message: str, *, hint: str, code: str, verification: Verification) -> None:
        """Keep what was found, for people and for `--output json`."""
        super().__init__(message, hint=hint, code=code)
        self.verification = verification


class PolicyDeniedError(DeniedError):
    """The policy says no; `verification.decision` holds every finding."""

    def __init__(self, message: str, *, hint: str, verification: Verification) -> None:
        """Keep what was found, for people and for `--output json`."""
        super().__init__(message, hint=hint)
        self.verification = verification


def verify(name: str | Digest, trust: Trust, *, store: ReadableStore, clock: Clock) -> Verification:
    """Verify what `name` points at; return only when the policy of `trust` allows it.

    Raises:
        NotVerifiedError: no statement of the type that is asked for, by whom it is asked for.
        PolicyDeniedError: a policy file's rules do not hold.
        NotFoundError, ContentError, UnavailableError: it cannot be told.
    """
    # (1) Resolve once. From here on only the digest counts, so a tag that moves in the
    #     meantime changes nothing.
    subject = store.resolve(name)

    # (2) Fetch the manifest by its digest: the bytes are checked before they mean anything.
    manifest = document_of(store, subject)

    # (3) Gather: referrers -> bundles -> verified statements about exactly this digest.
    #     A predicate that was signed by digest is a document beside the model.
    #     Where many hang there, those that say they are of an asked type are read first, and no
    #     more than the policy needs, if no further statement could change its mind for the worse.
    gathered = gather(
        store,
        subject,
        trust.verifiers,
        wanted=asked_types(trust.policy),
        only_wanted=is_positive(trust.policy),
        enough=partial(_enough, trust.policy, subject.digest, clock()),
    )
    #     So is the evidence about a machine, if a rule asks for one.
    gathered = read_documents(store, gathered, lambda kind: trust.asked_type in {"", kind})
    gathered, environments = _environments(store, gathered, trust.policy)

    # (4) Decide, from verified statements and the clock alone.
    evidence = Evidence(subject.digest, gathered.statements, str(store), environments)
    decision = evaluate(trust.policy, evidence, clock())
    verification = Verification(
        subject=subject,
        manifest=manifest,
        model=subject if isinstance(manifest, Manifest) else None,
        decision=decision,
        statements=gathered.statements,
        rejections=gathered.rejections,
        unread=gathered.unread,
    )
    if decision.allowed:
        return verification
    if trust.from_policy_file:
        raise _denied(verification)
    raise _not_verified(verification, trust.asked_type, gathered)


def _environments(
    store: ReadableStore, gathered: Gathered, policy: Policy
) -> tuple[Gathered, tuple[ProvenEnvironment, ...]]:
    if not asks_for_environments(policy):
        return gathered, ()
    from modelseal.workflows.environment_evidence import read_quotes

    proofs, refused = read_quotes(store, gathered.statements)
    return replace(gathered, rejections=(*gathered.rejections, *refused)), tuple(proofs)


def _enough(
    policy: Policy, subject: Digest, now: datetime, statements: tuple[VerifiedStatement, ...]
) -> bool:
    return is_positive(policy) and evaluate(policy, Evidence(subject, statements), now).allowed


def verify_model(
    name: str | Digest, trust: Trust, *, store: ReadableStore, clock: Clock, platform: str = ""
) -> tuple[Chosen, Verification]:
    """Choose the one model that `name` points at (`choose`), and verify it.

    Of an index, statements about the index count for the manifests that it lists, because it
    lists them by their digests; when those are not enough, the statements about the chosen
    manifest alone have to be. Statements about the two are never added up.

    Raises:
        Error: as `choose` and `verify` do; of an index, what is said about the manifest, or
            about the index when nothing is attached to the manifest.
    """
    chosen = choose(name, store, platform)
    of_index: NotVerifiedError | PolicyDeniedError | None = None
    if chosen.index is not None:
        try:
            found = verify(chosen.index.digest, trust, store=store, clock=clock)
        except (NotVerifiedError, PolicyDeniedError) as error:
            of_index = error
        else:
            return chosen, replace(found, model=chosen.subject)
    try:
        return chosen, verify(chosen.subject.digest, trust, store=store, clock=clock)
    except (NotVerifiedError, PolicyDeniedError) as error:
        attached = error.verification.statements or error.verification.rejections
        if of_index is not None and not attached:
            raise of_index from error
        raise


def verify_in_turn(
    stores: Sequence[ReadableStore], verify_in: Callable[[ReadableStore], Verification]
) -> Verification:
    """Verify in the first store that has enough for it: a cache, then the registry behind it.

    Raises:
        Error: of the last store that answered.
    """
    told: Error | None = None
    for store in stores:
        try:
            return verify_in(store)
        except UnavailableError as error:
            told = told or error
        except (NotVerifiedError, PolicyDeniedError) as error:
            told = error
    assert told is not None  # there is a store
    raise told


def _denied(verification: Verification) -> PolicyDeniedError:
    decision = verification.decision
    count = len(decision.findings)
    return PolicyDeniedError(
        f"{decision.subject} is denied by the policy {decision.policy}: "
        + "; ".join(f"{f.rule}: {f.message}" for f in decision.findings),
        hint=f"{count} finding{'s' * (count > 1)}; what to do: "
        + "; ".join(dict.fromkeys(f.remediation.summary for f in decision.findings)),
        verification=verification,
    )


def _not_verified(
    verification: Verification, asked_type: str, gathered: Gathered
) -> NotVerifiedError:
    digest = verification.subject.digest
    relevant = _relevant(gathered.rejections, asked_type)
    if relevant:
        code = relevant[0].reason if len({r.reason for r in relevant}) == 1 else "not-verified"
        reasons = Counter(rejection.message for rejection in relevant)
        told = "; ".join(_times(message, n) for message, n in reasons.most_common(5))
        message, hint = f"no {asked_type} statement about {digest} holds: {told}", _HINTS.get(code)
    elif gathered.statements:
        kinds = _kinds(s.predicate_type for s in gathered.statements)
        message = f"{digest} has no {asked_type} statement, only {kinds}"
        code, hint = _absent(asked_type)
    elif gathered.rejections or gathered.passed_over:
        claimed = {r.claimed_type or r.reason for r in gathered.rejections}
        kinds = _kinds(claimed | gathered.passed_over)
        message = f"{digest} has no {asked_type} statement, only (not verified) {kinds}"
        code, hint = _absent(asked_type)
    else:
        message, code = f"{digest} is not signed: nothing is attached to it", "unsigned"
        hint = "sign it with `modelseal sign REF`"
    return NotVerifiedError(
        message,
        hint=hint or "`--output json` lists every statement with its reason",
        code=code,
        verification=verification,
    )


def _kinds(types: Iterable[str]) -> str:
    """Name a few of what a stranger may have named in any number and length."""
    told = sorted({name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…" for name in types})
    more = f", and {len(told) - _MOST_KINDS} more types" * (len(told) > _MOST_KINDS)
    return ", ".join(told[:_MOST_KINDS]) + more


_MOST_KINDS, _LONGEST = 10, 200


def _absent(asked_type: str) -> tuple[str, str]:
    if asked_type == SIGNATURE:
        return "no-signature", "a statement of another kind is no signature: `modelseal sign REF`"
    return "no-statement", f"`modelseal attest REF --type {asked_type} --predicate FILE` makes one"


def _relevant(rejections: tuple[Rejection, ...], asked_type: str) -> tuple[Rejection, ...]:
    """Return the rejections that say why the asked statement does not count.

    That a bundle is of the other kind (a key where an identity was asked for) says something
    only when there is no better reason.
    """
    of_type = tuple(r for r in rejections if r.claimed_type in {asked_type, ""})
    return tuple(r for r in of_type if r.reason not in ANOTHER_KIND) or of_type


def _times(message: str, count: int) -> str:
    return message if count == 1 else f"{message} ({count} times)"


_HINTS = {
    "other-identity": "compare --certificate-identity with the identity named above",
    "other-issuer": "compare --certificate-oidc-issuer with the issuer named above",
    "other-key": "name the public key that belongs to the signer's key",
    "wrong-subject": "the bundle was made for another model; sign this one",
    "untrusted-root": "name the Sigstore that signed it with --trusted-root",
    "key-signed-bundle": "it was signed with a key: verify with --key FILE",
    "certificate-bundle": "it was signed keylessly: verify with --certificate-identity and "
    "--certificate-oidc-issuer",
}
