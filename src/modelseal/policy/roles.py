# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Roles: who is meant, by exact identities, and how many of them are needed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from modelseal.errors import InvalidPolicyError
from modelseal.trust.identity import (
    COMPANY_ISSUER,
    NO_CLAIMS,
    Identity,
    Profile,
    SignerIdentity,
    VerifiedStatement,
)


@dataclass(frozen=True, slots=True)
class Member:
    """One signer of a role, and how its statements have to be verified.

    Attributes:
        signer: exactly who.
        profile: what the verifier has to have insisted on.
        claims: what the certificate has to say besides, each exactly (`CLAIM_OIDS`).
    """

    signer: SignerIdentity
    profile: Profile
    claims: Mapping[str, str] = field(default_factory=lambda: NO_CLAIMS, hash=False)

    @classmethod
    def of(cls, signer: SignerIdentity) -> "Member":
        """Return the member that asks for all that can be verified of such a signer."""
        if not isinstance(signer, Identity):
            return cls(signer, Profile.KEY)
        company = signer.issuer.startswith(COMPANY_ISSUER)
        return cls(signer, Profile.CERTIFICATE if company else Profile.KEYLESS)

    def made(self, statement: VerifiedStatement) -> bool:
        """Tell whether the statement is this signer's. A claim that is not there is no match."""
        return (
            statement.signer == self.signer
            and statement.profile is self.profile
            and self.claims.items() <= statement.claims.items()
        )

    def __str__(self) -> str:
        wanted = ", ".join(f"{name} {value}" for name, value in sorted(self.claims.items()))
        return f"{self.signer} with {wanted}" if wanted else str(self.signer)


@dataclass(frozen=True, slots=True)
class Role:
    """Signers, of whom `threshold` different ones have to agree.

    Raises `InvalidPolicyError` for a role that nobody or everybody would fill.
    """

    name: str
    threshold: int
    members: frozenset[Member]

    def __post_init__(self) -> None:
        if not self.members:
            raise InvalidPolicyError(
                f"the role {self.name} names nobody", hint="list its identities"
            )
        if len(self.signers) != len(self.members):
            raise InvalidPolicyError(f"the role {self.name} names one signer twice")
        if not 1 <= self.threshold <= len(self.members):
            raise InvalidPolicyError(
                f"the role {self.name} asks for {self.threshold} of {len(self.members)} signers",
                hint="a threshold is at least 1 and at most the number of identities",
            )

    @property
    def signers(self) -> frozenset[SignerIdentity]:
        """The members, by identity alone."""
        return frozenset(member.signer for member in self.members)

    def signed(self, statements: Iterable[VerifiedStatement]) -> tuple[VerifiedStatement, ...]:
        """Return the statements that members of this role made, verified as they ask."""
        return tuple(s for s in statements if any(member.made(s) for member in self.members))

    def filled_by(self, statements: Iterable[VerifiedStatement]) -> bool:
        """Tell whether enough different signers of this role made one of the statements."""
        return len({s.signer for s in self.signed(statements)}) >= self.threshold

    def __str__(self) -> str:
        names = ", ".join(sorted(str(member) for member in self.members))
        return f"{self.threshold} of {names}" if len(self.members) > 1 else names
