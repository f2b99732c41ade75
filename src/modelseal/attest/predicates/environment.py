# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""SCAI attributes about the environment of a model: what they are called, and where they point.

The evidence is a blob beside the model, named by digest, size and media type; `conditions` are
what it has to show (docs/environment-attestation.md). SCAI itself fixes neither.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelseal.attest.predicates.provenance import ResourceDescriptor
from modelseal.attest.predicates.reference import SIZE
from modelseal.attest.predicates.scai import AttributeAssertion, AttributeReport, assertions_of
from modelseal.errors import InvalidDocumentError, InvalidReferenceError
from modelseal.oci.descriptor import Descriptor, Digest

TPM2_QUOTE_VERIFIED: Final = "TPM2_QUOTE_VERIFIED"
"""A TPM has quoted the machine's PCRs for this artifact, and that was verified before signing."""

EAT_VERIFIED: Final = "EAT_VERIFIED"
"""A verifier of confidential computing vouches for the machine, in a token for this artifact."""


@dataclass(frozen=True, slots=True)
class EnvironmentClaim:
    """One attribute about an environment, as somebody signed it."""

    attribute: str
    conditions: Mapping[str, Any]
    evidence: Descriptor


def build_report(claim: EnvironmentClaim, producer: ResourceDescriptor) -> dict[str, Any]:
    """Return the predicate; `producer` is the tool that verified the evidence."""
    evidence = claim.evidence
    pointer = ResourceDescriptor(
        digest={evidence.digest.algorithm: evidence.digest.encoded},
        media_type=evidence.media_type,
        # Relative to the repository that the subject is in, and there are many.
        download_location=f"blobs/{evidence.digest}",
        annotations={SIZE: str(evidence.size)},
    )
    assertion = AttributeAssertion(
        attribute=claim.attribute, conditions=claim.conditions, evidence=pointer
    )
    return AttributeReport(attributes=(assertion,), producer=producer).to_json()


def environment_claims(predicate: Mapping[str, Any], attribute: str) -> Iterator[EnvironmentClaim]:
    """Yield what a signed SCAI predicate says of one attribute.

    Raises:
        InvalidDocumentError: it is no attribute report, or its evidence cannot be found.
    """
    for entry in assertions_of(predicate):
        if entry["attribute"] != attribute:
            continue
        conditions = entry.get("conditions")
        if not isinstance(conditions, dict):
            raise InvalidDocumentError(f"{attribute} has no conditions")
        yield EnvironmentClaim(attribute, conditions, _evidence(entry.get("evidence"), attribute))


def _evidence(value: object, attribute: str) -> Descriptor:
    fields = value if isinstance(value, dict) else {}
    try:
        digest = Digest("sha256", fields["digest"]["sha256"])
        size = int(fields["annotations"][SIZE])
    except (KeyError, TypeError, ValueError, InvalidReferenceError) as error:
        raise InvalidDocumentError(f"the evidence of {attribute} has no size or SHA-256") from error
    named = {"mediaType": fields.get("mediaType"), "digest": str(digest), "size": size}
    return Descriptor.parse(named, f"the evidence of {attribute}")
