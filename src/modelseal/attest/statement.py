# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""In-toto statements, as they are signed: built once, as bytes.

Source: in-toto attestation framework v1, `spec/v1/statement.md`. This is the only module that
knows `in_toto_attestation`; it checks with it and never serialises with it, because its
protobuf `Struct` turns every integer into a double.
"""

from collections.abc import Mapping
from typing import Any

from modelseal.attest.predicates.types import SIGNATURE
from modelseal.documents import canonical_json, parse_json_object
from modelseal.errors import InvalidDocumentError, LimitExceededError
from modelseal.oci.descriptor import Digest

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
MAX_PREDICATE_BYTES = 8 << 20
"""Largest predicate, in bytes, that is signed: transparency logs refuse large entries late."""


def build_statement(
    subject: Digest, predicate_type: str, predicate: Mapping[str, Any], *, name: str = ""
) -> bytes:
    """Return the statement `predicate_type`/`predicate` about the manifest `subject`.

    `name` is the subject's, where a specification asks for a certain one.

    Raises:
        InvalidDocumentError: the predicate does not fit its type, or is not JSON.
        LimitExceededError: it is larger than `MAX_PREDICATE_BYTES`.
    """
    try:
        raw = canonical_json(
            {
                "_type": STATEMENT_TYPE,
                # sigstore signs no subject without a name. The digest says nothing that a public
                # log should not hear, and no verifier may believe a name.
                "subject": [
                    {"name": name or str(subject), "digest": {subject.algorithm: subject.encoded}}
                ],
                "predicateType": predicate_type,
                "predicate": dict(predicate),
            }
        )
    except (TypeError, ValueError) as error:
        raise InvalidDocumentError(f"the predicate is not JSON: {error}") from error
    if len(raw) > MAX_PREDICATE_BYTES:
        raise LimitExceededError(
            f"the {predicate_type} predicate is larger than {MAX_PREDICATE_BYTES >> 20} MiB",
            hint="attest its digest: modelseal attest REF --by-digest …",
        )
    parse_json_object(raw, "the statement")
    if predicate_type != SIGNATURE:  # its predicate is {}, which the library refuses
        _check_schema(raw, predicate_type)
    return raw


def _check_schema(raw: bytes, predicate_type: str) -> None:
    from google.protobuf import json_format
    from in_toto_attestation.v1 import statement_pb2
    from in_toto_attestation.v1.statement import Statement

    try:
        parsed = json_format.Parse(raw, statement_pb2.Statement(), ignore_unknown_fields=True)
        Statement.copy_from_pb(parsed).validate()
    except (json_format.ParseError, ValueError) as error:
        raise InvalidDocumentError(
            f"the {predicate_type} statement does not hold: {error}",
            hint="the predicate has to be a JSON object with at least one field",
        ) from error
