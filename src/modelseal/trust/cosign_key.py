# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The encrypted private key files of cosign: `cosign generate-key-pair`, `import-key-pair`.

A PEM block holds JSON: scrypt makes a key of the passphrase, and a NaCl secret box (XSalsa20 and
Poly1305) keeps the PKCS#8 key. Source: go-securesystemslib, `encrypted/encrypted.go`; the box:
nacl.cr.yp.to/secretbox.html, which `cryptography` does not have and PyNaCl (libsodium) does.
"""

import base64
import hashlib
from typing import Any, Final, NoReturn

from modelseal.documents import parse_json_object
from modelseal.errors import ContentError, KeyFileError

LABELS: Final = frozenset({"ENCRYPTED SIGSTORE PRIVATE KEY", "ENCRYPTED COSIGN PRIVATE KEY"})
"""What such a PEM block is called; the second before cosign 2."""

SCRYPT_PARAMETERS: Final = frozenset({(1 << 15, 8, 1), (1 << 16, 8, 1), (1 << 17, 8, 1)})
"""The costs (N, r, p) that are computed, as cosign's own reader has them: at most 128 MiB."""

_MAX_MEMORY = 192 << 20  # 128 * N * r, and what OpenSSL wants beside it
_KEY_BYTES, _NONCE_BYTES, _MAX_SALT_BYTES = 32, 24, 64


def decrypt_cosign_key(document: bytes, passphrase: bytes, name: str) -> bytes:
    """Return the DER PKCS#8 key that `document`, the JSON of the PEM block, holds.

    Args:
        document: the JSON.
        passphrase: may be empty, as it may for cosign.
        name: names the file in errors.

    Raises:
        KeyFileError: it is not such a document, it costs more than is computed, or the passphrase
            is another.
    """
    from nacl.exceptions import CryptoError
    from nacl.secret import SecretBox

    try:
        value = parse_json_object(document, name)
    except ContentError:
        _damaged(name)
    salt, nonce, ciphertext = _sealed(value, name)
    cost, block, parallel = _cost(value["kdf"], name)
    key = hashlib.scrypt(
        passphrase, salt=salt, n=cost, r=block, p=parallel, dklen=_KEY_BYTES, maxmem=_MAX_MEMORY
    )
    try:
        return bytes(SecretBox(key).decrypt(ciphertext, nonce))
    except CryptoError as error:
        raise KeyFileError(
            f"{name} cannot be decrypted: another passphrase, or a damaged file",
            hint="check MODELSEAL_KEY_PASSPHRASE, or COSIGN_PASSWORD",
        ) from error


def _sealed(value: dict[str, Any], name: str) -> tuple[bytes, bytes, bytes]:
    kdf, cipher = value.get("kdf"), value.get("cipher")
    if not isinstance(kdf, dict) or not isinstance(cipher, dict):
        _damaged(name)
    if kdf.get("name") != "scrypt" or cipher.get("name") != "nacl/secretbox":
        raise KeyFileError(f"{name} is encrypted in an unknown way", hint=_HINT)
    salt, nonce = _bytes(kdf.get("salt"), name), _bytes(cipher.get("nonce"), name)
    if len(nonce) != _NONCE_BYTES or len(salt) > _MAX_SALT_BYTES:
        _damaged(name)
    return salt, nonce, _bytes(value.get("ciphertext"), name)


def _cost(kdf: dict[str, Any], name: str) -> tuple[int, int, int]:
    parameters = kdf.get("params")
    if not isinstance(parameters, dict):
        _damaged(name)
    cost = tuple(parameters.get(letter) for letter in ("N", "r", "p"))
    for known in SCRYPT_PARAMETERS:
        if cost == known and not any(isinstance(number, bool) for number in cost):
            return known
    raise KeyFileError(f"{name} asks for a key derivation that cosign does not write", hint=_HINT)


def _bytes(value: object, name: str) -> bytes:
    if not isinstance(value, str):
        _damaged(name)
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        _damaged(name)


_HINT = "`cosign import-key-pair --key K` writes it anew"


def _damaged(name: str) -> NoReturn:
    raise KeyFileError(f"{name} is a damaged cosign key", hint=_HINT) from None
