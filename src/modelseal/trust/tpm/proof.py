# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""From a verified statement about an environment, and its evidence, to what both show together."""

from collections.abc import Mapping
from typing import Any

from modelseal.errors import ContentMismatchError, VerificationError
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.trust.environment import ProvenEnvironment
from modelseal.trust.identity import VerifiedStatement
from modelseal.trust.tpm.quote import verify_quote


def prove_quote(
    statement: VerifiedStatement, conditions: Mapping[str, Any], evidence: Descriptor, raw: bytes
) -> ProvenEnvironment:
    """Return what a statement and the evidence that it names show about its subject.

    Args:
        statement: verified; `conditions` and `evidence` were read from its predicate.
        conditions: what it says about the quote.
        evidence: which bytes have to show it.
        raw: the bytes that were found.

    Raises:
        ContentMismatchError: they are others.
        VerificationError: as `verify_quote` does; `other-conditions`: the quote shows something
            else than the statement says.
    """
    if len(raw) != evidence.size or Digest.of(raw) != evidence.digest:
        raise ContentMismatchError(f"the evidence {evidence.digest} has other bytes than signed")
    quote = verify_quote(raw, statement.subject)
    if dict(conditions) != quote.conditions():
        raise VerificationError(
            f"the evidence {evidence.digest} shows another nonce or other PCR values than the "
            "statement says",
            hint="have the machine quote again: modelseal environment quote REF",
            code="other-conditions",
        )
    return ProvenEnvironment(statement, quote)
