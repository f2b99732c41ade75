# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The one document of a predicate type that is attested about a manifest: verified, or claimed."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from modelseal.attest.predicates.reference import MAX_REFERENCED_BYTES, read_reference
from modelseal.attest.predicates.types import REFERENCE
from modelseal.attest.referrers import AttachedBundle, attached_bundles
from modelseal.documents import canonical_json, parse_json_object
from modelseal.errors import ContentError, NotFoundError, UsageError, VerificationError
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.store import ReadableStore, fetch_bytes
from modelseal.trust.bundle import parse_bundle
from modelseal.trust.dsse import parse_statement
from modelseal.trust.verifier import read_unsafe
from modelseal.workflows.choose import document_of
from modelseal.workflows.gather import gather
from modelseal.workflows.references import read_documents
from modelseal.workflows.services import Clock
from modelseal.workflows.trust import Trust
from modelseal.workflows.verify import verify


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestedDocument:
    """What a statement says.

    Attributes:
        subject: the manifest that it is about.
        document: the predicate.
        signer: who signed, or is said to have signed.
        bundle: the digest of the bundle that it is from.
        verified: whether anything of it was checked.
    """

    subject: Descriptor
    document: Mapping[str, Any]
    signer: str
    bundle: Digest
    verified: bool


def verified_document(
    name: str | Digest,
    predicate_type: str,
    trust: Trust,
    *,
    store: ReadableStore,
    clock: Clock,
    statement: Digest | None = None,
) -> AttestedDocument:
    """Verify what `name` points at, and return what a believed signer said of it.

    Args:
        name: a tag or a digest.
        predicate_type: what kind of document.
        trust: whom to believe; a policy has to allow the model.
        store: where it is.
        clock: tells the time.
        statement: the bundle to take of several.

    Raises:
        NotVerifiedError, PolicyDeniedError: as `verify` does.
        NotFoundError: nobody who is believed said anything of this type.
        UsageError: they said several things.
    """
    subject = verify(name, trust, store=store, clock=clock).subject
    # What decides may stop early; here everything that was said of this type is looked at.
    gathered = gather(store, subject, trust.verifiers, wanted=[predicate_type])
    gathered = read_documents(store, gathered, lambda kind: kind == predicate_type)
    return _the_one(
        (
            AttestedDocument(
                subject=subject,
                document=item.predicate,
                signer=str(item.signer),
                bundle=item.bundle,
                verified=True,
            )
            for item in gathered.statements
            if item.predicate_type == predicate_type
        ),
        subject,
        predicate_type,
        statement,
    )


def claimed_document(
    name: str | Digest,
    predicate_type: str,
    *,
    store: ReadableStore,
    statement: Digest | None = None,
) -> AttestedDocument:
    """Return what somebody says of what `name` points at. Nothing of it is checked.

    Raises as `verified_document` does, but for the verification.
    """
    subject = store.resolve(name)
    document_of(store, subject)
    return _the_one(_claimed(store, subject, predicate_type), subject, predicate_type, statement)


def _claimed(
    store: ReadableStore, subject: Descriptor, predicate_type: str
) -> Iterable[AttestedDocument]:
    for found in attached_bundles(store, subject):
        if not isinstance(found, AttachedBundle):
            continue
        try:
            claim = parse_statement(parse_bundle(found.raw).envelope.payload)
            document: Mapping[str, Any] | None = claim.predicate
            if claim.predicate_type == REFERENCE:
                document = _referenced(store, claim.predicate, predicate_type)
            elif claim.predicate_type != predicate_type:
                document = None
        except (VerificationError, ContentError, NotFoundError):
            continue  # it claims nothing that can be read
        if document is not None:
            yield AttestedDocument(
                subject=subject,
                document=document,
                signer=read_unsafe(found.raw).signer,
                bundle=Digest.of(found.raw),
                verified=False,
            )


def _referenced(
    store: ReadableStore, predicate: Mapping[str, Any], predicate_type: str
) -> Mapping[str, Any] | None:
    referenced = read_reference(predicate)
    if referenced is None or referenced.predicate_type != predicate_type:
        return None
    raw = fetch_bytes(store, referenced.document, limit=MAX_REFERENCED_BYTES)
    return parse_json_object(raw, "the document")


def _the_one(
    found: Iterable[AttestedDocument],
    subject: Descriptor,
    predicate_type: str,
    statement: Digest | None,
) -> AttestedDocument:
    """Return the document; the same one, said twice, is one."""
    items = sorted(found, key=lambda item: item.bundle)
    if statement is not None:
        items = [item for item in items if item.bundle == statement]
    if not items:
        which = f" in the bundle {statement}" if statement else ""
        raise NotFoundError(
            f"{subject.digest} has no {predicate_type} statement{which}",
            hint="`modelseal publish` attaches an ML-BOM; any other: modelseal attest REF "
            f"--type {predicate_type} --predicate FILE",
        )
    different = {canonical_json(dict(item.document)): item for item in items}
    if len(different) > 1:
        told = "; ".join(f"{item.bundle} by {item.signer}" for item in different.values())
        raise UsageError(
            f"{subject.digest} has {len(different)} different {predicate_type} statements: {told}",
            hint="name one of them with --statement sha256:…",
        )
    return items[0]
