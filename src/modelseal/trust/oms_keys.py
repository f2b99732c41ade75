# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Keys that OMS takes: ECDSA on three curves, each with the hash of its size.

Source: OpenSSF Model Signing v1.0, section 8. This module imports `cryptography` where a key is
really used.
"""

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from modelseal.errors import KeyFileError, SigningError, VerificationError
from modelseal.trust.identity import KeyIdentity

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

    from modelseal.trust.keys import PublicKey

TAKEN: Final = "OMS takes ECDSA keys on P-256, P-384 and P-521"
_CURVES = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}


def check_oms_key(key: "PublicKey") -> None:
    """See that OMS takes what a key signs. Raises `SigningError`."""
    if not key.algorithm.startswith("ecdsa"):
        raise SigningError(
            f"OMS signatures are made with ECDSA keys, and this one is {key.algorithm}",
            hint="sign with an ECDSA key (`modelseal key generate`), or keylessly",
        )


def oms_hint(public_pem: bytes) -> str:
    """Return what OMS writes into a bundle to find a key again: hex SHA-256 of its PEM.

    model_signing 1.1.1 refuses a bundle with any other hint.
    """
    return hashlib.sha256(public_pem).hexdigest()


@dataclass(frozen=True, slots=True)
class EcPublicKey:
    """An ECDSA key on one of the three curves; each goes with the hash of its size."""

    _key: "ec.EllipticCurvePublicKey" = field(repr=False, compare=False)
    der: bytes = field(repr=False)
    pem: bytes = field(repr=False, compare=False)

    @property
    def identity(self) -> KeyIdentity:
        """Who signs with this key."""
        return KeyIdentity(f"sha256:{hashlib.sha256(self.der).hexdigest()}")

    @property
    def algorithm(self) -> str:
        """What it signs with: `ecdsa-p256`, `ecdsa-p384` or `ecdsa-p521`."""
        return f"ecdsa-p{self._key.curve.key_size}"

    def verify(self, signature: bytes, data: bytes) -> None:
        """Check a signature over `data`. Raises `VerificationError`: `bad-signature`."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        algorithm: hashes.HashAlgorithm = getattr(hashes, _CURVES[self._key.curve.name])()
        try:
            self._key.verify(signature, data, ec.ECDSA(algorithm))
        except (InvalidSignature, ValueError) as error:
            raise VerificationError(
                f"the signature is not by {self.identity}",
                hint="the bundle was changed; fetch it again, or sign anew",
                code="bad-signature",
            ) from error


def parse_oms_key(pem: bytes, name: str) -> EcPublicKey:
    """Read a PEM public key for OMS; `name` names it in errors.

    Raises:
        KeyFileError: not a public key, or of a kind that OMS does not take.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        hint = "verifying takes the public key, the file that ends in .pub"
        raise KeyFileError(f"{name} is not a public key", hint=hint) from error
    return ec_key(key, name)


def ec_key(key: object, name: str) -> EcPublicKey:
    """Return a key of `cryptography` as one for OMS. Raises `KeyFileError`: of another kind."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise KeyFileError(f"{name} is not taken: it is of another kind", hint=TAKEN)
    spki = PublicFormat.SubjectPublicKeyInfo
    return EcPublicKey(
        key, key.public_bytes(Encoding.DER, spki), key.public_bytes(Encoding.PEM, spki)
    )
