# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Documents that verified statements name by digest: fetched, compared, and made statements.

Only what a believed signer named is fetched, and only if somebody asks for its predicate type.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from modelseal.attest.predicates.reference import (
    MAX_REFERENCED_BYTES,
    Referenced,
    read_reference,
)
from modelseal.attest.predicates.types import REFERENCE
from modelseal.errors import ContentError, LimitExceededError, NotFoundError
from modelseal.oci.store import ReadableStore, fetch_bytes
from modelseal.trust.identity import VerifiedStatement
from modelseal.trust.verifier import statement_of_document
from modelseal.workflows.gather import Gathered, Rejection

MAX_REFERENCED_TOTAL: Final = 128 << 20
"""Most bytes of documents that are read for one model."""


def read_documents(
    store: ReadableStore, gathered: Gathered, wanted: Callable[[str], bool]
) -> Gathered:
    """Add the statements that are made through a document of a type that is `wanted`.

    A document that is gone, too large, or not what was signed is told as a rejection.

    Raises:
        LimitExceededError: the documents are larger than `MAX_REFERENCED_TOTAL` in all.
        UnavailableError: the store did not answer.
    """
    statements, rejections = list(gathered.statements), list(gathered.rejections)
    total = 0
    for statement in gathered.statements:
        if statement.predicate_type != REFERENCE:
            continue
        try:
            referenced = read_reference(statement.predicate)
        except ContentError as error:
            rejections.append(_rejection(statement, "broken-reference", str(error), REFERENCE))
            continue
        if referenced is None or not wanted(referenced.predicate_type):
            continue
        total += referenced.document.size
        if total > MAX_REFERENCED_TOTAL:
            raise LimitExceededError(
                f"the documents about {statement.subject} have over "
                f"{MAX_REFERENCED_TOTAL >> 20} MiB"
            )
        read = _read(store, statement, referenced)
        if isinstance(read, Rejection):
            rejections.append(read)
        else:
            statements.append(read)
    return replace(gathered, statements=tuple(statements), rejections=tuple(rejections))


def _read(
    store: ReadableStore, statement: VerifiedStatement, referenced: Referenced
) -> VerifiedStatement | Rejection:
    document, kind = referenced.document, referenced.predicate_type
    try:
        raw = fetch_bytes(store, document, limit=MAX_REFERENCED_BYTES)
        return statement_of_document(statement, kind, document, raw)
    except NotFoundError:
        message = f"the document {document.digest} that the statement stands for is not there"
        return _rejection(statement, "missing-document", message, kind)
    except ContentError as error:
        return _rejection(statement, "broken-document", str(error), kind)


def _rejection(statement: VerifiedStatement, reason: str, message: str, kind: str) -> Rejection:
    return Rejection(referrer=statement.bundle, reason=reason, message=message, claimed_type=kind)
