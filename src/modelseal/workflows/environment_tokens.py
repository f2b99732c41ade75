# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Tokens of attestation services (EAT) as evidence about a machine. Experimental.

docs/environment-attestation.md, "Tokens of confidential computing", has what is checked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from modelseal.attest.predicates.environment import EAT_VERIFIED, EnvironmentClaim
from modelseal.attest.referrers import attach_evidence
from modelseal.errors import ContentMismatchError, VerificationError
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.store import ReadableStore
from modelseal.trust.eat.token import MEDIA_TYPE, TokenPolicy, check_token
from modelseal.trust.environment import Token
from modelseal.trust.identity import VerifiedStatement
from modelseal.trust.signer import Signer
from modelseal.workflows.attest import Attached
from modelseal.workflows.choose import document_of
from modelseal.workflows.environment import attest_claim
from modelseal.workflows.environment_evidence import read_evidence
from modelseal.workflows.gather import Rejection
from modelseal.workflows.services import Clock, Services
from modelseal.workflows.trust import Trust
from modelseal.workflows.verify import verify


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedToken:
    """A token that now hangs on a model, with the statement about it."""

    subject: Descriptor
    token: Token
    evidence: Descriptor
    attached: Attached


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvenToken:
    """A verified statement, the token that it names, and the time that this was verified for."""

    statement: VerifiedStatement
    token: Token
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenVerification:
    """The tokens about a model that hold, and what does not, with the reasons."""

    subject: Descriptor
    tokens: tuple[ProvenToken, ...]
    rejections: tuple[Rejection, ...]


def attest_token(
    name: str | Digest, raw: bytes, policy: TokenPolicy, signer: Signer, services: Services
) -> AttachedToken:
    """Verify a token now, and attach it and a statement about it.

    Args:
        name: a model in the store.
        raw: the token, as the service gave it.
        policy: which tokens count.
        signer: signs the statement.
        services: the store, the clock and the events.

    Raises:
        VerificationError: as `check_token` does; nothing is attached.
        Error: as `attest_manifest` does.
    """
    signer.check()
    subject = services.store.resolve(name)
    document_of(services.store, subject)
    token = check_token(raw, subject.digest, policy, services.clock())
    evidence = attach_evidence(services.store, subject, raw, MEDIA_TYPE, services.clock())
    claim = EnvironmentClaim(EAT_VERIFIED, token.conditions(), evidence)
    attached = attest_claim(subject, claim, signer, services)
    return AttachedToken(subject=subject, token=token, evidence=evidence, attached=attached)


def verify_tokens(
    name: str | Digest,
    trust: Trust,
    policy: TokenPolicy,
    *,
    store: ReadableStore,
    clock: Clock,
    at: datetime | None = None,
) -> TokenVerification:
    """Verify that a service vouched for the machine; return only if a token holds.

    Tokens live for minutes or hours. One is verified for the moment at which the statement about it
    was signed, if something verified says when; else for `at`, else for now.

    Raises:
        NotVerifiedError, PolicyDeniedError: nobody of `trust` says anything about it.
        VerificationError: no token holds; the message has the reason of each.
    """
    found = verify(name, trust, store=store, clock=clock)
    prove = partial(_prove, policy=policy, at=at or clock())
    proofs, rejections = read_evidence(store, found.statements, EAT_VERIFIED, "broken-token", prove)
    if not proofs:
        raise _none(found.subject.digest, rejections)
    return TokenVerification(
        subject=found.subject, tokens=tuple(proofs), rejections=tuple(rejections)
    )


def _prove(
    statement: VerifiedStatement,
    conditions: Mapping[str, Any],
    evidence: Descriptor,
    raw: bytes,
    *,
    policy: TokenPolicy,
    at: datetime,
) -> ProvenToken:
    if len(raw) != evidence.size or Digest.of(raw) != evidence.digest:
        raise ContentMismatchError(f"the evidence {evidence.digest} has other bytes than signed")
    time = statement.signed_at or at
    token = check_token(raw, statement.subject, policy, time)
    # What the statement says had to match is whoever signed it's; ours is asked for above.
    if conditions.get("nonce") != token.nonce or conditions.get("issuer") != token.issuer:
        raise VerificationError(
            f"the token {evidence.digest} has another nonce or issuer than the statement says",
            hint="have a token made again, for this model",
            code="other-conditions",
        )
    return ProvenToken(statement=statement, token=token, at=time)


def _none(subject: Digest, rejections: list[Rejection]) -> VerificationError:
    if not rejections:
        return VerificationError(
            f"nothing that was verified about {subject} has a token",
            hint="modelseal environment token REF --token FILE --jwks FILE attaches one",
            code="no-token",
        )
    reasons = {rejection.reason for rejection in rejections}
    return VerificationError(
        f"no token about {subject} holds: "
        + "; ".join(dict.fromkeys(rejection.message for rejection in rejections)),
        hint="`--at TIME` says when it has to have been valid, where no verified time does",
        code=reasons.pop() if len(reasons) == 1 else "not-verified",
    )
