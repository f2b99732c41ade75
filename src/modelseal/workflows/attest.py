# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Sign and attest: statements about a manifest, signed in one go, attached as referrers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelseal.attest.predicates.reference import (
    MAX_REFERENCED_BYTES,
    Referenced,
    build_reference,
    media_type_of,
)
from modelseal.attest.predicates.types import OMS, REFERENCE, SIGNATURE, parse_predicate_type
from modelseal.attest.referrers import attach_all, attach_document
from modelseal.attest.statement import MAX_PREDICATE_BYTES, build_statement
from modelseal.documents import canonical_json, parse_json_object
from modelseal.errors import ContentError, LimitExceededError, UsageError
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.trust.signer import Signer
from modelseal.workflows.choose import document_of
from modelseal.workflows.events import StepFinished, StepStarted
from modelseal.workflows.files import read_file
from modelseal.workflows.services import Services

_MADE_BY = {
    SIGNATURE: "modelseal sign REF",
    OMS: "an OMS signature is about files, and made from the manifest: modelseal sign REF --oms",
    REFERENCE: "modelseal attest REF --by-digest … makes one",
}
_STATEMENT_BYTES = 64 << 10  # what stands around a predicate, at most


@dataclass(frozen=True, slots=True)
class Claim:
    """What is to be said about a manifest, and hang on it.

    `subject` and `subject_name` are those of a statement whose specification names the model
    otherwise than by its manifest. `document` are the predicate's bytes, when these are stored
    beside the manifest and signed by digest. `evidence` is a document that the predicate names by
    digest, to be stored there, too, under `evidence_type`.
    """

    predicate_type: str
    predicate: Mapping[str, Any]
    subject: Digest | None = None
    subject_name: str = ""
    document: bytes = field(default=b"", repr=False)
    evidence: bytes = field(default=b"", repr=False)
    evidence_type: str = ""


SIGNATURE_CLAIM = Claim(SIGNATURE, {})


def claim_of(predicate_type: str, predicate: Mapping[str, Any]) -> Claim:
    """Return the claim of a predicate; one that is too large to be signed itself goes by digest.

    Raises:
        LimitExceededError: it is larger than anybody would read.
    """
    raw = canonical_json(predicate)
    if len(raw) > MAX_REFERENCED_BYTES:
        raise LimitExceededError(
            f"the {predicate_type} predicate is larger than {MAX_REFERENCED_BYTES >> 20} MiB"
        )
    return Claim(predicate_type, predicate, document=raw if _goes_by_digest(raw) else b"")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A statement that now hangs on the manifest; `document` is what it names by digest."""

    predicate_type: str
    referrer: Digest
    document: Referenced | None = None


def read_claim(predicate_type: str, path: Path, *, by_digest: bool = False) -> Claim:
    """Read a predicate from a file that the caller named.

    One that is too large to be signed itself is signed by its digest.

    Args:
        predicate_type: a URI.
        path: a JSON object.
        by_digest: sign the digest, whatever the size.

    Raises:
        UsageError: there is no such file, it is too large, it is not one strict JSON object, it
            does not fit its type, or it is to be a signature.
    """
    if predicate_type in _MADE_BY:
        raise UsageError(
            f"a {predicate_type} statement is not made from a file", hint=_MADE_BY[predicate_type]
        )
    raw = read_file(path, "predicate", limit=MAX_REFERENCED_BYTES)
    apart = by_digest or _goes_by_digest(raw)
    try:
        predicate = parse_json_object(raw, str(path))
        if not apart:  # told now, and not when all is pushed
            build_statement(Digest.of(raw), predicate_type, predicate)
    except ContentError as error:
        raise UsageError(
            str(error),
            hint="a predicate is one JSON object: what is said, without the statement around it",
            code="invalid-predicate",
        ) from error
    return Claim(predicate_type, predicate, document=raw if apart else b"")


def _goes_by_digest(raw: bytes) -> bool:
    return len(raw) > MAX_PREDICATE_BYTES - _STATEMENT_BYTES


def parse_claim(text: str) -> Claim:
    """Read `TYPE=FILE`: a predicate type, as a URI or a short name, and the predicate's file.

    Raises:
        UsageError: it is not of this form; else as `read_claim` does.
    """
    kind, separator, path = text.partition("=")
    if not separator or not path:
        raise UsageError(f"not TYPE=FILE: {text[:200]!r}", hint="for example cyclonedx=bom.json")
    return read_claim(parse_predicate_type(kind), Path(path))


def attest(
    name: str | Digest, claims: Sequence[Claim], signer: Signer, services: Services
) -> tuple[Descriptor, tuple[Attached, ...]]:
    """Sign `claims` about what `name` points at: one login, one certificate for all of them.

    Raises:
        NotFoundError: there is nothing under that name.
        InvalidDocumentError: a predicate does not fit its type; nothing is signed then.
        SigningError, UnavailableError, AccessDeniedError.
    """
    subject = services.store.resolve(name)
    document_of(services.store, subject)  # what is not there, or broken, is not signed
    return subject, attest_manifest(subject, claims, signer, services)


def attest_manifest(
    subject: Descriptor, claims: Sequence[Claim], signer: Signer, services: Services
) -> tuple[Attached, ...]:
    """Sign and attach `claims` about a manifest that the store holds."""
    services.on_event(StepStarted("sign", f"{len(claims)} statements about {subject.digest}"))
    made = [_statement(subject, claim) for claim in claims]
    created = services.clock()
    for claim in claims:
        if claim.document:
            attach_document(services.store, subject, claim.document, claim.predicate_type, created)
        if claim.evidence:
            attach_document(services.store, subject, claim.evidence, claim.evidence_type, created)
    bundles = signer.sign([statement.payload for statement in made], services.on_event)
    services.on_event(StepFinished("sign", f"by {signer.identity}"))
    services.on_event(StepStarted("attach", f"{len(claims)} statements"))
    referrers = attach_all(
        services.store,
        subject,
        [(bundle, one.predicate_type) for bundle, one in zip(bundles, made, strict=True)],
        services.clock(),
    )
    attached = []
    for one, referrer in zip(made, referrers, strict=True):
        services.on_event(StepFinished("attach", f"{one.predicate_type} as {referrer.digest}"))
        attached.append(
            Attached(
                predicate_type=one.predicate_type,
                referrer=referrer.digest,
                document=one.document,
            )
        )
    return tuple(attached)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Made:
    predicate_type: str
    payload: bytes
    document: Referenced | None = None


def _statement(subject: Descriptor, claim: Claim) -> _Made:
    if not claim.document:
        about = claim.subject or subject.digest
        kind, name = claim.predicate_type, claim.subject_name
        payload = build_statement(about, kind, claim.predicate, name=name)
        return _Made(predicate_type=claim.predicate_type, payload=payload)
    document = Descriptor.of(claim.document, media_type_of(claim.predicate_type))
    referenced = Referenced(claim.predicate_type, document)
    payload = build_statement(subject.digest, REFERENCE, build_reference(referenced))
    return _Made(predicate_type=REFERENCE, payload=payload, document=referenced)
