# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""`signed` and `attested`: a role has made a statement of exactly one predicate type.

cosign takes any statement for a signature; here a signature is the predicate type
`https://sigstore.dev/cosign/sign/v1` and nothing else (reference: GHSA-w6c6-c85g-mmv6).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from modelseal.policy.decision import Finding, Remediation
from modelseal.policy.evidence import Evidence
from modelseal.policy.roles import Role


@dataclass(frozen=True, slots=True)
class Attested:
    """Enough signers of `role` made a `predicate_type` statement about the model."""

    id: str
    predicate_type: str
    role: Role

    def run(self, evidence: Evidence, now: datetime) -> Iterator[Finding]:  # noqa: ARG002 - the protocol's
        """Look for the statements."""
        made = evidence.of_type(self.predicate_type)
        if self.role.filled_by(made):
            return
        signers = sorted({str(s.signer) for s in made})
        yield Finding(
            rule=self.id,
            message=f"no {self.predicate_type} statement by {self.role.name}",
            expected=f"signed by {self.role}",
            observed=f"signed by {', '.join(signers)}" if signers else "no such statement verified",
            remediation=Remediation(
                "let the identity that the policy names sign the model",
                "modelseal sign REF",
            )
            if self.id == "signed"
            else Remediation(
                "attach the statement, signed by the identity that the policy names",
                f"modelseal attest REF --type {self.predicate_type} --predicate FILE",
            ),
            evidence=tuple(s.bundle for s in made),
        )
