# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Sign and attest: statements about a manifest, signed in one go, attached as referrers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modelseal.attest.predicates.types import SIGNATURE
from modelseal.attest.referrers import attach
from modelseal.attest.statement import build_statement
from modelseal.documents import parse_json_object
from modelseal.errors import ContentError, UsageError
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.trust.signer import Signer
from modelseal.workflows.choose import document_of
from modelseal.workflows.events import StepFinished, StepStarted
from modelseal.workflows.files import read_file
from modelseal.workflows.services import Services


@dataclass(frozen=True, slots=True)
class Claim:
    """What is to be said about a manifest, and hang on it.

    `subject` and `subject_name` are those of a statement whose specification names the model
    otherwise than by its manifest.
    """

    predicate_type: str
    predicate: Mapping[str, Any]
    subject: Digest | None = None
    subject_name: str = ""


MAX_PREDICATE_FILE = 8 << 20
SIGNATURE_CLAIM = Claim(SIGNATURE, {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """A statement that now hangs on the manifest."""

    predicate_type: str
    referrer: Digest


def read_predicate(path: Path) -> Mapping[str, Any]:
    """Read a predicate from a file that the caller named.

    Raises:
        UsageError: there is no such file, or it is not one strict JSON object.
    """
    raw = read_file(path, "predicate", limit=MAX_PREDICATE_FILE)
    try:
        return parse_json_object(raw, str(path))
    except ContentError as error:
        raise UsageError(
            str(error),
            hint="a predicate is one JSON object: what is said, without the statement around it",
            code="invalid-predicate",
        ) from error


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
    payloads = [
        build_statement(
            claim.subject or subject.digest,
            claim.predicate_type,
            claim.predicate,
            name=claim.subject_name,
        )
        for claim in claims
    ]
    bundles = signer.sign(payloads, services.on_event)
    services.on_event(StepFinished("sign", f"by {signer.identity}"))
    attached = []
    for claim, bundle in zip(claims, bundles, strict=True):
        services.on_event(StepStarted("attach", claim.predicate_type))
        referrer = attach(services.store, subject, bundle, claim.predicate_type, services.clock())
        attached.append(Attached(predicate_type=claim.predicate_type, referrer=referrer.digest))
        services.on_event(StepFinished("attach", f"{claim.predicate_type} as {referrer.digest}"))
    return tuple(attached)
