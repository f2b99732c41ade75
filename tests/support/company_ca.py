# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A company's certificate authority: root, intermediates, and certificates for signing code."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

PublicKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey
DAY = dt.timedelta(days=1)
SUBJECT = "release@acme.example"
CODE = (ExtendedKeyUsageOID.CODE_SIGNING,)


@dataclass(frozen=True)
class Ca:
    """A certificate that issues others."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    def issue(
        self,
        public_key: PublicKey,
        *,
        subject: str | Sequence[x509.GeneralName] = SUBJECT,
        usages: Sequence[x509.ObjectIdentifier] | None = CODE,
        days: tuple[int, int] = (-1, 30),
    ) -> x509.Certificate:
        """Issue a signing certificate, valid from and to so many days from now."""
        names = [x509.RFC822Name(subject)] if isinstance(subject, str) else list(subject)
        builder = _builder("a signer", self, public_key, days).add_extension(
            x509.BasicConstraints(ca=False, path_length=None), critical=True
        )
        builder = builder.add_extension(_usage(ca=False), critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        if usages is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def below(
        self,
        name: str = "intermediate",
        *,
        usages: Sequence[x509.ObjectIdentifier] | None = None,
        path_length: int | None = 0,
        ca: bool = True,
    ) -> "Ca":
        """Issue a certificate that issues others; with `ca=False` one that must not."""
        key = ec.generate_private_key(ec.SECP256R1())
        length = path_length if ca else None
        builder = _builder(name, self, key.public_key(), (-2, 300)).add_extension(
            x509.BasicConstraints(ca=ca, path_length=length), critical=True
        )
        builder = builder.add_extension(_usage(ca=ca), critical=True)
        if usages is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return Ca(builder.sign(self.key, hashes.SHA256()), key)


def make_root(name: str = "Acme root") -> Ca:
    """Make a self-signed root."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _builder(name, None, key.public_key(), (-3, 3000), issuer_key=key.public_key())
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=2), critical=True)
    builder = builder.add_extension(_usage(ca=True), critical=True)
    return Ca(builder.sign(key, hashes.SHA256()), key)


def write(path: Path, *certificates: x509.Certificate) -> Path:
    """Write certificates as PEM."""
    pem = serialization.Encoding.PEM
    path.write_bytes(b"".join(one.public_bytes(pem) for one in certificates))
    return path


def _builder(
    name: str,
    issuer: Ca | None,
    public_key: PublicKey,
    days: tuple[int, int],
    issuer_key: PublicKey | None = None,
) -> x509.CertificateBuilder:
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    above = issuer.key.public_key() if issuer else issuer_key
    assert above is not None
    return (
        x509.CertificateBuilder()
        .subject_name(_name(name))
        .issuer_name(issuer.certificate.subject if issuer else _name(name))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + days[0] * DAY)
        .not_valid_after(now + days[1] * DAY)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above), critical=False)
    )


def _name(text: str) -> x509.Name:
    organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Acme")
    return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _usage(*, ca: bool) -> x509.KeyUsage:
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
