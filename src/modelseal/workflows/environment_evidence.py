# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Evidence about machines that verified statements name: fetched, compared, and verified."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias, TypeVar

from modelseal.attest.predicates.environment import (
    TPM2_QUOTE_VERIFIED,
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
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.store import ReadableStore, fetch_bytes
from modelseal.trust.environment import ProvenEnvironment
from modelseal.trust.identity import VerifiedStatement
from modelseal.trust.tpm.evidence import MAX_EVIDENCE_BYTES
from modelseal.trust.tpm.proof import prove_quote
from modelseal.workflows.gather import Rejection

T = TypeVar("T")
Prove: TypeAlias = Callable[[VerifiedStatement, Mapping[str, Any], Descriptor, bytes], T]

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
    return read_evidence(store, statements, TPM2_QUOTE_VERIFIED, "broken-quote", prove_quote)


def read_evidence(
    store: ReadableStore,
    statements: Sequence[VerifiedStatement],
    attribute: str,
    broken: str,
    prove: Prove[T],
) -> tuple[list[T], list[Rejection]]:
    """Read the evidence that verified statements name for an attribute, and prove each.

    Args:
        store: holds it.
        statements: verified, of any type.
        attribute: which of their SCAI attributes.
        broken: the reason that is told of a statement that names no evidence.
        prove: returns what statement, conditions and evidence show together.

    Raises:
        LimitExceededError: there are more than `MAX_ENVIRONMENTS`.
        UnavailableError: the store did not answer.
    """
    proofs: list[T] = []
    rejections: list[Rejection] = []
    for statement in statements:
        if statement.predicate_type != SCAI:
            continue
        try:
            claims = list(environment_claims(statement.predicate, attribute))
        except ContentError as error:
            rejections.append(rejection_of(statement, broken, error))
            continue
        for claim in claims:
            if len(proofs) + len(rejections) >= MAX_ENVIRONMENTS:
                raise LimitExceededError(
                    f"{statement.subject} has evidence of over {MAX_ENVIRONMENTS} environments"
                )
            try:
                raw = fetch_bytes(store, claim.evidence, limit=MAX_EVIDENCE_BYTES)
                proofs.append(prove(statement, claim.conditions, claim.evidence, raw))
            except NotFoundError as error:
                rejections.append(rejection_of(statement, "missing-evidence", error))
            except (ContentError, VerificationError) as error:
                rejections.append(rejection_of(statement, error.reason, error))
    return proofs, rejections


def rejection_of(statement: VerifiedStatement, reason: str, error: Error) -> Rejection:
    """Return why what a statement says about a machine does not count."""
    return Rejection(
        referrer=statement.bundle, reason=reason, message=str(error), claimed_type=SCAI
    )
