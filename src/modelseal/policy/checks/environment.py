# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""`environment`: a machine whose TPM is known was in a known state, and a role says so.

The quotes come verified; whose attestation key signed one, and which values its PCRs have to have,
is what this rule pins (docs/environment-attestation.md).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from modelseal.policy.decision import Finding, Remediation
from modelseal.policy.evidence import Evidence
from modelseal.policy.roles import Role
from modelseal.trust.environment import Quote


@dataclass(frozen=True, slots=True)
class Environment:
    """Signers of `role` attached a quote by one of `keys`, with the values of `pcrs`.

    Attributes:
        id: the rule's name.
        role: who has to have verified and signed it.
        keys: names of attestation keys as the TPM has them (hex), or fingerprints (`sha256:…`).
        pcrs: the values that are allowed (hex), by bank and number; of each one has to be there.
    """

    id: str
    role: Role
    keys: frozenset[str]
    pcrs: Mapping[str, Mapping[int, frozenset[str]]] = field(hash=False)

    def run(self, evidence: Evidence, now: datetime) -> Iterator[Finding]:  # noqa: ARG002 - the protocol's
        """Look for a quote that has it all."""
        proofs = evidence.environments
        if self.role.filled_by(p.statement for p in proofs if not self._refusal(p.quote)):
            return
        signed = set(self.role.signed(p.statement for p in proofs))
        of_role = [proof for proof in proofs if proof.statement in signed]
        told = sorted({self._refusal(proof.quote) or "holds" for proof in of_role})
        yield Finding(
            rule=self.id,
            message="no quote of a TPM says that the machine was as the policy asks",
            expected=f"a quote by {' or '.join(sorted(self.keys))}{self._wanted()}, "
            f"signed by {self.role}",
            observed="; ".join(told) or "no quote by that role was verified",
            remediation=Remediation(
                "quote on the machine that the policy names, started as it asks",
                "modelseal environment quote REF --ak AK",
            ),
            evidence=tuple(proof.statement.bundle for proof in proofs),
        )

    def _wanted(self) -> str:
        named = [f"{bank}:{number}" for bank, values in self.pcrs.items() for number in values]
        return f" with the values of {', '.join(named)}" if named else ""

    def _refusal(self, quote: Quote) -> str:
        if not self.keys & {quote.ak_name, quote.ak_key.fingerprint}:
            return f"quoted by another attestation key, {quote.ak_name}"
        for bank, values in self.pcrs.items():
            for number, allowed in values.items():
                quoted = quote.pcrs.get(bank, {}).get(number)
                if quoted not in allowed:
                    return f"PCR {bank}:{number} is {quoted or 'not quoted'}"
        return ""
