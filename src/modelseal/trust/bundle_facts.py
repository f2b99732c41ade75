# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a bundle says of itself, for a person to look at. Nothing of it is checked, or believed."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from modelseal.documents import parse_json_object
from modelseal.errors import VerificationError
from modelseal.oci.descriptor import Digest
from modelseal.trust.bundle import Bundle, parse_bundle
from modelseal.trust.dsse import parse_statement
from modelseal.trust.verifier import read_unsafe

# A GeneralizedTime in DER, to the second (RFC 3161, 2.4.2). A token holds genTime first, inside
# of what it signs; a fraction of a second is left out.
_GENERAL_TIME = re.compile(rb"\x18[\x0f-\x1f]([0-9]{14})(?:\.[0-9]{1,9})?Z")


class Method(StrEnum):
    """What a bundle offers to be verified with."""

    KEY = "key"
    KEYLESS = "keyless"
    CERTIFICATE = "certificate"
    """By an authority of a company, not by Fulcio: no issuer of tokens stands in it."""
    CHAIN = "certificate-chain"


@dataclass(frozen=True, slots=True, kw_only=True)
class BundleFacts:
    """What a bundle claims.

    Attributes:
        method: what it offers to be verified with.
        newest: whether it has the form of version 0.3, which registries' tools take.
        predicate_type: of its statement.
        subjects: of its statement, each as `algorithm:hex`.
        names: whether one of those is the digest that was asked for.
        signer: who signed, as text; empty when it cannot be read.
        key_hint: of a key-signed bundle, which key it was.
        log_kinds: of each log entry, as `dsse 0.0.1`.
        timestamps: how many signed timestamps it has.
        log_time: whether a log entry has a time, and the log's promise for it (Rekor v1).
        times: when the log entries and timestamps say that it was signed, the earliest first.
        size: in bytes.
    """

    method: Method
    newest: bool
    predicate_type: str
    subjects: tuple[str, ...]
    names: bool
    signer: str
    key_hint: str
    log_kinds: tuple[str, ...]
    timestamps: int
    log_time: bool
    times: tuple[datetime, ...]
    size: int


def read_facts(raw: bytes, subject: Digest) -> BundleFacts:
    """Return what a bundle claims.

    Raises:
        VerificationError: it cannot be read; the code is that of `parse_bundle` or
            `parse_statement`.
    """
    bundle = parse_bundle(raw)
    statement = parse_statement(bundle.envelope.payload)
    value = parse_json_object(raw, "the bundle")
    claimed = read_unsafe(raw)
    material = value["verificationMaterial"]
    return BundleFacts(
        method=_method(bundle, material),
        newest=bundle.version == "0.3",
        predicate_type=statement.predicate_type,
        subjects=claimed.subjects,
        names=statement.names(subject),
        signer=claimed.signer,
        key_hint=bundle.key_hint or "",
        log_kinds=bundle.log_kinds,
        timestamps=len(bundle.timestamps),
        log_time=bundle.log_time,
        times=tuple(sorted(_times(bundle))),
        size=len(raw),
    )


def _method(bundle: Bundle, material: dict[str, Any]) -> Method:
    if bundle.key_hint is not None:
        return Method.KEY
    if "x509CertificateChain" in material:
        return Method.CHAIN
    return Method.KEYLESS if _has_issuer(bundle.certificate) else Method.CERTIFICATE


def _has_issuer(certificate: bytes) -> bool:
    """Tell whether a certificate names an issuer of tokens, as Fulcio's do."""
    from cryptography import x509

    from modelseal.trust.certificate import identity_of

    try:
        identity_of(x509.load_der_x509_certificate(certificate))
    except (ValueError, VerificationError):
        return False
    return True


def _times(bundle: Bundle) -> list[datetime]:
    found = []
    for entry in bundle.log_entries:
        seconds = entry.get("integratedTime", "0")
        if isinstance(seconds, str) and re.fullmatch("[1-9][0-9]{0,10}", seconds):
            found.append(datetime.fromtimestamp(int(seconds), UTC))
    for token in bundle.timestamps:
        match = _GENERAL_TIME.search(token)
        try:
            moment = datetime.strptime(f"{match[1].decode()}Z" if match else "", "%Y%m%d%H%M%S%z")
        except ValueError:
            continue
        found.append(moment)
    return found
