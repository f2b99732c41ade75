# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Signing keys in files: made, encrypted, read, and what algorithm each one means.

The algorithm comes from the key, never from what was signed. Signed is with ECDSA P-256 and
SHA-256; verified also with Ed25519 and RSA PKCS#1 v1.5 with SHA-256, as cosign 3.1 does.
This module imports `cryptography`: import it only where a key is really used.
"""

import base64
import contextlib
import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from modelseal.errors import KeyFileError, StorageError, VerificationError
from modelseal.trust.identity import KeyIdentity
from modelseal.trust.pkcs8 import encrypt_pkcs8

MIN_RSA_BITS: Final = 2048
MAX_KEY_FILE_BYTES: Final = 64 << 10
"""Largest key file, in bytes, that is read."""

Passphrase: TypeAlias = Callable[[], str]
"""Gives the passphrase when it is needed: from the environment, or from a person."""

_Supported: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
_DER = serialization.Encoding.DER
_SPKI = serialization.PublicFormat.SubjectPublicKeyInfo
_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s+([A-Za-z0-9+/=\s]+?)-----END \1-----")
_RSA_PSS = bytes.fromhex("06092a864886f70d01010a")  # OID 1.2.840.113549.1.1.10, id-RSASSA-PSS
_REWRITE = "write it anew: openssl pkey -pubin -ec_conv_form uncompressed -in K.pub -out NEW.pub"
_TAKEN = "taken are ECDSA P-256, Ed25519, and RSA of at least 2048 bits with PKCS#1 v1.5"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key that signatures are checked with.

    Attributes:
        der: The key as DER SubjectPublicKeyInfo.
    """

    _key: _Supported = field(repr=False, compare=False)
    der: bytes = field(repr=False)

    @property
    def identity(self) -> KeyIdentity:
        """Who signs with this key."""
        return KeyIdentity(f"sha256:{hashlib.sha256(self.der).hexdigest()}")

    @property
    def hint(self) -> str:
        """What cosign writes into a bundle to find the key again."""
        return base64.b64encode(hashlib.sha256(self.der).digest()).decode()

    @property
    def pem(self) -> bytes:
        """The key as PEM, for a `.pub` file."""
        return _pem("PUBLIC KEY", self.der)

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


def _verify(key: _Supported, signature: bytes, data: bytes) -> None:
    if isinstance(key, ec.EllipticCurvePublicKey):
        key.verify(signature, data, ec.ECDSA(hashes.SHA256()))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
    else:
        key.verify(signature, data)


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """An ECDSA P-256 key that signs. It shows itself to nobody."""

    _key: ec.EllipticCurvePrivateKey = field(repr=False)

    def sign(self, data: bytes) -> bytes:
        """Return the ECDSA signature, DER, over the SHA-256 of `data`."""
        return self._key.sign(data, ec.ECDSA(hashes.SHA256()))

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
        return _pem("ENCRYPTED PRIVATE KEY", encrypt_pkcs8(der, passphrase.encode()))


def generate_key() -> PrivateKey:
    """Make a new ECDSA P-256 key."""
    return PrivateKey(ec.generate_private_key(ec.SECP256R1()))


def load_private_key(path: Path, passphrase: Passphrase) -> PrivateKey:
    """Read an encrypted private key file. `passphrase` is asked once, and only if it is needed.

    Raises:
        KeyFileError: no such file, not such a key, not encrypted, or another passphrase.
    """
    pem = _read(path)
    label, der = _block(pem, path)
    if label != "ENCRYPTED PRIVATE KEY":
        raise KeyFileError(_not_private(label, path), hint=_PRIVATE_HINTS.get(label, _NEW_KEY))
    secret = passphrase()
    if not secret:
        raise KeyFileError(
            f"{path} is encrypted, and there is no passphrase",
            hint="set MODELSEAL_KEY_PASSPHRASE",
        )
    try:
        key = serialization.load_der_private_key(der, secret.encode())
    except (ValueError, TypeError) as error:
        raise KeyFileError(
            f"{path} cannot be decrypted: another passphrase, or a damaged file",
            hint="check MODELSEAL_KEY_PASSPHRASE",
        ) from error
    except UnsupportedAlgorithm as error:
        raise KeyFileError(f"{path} is encrypted in an unknown way", hint=_NEW_KEY) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.curve.name != "secp256r1":
        raise KeyFileError(f"{path} is not an ECDSA P-256 key", hint=_NEW_KEY)
    return PrivateKey(key)


_NEW_KEY = "`modelseal key generate --output K` makes a key that works"
_PRIVATE_HINTS = {
    "PRIVATE KEY": "encrypt it: openssl pkcs8 -topk8 -scrypt -in K -out K.enc",
    "EC PRIVATE KEY": "encrypt it: openssl pkcs8 -topk8 -scrypt -in K -out K.enc",
    "PUBLIC KEY": "to sign, give the private key; the .pub file is for verifying",
}


def _not_private(label: str, path: Path) -> str:
    if label in {"PRIVATE KEY", "EC PRIVATE KEY"}:
        return f"{path} is not encrypted"
    if "SIGSTORE" in label:
        return f"{path} is in cosign's own encrypted format, which is not read yet"
    return f"{path} is not an encrypted private key but has a {label}"


def load_public_key(path: Path) -> PublicKey:
    """Read a public key file. Raises `KeyFileError`."""
    return parse_public_key(_read(path), str(path))


def parse_public_key(pem: bytes, name: str) -> PublicKey:
    """Read a PEM public key; `name` names it in errors.

    Raises:
        KeyFileError: not a public key, or one of an algorithm that is not taken.
    """
    label, der = _block(pem, name)
    if label != "PUBLIC KEY":
        hint = "verifying takes the public key, the file that ends in .pub"
        raise KeyFileError(f"{name} is not a public key but has a {label}", hint=hint)
    try:
        key = serialization.load_der_public_key(der)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise KeyFileError(f"{name} is not a public key that can be read", hint=_TAKEN) from error
    reason = _refusal(key, der)
    if reason or not isinstance(key, _Supported):
        raise KeyFileError(f"{name} is not taken: {reason}", hint=_TAKEN)
    if key.public_bytes(_DER, _SPKI) != der:
        # One key has one fingerprint: compressed points and other spellings would make two.
        raise KeyFileError(f"{name} is not in the usual encoding", hint=_REWRITE)
    return PublicKey(key, der)


def _refusal(key: object, der: bytes) -> str:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "" if key.curve.name == "secp256r1" else f"it is on the curve {key.curve.name}"
    if isinstance(key, rsa.RSAPublicKey):
        if _RSA_PSS in der[:64]:
            return "it is an RSA-PSS key"
        small = key.key_size < MIN_RSA_BITS
        return f"it is RSA of only {key.key_size} bits" if small else ""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return ""
    return "it is of another algorithm"


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
            raise _exists(target)
    private, public = key.encrypted_pem(passphrase()), key.public_key()
    with _new_file(path, private, 0o600), _new_file(public_path, public.pem, 0o644):
        pass
    return KeyPair(path, public_path, public.identity.fingerprint)


def _exists(path: Path) -> KeyFileError:
    return KeyFileError(
        f"{path} is there already, and keys are never overwritten",
        hint="choose another name for --output",
    )


@contextlib.contextmanager
def _new_file(path: Path, data: bytes, mode: int) -> Iterator[None]:
    """Write a new file; it goes again when the block inside fails."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        hint = "`modelseal key generate --output K` makes one"
        raise KeyFileError(f"cannot read the key {path}: {error.strerror}", hint=hint) from error
    if len(data) > MAX_KEY_FILE_BYTES:
        raise KeyFileError(f"{path} is too large for a key")
    return data


def _block(pem: bytes, name: object) -> tuple[str, bytes]:
    """Return the label and the bytes of the one PEM block."""
    blocks = _PEM.findall(pem)
    if len(blocks) != 1:
        found = "no" if not blocks else "more than one"
        raise KeyFileError(f"{name} has {found} PEM block", hint=_NEW_KEY)
    label, text = blocks[0]
    try:
        return label.decode(), base64.b64decode(b"".join(text.split()), validate=True)
    except ValueError as error:
        raise KeyFileError(f"{name} is a damaged PEM file", hint=_NEW_KEY) from error


def _pem(label: str, der: bytes) -> bytes:
    text = base64.b64encode(der).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()
