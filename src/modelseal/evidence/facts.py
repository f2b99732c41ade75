# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What is known about a model and how well, and what is missing: facts and findings."""

from dataclasses import dataclass
from enum import StrEnum


class Basis(StrEnum):
    """How a fact is known."""

    VERIFIED = "verified"
    """Computed from bytes or asked of the system that it is about."""
    DECLARED = "declared"
    """Somebody wrote it down: `modelseal.yaml`, a file that it names, a CI system's variable."""
    INFERRED = "inferred"
    """Concluded from other facts; a guess that is right as a rule."""


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing that a person wants to know: `code: commit 4f2a…, clean`."""

    topic: str
    """What it is about, one or two words: `code`, `data`, `environment`."""
    text: str
    """The fact, in words that a person understands."""
    basis: Basis


class Level(StrEnum):
    """How bad a finding is, in the words of SARIF 2.1.0, section 3.27.10."""

    ERROR = "error"
    """Something contradicts itself, or is not what it is said to be."""
    WARNING = "warning"
    """Something that ought to be known is not."""
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is missing or does not hold. No value stands in for what is missing."""

    id: str
    """Constant, in kebab case: `dataset-without-digest`."""
    message: str
    """What, and of what."""
    level: Level = Level.WARNING
    where: str = ""
    """The field or the file and its line: `modelseal.yaml: spec.training.datasets[0]`."""
    add: str = ""
    """The lines to add to `modelseal.yaml`, as YAML from the top; empty when that is no way out."""
    hint: str = ""
    """What to do otherwise."""

    def to_json(self) -> dict[str, str]:
        """Return the fields that are set."""
        fields = {
            "id": self.id,
            "level": str(self.level),
            "message": self.message,
            "where": self.where,
            "add": self.add,
            "hint": self.hint,
        }
        return {key: value for key, value in fields.items() if value}
