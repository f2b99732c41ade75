# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Signing keys in files: made, encrypted, read, and what algorithm each one means.

The algorithm comes from the key, never from what was signed. Taken are exactly the keys whose
signatures cosign 3.1 takes with its defaults: ECDSA P-256 with SHA-256, Ed25519, and RSA of 2048,
3072 or 4096 bits with PKCS#1 v1.5 and SHA-256.
This module imports `cryptography`: import it only where a key is really used.
"""

import base64
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from modelseal.errors import KeyFileError, VerificationError
from modelseal.trust.cosign_key import LABELS as COSIGN_LABELS
from modelseal.trust.cosign_key import decrypt_cosign_key
from modelseal.trust.identity import KeyIdentity
from modelseal.trust.pem import NEW_KEY, already_there, new_file, pem_block, read_key_file, to_pem
from modelseal.trust.pkcs8 import derivation_is_bounded, encrypt_pkcs8

RSA_BITS: Final = (2048, 3072, 4096)
"""The sizes of RSA keys that are taken, as cosign has them."""

Passphrase: TypeAlias = Callable[[], str]
"""Gives the passphrase when it is needed: from the environment, or from a person."""

_Public: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
_Private: TypeAlias = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
_DER = serialization.Encoding.DER
_SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
_RSA_PSS = bytes.fromhex("06092a864886f70d01010a")  # OID 1.2.840.113549.1.1.10, id-RSASSA-PSS
_REWRITE = "write it anew: openssl pkey -pubin -ec_conv_form uncompressed -in K.pub -out NEW.pub"
_TAKEN = (
    "taken are ECDSA P-256, Ed25519, and RSA of 2048, 3072 or 4096 bits with PKCS#1 v1.5: "
    "what cosign takes with its defaults"
)


class Algorithm(StrEnum):
    """The algorithms that keys are made for."""

    ECDSA_P256 = "ecdsa-p256"
    ED25519 = "ed25519"
    RSA_3072 = "rsa-3072"


class SigningKey(Protocol):
    """A private key that signs, wherever it is kept."""

    def sign(self, data: bytes) -> bytes:
        """Return the signature over `data`, as bundles hold it (ECDSA: DER).

        Raises:
            SigningError, UnavailableError: where the key is kept, it could not be done.
        """
        ...

    def public_key(self) -> "PublicKey":
        """Return the key that verifies."""
        ...


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signatures are checked with.

    Attributes:
        der: The key as DER SubjectPublicKeyInfo.
    """

    _key: _Public = field(repr=False, compare=False)
    der: bytes = field(repr=False)

    @property
    def identity(self) -> KeyIdentity:
        """Who signs with this key."""
        return KeyIdentity(f"sha256:{hashlib.sha256(self.der).hexdigest()}")

    @property
    def algorithm(self) -> str:
        """What it signs with: `ecdsa-p256`, `ed25519`, `rsa-2048`, `rsa-3072`, `rsa-4096`."""
        if isinstance(self._key, rsa.RSAPublicKey):
            return f"rsa-{self._key.key_size}"
        edwards = isinstance(self._key, ed25519.Ed25519PublicKey)
        return Algorithm.ED25519 if edwards else Algorithm.ECDSA_P256

    @property
    def hint(self) -> str:
        """What cosign writes into a bundle to find the key again."""
        return base64.b64encode(hashlib.sha256(self.der).digest()).decode()

    @property
    def pem(self) -> bytes:
        """The key as PEM, for a `.pub` file."""
        return to_pem("PUBLIC KEY", self.der)

    def verify(self, signature: bytes, data: bytes) -> None:
        """Check a signature over `data`, with this key's own algorithm.

        Raises:
            VerificationError: with the code `bad-signature`.
        """
        try:
            _verify(self._key, signature, data)
        except (InvalidSignature, ValueError) as error:
            raise VerificationError(
                f"the signature is not by {self.identity}", code="bad-signature"
            ) from error


def _verify(key: _Public, signature: bytes, data: bytes) -> None:
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    else:
        key.verify(signature, data)


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A key in memory that signs. It shows itself to nobody."""

    _key: _Private = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        """Return the signature over `data`, with the key's own algorithm."""
        if isinstance(self._key, ec.EllipticCurvePrivateKey):
            return self._key.sign(data, ec.ECDSA(hashes.SHA256()))
        if isinstance(self._key, rsa.RSAPrivateKey):
            return self._key.sign(data, padding.PKCS1v15(), hashes.SHA256())
        return self._key.sign(data)

    def public_key(self) -> PublicKey:
        """Return the key that verifies."""
        public = self._key.public_key()
        return PublicKey(public, public.public_bytes(_DER, _SPKI))

    def encrypted_pem(self, passphrase: str) -> bytes:
        """Return the key as encrypted PKCS#8 PEM (PBES2: scrypt, AES-256-CBC).

        Raises:
            KeyFileError: the passphrase is empty.
        """
        if not passphrase:
            raise KeyFileError(
                "the passphrase is empty",
                hint="set MODELSEAL_KEY_PASSPHRASE, or type one when asked",
            )
        der = self._key.private_bytes(
            _DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return to_pem("ENCRYPTED PRIVATE KEY", encrypt_pkcs8(der, passphrase.encode()))


def generate_key(algorithm: Algorithm = Algorithm.ECDSA_P256) -> PrivateKey:
    """Make a new key."""
    if algorithm is Algorithm.ED25519:
        return PrivateKey(ed25519.Ed25519PrivateKey.generate())
    if algorithm is Algorithm.RSA_3072:
        return PrivateKey(rsa.generate_private_key(public_exponent=65537, key_size=3072))
    return PrivateKey(ec.generate_private_key(ec.SECP256R1()))


def load_private_key(path: Path, passphrase: Passphrase) -> PrivateKey:
    """Read an encrypted private key file: PKCS#8, or cosign's own (`cosign.key`).

    `passphrase` is asked once, and only if it is needed.

    Raises:
        KeyFileError: no such file, not such a key, not encrypted, too costly to decrypt, another
            passphrase, or a key of an algorithm that is not taken.
    """
    label, content = pem_block(read_key_file(path), path)
    if label in COSIGN_LABELS:
        der = decrypt_cosign_key(content, passphrase().encode(), str(path))
        return _private_key(der, None, path)
    if label != "ENCRYPTED PRIVATE KEY":
        raise KeyFileError(_not_private(label, path), hint=_PRIVATE_HINTS.get(label, NEW_KEY))
    if not derivation_is_bounded(content):
        raise KeyFileError(
            f"{path} is encrypted in a way that is not taken: not PBES2 with scrypt or PBKDF2, "
            "or at a cost without measure",
            hint=_ENCRYPT,
        )
    secret = passphrase()
    if not secret:
        raise KeyFileError(
            f"{path} is encrypted, and there is no passphrase",
            hint="set MODELSEAL_KEY_PASSPHRASE",
        )
    return _private_key(content, secret.encode(), path)


def _private_key(der: bytes, secret: bytes | None, path: Path) -> PrivateKey:
    try:
        key = serialization.load_der_private_key(der, secret)
    except (ValueError, TypeError) as error:
        raise KeyFileError(
            f"{path} cannot be decrypted: another passphrase, or a damaged file",
            hint="check MODELSEAL_KEY_PASSPHRASE",
        ) from error
    except UnsupportedAlgorithm as error:
        raise KeyFileError(f"{path} is encrypted in an unknown way", hint=NEW_KEY) from error
    reason = _refusal(key.public_key(), b"")
    if reason or not isinstance(key, _Private):
        raise KeyFileError(f"{path} is not taken: {reason}", hint=f"{_TAKEN}; {NEW_KEY}")
    return PrivateKey(key)


_ENCRYPT = "encrypt it: openssl pkcs8 -topk8 -scrypt -in K -out K.enc"
_PLAIN = {"PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"}
_PRIVATE_HINTS = {
    **dict.fromkeys(_PLAIN, _ENCRYPT),
    "PUBLIC KEY": "to sign, give the private key; the .pub file is for verifying",
}


def _not_private(label: str, path: Path) -> str:
    if label in _PLAIN:
        return f"{path} is not encrypted"
    return f"{path} is not an encrypted private key but has a {label}"


def load_public_key(path: Path) -> PublicKey:
    """Read a public key file. Raises `KeyFileError`."""
    return parse_public_key(read_key_file(path), str(path))


def parse_public_key(pem: bytes, name: str) -> PublicKey:
    """Read a PEM public key; `name` names it in errors.

    Raises:
        KeyFileError: not a public key, or one of an algorithm that is not taken.
    """
    label, der = pem_block(pem, name)
    if label != "PUBLIC KEY":
        hint = "verifying takes the public key, the file that ends in .pub"
        raise KeyFileError(f"{name} is not a public key but has a {label}", hint=hint)
    return public_key_of(der, name)


def public_key_of(der: bytes, name: str) -> PublicKey:
    """Read a DER SubjectPublicKeyInfo; `name` names it in errors. Raises `KeyFileError`."""
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{name} is not a public key that can be read", hint=_TAKEN) from error
    reason = _refusal(key, der)
    if reason or not isinstance(key, _Public):
        raise KeyFileError(f"{name} is not taken: {reason}", hint=_TAKEN)
    if key.public_bytes(_DER, _SPKI) != der:
        # One key has one fingerprint: compressed points and other spellings would make two.
        raise KeyFileError(f"{name} is not in the usual encoding", hint=_REWRITE)
    return PublicKey(key, der)


def _refusal(key: object, der: bytes) -> str:
    """Return why a public key is not taken; empty when it is."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        fits, what = key.curve.name == "secp256r1", f"on the curve {key.curve.name}"
    elif isinstance(key, rsa.RSAPublicKey):
        pss = _RSA_PSS in der[:64]
        fits = key.key_size in RSA_BITS and not pss
        what = "an RSA-PSS key" if pss else f"RSA of {key.key_size} bits"
    else:
        fits, what = isinstance(key, ed25519.Ed25519PublicKey), "of another algorithm"
    return "" if fits else f"it is {what}, and cosign would refuse what it signs"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """Where a new key was written, and what it is called."""

    private: Path
    public: Path
    fingerprint: str


def write_key_pair(key: PrivateKey, path: Path, passphrase: Passphrase) -> KeyPair:
    """Write the encrypted private key to `path` and the public key to `path` + `.pub`.

    Neither file is ever overwritten, and either both are there afterwards or none.

    Raises:
        KeyFileError: one of the files is there already, or the passphrase is empty.
        StorageError: the disk refused.
    """
    public_path = path.with_name(f"{path.name}.pub")
    for target in (path, public_path):  # before somebody thinks of a passphrase
        if os.path.lexists(target):
            raise already_there(target)
    private, public = key.encrypted_pem(passphrase()), key.public_key()
    with new_file(path, private, 0o600), new_file(public_path, public.pem, 0o644):
        pass
    return KeyPair(path, public_path, public.identity.fingerprint)
