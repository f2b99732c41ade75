# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A company's certificate authority: root, intermediates, and certificates for signing code."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.support import certificates
from tests.support.certificates import PublicKey

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
        builder = _begin("a signer", self, public_key, days, ca=False)
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
        builder = _begin(name, self, key.public_key(), (-2, 300), ca=ca, path_length=length)
        if usages is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return Ca(builder.sign(self.key, hashes.SHA256()), key)


def make_root(name: str = "Acme root") -> Ca:
    """Make a self-signed root."""
    key = ec.generate_private_key(ec.SECP256R1())
    builder = _begin(name, None, key.public_key(), (-3, 3000), ca=True, path_length=2)
    return Ca(builder.sign(key, hashes.SHA256()), key)


def write(path: Path, *certificates: x509.Certificate) -> Path:
    """Write certificates as PEM."""
    pem = serialization.Encoding.PEM
    path.write_bytes(b"".join(one.public_bytes(pem) for one in certificates))
    return path


def _begin(
    name: str,
    issuer: Ca | None,
    key: PublicKey,
    days: tuple[int, int],
    *,
    ca: bool,
    path_length: int | None = None,
) -> x509.CertificateBuilder:
    """Begin a certificate by `issuer`, or by itself."""
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    named = certificates.name("Acme", name)
    return certificates.begin(
        named,
        key,
        issuer=issuer.certificate.subject if issuer else named,
        issuer_key=issuer.key.public_key() if issuer else key,
        valid=(now + days[0] * DAY, now + days[1] * DAY),
        ca=ca,
        path_length=path_length,
    )
