# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What was signed, by which key: the one thing that every proof of a bundle has to be about."""

import base64
import hashlib
from dataclasses import dataclass, field
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

from modelseal.trust.bundle import BlobBundle, Bundle
from modelseal.trust.dsse import pae
from modelseal.trust.proofs.refusal import refusal

_DER = serialization.Encoding.DER
_PEM = serialization.Encoding.PEM
_SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
_DETAILS: Final = {
    2048: "PKIX_RSA_PKCS1V15_2048_SHA256",
    3072: "PKIX_RSA_PKCS1V15_3072_SHA256",
    4096: "PKIX_RSA_PKCS1V15_4096_SHA256",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """A signature, and what it is over.

    Attributes:
        signature: as it stands in the bundle.
        digest: SHA-256 of the bytes that are signed.
        payload: of a statement; None for a blob.
    """

    signature: bytes = field(repr=False)
    digest: bytes
    payload: bytes | None = field(repr=False)

    @classmethod
    def of(cls, bundle: Bundle) -> "Signed":
        """Return what a bundle with a statement says was signed."""
        payload = bundle.envelope.payload
        digest = hashlib.sha256(pae(payload)).digest()
        return cls(signature=bundle.envelope.signature, digest=digest, payload=payload)

    @classmethod
    def of_blob(cls, bundle: BlobBundle, digest: bytes) -> "Signed":
        """Return what a bundle has to have signed: the blob with this SHA-256.

        Raises:
            VerificationError: `wrong-subject`: it says itself that it is about another.
        """
        if bundle.digest and bundle.digest != digest:
            raise refusal(
                "wrong-subject",
                f"the bundle is about the blob sha256:{bundle.digest.hex()[:64]}, not about "
                f"sha256:{digest.hex()}",
            )
        return cls(signature=bundle.signature, digest=digest, payload=None)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The certificate or the key that has to have signed, as the log writes it down.

    Attributes:
        der: the certificate, or the key's SubjectPublicKeyInfo.
        pem: the same as PEM.
        is_certificate: which of the two.
    """

    der: bytes = field(repr=False)
    pem: bytes = field(repr=False)
    is_certificate: bool
    _key: PublicKeyTypes = field(repr=False)

    @classmethod
    def of_certificate(cls, certificate: x509.Certificate) -> "SigningKey":
        """Return the key that a certificate certifies."""
        der, pem = certificate.public_bytes(_DER), certificate.public_bytes(_PEM)
        return cls(der, pem, True, certificate.public_key())

    @classmethod
    def of_spki(cls, der: bytes) -> "SigningKey":
        """Return a key that is trusted itself, from its SubjectPublicKeyInfo."""
        key = serialization.load_der_public_key(der)
        return cls(der, key.public_bytes(_PEM, _SPKI), False, key)

    @property
    def details(self) -> str:
        """Its algorithm, as Rekor v2 names it; empty when the log does not take such keys."""
        if isinstance(self._key, ec.EllipticCurvePublicKey):
            return "PKIX_ECDSA_P256_SHA_256" if self._key.curve.name == "secp256r1" else ""
        return (
            _DETAILS.get(self._key.key_size, "") if isinstance(self._key, rsa.RSAPublicKey) else ""
        )

    def require_signature(self, signed: Signed) -> None:
        """Check the signature over the digest, with the key's own algorithm.

        Raises:
            VerificationError: `bad-signature`.
        """
        if not self._signed(signed):
            raise refusal("bad-signature", "the signature does not hold")

    def _signed(self, signed: Signed) -> bool:
        hashed = utils.Prehashed(hashes.SHA256())
        try:
            if isinstance(self._key, ec.EllipticCurvePublicKey) and self.details:
                self._key.verify(signed.signature, signed.digest, ec.ECDSA(hashed))
            elif isinstance(self._key, rsa.RSAPublicKey):
                self._key.verify(signed.signature, signed.digest, padding.PKCS1v15(), hashed)
            else:  # Ed25519 signs the bytes themselves: a digest is not enough
                return False
        except (InvalidSignature, ValueError):
            return False
        return True


def b64(data: bytes) -> str:
    """Return base64 as text."""
    return base64.b64encode(data).decode()
