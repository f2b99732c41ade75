# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The statement that stands for a predicate which is too large to be signed itself.

It is an in-toto reference (`https://in-toto.io/attestation/reference/v0.1`): whoever asks for an
SBOM does not take it for one. It names one document by digest, size and media type, and two
annotations of ours say which predicate the document is. The document is a blob in the repository
of the subject, and stays there under its digest wherever that is copied to.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelseal.attest.predicates.types import PROJECT, REFERENCE, SIGNATURE, parse_predicate_type
from modelseal.errors import InvalidDocumentError, InvalidReferenceError, UsageError
from modelseal.oci.descriptor import Descriptor, Digest

MAX_REFERENCED_BYTES: Final = 64 << 20
"""Largest document, in bytes, that is attested by its digest, and that is read for a verifier."""

PREDICATE_TYPE: Final = "dev.modelseal.predicate-type"
SIZE: Final = "dev.modelseal.size"

_MEDIA_TYPES: Final = {
    "https://cyclonedx.org/bom": "application/vnd.cyclonedx+json",
    "https://spdx.dev/Document": "application/spdx+json",
    "https://spdx.dev/Document/v3": "application/spdx+json",
}


@dataclass(frozen=True, slots=True)
class Referenced:
    """A document that a statement names, and the predicate type that it is."""

    predicate_type: str
    document: Descriptor


def media_type_of(predicate_type: str) -> str:
    """Return the media type of a predicate as a document."""
    return _MEDIA_TYPES.get(predicate_type, "application/json")


def build_reference(referenced: Referenced) -> dict[str, Any]:
    """Return the predicate that names a document.

    Raises:
        UsageError: a signature or another reference cannot be made this way.
    """
    if referenced.predicate_type in {SIGNATURE, REFERENCE}:
        raise UsageError(f"a {referenced.predicate_type} statement has no document")
    document = referenced.document
    return {
        "attester": {"id": PROJECT},
        "references": [
            {
                "digest": {document.digest.algorithm: document.digest.encoded},
                "mediaType": document.media_type,
                # Relative to the repository that the subject is in, and there are many.
                "downloadLocation": f"blobs/{document.digest}",
                "annotations": {
                    PREDICATE_TYPE: referenced.predicate_type,
                    SIZE: str(document.size),
                },
            }
        ],
    }


def read_reference(predicate: Mapping[str, Any]) -> Referenced | None:
    """Return what a reference predicate stands for; None if it is one of another tool.

    Raises:
        InvalidDocumentError: it is one of ours, and broken.
    """
    references = predicate.get("references")
    if not isinstance(references, list) or not any(_is_ours(entry) for entry in references):
        return None
    if len(references) != 1:
        raise InvalidDocumentError("the reference names more than one document")
    (entry,) = references
    annotations = entry["annotations"]
    try:
        predicate_type = parse_predicate_type(annotations[PREDICATE_TYPE])
        size = int(annotations[SIZE])
        digest = Digest("sha256", entry["digest"]["sha256"])
    except (UsageError, InvalidReferenceError, KeyError, TypeError, ValueError) as error:
        raise InvalidDocumentError("the reference has no type, size or SHA-256") from error
    if predicate_type in {SIGNATURE, REFERENCE}:
        raise InvalidDocumentError(f"the reference claims to be a {predicate_type} statement")
    value = {"mediaType": entry.get("mediaType"), "digest": str(digest), "size": size}
    document = Descriptor.parse(value, "the reference")
    if document.is_manifest:
        raise InvalidDocumentError("the reference names a manifest, not a document")
    return Referenced(predicate_type, document)


def _is_ours(entry: object) -> bool:
    annotations = entry.get("annotations") if isinstance(entry, dict) else None
    return isinstance(annotations, dict) and PREDICATE_TYPE in annotations
