# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""SCAI attribute reports: what a model, or the place where it was made, is like, and what shows it.

Source: in-toto attestation framework, `spec/predicates/scai.md`, v0.3. An attribute is a word that
a policy looks for; its evidence is named by digest. What stands here is said by the signer, and
counts as much as whoever signed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modelseal.attest.predicates.provenance import ResourceDescriptor
from modelseal.errors import InvalidDocumentError


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeAssertion:
    """One attribute of the subject, or of the `target` if there is one."""

    attribute: str
    """A word in capitals that never changes its meaning: `NO_PERSONAL_DATA`."""
    target: ResourceDescriptor | None = None
    """What it is about, if not the subject itself: a dataset, a machine."""
    conditions: Mapping[str, Any] = field(default_factory=dict)
    """Under which it holds."""
    evidence: ResourceDescriptor | None = None
    """What shows it, by digest."""

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are set; the specification asks for no others."""
        fields: dict[str, Any] = {
            "attribute": self.attribute,
            "target": self.target.to_json() if self.target else None,
            "conditions": dict(self.conditions),
            "evidence": self.evidence.to_json() if self.evidence else None,
        }
        return {key: value for key, value in fields.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributeReport:
    """The predicate: at least one attribute, and what the subject was made by."""

    attributes: tuple[AttributeAssertion, ...]
    producer: ResourceDescriptor | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the predicate.

        Raises:
            InvalidDocumentError: it has no attribute, or one without a name.
        """
        if not self.attributes or not all(item.attribute for item in self.attributes):
            raise InvalidDocumentError("an attribute report has to have attributes with names")
        report: dict[str, Any] = {"attributes": [item.to_json() for item in self.attributes]}
        if self.producer is not None:
            report["producer"] = self.producer.to_json()
        return report


def assertions_of(predicate: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Return the attribute assertions of a predicate that anybody may have written.

    Fields that are unknown stay; an entry that is no assertion is an error.

    Raises:
        InvalidDocumentError: it is no attribute report.
    """
    attributes = predicate.get("attributes")
    if not isinstance(attributes, list) or not attributes:
        raise InvalidDocumentError("the attribute report has no list of attributes")
    for place, entry in enumerate(attributes):
        if not isinstance(entry, dict) or not isinstance(entry.get("attribute"), str):
            raise InvalidDocumentError(f"the attribute report's attributes[{place}] has no name")
    return tuple(attributes)
