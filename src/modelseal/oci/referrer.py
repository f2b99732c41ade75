# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What makes a manifest a referrer, and the entry that lists it.

Source: distribution-spec v1.1, "Listing Referrers" and "Referrers Tag Schema".
"""

from collections.abc import Mapping

from modelseal.oci.descriptor import INDEX_TYPES, Descriptor, Digest
from modelseal.oci.manifest import Index, Manifest


def referrer_of(raw: bytes, descriptor: Descriptor) -> tuple[Digest, Descriptor] | None:
    """Return the subject's digest and the listing entry of a manifest, if it has a subject.

    The entry carries `artifactType` and annotations, as the specification asks of whoever
    writes a list of referrers.

    Raises:
        InvalidDocumentError: the bytes are no manifest.
    """
    artifact_type = ""
    annotations: Mapping[str, str]
    if descriptor.media_type in INDEX_TYPES:
        index = Index.parse(raw, descriptor.media_type)
        subject, annotations = index.subject, index.annotations
        artifact_type = index.artifact_type
    else:
        manifest = Manifest.parse(raw, descriptor.media_type)
        subject, annotations = manifest.subject, manifest.annotations
        artifact_type = manifest.artifact_type
    if subject is None:
        return None
    entry = Descriptor(
        descriptor.media_type,
        descriptor.digest,
        descriptor.size,
        annotations=annotations,
        artifact_type=artifact_type,
    )
    return subject.digest, entry


def fallback_tag(subject: Digest) -> str:
    """Return the tag that lists the referrers where a registry has no referrers API.

    A tag has at most 128 characters, so a longer digest is cut ("Referrers Tag Schema").
    """
    return f"{subject.algorithm}-{subject.encoded[:64]}"
