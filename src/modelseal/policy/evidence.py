# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a policy sees: verified statements about one manifest, and where it was asked for."""

from dataclasses import dataclass

from modelseal.oci.descriptor import Digest
from modelseal.trust.environment import ProvenEnvironment
from modelseal.trust.identity import VerifiedStatement


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known about a manifest, every item already verified.

    Attributes:
        subject: the manifest.
        statements: about it.
        location: the repository that the caller takes it from, `registry/repository` or
            `oci:PATH`, as the caller named it; empty when that is not known.
        environments: what some of the statements are about, and the evidence that shows it.

    Raises `ValueError` when a statement is about something else: that is a bug of the caller.
    """

    subject: Digest
    statements: tuple[VerifiedStatement, ...]
    location: str = ""
    environments: tuple[ProvenEnvironment, ...] = ()

    def __post_init__(self) -> None:
        about = {statement.subject for statement in self.statements}
        about |= {proof.quote.subject for proof in self.environments}
        about |= {proof.statement.subject for proof in self.environments}
        if about - {self.subject}:
            raise ValueError(f"evidence about something else than {self.subject}")

    def of_type(self, predicate_type: str) -> tuple[VerifiedStatement, ...]:
        """Return the statements of exactly this predicate type."""
        return tuple(s for s in self.statements if s.predicate_type == predicate_type)
