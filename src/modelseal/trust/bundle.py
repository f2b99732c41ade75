# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Sigstore bundles as JSON: a strict reading that decides nothing, and the writing of key bundles.

What is read here serves to choose the verifier and to name what is wrong. Trust comes only from
the verifiers. Source: sigstore/protobuf-specs, `sigstore_bundle.proto`; cosign, BUNDLE_SPEC.md.
"""

import base64
from dataclasses import dataclass, field
from typing import Any, Final

from modelseal.documents import canonical_json, parse_json_object
from modelseal.errors import ContentError, VerificationError
from modelseal.trust.dsse import (
    PAYLOAD_TYPE,
    Envelope,
    broken,
    parse_envelope,
    strict_base64,
    strict_object,
)

BUNDLE_V03: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
"""What is written, and what cosign takes from a registry."""

MEDIA_TYPES: Final = frozenset(
    {
        BUNDLE_V03,
        "application/vnd.dev.sigstore.bundle+json;version=0.3",
        "application/vnd.dev.sigstore.bundle+json;version=0.2",
        "application/vnd.dev.sigstore.bundle+json;version=0.1",
    }
)
"""What is read: all that sigstore verifies."""

MAX_BUNDLE_BYTES: Final = 16 << 20
"""Largest bundle, in bytes, that is read or written."""

_MAX_LOG_ENTRIES = 16
_MAX_TIMESTAMPS = 32
_MAX_CERTIFICATES = 10
_MAX_KIND = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What a bundle holds, decoded. Nothing of it was checked.

    Attributes:
        raw: The bytes as they came.
        envelope: The signed envelope.
        certificate: The signing certificate, DER; empty in a key-signed bundle.
        key_hint: In a key-signed bundle, what it says about the key (may be empty); else None.
        log_kinds: The kind and version of each transparency log entry, as `dsse 0.0.1`.
        timestamps: How many RFC 3161 timestamps it has.
        log_time: Whether a log entry claims a time and has the log's promise for it (Rekor v1).
    """

    raw: bytes = field(repr=False)
    envelope: Envelope = field(repr=False)
    certificate: bytes = field(repr=False)
    key_hint: str | None
    log_kinds: tuple[str, ...]
    timestamps: int
    log_time: bool


def parse_bundle(raw: bytes) -> Bundle:
    """Read a bundle that holds a DSSE envelope.

    Raises:
        VerificationError: `broken-bundle`, or `not-a-statement` for a bundle that signs a blob.
    """
    if len(raw) > MAX_BUNDLE_BYTES:
        broken(f"it is larger than {MAX_BUNDLE_BYTES >> 20} MiB")
    try:
        value = parse_json_object(raw, "it")
    except ContentError as error:
        raise VerificationError(
            f"the bundle is broken: {error}", hint=_BROKEN_HINT, code="broken-bundle"
        ) from error
    known = {"mediaType", "verificationMaterial", "dsseEnvelope", "messageSignature"}
    strict_object(value, "it", known)
    media_type = value.get("mediaType")
    if not isinstance(media_type, str) or media_type not in MEDIA_TYPES:
        broken("its mediaType is not a Sigstore bundle's, version 0.1 to 0.3")
    if "messageSignature" in value and "dsseEnvelope" not in value:
        raise VerificationError(
            "the bundle signs a blob, not a statement about a manifest",
            hint="sign with `modelseal sign` or `cosign sign`, which write statements",
            code="not-a-statement",
        )
    if "messageSignature" in value:
        broken("it has both a messageSignature and a dsseEnvelope")
    return _bundle(raw, value)


_BROKEN_HINT = "fetch it again; if it is stored like that, sign anew"
_CONTENTS = ("publicKey", "certificate", "x509CertificateChain")


def _bundle(raw: bytes, value: dict[str, Any]) -> Bundle:
    material = strict_object(
        value.get("verificationMaterial"),
        "verificationMaterial",
        {*_CONTENTS, "tlogEntries", "timestampVerificationData"},
    )
    if sum(content in material for content in _CONTENTS) != 1:
        broken("it does not have exactly one of a public key and a certificate")
    entries = _list(material.get("tlogEntries", []), "tlogEntries", _MAX_LOG_ENTRIES)
    return Bundle(
        raw=raw,
        envelope=parse_envelope(value.get("dsseEnvelope")),
        certificate=_certificate(material),
        key_hint=_key_hint(material),
        log_kinds=tuple(_log_kind(entry) for entry in entries),
        timestamps=_timestamps(material.get("timestampVerificationData", {})),
        log_time=any(_claims_time(entry) for entry in entries),
    )


def _key_hint(material: dict[str, Any]) -> str | None:
    if "publicKey" not in material:
        return None
    hint = strict_object(material["publicKey"], "publicKey", {"hint"}).get("hint", "")
    if not isinstance(hint, str):
        broken("publicKey.hint is not text")
    return hint


def _certificate(material: dict[str, Any]) -> bytes:
    if "publicKey" in material:
        return b""
    if "certificate" in material:
        certificates = [material["certificate"]]
    else:
        chain = strict_object(material["x509CertificateChain"], _CONTENTS[2], {"certificates"})
        certificates = _list(chain.get("certificates"), _CONTENTS[2], _MAX_CERTIFICATES)
    if not certificates:
        broken("it has no certificate")
    leaf = strict_object(certificates[0], "certificate", {"rawBytes"})
    return strict_base64(leaf.get("rawBytes"), "certificate.rawBytes")


def _timestamps(value: object) -> int:
    data = strict_object(value, "timestampVerificationData", {"rfc3161Timestamps"})
    return len(_list(data.get("rfc3161Timestamps", []), "rfc3161Timestamps", _MAX_TIMESTAMPS))


def _log_kind(entry: object) -> str:
    kind = entry.get("kindVersion") if isinstance(entry, dict) else None
    kind = strict_object(kind, "tlogEntries.kindVersion", {"kind", "version"})
    return f"{kind.get('kind')} {kind.get('version')}"[:_MAX_KIND]


def _claims_time(entry: object) -> bool:
    return (
        isinstance(entry, dict)
        and entry.get("integratedTime", "0") != "0"
        and bool(entry.get("inclusionPromise"))
    )


def _list(value: object, where: str, limit: int) -> list[Any]:
    if not isinstance(value, list):
        broken(f"{where} is not a list")
    if len(value) > limit:
        broken(f"{where} has more than {limit} items")
    return value


def build_key_bundle(payload: bytes, signature: bytes, hint: str) -> bytes:
    """Return the bundle of a statement that a key signed, as cosign 3 writes it.

    Args:
        payload: the statement's bytes.
        signature: over `pae(payload)`.
        hint: which key it was; verifiers that were given a key ignore it.
    """
    return canonical_json(
        {
            "mediaType": BUNDLE_V03,
            "verificationMaterial": {"publicKey": {"hint": hint}},
            "dsseEnvelope": {
                "payload": base64.b64encode(payload).decode(),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": base64.b64encode(signature).decode()}],
            },
        }
    )
