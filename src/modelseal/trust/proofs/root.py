# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A trusted root, read strictly: whose certificates, logs and timestamps are believed, and when.

Every part may be missing but the certificate authorities; what is there has to be whole.
Source: sigstore/protobuf-specs, `sigstore_trustroot.proto` and `sigstore_common.proto`.
"""

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NoReturn, TypeAlias, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa

from modelseal.errors import UsageError

T = TypeVar("T")

MAX_PARTS: Final = 128
"""Most authorities, or logs, of one kind that a trusted root may name."""

_MAX_CHAIN = 10
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)")
_HASHES: Mapping[str, hashes.HashAlgorithm] = {
    "PKIX_ECDSA_P256_SHA_256": hashes.SHA256(),
    "PKIX_ECDSA_P384_SHA_384": hashes.SHA384(),
    "PKIX_ECDSA_P521_SHA_512": hashes.SHA512(),
}
_PARTS = {"mediaType", "certificateAuthorities", "ctlogs", "tlogs", "timestampAuthorities"}
_CURVES = {
    "PKIX_ECDSA_P256_SHA_256": "secp256r1",
    "PKIX_ECDSA_P384_SHA_384": "secp384r1",
    "PKIX_ECDSA_P521_SHA_512": "secp521r1",
}
_RSA = {
    "PKCS1_RSA_PKCS1V5",
    "PKIX_RSA_PKCS1V15_2048_SHA256",
    "PKIX_RSA_PKCS1V15_3072_SHA256",
    "PKIX_RSA_PKCS1V15_4096_SHA256",
}
_LogKey: TypeAlias = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


@dataclass(frozen=True, slots=True)
class Validity:
    """A closed interval of time; without an end it goes on."""

    start: datetime
    end: datetime | None

    def covers(self, time: datetime) -> bool:
        """Tell whether `time` lies in it, ends included."""
        return self.start <= time and (self.end is None or time <= self.end)


@dataclass(frozen=True, slots=True)
class Log:
    """A log of either kind: a key, what it is called, and when it was in use.

    Attributes:
        key_id: as log entries, promises and SCTs name it.
        hint: the four bytes by which a checkpoint's signature names it.
        validity: when it was in use.
    """

    key_id: bytes
    hint: bytes
    validity: Validity
    _key: _LogKey = field(repr=False, compare=False)
    _hash: hashes.HashAlgorithm | None = field(repr=False, compare=False)

    def signed(self, signature: bytes, data: bytes) -> bool:
        """Tell whether the log signed `data`, with the one algorithm that its key is for."""
        try:
            if isinstance(self._key, ed25519.Ed25519PublicKey):
                self._key.verify(signature, data)
            elif isinstance(self._key, rsa.RSAPublicKey):
                self._key.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
            else:
                assert self._hash is not None
                self._key.verify(signature, data, ec.ECDSA(self._hash))
        except (InvalidSignature, ValueError):
            return False
        return True


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate or timestamp authority.

    Attributes:
        chain: its certificates, the one that issues or signs first, the root last.
        validity: when it was in use.
    """

    chain: tuple[x509.Certificate, ...]
    validity: Validity

    def valid_at(self, time: datetime) -> bool:
        """Tell whether it was in use at `time`, and all its certificates valid."""
        return self.validity.covers(time) and all(
            one.not_valid_before_utc <= time <= one.not_valid_after_utc for one in self.chain
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """Whom a trusted root names, by kind."""

    authorities: tuple[Authority, ...]
    ct_logs: tuple[Log, ...]
    logs: tuple[Log, ...]
    timestampers: tuple[Authority, ...]

    def log(self, key_id: bytes) -> Log | None:
        """Return the transparency log of that name, if it is believed."""
        return next((log for log in self.logs if log.key_id == key_id), None)


def read_root(value: Mapping[str, Any], name: str) -> Root:
    """Read the JSON object of a trusted root; `name` names it in errors.

    Raises:
        UsageError: a part of it is not what it has to be, or there is no certificate authority.
    """
    try:
        unknown = value.keys() - _PARTS
        if unknown:  # taken for nothing, a part in another spelling would not be asked for
            _wrong(f"it has the unknown key {min(unknown)[:40]!r}")
        root = Root(
            authorities=_all(value, "certificateAuthorities", _authority),
            ct_logs=_all(value, "ctlogs", _log),
            logs=_all(value, "tlogs", _log),
            timestampers=_all(value, "timestampAuthorities", _timestamper),
        )
        if not root.authorities:
            _wrong("it names no certificate authority (Fulcio)")
    except (ValueError, UnsupportedAlgorithm) as error:
        raise UsageError(f"{name} cannot be used: {error}", code="invalid-trust-file") from error
    return root


def _all(value: Mapping[str, Any], part: str, read: Callable[[Any], T]) -> tuple[T, ...]:
    items = [] if value.get(part) is None else value[part]
    if not isinstance(items, list) or len(items) > MAX_PARTS:
        _wrong(f"{part} is not a list of at most {MAX_PARTS}")
    return tuple(_named(part, item, read) for item in items)


def _named(part: str, item: object, read: Callable[[Any], T]) -> T:
    try:
        return read(item)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ValueError(f"{part}: {error}") from error


def _log(item: object) -> Log:
    log = _object(item, "a log")
    key = _object(log.get("publicKey"), "publicKey")
    key_id = _bytes(_object(log.get("logId"), "logId").get("keyId"), "logId")
    # Rekor v2 names itself otherwise in checkpoints when its key is no Ed25519 key.
    checkpoint = _object(log.get("checkpointKeyId") or {}, "checkpointKeyId")
    hint = _bytes(checkpoint["keyId"], "checkpointKeyId") if checkpoint else key_id
    loaded, algorithm = _key(_bytes(key.get("rawBytes"), "rawBytes"), key.get("keyDetails"))
    return Log(key_id, hint[:4], _validity(key.get("validFor")), loaded, algorithm)


def _key(der: bytes, details: object) -> tuple[_LogKey, hashes.HashAlgorithm | None]:
    details = details if isinstance(details, str) else ""
    key = serialization.load_der_public_key(der) if details != "PKCS1_RSA_PKCS1V5" else _pkcs1(der)
    if isinstance(key, ec.EllipticCurvePublicKey) and _CURVES.get(details) == key.curve.name:
        return key, _HASHES[details]
    if isinstance(key, ed25519.Ed25519PublicKey) and details == "PKIX_ED25519":
        return key, None
    if isinstance(key, rsa.RSAPublicKey) and details in _RSA:
        return key, hashes.SHA256()
    raise ValueError(f"a key is not a {details[:40] or 'key of a kind that is named'}")


def _pkcs1(der: bytes) -> object:
    pem = b"-----BEGIN RSA PUBLIC KEY-----\n%b\n-----END RSA PUBLIC KEY-----\n"
    return serialization.load_pem_public_key(pem % base64.b64encode(der))


def _authority(item: object) -> Authority:
    chain = _object(_object(item, "an authority").get("certChain"), "certChain")
    certificates = chain.get("certificates")
    if not isinstance(certificates, list) or not 0 < len(certificates) <= _MAX_CHAIN:
        _wrong(f"certChain does not have 1 to {_MAX_CHAIN} certificates")
    loaded = (_certificate(one) for one in certificates)
    return Authority(tuple(loaded), _validity(_object(item, "an authority").get("validFor")))


def _timestamper(item: object) -> Authority:
    authority = _authority(item)
    if len(authority.chain) < 2:  # noqa: PLR2004 - what signs, and what vouches for it
        _wrong("certChain has no root besides the certificate that signs")
    return authority


def _certificate(item: object) -> x509.Certificate:
    raw = _object(item, "a certificate").get("rawBytes")
    return x509.load_der_x509_certificate(_bytes(raw, "rawBytes"))


def _validity(value: object) -> Validity:
    # Without a start it would hold for all the past: malformed, not unbounded.
    interval = _object(value, "validFor")
    end = interval.get("end")
    return Validity(_time(interval.get("start")), None if end is None else _time(end))


def _time(value: object) -> datetime:
    match = _TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        _wrong("a time in validFor is not as RFC 3339 has it")
    whole, fraction, zone = match.groups()
    text = f"{whole}{(fraction or '')[:7]}{zone.replace('Z', '+00:00')}"
    return datetime.fromisoformat(text).astimezone(UTC)


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        _wrong(f"{where} is not an object")
    return value


def _bytes(value: object, where: str) -> bytes:
    if not isinstance(value, str) or not value:
        _wrong(f"{where} is not base64")
    return base64.b64decode(value, validate=True)


def _wrong(reason: str) -> NoReturn:
    raise ValueError(reason)
