# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Signed tokens in the compact form of JWS (RFC 7515), and the pinned keys that verify them.

The key comes from a file of whoever verifies, and the algorithm has to fit it: nothing in a token
chooses a key, brings one along, or says where one is to be fetched. Source of the pitfalls:
RFC 8725, "JSON Web Token Best Current Practices".
"""

import base64
import binascii
import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

from modelseal.documents import parse_json_object
from modelseal.errors import ContentError, KeyFileError, VerificationError
from modelseal.trust.identity import KeyIdentity
from modelseal.trust.pem import read_key_file

MAX_TOKEN_BYTES: Final = 64 << 10
"""Largest token, in bytes, that is read."""

MAX_JWKS_KEYS: Final = 32
"""Most keys of one JWKS file."""

IGNORABLE: Final = frozenset({"jku", "x5u", "x5c", "x5t", "x5t#S256"})
"""Headers that point at keys; who verifies may have them ignored, and they are never followed."""

_HEADERS = frozenset({"alg", "kid", "typ", "cty"})
_RSA_BITS = range(2048, 8193)
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_Key = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


@dataclass(frozen=True, slots=True)
class _Algorithm:
    """One entry of the allow-list (RFC 7518, 3.1)."""

    hash: hashes.HashAlgorithm
    curve: str = ""
    """Of ECDSA keys; empty for RSA."""
    pss: bool = False


_ALGORITHMS: Mapping[str, _Algorithm] = {
    "ES256": _Algorithm(hashes.SHA256(), "secp256r1"),
    "ES384": _Algorithm(hashes.SHA384(), "secp384r1"),
    "RS256": _Algorithm(hashes.SHA256()),
    "RS384": _Algorithm(hashes.SHA384()),
    "PS256": _Algorithm(hashes.SHA256(), pss=True),
    "PS384": _Algorithm(hashes.SHA384(), pss=True),
}
_CURVES = {"P-256": ec.SECP256R1(), "P-384": ec.SECP384R1()}


@dataclass(frozen=True, slots=True)
class TokenKey:
    """A pinned key: `kid` and `alg` as its file has them, empty when it has none."""

    key: _Key = field(repr=False)
    kid: str
    alg: str

    @property
    def identity(self) -> KeyIdentity:
        """Who signs with it."""
        der = self.key.public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return KeyIdentity(f"sha256:{hashlib.sha256(der).hexdigest()}")


@dataclass(frozen=True, slots=True)
class SignedToken:
    """The claims of a token that a pinned key has signed."""

    claims: Mapping[str, Any] = field(hash=False)
    algorithm: str
    signer: KeyIdentity


def load_jwks(path: Path) -> tuple[TokenKey, ...]:
    """Read a JWKS file (RFC 7517) of public keys; those of other kinds are left out.

    Raises:
        KeyFileError: no such file, no key set, a private key in it, or no key that is taken.
    """
    try:
        value = parse_json_object(read_key_file(path), str(path))
    except ContentError as error:
        raise KeyFileError(str(error), hint=_JWKS) from error
    listed = value.get("keys")
    if not isinstance(listed, list) or len(listed) > MAX_JWKS_KEYS:
        raise KeyFileError(f"{path} has no list of up to {MAX_JWKS_KEYS} keys", hint=_JWKS)
    if any(isinstance(item, dict) and _PRIVATE & item.keys() for item in listed):
        raise KeyFileError(f"{path} holds a private key", hint="give the public keys only")
    found = [key for item in listed if (key := _token_key(item)) is not None]
    if not found:
        raise KeyFileError(f"{path} has no key for {', '.join(_ALGORITHMS)}", hint=_JWKS)
    return tuple(found)


_JWKS = 'give the verifier\'s keys as it publishes them: {"keys": [{"kty": "RSA", …}]}'


def _token_key(item: object) -> TokenKey | None:
    if not isinstance(item, dict) or item.get("use", "sig") != "sig":
        return None
    operations = item.get("key_ops", ["verify"])
    kid, alg = item.get("kid", ""), item.get("alg", "")
    if not isinstance(operations, list) or "verify" not in operations:
        return None
    if not isinstance(kid, str) or not isinstance(alg, str) or alg not in {"", *_ALGORITHMS}:
        return None
    try:
        key = _public_key(item)
    except (KeyError, ValueError):
        return None
    return None if key is None else TokenKey(key, kid, alg)


def _public_key(item: Mapping[str, Any]) -> _Key | None:
    if item.get("kty") == "EC" and item.get("crv") in _CURVES:
        x, y = (int.from_bytes(_decode(item[name])) for name in ("x", "y"))
        return ec.EllipticCurvePublicNumbers(x, y, _CURVES[item["crv"]]).public_key()
    if item.get("kty") == "RSA":
        n, e = (int.from_bytes(_decode(item[name])) for name in ("n", "e"))
        return rsa.RSAPublicNumbers(e, n).public_key() if n.bit_length() in _RSA_BITS else None
    return None


def verify_token(
    raw: bytes, keys: Collection[TokenKey], ignored: Collection[str] = ()
) -> SignedToken:
    """Return the claims of a token that one of `keys` has signed.

    Args:
        raw: the token, in the compact form.
        keys: who is believed.
        ignored: some of `IGNORABLE`; any other header that is not known refuses the token.

    Raises:
        VerificationError: `broken-token`; `untrusted-token`: another key, or another algorithm than
            a key is for; `bad-signature`.
    """
    head, body, signature, signed = _parts(raw)
    header = _object(head, "header")
    unknown = header.keys() - _HEADERS - (IGNORABLE & set(ignored))
    if unknown:
        odd = min(unknown)
        hint = f"--ignore-header {odd} leaves it unread" if odd in IGNORABLE else _NEW
        _refuse("broken-token", f"its header has {odd[:40]!r}, and keys are pinned here", hint)
    name, kid = _text(header, "alg"), _text(header, "kid")
    algorithm = _ALGORITHMS.get(name)
    if algorithm is None:
        _refuse("untrusted-token", f"the algorithm {name[:40]!r} is not taken", _TAKEN)
    named = [key for key in keys if not kid or key.kid in {"", kid}]
    fitting = [key for key in named if _fits(key, name, algorithm)]
    if not fitting:
        _refuse("untrusted-token", f"no pinned key is {kid[:80]!r} and for {name}", _PINNED)
    signer = next((k for k in fitting if _signed_by(k.key, algorithm, signature, signed)), None)
    if signer is None:
        _refuse("bad-signature", "no pinned key has signed it", _PINNED)
    return SignedToken(_object(body, "body"), name, signer.identity)


_NEW = "ask the verifier for a new token, for this artifact"
_TAKEN = f"taken are {', '.join(_ALGORITHMS)}"
_PINNED = "pin the keys of the verifier that gave the token with --jwks"


def _fits(key: TokenKey, name: str, algorithm: _Algorithm) -> bool:
    if key.alg not in {"", name}:
        return False
    if isinstance(key.key, ec.EllipticCurvePublicKey):
        return key.key.curve.name == algorithm.curve
    return not algorithm.curve


def _signed_by(key: _Key, algorithm: _Algorithm, signature: bytes, signed: bytes) -> bool:
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            half = (key.curve.key_size + 7) // 8
            if len(signature) != 2 * half:
                return False
            pair = int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
            encoded = utils.encode_dss_signature(*pair)
            key.verify(encoded, signed, ec.ECDSA(algorithm.hash))
        elif algorithm.pss:
            salt = algorithm.hash.digest_size  # RFC 7518, 3.5
            pss = padding.PSS(padding.MGF1(algorithm.hash), salt)
            key.verify(signature, signed, pss, algorithm.hash)
        else:
            key.verify(signature, signed, padding.PKCS1v15(), algorithm.hash)
    except (InvalidSignature, ValueError):
        return False
    return True


def _parts(raw: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    if len(raw) > MAX_TOKEN_BYTES:
        _refuse("broken-token", f"it has more than {MAX_TOKEN_BYTES >> 10} KiB", _NEW)
    parts = raw.split(b".")
    if len(parts) != 3:  # noqa: PLR2004 - header, body, signature
        _refuse("broken-token", "it is not header.body.signature", _NEW)
    try:
        head, body, signature = (_decode(part.decode("ascii")) for part in parts)
    except ValueError:
        _refuse("broken-token", "it is not base64url", _NEW)
    return head, body, signature, raw.rpartition(b".")[0]


def _decode(text: object) -> bytes:
    """Decode base64url without padding, in its one spelling. Raises `ValueError`."""
    if not isinstance(text, str):
        raise ValueError("not text")  # noqa: TRY004 - callers take one kind
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if base64.urlsafe_b64encode(data).rstrip(b"=").decode() != text:
        raise ValueError("another spelling")
    return data


def _text(header: Mapping[str, Any], key: str) -> str:
    value = header.get(key, "")
    if not isinstance(value, str):
        _refuse("broken-token", f"{key} in its header is no text", _NEW)
    return value


def _object(raw: bytes, what: str) -> dict[str, Any]:
    try:
        return parse_json_object(raw, f"the token's {what}")
    except ContentError as error:
        _refuse("broken-token", str(error), _NEW)


def _refuse(code: str, why: str, hint: str) -> NoReturn:
    raise VerificationError(f"the token does not count: {why}", hint=hint, code=code)
