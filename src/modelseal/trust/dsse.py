# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""DSSE envelopes and the in-toto statements in them: the bytes, and a strict reading of them.

A signature covers the payload type and the payload's bytes, nothing else; so exactly these bytes
are parsed, and only after a verifier has checked them. Sources: DSSE v1.0 (`protocol.md`,
`envelope.md`); in-toto attestation framework v1, `spec/v1/statement.md`.
"""

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, NoReturn

from modelseal.documents import parse_json_object
from modelseal.errors import ContentError, VerificationError
from modelseal.oci.descriptor import Digest

PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
"""The only payload type that is signed and taken."""

STATEMENT_TYPES: Final = frozenset(
    {"https://in-toto.io/Statement/v1", "https://in-toto.io/Statement/v0.1"}
)
"""cosign still attests with v0.1; the fields that are read mean the same in both."""

SIGNATURE_PREDICATE_TYPE: Final = "https://sigstore.dev/cosign/sign/v1"
"""A plain signature. cosign before 3.0.5 left its empty predicate out."""

MAX_SUBJECTS: Final = 4096
"""Most subjects that one statement may have."""

_MAX_DIGESTS = 16
_URI = re.compile(r"[\x21-\x7e]{1,1024}")


@dataclass(frozen=True, slots=True)
class Envelope:
    """A DSSE envelope with exactly one signature, decoded. Nothing of it was checked."""

    payload: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Statement:
    """An in-toto statement, well-formed. Whether anybody signed it stands elsewhere."""

    statement_type: str
    subjects: tuple[Mapping[str, str], ...] = field(hash=False)
    predicate_type: str
    predicate: Mapping[str, Any] = field(hash=False)

    def names(self, digest: Digest) -> bool:
        """Tell whether a subject is `digest`: the same algorithm and the same hex, no other."""
        return any(subject.get(digest.algorithm) == digest.encoded for subject in self.subjects)


def pae(payload: bytes, payload_type: str = PAYLOAD_TYPE) -> bytes:
    """Return the pre-authentication encoding: the bytes that a DSSE signature signs."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def parse_envelope(value: object) -> Envelope:
    """Read the envelope object of a bundle.

    Raises:
        VerificationError: not one signature, another payload type, or no strict base64.
    """
    envelope = strict_object(value, "dsseEnvelope", {"payload", "payloadType", "signatures"})
    if envelope.get("payloadType") != PAYLOAD_TYPE:
        raise VerificationError(
            f"the payload is not an in-toto statement: its type is not {PAYLOAD_TYPE}",
            code="not-a-statement",
        )
    signatures = envelope.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1:
        broken("dsseEnvelope.signatures does not hold exactly one signature")
    signature = strict_object(signatures[0], "dsseEnvelope.signatures[0]", {"sig", "keyid"})
    if not isinstance(signature.get("keyid", ""), str):
        broken("dsseEnvelope.signatures[0].keyid is not text")
    return Envelope(
        strict_base64(envelope.get("payload"), "dsseEnvelope.payload"),
        strict_base64(signature.get("sig"), "dsseEnvelope.signatures[0].sig"),
    )


def parse_statement(payload: bytes) -> Statement:
    """Read an in-toto statement v1 or v0.1. Fields that it does not define are left alone.

    Raises:
        VerificationError: with the code `not-a-statement`.
    """
    try:
        value = parse_json_object(payload, "the signed statement")
    except ContentError as error:
        raise VerificationError(str(error), code="not-a-statement") from error
    statement_type = value.get("_type")
    if not isinstance(statement_type, str) or statement_type not in STATEMENT_TYPES:
        _no_statement("its _type is not an in-toto Statement v1 or v0.1")
    predicate_type = value.get("predicateType")
    if not isinstance(predicate_type, str) or not _URI.fullmatch(predicate_type):
        _no_statement("its predicateType is not a URI")
    return Statement(
        statement_type,
        _subjects(value.get("subject")),
        predicate_type,
        MappingProxyType(_predicate(value, predicate_type)),
    )


def _predicate(statement: Mapping[str, Any], predicate_type: str) -> dict[str, Any]:
    if "predicate" not in statement and predicate_type == SIGNATURE_PREDICATE_TYPE:
        return {}
    predicate = statement.get("predicate")
    if not isinstance(predicate, dict):
        _no_statement("its predicate is not an object")
    return predicate


def _subjects(value: object) -> tuple[Mapping[str, str], ...]:
    if not isinstance(value, list) or not value:
        _no_statement("it has no subject")
    if len(value) > MAX_SUBJECTS:
        _no_statement(f"it has more than {MAX_SUBJECTS} subjects")
    return tuple(_digest_set(subject) for subject in value)


def _digest_set(subject: object) -> Mapping[str, str]:
    digests = subject.get("digest") if isinstance(subject, dict) else None
    if not isinstance(digests, dict) or not 0 < len(digests) <= _MAX_DIGESTS:
        _no_statement("a subject has no digest")
    if not all(isinstance(encoded, str) for encoded in digests.values()):
        _no_statement("a subject's digest is not text")
    return MappingProxyType(digests)


def _no_statement(reason: str) -> NoReturn:
    raise VerificationError(
        f"what is signed is not a statement that counts: {reason}", code="not-a-statement"
    )


def strict_object(value: object, where: str, known: set[str]) -> dict[str, Any]:
    """Return `value` if it is an object with only `known` keys, else refuse the bundle."""
    if not isinstance(value, dict):
        broken(f"{where} is not an object")
    unknown = value.keys() - known
    if unknown:
        broken(f"{where} has the unknown key {min(unknown)[:40]!r}")
    return value


def strict_base64(value: object, where: str) -> bytes:
    """Return the decoded bytes of canonical, padded base64, else refuse the bundle.

    Another spelling of the same bytes is refused, so that a bundle has one form only.
    """
    if not isinstance(value, str) or not value:
        broken(f"{where} is not base64")
    try:
        decoded = base64.b64decode(value, validate=True)
    except ValueError:
        decoded = b""
    if base64.b64encode(decoded).decode() != value:
        broken(f"{where} is not base64")
    return decoded


def broken(reason: str) -> NoReturn:
    """Refuse a bundle that cannot be read."""
    raise VerificationError(
        f"the bundle is broken: {reason}",
        hint="fetch it again; if it is stored like that, sign anew",
        code="broken-bundle",
    )
