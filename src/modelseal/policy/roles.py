# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Roles: who is meant, by exact identities, and how many of them are needed."""

from collections.abc import Iterable
from dataclasses import dataclass

from modelseal.errors import InvalidPolicyError
from modelseal.trust.identity import SignerIdentity, VerifiedStatement


@dataclass(frozen=True, slots=True)
class Role:
    """A set of signers, of whom `threshold` different ones have to agree.

    Raises `InvalidPolicyError` for a role that nobody or everybody would fill.
    """

    name: str
    threshold: int
    signers: frozenset[SignerIdentity]

    def __post_init__(self) -> None:
        if not self.signers:
            raise InvalidPolicyError(
                f"the role {self.name} names nobody", hint="list its identities"
            )
        if not 1 <= self.threshold <= len(self.signers):
            raise InvalidPolicyError(
                f"the role {self.name} asks for {self.threshold} of {len(self.signers)} signers",
                hint="a threshold is at least 1 and at most the number of identities",
            )

    def signed(self, statements: Iterable[VerifiedStatement]) -> tuple[VerifiedStatement, ...]:
        """Return the statements that signers of this role made."""
        return tuple(s for s in statements if s.signer in self.signers)

    def filled_by(self, statements: Iterable[VerifiedStatement]) -> bool:
        """Tell whether enough different signers of this role made one of the statements."""
        return len({s.signer for s in self.signed(statements)}) >= self.threshold

    def __str__(self) -> str:
        names = ", ".join(sorted(str(signer) for signer in self.signers))
        return f"{self.threshold} of {names}" if len(self.signers) > 1 else names
