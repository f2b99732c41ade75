# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Verified statements for tests of what decides: made here, as a verifier would make them."""

from collections.abc import Mapping
from typing import Any

from modelseal.oci.descriptor import Digest
from modelseal.trust.identity import (
    NO_CLAIMS,
    Identity,
    Profile,
    SignerIdentity,
    VerifiedStatement,
)

SUBJECT = Digest.of(b"the model's manifest")
BUILDER = Identity("https://issuer.example", "builder@acme.example")
APPROVER = Identity("https://issuer.example", "approver@acme.example")
NOTHING: Mapping[str, Any] = {}


def verified(
    predicate_type: str,
    signer: SignerIdentity = BUILDER,
    predicate: Mapping[str, Any] = NOTHING,
    subject: Digest = SUBJECT,
    *,
    claims: Mapping[str, str] = NO_CLAIMS,
    profile: Profile | None = None,
) -> VerifiedStatement:
    """Return a statement as if a verifier had accepted it."""
    return VerifiedStatement(
        subject=subject,
        statement_type="https://in-toto.io/Statement/v1",
        predicate_type=predicate_type,
        predicate=predicate,
        signer=signer,
        signed_at=None,
        profile=profile or (Profile.KEYLESS if isinstance(signer, Identity) else Profile.KEY),
        checks=("signature",),
        bundle=Digest.of(f"{predicate_type} by {signer}: {predicate}".encode()),
        claims=claims,
    )
