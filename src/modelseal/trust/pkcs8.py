# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Encrypted PKCS#8 with a key derivation that costs an attacker memory, and a reader of its cost.

`cryptography` writes PKCS#8 only with PBKDF2 and 2,048 rounds, about a millisecond a guess, and
offers no way to ask for more. It reads scrypt, as OpenSSL and cosign do. So the container is put
together here, from standard parts. Sources: RFC 5958 section 3 (EncryptedPrivateKeyInfo),
RFC 8018 (PBES2), RFC 7914 section 7 (scrypt).
"""

import hashlib
import secrets
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.padding import PKCS7

MAX_SCRYPT_BYTES: Final = 256 << 20
"""Most memory that decrypting a key file may take: 128 * N * r."""

MAX_SCRYPT_WORK: Final = 1 << 22
"""Most work that decrypting a key file may take, as N * r * p: some seconds."""

MAX_PBKDF2_ROUNDS: Final = 10_000_000
"""Most rounds of PBKDF2 that decrypting a key file may take: some seconds."""

# 16 MiB and about a quarter of a second a guess: OpenSSL reads nothing that needs over 32 MiB.
_N: Final = 1 << 14
_R: Final = 8
_P: Final = 5
_KEY_BYTES = 32

_SEQUENCE, _INTEGER, _OCTETS, _OID = 0x30, 0x02, 0x04, 0x06
_LONG_FORM = 0x80  # X.690 8.1.3: the first octet of a length that takes more than one
_PBES2 = bytes.fromhex("06092a864886f70d01050d")  # 1.2.840.113549.1.5.13
_PBKDF2 = bytes.fromhex("06092a864886f70d01050c")  # 1.2.840.113549.1.5.12
_SCRYPT = bytes.fromhex("06092b06010401da47040b")  # 1.3.6.1.4.1.11591.4.11
_AES_256_CBC = bytes.fromhex("060960864801650304012a")  # 2.16.840.1.101.3.4.1.42


def encrypt_pkcs8(der: bytes, passphrase: bytes) -> bytes:
    """Return DER EncryptedPrivateKeyInfo of the DER PrivateKeyInfo `der`."""
    salt, iv = secrets.token_bytes(16), secrets.token_bytes(16)
    key = hashlib.scrypt(passphrase, salt=salt, n=_N, r=_R, p=_P, dklen=_KEY_BYTES, maxmem=64 << 20)
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
    padded = padder.update(der) + padder.finalize()
    parameters = _tlv(_OCTETS, salt), _integer(_N), _integer(_R), _integer(_P)
    derivation = _tlv(_SEQUENCE, _SCRYPT, _tlv(_SEQUENCE, *parameters, _integer(_KEY_BYTES)))
    cipher = _tlv(_SEQUENCE, _AES_256_CBC, _tlv(_OCTETS, iv))
    algorithm = _tlv(_SEQUENCE, _PBES2, _tlv(_SEQUENCE, derivation, cipher))
    encrypted = encryptor.update(padded) + encryptor.finalize()
    return _tlv(_SEQUENCE, algorithm, _tlv(_OCTETS, encrypted))


def derivation_is_bounded(der: bytes) -> bool:
    """Tell whether decrypting `der`, an EncryptedPrivateKeyInfo, stays within the limits.

    Whoever wrote the file chose the cost. What is not PBES2 with scrypt or PBKDF2 is no either.
    """
    try:
        ((_, info),) = _values(der)
        (_, algorithm), _ = _values(info)
        scheme, (_, parameters) = _values(algorithm)
        (_, derivation), _ = _values(parameters)
        function, (_, costs) = _values(derivation)
        numbers = [
            int.from_bytes(content, "big") for tag, content in _values(costs) if tag == _INTEGER
        ]
    except (IndexError, ValueError):
        return False
    if scheme != (_OID, _PBES2[2:]) or not numbers:
        return False
    if function == (_OID, _PBKDF2[2:]):
        return numbers[0] <= MAX_PBKDF2_ROUNDS
    if function != (_OID, _SCRYPT[2:]) or len(numbers) not in {3, 4}:
        return False
    cost, block, parallel = numbers[:3]
    return 128 * cost * block <= MAX_SCRYPT_BYTES and cost * block * parallel <= MAX_SCRYPT_WORK


def _values(der: bytes) -> list[tuple[int, bytes]]:
    """Return tag and content of each DER value that stands in `der`, one after the other.

    Raises:
        IndexError, ValueError: it ends within a value.
    """
    found, at = [], 0
    while at < len(der):
        tag, size, start = der[at], der[at + 1], at + 2
        if size & _LONG_FORM:
            start += size & ~_LONG_FORM
            size = int.from_bytes(der[at + 2 : start], "big")
        at = start + size
        if at > len(der):
            raise ValueError
        found.append((tag, der[start:at]))
    return found


def _integer(value: int) -> bytes:
    return _tlv(_INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def _tlv(tag: int, *parts: bytes) -> bytes:
    """Encode one DER value; the contents here stay far below 64 KiB."""
    content = b"".join(parts)
    size = len(content)
    if size < _LONG_FORM:
        length = bytes([size])
    else:
        octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
        length = bytes([_LONG_FORM | len(octets)]) + octets
    return bytes([tag]) + length + content
