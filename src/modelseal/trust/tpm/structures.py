# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The structures of a TPM 2.0 that a quote consists of: read strictly, to their last byte.

Source: TCG TPM 2.0 Library, Part 2: Structures (revision 1.59), by the names that it has: sections
8.3 (attributes), 10.6 (PCR), 10.12 (attestation), 11.3 (signatures), 12.2 (public areas).
Everything is big-endian. Nothing here knows a key or believes anything.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, NoReturn

from modelseal.errors import VerificationError

MAX_STRUCTURE_BYTES: Final = 2048
"""Largest attestation, signature or public area that is read: an RSA key of 4096 bits fits."""

MAX_PCRS: Final = 24
"""Most PCRs of one bank: what a TPM of a PC has (PC Client Platform, 4.6)."""

HASHES: Final[Mapping[int, str]] = MappingProxyType(
    {0x000B: "sha256", 0x000C: "sha384", 0x000D: "sha512"}
)
"""TPM_ALG_ID of the hashes that are taken; SHA-1 is not."""

ALG_RSA: Final = 0x0001
ALG_NULL: Final = 0x0010
ALG_RSASSA: Final = 0x0014
ALG_RSAPSS: Final = 0x0016
ALG_ECDSA: Final = 0x0018
ALG_ECC: Final = 0x0023
ECC_NIST_P256: Final = 0x0003

_MAGIC = 0xFF544347  # TPM_GENERATED_VALUE: a TPM signs it over nothing that came from outside
_ATTEST_QUOTE = 0x8018
_MAX_BANKS = 3
_RSA_EXPONENT = 65537


@dataclass(frozen=True, slots=True)
class Attributes:
    """TPMA_OBJECT: what a key may do, and where it may go."""

    bits: int

    FIXED_TPM = 1 << 1
    FIXED_PARENT = 1 << 4
    SENSITIVE_DATA_ORIGIN = 1 << 5
    RESTRICTED = 1 << 16
    DECRYPT = 1 << 17
    SIGN = 1 << 18

    def lacking(self) -> tuple[str, ...]:
        """Return what a key that signs attestations has to be and this one is not."""
        wanted = {
            "fixedTPM": self.FIXED_TPM,
            "fixedParent": self.FIXED_PARENT,
            "sensitiveDataOrigin": self.SENSITIVE_DATA_ORIGIN,
            "restricted": self.RESTRICTED,
            "sign": self.SIGN,
        }
        missing = [name for name, bit in wanted.items() if not self.bits & bit]
        return (*missing, *(["not decrypt"] if self.bits & self.DECRYPT else []))


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicArea:
    """TPMT_PUBLIC of a key that signs: RSA, or ECC on P-256.

    Attributes:
        name: TPM2B_NAME as hex: the hash algorithm and the hash over all of the area.
        attributes: TPMA_OBJECT.
        scheme: what it signs with; None when it is free.
        scheme_hash: the hash that it signs with; empty when it is free.
        modulus: of an RSA key; 0 for ECC.
        exponent: of an RSA key.
        point: of an ECC key.
    """

    name: str
    attributes: Attributes
    scheme: int | None
    scheme_hash: str
    modulus: int = 0
    exponent: int = 0
    point: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attestation:
    """TPMS_ATTEST of a quote.

    Attributes:
        extra_data: what whoever asked for the quote gave: the nonce.
        clock: milliseconds that the TPM counts.
        reset_count: how often the machine was started.
        restart_count: how often it woke up since.
        firmware: the version of the TPM's firmware, as its maker counts.
        selection: which PCRs of which bank, in the TPM's order.
        pcr_digest: over their values.
    """

    extra_data: bytes
    clock: int
    reset_count: int
    restart_count: int
    firmware: int
    selection: tuple[tuple[str, tuple[int, ...]], ...]
    pcr_digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteSignature:
    """TPMT_SIGNATURE: how, with which hash, and the signature (ECDSA: two numbers)."""

    scheme: int
    hash_name: str
    rsa: bytes = b""
    ecdsa: tuple[int, int] = (0, 0)


def parse_attestation(raw: bytes) -> Attestation:
    """Read TPMS_ATTEST. Raises `VerificationError`, with the code `broken-quote`."""
    reader = _Reader(raw, "the attestation")
    if reader.number(4) != _MAGIC:
        reader.refuse("it was not made by a TPM (TPM_GENERATED_VALUE)")
    if reader.number(2) != _ATTEST_QUOTE:
        reader.refuse("it is no quote (TPM_ST_ATTEST_QUOTE)")
    reader.sized(68)  # qualifiedSigner: which key says so is told by the signature
    extra_data = reader.sized(66)
    clock, resets, restarts = reader.number(8), reader.number(4), reader.number(4)
    if reader.number(1) > 1:
        reader.refuse("safe is neither yes nor no")
    firmware = reader.number(8)
    selection = _selection(reader)
    pcr_digest = reader.sized(64)
    reader.end()
    return Attestation(
        extra_data=extra_data,
        clock=clock,
        reset_count=resets,
        restart_count=restarts,
        firmware=firmware,
        selection=selection,
        pcr_digest=pcr_digest,
    )


def _selection(reader: "_Reader") -> tuple[tuple[str, tuple[int, ...]], ...]:
    """Read TPML_PCR_SELECTION: banks, each once, each with at least one PCR."""
    count = reader.number(4)
    if not 1 <= count <= _MAX_BANKS:
        reader.refuse(f"it selects {count} banks of PCRs")
    banks = []
    for _ in range(count):
        bank = reader.hash_name()
        size = reader.number(1)
        bits = int.from_bytes(reader.take(size), "little")
        if bits >> MAX_PCRS:
            reader.refuse("it selects PCRs that there are not")
        chosen = tuple(index for index in range(MAX_PCRS) if bits >> index & 1)
        if not chosen:
            reader.refuse("it selects no PCR of a bank")
        banks.append((bank, chosen))
    if len({bank for bank, _ in banks}) != len(banks):
        reader.refuse("it selects one bank twice")
    return tuple(banks)


def parse_signature(raw: bytes) -> QuoteSignature:
    """Read TPMT_SIGNATURE. Raises `VerificationError`, with the code `broken-quote`."""
    reader = _Reader(raw, "the signature")
    scheme, hash_name = reader.number(2), reader.hash_name()
    if scheme in {ALG_RSASSA, ALG_RSAPSS}:
        made = QuoteSignature(scheme=scheme, hash_name=hash_name, rsa=reader.sized(512))
    elif scheme == ALG_ECDSA:
        pair = int.from_bytes(reader.sized(32)), int.from_bytes(reader.sized(32))
        made = QuoteSignature(scheme=scheme, hash_name=hash_name, ecdsa=pair)
    else:
        reader.refuse(f"the algorithm {scheme:#06x} is not taken: RSASSA, RSAPSS or ECDSA is")
    reader.end()
    return made


def parse_public(raw: bytes) -> PublicArea:
    """Read TPM2B_PUBLIC, as `tpm2_readpublic` writes it.

    Raises:
        VerificationError: `broken-quote`, also for a key of a kind that is not taken.
    """
    outer = _Reader(raw, "the public area")
    area = outer.sized(MAX_STRUCTURE_BYTES)
    outer.end()
    reader = _Reader(area, "the public area")
    kind = reader.number(2)
    number = int.from_bytes(area[2:4])
    digest = hashlib.new(reader.hash_name(), area).digest()
    attributes = Attributes(reader.number(4))
    reader.sized(64)  # authPolicy: under which conditions the key may be used
    if reader.number(2) != ALG_NULL:
        reader.refuse("it has a symmetric algorithm, so it is no key that signs")
    scheme, scheme_hash = _scheme(reader)
    name = f"{number:04x}{digest.hex()}"
    if kind == ALG_RSA:
        bits, exponent = reader.number(2), reader.number(4) or _RSA_EXPONENT
        modulus = int.from_bytes(reader.sized(512))
        if bits not in {2048, 3072, 4096} or modulus.bit_length() != bits:
            reader.refuse(f"it is RSA of {bits} bits")
        made = PublicArea(
            name=name,
            attributes=attributes,
            scheme=scheme,
            scheme_hash=scheme_hash,
            modulus=modulus,
            exponent=exponent,
        )
    elif kind == ALG_ECC:
        if reader.number(2) != ECC_NIST_P256:
            reader.refuse("it is on another curve than P-256")
        if reader.number(2) != ALG_NULL:
            reader.refuse("it derives keys")
        point = int.from_bytes(reader.sized(32)), int.from_bytes(reader.sized(32))
        made = PublicArea(
            name=name,
            attributes=attributes,
            scheme=scheme,
            scheme_hash=scheme_hash,
            point=point,
        )
    else:
        reader.refuse(f"a key of the kind {kind:#06x} is not taken: RSA or ECC is")
    reader.end()
    return made


def _scheme(reader: "_Reader") -> tuple[int | None, str]:
    scheme = reader.number(2)
    if scheme == ALG_NULL:
        return None, ""
    if scheme not in {ALG_RSASSA, ALG_RSAPSS, ALG_ECDSA}:
        reader.refuse(f"it signs with {scheme:#06x}, which is not taken")
    return scheme, reader.hash_name()


class _Reader:
    """Takes bytes from the front; what is missing, or left over, is an error."""

    def __init__(self, raw: bytes, what: str) -> None:
        self._what = what
        if len(raw) > MAX_STRUCTURE_BYTES:
            self.refuse(f"it has more than {MAX_STRUCTURE_BYTES} bytes")
        self._raw = raw
        self._place = 0

    def take(self, count: int) -> bytes:
        taken = self._raw[self._place : self._place + count]
        if len(taken) != count:
            self.refuse("it ends too early")
        self._place += count
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size))

    def sized(self, limit: int) -> bytes:
        """Take a TPM2B: two bytes that say how many follow."""
        size = self.number(2)
        if size > limit:
            self.refuse(f"a part of it has {size} bytes, more than {limit}")
        return self.take(size)

    def hash_name(self) -> str:
        algorithm = self.number(2)
        name = HASHES.get(algorithm)
        if name is None:
            self.refuse(f"the hash {algorithm:#06x} is not taken: {', '.join(HASHES.values())} is")
        return name

    def end(self) -> None:
        if self._place != len(self._raw):
            self.refuse("something stands behind its end")

    def refuse(self, why: str) -> NoReturn:
        raise VerificationError(
            f"{self._what} of the TPM is not one that counts: {why}",
            hint="have the machine quote again: modelseal environment quote REF",
            code="broken-quote",
        )
