# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Certificates for registries and for who asks them, by an authority of a test's own."""

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = dt.timedelta(days=1)


@dataclass(frozen=True, slots=True)
class KeyPair:
    """A certificate and its private key, as PEM files."""

    certificate: Path
    key: Path


class TlsAuthority:
    """Issues certificates; everything is written below one directory."""

    def __init__(self, directory: Path, name: str = "ca") -> None:
        """Make the authority's own key and certificate."""
        self._directory = directory
        self._name = _name(f"test authority {name}")
        self._key = ec.generate_private_key(ec.SECP256R1())
        made = self._build(self._name, self._key.public_key(), ca=True, expired=False)
        self.ca_file = directory / f"{name}.pem"
        self.ca_file.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def issue(
        self, host: str, *, expired: bool = False, passphrase: str = "", file: str = ""
    ) -> KeyPair:
        """Issue a certificate for a host name or an address.

        Args:
            host: who it is for.
            expired: valid until yesterday.
            passphrase: encrypts the private key.
            file: how the files begin; `host` when not given.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._build(_name(host), key.public_key(), host=host, expired=expired)
        lock: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase:
            lock = serialization.BestAvailableEncryption(passphrase.encode())
        base = file or host
        pair = KeyPair(self._directory / f"{base}.crt", self._directory / f"{base}.key")
        pair.certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        pair.key.write_bytes(key.private_bytes(pem, pkcs8, lock))
        return pair

    def server(
        self,
        host: str = "127.0.0.1",
        *,
        expired: bool = False,
        clients: "TlsAuthority | None" = None,
        newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
    ) -> ssl.SSLContext:
        """Return how a server speaks TLS; with `clients` only to who has a certificate by it."""
        pair = self.issue(host, expired=expired, file=f"server-{host}")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.certificate, pair.key)
        context.maximum_version = newest
        if clients is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(clients.ca_file)
        return context

    def _build(
        self,
        subject: x509.Name,
        public_key: ec.EllipticCurvePublicKey,
        *,
        ca: bool = False,
        host: str = "",
        expired: bool,
    ) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 3 * _DAY)
            .not_valid_after(now - _DAY if expired else now + _DAY)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if host:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general_name(host)]), critical=False
            )
        return builder.sign(self._key, hashes.SHA256())


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
