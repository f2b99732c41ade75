# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Evidence about machines that verified statements name: fetched, compared, and verified."""

from collections.abc import Iterator, Sequence
from typing import Final

from modelseal.attest.predicates.environment import (
    TPM2_QUOTE_VERIFIED,
    EnvironmentClaim,
    environment_claims,
)
from modelseal.attest.predicates.types import SCAI
from modelseal.errors import (
    ContentError,
    Error,
    LimitExceededError,
    NotFoundError,
    VerificationError,
)
from modelseal.oci.store import ReadableStore, fetch_bytes
from modelseal.trust.environment import ProvenEnvironment
from modelseal.trust.identity import VerifiedStatement
from modelseal.trust.tpm.evidence import MAX_EVIDENCE_BYTES
from modelseal.trust.tpm.proof import prove_quote
from modelseal.workflows.gather import Rejection

MAX_ENVIRONMENTS: Final = 16
"""Most evidence of environments that is read for one model."""


def read_quotes(
    store: ReadableStore, statements: Sequence[VerifiedStatement]
) -> tuple[list[ProvenEnvironment], list[Rejection]]:
    """Read and verify the TPM quotes that verified statements name as their evidence.

    Whose attestation key it is, is left to the caller.

    Raises:
        LimitExceededError: there are more than `MAX_ENVIRONMENTS`.
        UnavailableError: the store did not answer.
    """
    proofs: list[ProvenEnvironment] = []
    rejections: list[Rejection] = []
    for statement, claim in _claims(statements, rejections):
        if len(proofs) + len(rejections) >= MAX_ENVIRONMENTS:
            raise LimitExceededError(
                f"{statement.subject} has evidence of over {MAX_ENVIRONMENTS} environments"
            )
        try:
            raw = fetch_bytes(store, claim.evidence, limit=MAX_EVIDENCE_BYTES)
            proofs.append(prove_quote(statement, claim.conditions, claim.evidence, raw))
        except NotFoundError as error:
            rejections.append(rejection_of(statement, "missing-evidence", error))
        except (ContentError, VerificationError) as error:
            rejections.append(rejection_of(statement, error.reason, error))
    return proofs, rejections


def _claims(
    statements: Sequence[VerifiedStatement], rejections: list[Rejection]
) -> Iterator[tuple[VerifiedStatement, EnvironmentClaim]]:
    for statement in statements:
        if statement.predicate_type != SCAI:
            continue
        try:
            for claim in environment_claims(statement.predicate, TPM2_QUOTE_VERIFIED):
                yield statement, claim
        except ContentError as error:
            rejections.append(rejection_of(statement, "broken-quote", error))


def rejection_of(statement: VerifiedStatement, reason: str, error: Error) -> Rejection:
    """Return why what a statement says about a machine does not count."""
    return Rejection(
        referrer=statement.bundle, reason=reason, message=str(error), claimed_type=SCAI
    )
