# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a trusted root names, and until when: for people, and for who packs it for a closed site."""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from modelseal.documents import parse_json_object
from modelseal.trust.proofs.root import Authority, Log, Root, read_root

_KINDS: Final = (
    ("certificateAuthorities", "certificate authority (Fulcio)"),
    ("ctlogs", "certificate transparency log"),
    ("tlogs", "transparency log (Rekor)"),
    ("timestampAuthorities", "timestamp authority"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A service that is believed.

    Attributes:
        kind: what it is, in words.
        name: its address, or the name in its certificate.
        starts: from when on it is believed.
        ends: until when what it signs is believed; None when no end is known.
        fingerprint: SHA-256 of the first certificate (DER), or the log's key identifier.
    """

    kind: str
    name: str
    starts: datetime
    ends: datetime | None
    fingerprint: str


def parts_of(raw: bytes, name: str) -> tuple[Part, ...]:
    """Return what a trusted root names. Raises `UsageError`, `InvalidDocumentError`."""
    value = parse_json_object(raw, name)
    return tuple(_parts(value, read_root(value, name)))


def _parts(value: Mapping[str, Any], root: Root) -> Iterator[Part]:
    listed: tuple[tuple[Authority | Log, ...], ...] = (
        root.authorities,
        root.ct_logs,
        root.logs,
        root.timestampers,
    )
    for (key, kind), items in zip(_KINDS, listed, strict=True):
        for item, raw in zip(items, value.get(key) or [], strict=True):
            address = raw.get("uri", raw.get("baseUrl", ""))
            yield _part(kind, item, address if isinstance(address, str) else "")


def _part(kind: str, item: Authority | Log, address: str) -> Part:
    if isinstance(item, Log):
        return Part(
            kind=kind,
            name=address,
            starts=item.validity.start,
            ends=item.validity.end,
            fingerprint=item.key_id.hex(),
        )
    first = item.chain[0]
    ends = [one.not_valid_after_utc for one in item.chain]
    ends += [item.validity.end] if item.validity.end else []
    return Part(
        kind=kind,
        name=address or _subject(first),
        starts=max(item.validity.start, *(one.not_valid_before_utc for one in item.chain)),
        ends=min(ends),
        fingerprint=hashlib.sha256(first.public_bytes(serialization.Encoding.DER)).hexdigest(),
    )


def _subject(certificate: x509.Certificate) -> str:
    return certificate.subject.rfc4514_string()[:200]
