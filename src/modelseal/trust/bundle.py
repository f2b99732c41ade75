# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Sigstore bundles as JSON: a strict reading that decides nothing, and the writing of key bundles.

What is read here serves to choose the verifier and to name what is wrong. Trust comes only from
the verifiers. Source: sigstore/protobuf-specs, `sigstore_bundle.proto`; cosign, BUNDLE_SPEC.md.
"""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
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

MEDIA_TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        BUNDLE_V03: "0.3",
        "application/vnd.dev.sigstore.bundle+json;version=0.3": "0.3",
        "application/vnd.dev.sigstore.bundle+json;version=0.2": "0.2",
        "application/vnd.dev.sigstore.bundle+json;version=0.1": "0.1",
    }
)
"""What is read: all that sigstore verifies, and which version of the format each is."""

MAX_BUNDLE_BYTES: Final = 16 << 20
"""Largest bundle, in bytes, that is read or written."""

_MAX_LOG_ENTRIES = 16
_MAX_TIMESTAMPS = 32
_MAX_CERTIFICATES = 10
_MAX_KIND = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """What stands in a bundle beside the content, decoded. Nothing of it was checked.

    Attributes:
        raw: The bytes as they came.
        version: Of the bundle format: `0.1`, `0.2` or `0.3`.
        certificate: The signing certificate, DER; empty in a key-signed bundle.
        chain: Certificates above it that the bundle brings along, DER. They are never believed.
        key_hint: In a key-signed bundle, what it says about the key (may be empty); else None.
        log_kinds: The kind and version of each transparency log entry, as `dsse 0.0.1`.
        log_entries: The entries as they stand there, for `proofs.log` to read.
        timestamps: The RFC 3161 responses, DER.
        log_time: Whether a log entry claims a time and has the log's promise for it (Rekor v1).
    """

    raw: bytes = field(repr=False)
    version: str
    certificate: bytes = field(repr=False)
    chain: tuple[bytes, ...] = field(repr=False)
    key_hint: str | None
    log_kinds: tuple[str, ...]
    log_entries: tuple[Mapping[str, Any], ...] = field(repr=False, hash=False)
    timestamps: tuple[bytes, ...] = field(repr=False)
    log_time: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle(Material):
    """A bundle that signs a statement.

    Attributes:
        envelope: The signed envelope.
    """

    envelope: Envelope = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobBundle(Material):
    """A bundle that signs a blob. No statement comes from one.

    Attributes:
        signature: Over the blob's bytes.
        digest: The SHA-256 that the bundle says the blob has; empty when it says none.
    """

    signature: bytes = field(repr=False)
    digest: bytes = field(repr=False)


def parse_bundle(raw: bytes) -> Bundle:
    """Read a bundle that holds a DSSE envelope.

    Raises:
        VerificationError: `broken-bundle`, or `not-a-statement` for a bundle that signs a blob.
    """
    bundle = parse_any_bundle(raw)
    if isinstance(bundle, BlobBundle):
        raise VerificationError(
            "the bundle signs a blob, not a statement about a manifest",
            hint="sign with `modelseal sign` or `cosign sign`, which write statements",
            code="not-a-statement",
        )
    return bundle


def parse_any_bundle(raw: bytes) -> Bundle | BlobBundle:
    """Read a bundle of either kind. Raises `VerificationError`, as `parse_bundle` does."""
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
    if ("messageSignature" in value) is ("dsseEnvelope" in value):
        broken("it does not have exactly one of a messageSignature and a dsseEnvelope")
    material = _material(raw, MEDIA_TYPES[media_type], value.get("verificationMaterial"))
    if "messageSignature" in value:
        return _blob(value["messageSignature"], material)
    return Bundle(envelope=parse_envelope(value["dsseEnvelope"]), **material)


_BROKEN_HINT = "fetch it again; if it is stored like that, sign anew"
_CONTENTS = ("publicKey", "certificate", "x509CertificateChain")


def _blob(value: object, material: dict[str, Any]) -> BlobBundle:
    message = strict_object(value, "messageSignature", {"messageDigest", "signature"})
    digest = b""
    if "messageDigest" in message:
        where = "messageSignature.messageDigest"
        said = strict_object(message["messageDigest"], where, {"algorithm", "digest"})
        if said.get("algorithm") != "SHA2_256":
            broken(f"{where} is not a SHA2_256")
        digest = strict_base64(said.get("digest"), where)
    signature = strict_base64(message.get("signature"), "messageSignature.signature")
    return BlobBundle(signature=signature, digest=digest, **material)


def _material(raw: bytes, version: str, value: object) -> dict[str, Any]:
    """Return the fields of `Material`."""
    material = strict_object(
        value,
        "verificationMaterial",
        {*_CONTENTS, "tlogEntries", "timestampVerificationData"},
    )
    if sum(content in material for content in _CONTENTS) != 1:
        broken("it does not have exactly one of a public key and a certificate")
    entries = _list(material.get("tlogEntries", []), "tlogEntries", _MAX_LOG_ENTRIES)
    certificate, *chain = _certificates(material) or (b"",)
    return {
        "raw": raw,
        "version": version,
        "certificate": certificate,
        "chain": tuple(chain),
        "key_hint": _key_hint(material),
        "log_kinds": tuple(_log_kind(entry) for entry in entries),
        "log_entries": tuple(entries),
        "timestamps": _timestamps(material.get("timestampVerificationData", {})),
        "log_time": any(_claims_time(entry) for entry in entries),
    }


def _key_hint(material: dict[str, Any]) -> str | None:
    if "publicKey" not in material:
        return None
    hint = strict_object(material["publicKey"], "publicKey", {"hint"}).get("hint", "")
    if not isinstance(hint, str):
        broken("publicKey.hint is not text")
    return hint


def _certificates(material: dict[str, Any]) -> tuple[bytes, ...]:
    if "publicKey" in material:
        return ()
    if "certificate" in material:
        certificates = [material["certificate"]]
    else:
        chain = strict_object(material["x509CertificateChain"], _CONTENTS[2], {"certificates"})
        certificates = _list(chain.get("certificates"), _CONTENTS[2], _MAX_CERTIFICATES)
    if not certificates:
        broken("it has no certificate")
    items = (strict_object(item, "certificate", {"rawBytes"}) for item in certificates)
    return tuple(strict_base64(item.get("rawBytes"), "certificate.rawBytes") for item in items)


def _timestamps(value: object) -> tuple[bytes, ...]:
    data = strict_object(value, "timestampVerificationData", {"rfc3161Timestamps"})
    items = _list(data.get("rfc3161Timestamps", []), "rfc3161Timestamps", _MAX_TIMESTAMPS)
    objects = (strict_object(item, "rfc3161Timestamps", {"signedTimestamp"}) for item in items)
    return tuple(strict_base64(item.get("signedTimestamp"), "signedTimestamp") for item in objects)


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
    return _bundle_json(payload, signature, {"publicKey": {"hint": hint}})


def build_certificate_bundle(
    payload: bytes,
    signature: bytes,
    certificate: bytes,
    timestamps: Sequence[bytes],
    chain: Sequence[bytes] | None = None,
) -> bytes:
    """Return the bundle of a statement that a certified key signed.

    Args:
        payload: the statement's bytes.
        signature: over `pae(payload)`.
        certificate: DER; version 0.3 has exactly one.
        timestamps: RFC 3161 responses about the signature, DER.
        chain: what stands above the certificate, DER, where a specification (OMS) has it in the
            bundle; None for the one certificate of version 0.3.
    """
    material: dict[str, Any] = {"certificate": {"rawBytes": _text(certificate)}}
    if chain is not None:
        listed = [{"rawBytes": _text(one)} for one in (certificate, *chain)]
        material = {"x509CertificateChain": {"certificates": listed}}
    if timestamps:
        stamps = [{"signedTimestamp": _text(one)} for one in timestamps]
        material["timestampVerificationData"] = {"rfc3161Timestamps": stamps}
    return _bundle_json(payload, signature, material)


def _bundle_json(payload: bytes, signature: bytes, material: Mapping[str, Any]) -> bytes:
    return canonical_json(
        {
            "mediaType": BUNDLE_V03,
            "verificationMaterial": material,
            "dsseEnvelope": {
                "payload": _text(payload),
                "payloadType": PAYLOAD_TYPE,
                "signatures": [{"sig": _text(signature)}],
            },
        }
    )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()
