"""Keys and certificates of a private Sigstore: made here, kept, and lent to tests that forge."""

import base64
import datetime as dt
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.support import certificates

FULCIO_KEY_PASSWORD = "test"
"""Fulcio takes only an encrypted key."""

_ORGANISATION = "modelseal tests"
_LIFETIME = dt.timedelta(days=30)
_SKEW = dt.timedelta(hours=1)
_DER, _PEM = serialization.Encoding.DER, serialization.Encoding.PEM


@dataclass(frozen=True, slots=True)
class Authority:
    """A signing key and its certificates, the key's own first and the root last."""

    key: ec.EllipticCurvePrivateKey
    chain: tuple[x509.Certificate, ...]

    @property
    def chain_pem(self) -> bytes:
        """The certificates, one after the other."""
        return b"".join(certificate.public_bytes(_PEM) for certificate in self.chain)


@dataclass(frozen=True, slots=True)
class Authorities:
    """All that a private Sigstore signs with."""

    fulcio: Authority
    ct_log: ec.EllipticCurvePrivateKey
    rekor: ed25519.Ed25519PrivateKey
    tsa: Authority

    @classmethod
    def generate(cls) -> Self:
        """Make new keys, and certificates valid from an hour ago for a month."""
        return cls(
            fulcio=_root("fulcio", path_length=0),
            ct_log=ec.generate_private_key(ec.SECP256R1()),
            rekor=ed25519.Ed25519PrivateKey.generate(),
            tsa=_timestamping_leaf(_root("tsa-root", path_length=1)),
        )

    @property
    def valid_from(self) -> dt.datetime:
        """The moment from which all of it is valid."""
        return self.fulcio.chain[0].not_valid_before_utc

    def write_public(self, directory: Path) -> None:
        """Write what makes a trusted root: `fulcio.pem`, `tsa.pem`, `ct.pub`, `rekor.pub`."""
        (directory / "fulcio.pem").write_bytes(self.fulcio.chain_pem)
        (directory / "tsa.pem").write_bytes(self.tsa.chain_pem)
        (directory / "ct.pub").write_bytes(_public_pem(self.ct_log.public_key()))
        (directory / "rekor.pub").write_bytes(_public_pem(self.rekor.public_key()))

    def write_private(self, directory: Path, ct_address: str) -> None:
        """Write what the services start with: `fulcio.key`, `tsa.key`, `rekor.key`, `ct.json`."""
        encrypted = serialization.BestAvailableEncryption(FULCIO_KEY_PASSWORD.encode())
        (directory / "fulcio.key").write_bytes(_private_pem(self.fulcio.key, encrypted))
        (directory / "tsa.key").write_bytes(_private_pem(self.tsa.key))
        (directory / "rekor.key").write_bytes(_private_pem(self.rekor))
        sec1 = self.ct_log.private_bytes(
            _DER, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        personality = {"Addr": ct_address, "PrivKey": base64.b64encode(sec1).decode()}
        (directory / "ct.json").write_text(json.dumps({"Personalities": [personality]}))


def _root(name: str, *, path_length: int) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _begin(name, key, issuer=name, issuer_key=key, ca=True, path_length=path_length)
    return Authority(key, (builder.sign(key, hashes.SHA256()),))


def _timestamping_leaf(root: Authority) -> Authority:
    """Issue a certificate for timestamps, which timestamp-authority wants below a root."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _begin("tsa", key, issuer="tsa-root", issuer_key=root.key, ca=False)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    leaf = builder.add_extension(usage, critical=True).sign(root.key, hashes.SHA256())
    return Authority(key, (leaf, *root.chain))


def _begin(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    *,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    ca: bool,
    path_length: int | None = None,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return certificates.begin(
        certificates.name(_ORGANISATION, name),
        key.public_key(),
        issuer=certificates.name(_ORGANISATION, issuer),
        issuer_key=issuer_key.public_key(),
        valid=(now - _SKEW, now + _LIFETIME),
        ca=ca,
        path_length=path_length,
    )


def _public_pem(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> bytes:
    return key.public_bytes(_PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _private_pem(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey,
    encryption: serialization.KeySerializationEncryption | None = None,
) -> bytes:
    return key.private_bytes(
        _PEM,
        serialization.PrivateFormat.PKCS8,
        encryption or serialization.NoEncryption(),
    )
