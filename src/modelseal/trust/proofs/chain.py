# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Signing certificates: who issued them, when they were valid, which CT log has seen them.

Sources: RFC 5280; RFC 6962, 3.2 and 3.3; sigstore/fulcio, `certificate-specification.md`.
"""

import struct
from collections.abc import Iterable
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from cryptography.x509.certificate_transparency import LogEntryType, SignedCertificateTimestamp
from cryptography.x509.oid import ExtendedKeyUsageOID

from modelseal.trust.proofs.refusal import CHANGED, OTHER_ROOT, refusal
from modelseal.trust.proofs.root import Authority, Root

_MAX_SCTS = 16
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - SCTs are given without a zone, in UTC


def load_certificate(der: bytes) -> x509.Certificate:
    """Read a signing certificate with a P-256 key, for signing code and nothing else.

    Raises:
        VerificationError: `broken-bundle`: it is no such certificate.
    """
    try:
        certificate = x509.load_der_x509_certificate(der)
        key = certificate.public_key()
        usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
        extended = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        signs_code = usage.digital_signature and ExtendedKeyUsageOID.CODE_SIGNING in extended
    except Exception as error:
        # Its parser lets out many kinds of error on odd input, and all of them mean no.
        raise refusal("broken-bundle", "the signing certificate cannot be read") from error
    if not signs_code:
        raise refusal("broken-bundle", "the certificate is not one to sign code with")
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise refusal("broken-bundle", "the certificate's key is not an ECDSA P-256 key")
    return certificate


def issuing_chain(
    certificate: x509.Certificate, root: Root, times: Iterable[datetime]
) -> tuple[x509.Certificate, ...]:
    """Return the trusted certificates above `certificate`, which was valid at all `times`.

    Raises:
        VerificationError: `untrusted-root` or `expired-certificate`.
    """
    chain: tuple[x509.Certificate, ...] = ()
    for time in times:
        if not certificate.not_valid_before_utc <= time <= certificate.not_valid_after_utc:
            raise refusal(
                "expired-certificate",
                "the signing certificate was not valid when it was used, only from "
                f"{certificate.not_valid_before_utc:%F %T} to "
                f"{certificate.not_valid_after_utc:%F %T} UTC",
                "sign anew",
            )
        chain = _chain_at(certificate, root, time)
    assert chain
    return chain


def _chain_at(
    certificate: x509.Certificate, root: Root, time: datetime
) -> tuple[x509.Certificate, ...]:
    issued = False
    for authority in root.authorities:
        if not _is_issuer(certificate, authority):
            continue
        issued = True
        chain = _path(certificate, authority, time) if authority.valid_at(time) else ()
        if chain:
            return chain
    if issued:
        raise refusal(
            "expired-certificate",
            f"the certificate authority was not to be trusted at {time:%F %T} UTC",
            OTHER_ROOT,
        )
    raise _foreign()


def require_issued(certificate: x509.Certificate, root: Root) -> None:
    """See that an authority of the root signed it, at any time. Raises `VerificationError`."""
    if not any(_is_issuer(certificate, authority) for authority in root.authorities):
        raise _foreign()


def _foreign() -> Exception:
    return refusal(
        "untrusted-root",
        "the signing certificate was not issued by the trusted root",
        OTHER_ROOT,
    )


def _is_issuer(certificate: x509.Certificate, authority: Authority) -> bool:
    for one in authority.chain:
        try:
            certificate.verify_directly_issued_by(one)
        except Exception:  # noqa: BLE001, S112 - whatever it is, it is not the issuer
            continue
        return True
    return False


def _path(
    certificate: x509.Certificate, authority: Authority, time: datetime
) -> tuple[x509.Certificate, ...]:
    """Return the path to the authority, as RFC 5280 has it; empty when there is none.

    Profiles of the web ask for other key usages; code signing is looked at in
    `load_certificate`, and nothing else of the profiles is left out.
    """
    usage = (x509.ExtendedKeyUsage, verification.Criticality.NON_CRITICAL, None)
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store(list(authority.chain)))
        .time(time)
        .extension_policies(
            ca_policy=verification.ExtensionPolicy.webpki_defaults_ca().may_be_present(*usage),
            ee_policy=verification.ExtensionPolicy.webpki_defaults_ee().may_be_present(*usage),
        )
        .build_client_verifier()
    )
    try:
        return tuple(verifier.verify(certificate, []).chain[1:])
    except (verification.VerificationError, x509.UnsupportedGeneralNameType, ValueError):
        return ()


def require_sct(
    certificate: x509.Certificate, chain: tuple[x509.Certificate, ...], root: Root
) -> None:
    """See that a CT log of the root has seen the certificate.

    SCTs of other logs prove nothing, and are left out; those of a known log have to hold.

    Raises:
        VerificationError: `untrusted-ct-log`.
    """
    seen = False
    for sct in _scts(certificate):
        log = next((log for log in root.ct_logs if log.key_id == sct.log_id), None)
        if log is None:
            continue
        made = sct.timestamp.replace(tzinfo=UTC)
        if not log.validity.covers(made):
            raise _unseen(f"the CT log was not in use at {made:%F %T} UTC")
        if not isinstance(sct.signature_hash_algorithm, hashes.SHA256) or not log.signed(
            sct.signature, _signed_by_ct_log(sct, certificate, chain)
        ):
            raise _unseen("what the CT log signed does not hold", CHANGED)
        seen = True
    if not seen:
        raise _unseen("no trusted log has seen the signing certificate")


def _scts(certificate: x509.Certificate) -> list[SignedCertificateTimestamp]:
    kind = x509.PrecertificateSignedCertificateTimestamps
    try:
        found = list(certificate.extensions.get_extension_for_class(kind).value)
    except x509.ExtensionNotFound:
        return []
    except Exception as error:
        raise _unseen("the certificate's timestamps of CT logs cannot be read", CHANGED) from error
    if len(found) > _MAX_SCTS:
        raise _unseen(f"the certificate has more than {_MAX_SCTS} timestamps of CT logs", CHANGED)
    return [sct for sct in found if sct.entry_type is LogEntryType.PRE_CERTIFICATE]


def _signed_by_ct_log(
    sct: SignedCertificateTimestamp,
    certificate: x509.Certificate,
    chain: tuple[x509.Certificate, ...],
) -> bytes:
    """Return the bytes that a log signs for a precertificate (RFC 6962, 3.2)."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(
        chain[0]
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    tbs = certificate.tbs_precertificate_bytes
    milliseconds = (sct.timestamp - _EPOCH) // (datetime.resolution * 1000)
    head = struct.pack("!BBQH", sct.version.value, 0, milliseconds, sct.entry_type.value)
    entry = digest.finalize() + len(tbs).to_bytes(3, "big") + tbs
    return head + entry + struct.pack("!H", len(sct.extension_bytes)) + sct.extension_bytes


def _unseen(message: str, hint: str = OTHER_ROOT) -> Exception:
    return refusal("untrusted-ct-log", message, hint)
