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
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

FULCIO_KEY_PASSWORD = "test"
"""Fulcio takes only an encrypted key."""

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
    builder = _builder(name, key.public_key(), issuer_name=name, issuer_key=key.public_key())
    builder = builder.add_extension(
        x509.BasicConstraints(ca=True, path_length=path_length), critical=True
    )
    builder = builder.add_extension(_key_usage(ca=True), critical=True)
    return Authority(key, (builder.sign(key, hashes.SHA256()),))


def _timestamping_leaf(root: Authority) -> Authority:
    """Issue a certificate for timestamps, which timestamp-authority wants below a root."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(
        "tsa", key.public_key(), issuer_name="tsa-root", issuer_key=root.key.public_key()
    )
    builder = builder.add_extension(
        x509.BasicConstraints(ca=False, path_length=None), critical=True
    )
    builder = builder.add_extension(_key_usage(ca=False), critical=True)
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    leaf = builder.add_extension(usage, critical=True).sign(root.key, hashes.SHA256())
    return Authority(key, (leaf, *root.chain))


def _builder(
    name: str,
    key: ec.EllipticCurvePublicKey,
    *,
    issuer_name: str,
    issuer_key: ec.EllipticCurvePublicKey,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(_name(issuer_name))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key), critical=False
        )
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        key_cert_sign=ca,
        crl_sign=ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common_name: str) -> x509.Name:
    # sigstore-python wants a common name in every trusted certificate.
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "modelseal tests"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
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
