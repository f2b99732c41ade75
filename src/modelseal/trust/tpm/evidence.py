# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The document that holds a quote and what is needed to verify it, as it is stored beside a model.

Canonical JSON with exactly these keys: `type`, `attest` (TPMS_ATTEST), `signature`
(TPMT_SIGNATURE), `publicArea` (TPM2B_PUBLIC of the attestation key), `pcrs` (hex values by bank and
number) and `akCertificates` (DER, the key's first; may be empty). Binary is standard base64.
One quote has one document: another spelling of the same is refused.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from modelseal.documents import canonical_json, parse_json_object
from modelseal.errors import ContentError, VerificationError

MEDIA_TYPE: Final = "application/vnd.modelseal.tpm-quote.v0.1+json"
TYPE: Final = "https://modelseal.dev/evidence/tpm-quote/v0.1"

MAX_EVIDENCE_BYTES: Final = 64 << 10
"""Largest evidence of an environment, in bytes, that is read."""

MAX_AK_CERTIFICATES: Final = 5
"""Most certificates that come with an attestation key."""

_KEYS = {"type", "attest", "signature", "publicArea", "pcrs", "akCertificates"}
_NUMBER = re.compile(r"0|[1-9][0-9]?")
_HEX = re.compile(r"(?:[0-9a-f]{2}){1,64}")


@dataclass(frozen=True, slots=True, kw_only=True)
class TpmEvidence:
    """A quote as a TPM gave it; nothing of it is verified.

    Attributes:
        attest: TPMS_ATTEST.
        signature: TPMT_SIGNATURE.
        public_area: TPM2B_PUBLIC.
        pcrs: the values that the quote is about, by bank and number.
        certificates: (DER) of the attestation key, its own first.
    """

    attest: bytes
    signature: bytes
    public_area: bytes
    pcrs: Mapping[str, Mapping[int, bytes]]
    certificates: tuple[bytes, ...] = ()

    def to_bytes(self) -> bytes:
        """Return the document."""
        return canonical_json(
            {
                "type": TYPE,
                "attest": _base64(self.attest),
                "signature": _base64(self.signature),
                "publicArea": _base64(self.public_area),
                "pcrs": {
                    bank: {str(number): value.hex() for number, value in values.items()}
                    for bank, values in self.pcrs.items()
                },
                "akCertificates": [_base64(der) for der in self.certificates],
            }
        )


def parse_evidence(raw: bytes) -> TpmEvidence:
    """Read a document that a stranger wrote. Raises `VerificationError`, `broken-quote`."""
    if len(raw) > MAX_EVIDENCE_BYTES:
        _broken(f"it has more than {MAX_EVIDENCE_BYTES >> 10} KiB")
    try:
        value = parse_json_object(raw, "the evidence")
    except ContentError as error:
        _broken(str(error))
    if value.keys() != _KEYS or value["type"] != TYPE:
        _broken(f"it is no {TYPE}")
    certificates = value["akCertificates"]
    if not isinstance(certificates, list) or len(certificates) > MAX_AK_CERTIFICATES:
        _broken(f"akCertificates is no list of up to {MAX_AK_CERTIFICATES}")
    evidence = TpmEvidence(
        attest=_binary(value["attest"], "attest"),
        signature=_binary(value["signature"], "signature"),
        public_area=_binary(value["publicArea"], "publicArea"),
        pcrs=_pcrs(value["pcrs"]),
        certificates=tuple(_binary(item, "akCertificates") for item in certificates),
    )
    if evidence.to_bytes() != raw:
        _broken("it is not in its canonical form")
    return evidence


def _pcrs(value: object) -> dict[str, dict[int, bytes]]:
    if not isinstance(value, dict) or not value:
        _broken("pcrs has no bank")
    return {bank: _bank(values) for bank, values in value.items()}


def _bank(values: Any) -> dict[int, bytes]:  # noqa: ANN401 - JSON is what it is
    if not isinstance(values, dict) or not values:
        _broken("a bank has no PCR")
    found = {}
    for number, text in values.items():
        if not _NUMBER.fullmatch(number) or not isinstance(text, str) or not _HEX.fullmatch(text):
            _broken("a PCR is no number with a value in lower-case hex")
        found[int(number)] = bytes.fromhex(text)
    return found


def _binary(value: object, where: str) -> bytes:
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else b""
    except (binascii.Error, ValueError):
        _broken(f"{where} is not base64")


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _broken(why: str) -> NoReturn:
    raise VerificationError(
        f"the evidence of the TPM is not one that counts: {why}",
        hint="have the machine quote again: modelseal environment quote REF",
        code="broken-quote",
    )
