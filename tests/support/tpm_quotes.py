# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Quotes as a TPM writes them, made in memory so that every part can be made wrong.

That real ones look the same is what `tests/e2e/test_environment.py` shows, with swtpm.
"""

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from modelseal.oci.descriptor import Digest
from modelseal.trust.environment import nonce_for
from modelseal.trust.tpm.evidence import TpmEvidence

SHA256, SHA384 = 0x000B, 0x000C
NULL, RSASSA, RSAPSS, ECDSA = 0x0010, 0x0014, 0x0016, 0x0018
AK_ATTRIBUTES = 0x00050072  # as tpm2_createak makes it
SUBJECT = Digest.of(b"a model")
PCRS = {"sha256": {0: b"\x01" * 32, 7: b"\x07" * 32, 16: b"\x00" * 32}}
_BANKS = {"sha256": SHA256, "sha384": SHA384}

ECC_KEY = ec.generate_private_key(ec.SECP256R1())
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def sized(data: bytes) -> bytes:
    """Return a TPM2B."""
    return struct.pack(">H", len(data)) + data


@dataclass(frozen=True)
class SoftTpm:
    """What a TPM would sign, field by field; replace one to make it wrong."""

    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = ECC_KEY
    scheme: int = ECDSA
    attributes: int = AK_ATTRIBUTES
    magic: int = 0xFF544347
    kind: int = 0x8018
    nonce: bytes = field(default_factory=lambda: nonce_for(SUBJECT))
    pcrs: Mapping[str, Mapping[int, bytes]] = field(default_factory=lambda: PCRS)
    shown: Mapping[str, Mapping[int, bytes]] | None = None
    certificates: tuple[bytes, ...] = ()
    signed_with: int = SHA256

    def but(self, **changes: object) -> Self:
        """Return it with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type] # the tests know the fields

    def public_area(self) -> bytes:
        """Return TPM2B_PUBLIC."""
        head = struct.pack(">HI", SHA256, self.attributes) + sized(b"")
        scheme = struct.pack(">HHH", NULL, self.scheme, SHA256)
        if isinstance(self.key, rsa.RSAPrivateKey):
            modulus = self.key.public_key().public_numbers().n
            body = struct.pack(">HI", 2048, 0) + sized(modulus.to_bytes(256))
            return sized(struct.pack(">H", 0x0001) + head + scheme + body)
        point = self.key.public_key().public_numbers()
        body = struct.pack(">HH", 0x0003, NULL)
        body += sized(point.x.to_bytes(32)) + sized(point.y.to_bytes(32))
        return sized(struct.pack(">H", 0x0023) + head + scheme + body)

    def name(self) -> str:
        """Return the TPM's name of the key."""
        return f"{SHA256:04x}{hashlib.sha256(self.public_area()[2:]).hexdigest()}"

    def attest(self) -> bytes:
        """Return TPMS_ATTEST."""
        selection, values = b"", b""
        for bank, pcrs in self.pcrs.items():
            bits = sum(1 << number for number in pcrs)
            selection += struct.pack(">HB", _BANKS[bank], 3) + bits.to_bytes(3, "little")
            values += b"".join(pcrs[number] for number in sorted(pcrs))
        return (
            struct.pack(">IH", self.magic, self.kind)
            + sized(bytes.fromhex(self.name()))
            + sized(self.nonce)
            + struct.pack(">QIIB", 123_456, 7, 1, 1)
            + struct.pack(">Q", 0x2019_1023)
            + struct.pack(">I", len(self.pcrs))
            + selection
            + sized(hashlib.sha256(values).digest())
        )

    def signature(self, signed: bytes) -> bytes:
        """Return TPMT_SIGNATURE."""
        head = struct.pack(">HH", self.scheme, self.signed_with)
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            r, s = utils.decode_dss_signature(self.key.sign(signed, ec.ECDSA(hashes.SHA256())))
            return head + sized(r.to_bytes(32)) + sized(s.to_bytes(32))
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.MAX_LENGTH)
        how = pss if self.scheme == RSAPSS else padding.PKCS1v15()
        return head + sized(self.key.sign(signed, how, hashes.SHA256()))

    def evidence(self) -> TpmEvidence:
        """Return the evidence of a quote."""
        attest = self.attest()
        return TpmEvidence(
            attest=attest,
            signature=self.signature(attest),
            public_area=self.public_area(),
            pcrs=self.pcrs if self.shown is None else self.shown,
            certificates=self.certificates,
        )

    def document(self) -> bytes:
        """Return the evidence as it is stored."""
        return self.evidence().to_bytes()
