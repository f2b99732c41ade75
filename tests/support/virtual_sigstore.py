"""A Sigstore in memory that signs as told, also wrongly; the real verifier checks what it made.

It has a certificate authority, a CT log and a log in the manner of Rekor v1, whose promise gives
the time. There are no servers: bundles for hostile cases come in milliseconds.
"""

import base64
import datetime as dt
import hashlib
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID
from tests.support.authorities import Authorities

ISSUER = "https://issuer.example"
SUBJECT = "trainer@acme.example"

_PAYLOAD_TYPE = "application/vnd.in-toto+json"
_LIFETIME = dt.timedelta(minutes=10)
_SCT_LIST = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_ISSUER_V1 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER_V2 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_SHA256 = ec.ECDSA(hashes.SHA256())


@dataclass(frozen=True, slots=True, kw_only=True)
class Certified:
    """What a certificate says; a test changes one thing of it.

    Attributes:
        names: The subject alternative names.
        issuer_v1: The raw issuer extension; empty leaves it out.
        issuer_v2: The issuer extension as a UTF8String; empty leaves it out.
        valid_from: Since when it is valid, for ten minutes; None means since a minute ago.
        with_sct: Whether the CT log has seen it.
        claims: More of Fulcio's extensions, as UTF8String, by their last number.
        extensions: The same with values that are taken as they are.
    """

    names: tuple[x509.GeneralName, ...] = (x509.RFC822Name(SUBJECT),)
    issuer_v1: str = ISSUER
    issuer_v2: str = ISSUER
    valid_from: dt.datetime | None = None
    with_sct: bool = True
    claims: Mapping[int, str] = field(default_factory=dict)
    extensions: Mapping[int, bytes] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class VirtualSigstore:
    """The keys of all parts."""

    authorities: Authorities = field(default_factory=Authorities.generate)

    def trusted_root(self) -> bytes:
        """Return the trusted root that believes this Sigstore."""
        start = {"start": f"{self.authorities.valid_from:%Y-%m-%dT%H:%M:%SZ}"}
        certificate = self.authorities.fulcio.chain[0].public_bytes(serialization.Encoding.DER)
        ct_key = self.authorities.ct_log.public_key()
        return json.dumps(
            {
                "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
                "tlogs": [_log(self.authorities.rekor.public_key(), "PKIX_ED25519", start)],
                "ctlogs": [_log(ct_key, "PKIX_ECDSA_P256_SHA_256", start)],
                "certificateAuthorities": [
                    {
                        "subject": {"organization": "tests", "commonName": "fulcio"},
                        "uri": "https://fulcio.example",
                        "certChain": {"certificates": [{"rawBytes": _b64(certificate)}]},
                        "validFor": start,
                    }
                ],
            }
        ).encode()

    def bundle(
        self,
        payload: bytes,
        certified: Certified | None = None,
        *,
        payload_type: str = _PAYLOAD_TYPE,
        logged_at: dt.datetime | None = None,
    ) -> dict[str, Any]:
        """Return a signed bundle, to be changed or encoded.

        Args:
            payload: what is signed.
            certified: what the certificate says.
            payload_type: of the envelope.
            logged_at: what time the log promises; None means now.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self.certificate(key.public_key(), certified or Certified())
        kind = payload_type.encode()
        pae = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
        signature = key.sign(pae, _SHA256)
        logged = logged_at or dt.datetime.now(dt.UTC)
        pem = certificate.public_bytes(serialization.Encoding.PEM)
        return {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {
                    "rawBytes": _b64(certificate.public_bytes(serialization.Encoding.DER))
                },
                "tlogEntries": [self._entry(payload, signature, pem, logged)],
            },
            "dsseEnvelope": {
                "payload": _b64(payload),
                "payloadType": payload_type,
                "signatures": [{"sig": _b64(signature)}],
            },
        }

    def certificate(self, key: ec.EllipticCurvePublicKey, certified: Certified) -> x509.Certificate:
        """Issue a certificate as Fulcio does."""
        builder = self._builder(key, certified)
        if certified.with_sct:
            precertificate = builder.sign(self.authorities.fulcio.key, hashes.SHA256())
            sct = self._sct(precertificate.tbs_certificate_bytes)
            listed = struct.pack("!HH", len(sct) + 2, len(sct)) + sct
            extension = x509.UnrecognizedExtension(_SCT_LIST, _der(0x04, listed))
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.authorities.fulcio.key, hashes.SHA256())

    def _builder(
        self, key: ec.EllipticCurvePublicKey, certified: Certified
    ) -> x509.CertificateBuilder:
        authority = self.authorities.fulcio.chain[0]
        valid_from = certified.valid_from or dt.datetime.now(dt.UTC) - dt.timedelta(minutes=1)
        usage = x509.KeyUsage(
            digital_signature=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=False,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )
        authority_key = self.authorities.fulcio.key.public_key()
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (usage, True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False),
            (x509.SubjectKeyIdentifier.from_public_key(key), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key), False),
            (x509.SubjectAlternativeName(certified.names), True),
        ]
        if certified.issuer_v1:
            raw = certified.issuer_v1.encode()
            extensions.append((x509.UnrecognizedExtension(_ISSUER_V1, raw), False))
        if certified.issuer_v2:
            raw = _der(0x0C, certified.issuer_v2.encode())
            extensions.append((x509.UnrecognizedExtension(_ISSUER_V2, raw), False))
        raws = {n: _der(0x0C, text.encode()) for n, text in certified.claims.items()}
        for number, raw in (raws | dict(certified.extensions)).items():
            oid = x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{number}")
            extensions.append((x509.UnrecognizedExtension(oid, raw), False))
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(authority.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(valid_from)
            .not_valid_after(valid_from + _LIFETIME)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder

    def _sct(self, tbs: bytes) -> bytes:
        """Sign as a CT log does (RFC 6962, 3.2 and 3.3)."""
        milliseconds = int(dt.datetime.now(dt.UTC).timestamp() * 1000)
        issuer = hashlib.sha256(_spki(self.authorities.fulcio.key.public_key())).digest()
        entry = issuer + len(tbs).to_bytes(3, "big") + tbs
        signed = struct.pack("!BBQH", 0, 0, milliseconds, 1) + entry + struct.pack("!H", 0)
        signature = self.authorities.ct_log.sign(signed, _SHA256)
        log_id = hashlib.sha256(_spki(self.authorities.ct_log.public_key())).digest()
        head = struct.pack("!B32sQH", 0, log_id, milliseconds, 0)
        return head + struct.pack("!BBH", 4, 3, len(signature)) + signature

    def log_entry(
        self, bundle: dict[str, Any], logged: dt.datetime, verifier: bytes = b""
    ) -> dict[str, Any]:
        """Return one more log entry for a signed bundle, at another place of another tree.

        Args:
            bundle: what is logged.
            logged: what time the log promises.
            verifier: the PEM that the entry names; the bundle's certificate when empty.
        """
        envelope = bundle["dsseEnvelope"]
        if not verifier:
            der = base64.b64decode(bundle["verificationMaterial"]["certificate"]["rawBytes"])
            certificate = x509.load_der_x509_certificate(der)
            verifier = certificate.public_bytes(serialization.Encoding.PEM)
        signature = base64.b64decode(envelope["signatures"][0]["sig"])
        payload = base64.b64decode(envelope["payload"])
        return self._entry(payload, signature, verifier, logged, index=7)

    def _entry(
        self,
        payload: bytes,
        signature: bytes,
        verifier: bytes,
        logged: dt.datetime,
        index: int = 0,
    ) -> dict[str, Any]:
        body = _canonical(
            {
                "apiVersion": "0.0.1",
                "kind": "dsse",
                "spec": {
                    "envelopeHash": _hash(b"the envelope as it was uploaded"),
                    "payloadHash": _hash(payload),
                    "signatures": [
                        {
                            "signature": _b64(signature),
                            "verifier": _b64(verifier),
                        }
                    ],
                },
            }
        )
        rekor = self.authorities.rekor
        log_id = hashlib.sha256(_spki(rekor.public_key())).digest()
        root = _b64(hashlib.sha256(b"\0" + body).digest())  # a tree with one leaf
        note = f"rekor.example\n1\n{root}\n"
        seal = _b64(log_id[:4] + rekor.sign(note.encode()))
        seconds = int(logged.timestamp())
        promised = {
            "body": _b64(body),
            "integratedTime": seconds,
            "logID": log_id.hex(),
            "logIndex": index,
        }
        return {
            "logIndex": str(index),
            "logId": {"keyId": _b64(log_id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(seconds),
            "inclusionPromise": {"signedEntryTimestamp": _b64(rekor.sign(_canonical(promised)))},
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": root,
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {"envelope": f"{note}\n\N{EM DASH} rekor.example {seal}\n"},
            },
            "canonicalizedBody": _b64(body),
        }


def _log(
    key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey, details: str, start: dict[str, str]
) -> dict[str, Any]:
    raw = _spki(key)
    return {
        "baseUrl": "https://log.example",
        "hashAlgorithm": "SHA2_256",
        "publicKey": {"rawBytes": _b64(raw), "keyDetails": details, "validFor": start},
        "logId": {"keyId": _b64(hashlib.sha256(raw).digest())},
    }


def _spki(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> bytes:
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def _hash(data: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": hashlib.sha256(data).hexdigest()}


def _canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    length = bytes([size]) if size < 0x80 else bytes([0x82]) + size.to_bytes(2, "big")
    if 0x80 <= size <= 0xFF:
        length = bytes([0x81, size])
    return bytes([tag]) + length + content
