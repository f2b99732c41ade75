# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""OMS bundles that are signed with a certificate chain of one's own.

Source: OpenSSF Model Signing v1.0, section 8, and RFC 5280. This module imports `cryptography`
where a certificate is really used.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn

from modelseal.documents import parse_json_object
from modelseal.errors import KeyFileError, UsageError, VerificationError
from modelseal.oci.descriptor import Digest
from modelseal.trust.bundle import parse_bundle
from modelseal.trust.dsse import broken, pae, parse_statement, strict_base64
from modelseal.trust.identity import Profile, VerifiedStatement
from modelseal.trust.oms import oms_statement
from modelseal.trust.oms_keys import TAKEN, ec_key
from modelseal.trust.verifier import require_subject

if TYPE_CHECKING:
    from cryptography import x509

CHECK_OMS_CHAIN: Final = "own-certificate-chain"
"""A given certificate authority vouches for the signing certificate, which is valid now."""

_MAX_CHAIN = 10
_READ_EXTENSIONS = {"2.5.29.19", "2.5.29.15", "2.5.29.37", "2.5.29.17"}  # BC, KU, EKU, SAN
_WEAK = {"md5", "sha1"}


class OmsChainVerifier:
    """Accepts whom a certificate authority of one's own vouches for, as long as that is valid.

    Nothing in such a bundle says when it was signed, so the certificates have to be valid now.
    """

    def __init__(
        self,
        authorities: Sequence["x509.Certificate"],
        clock: Callable[[], datetime],
        intermediates: Sequence["x509.Certificate"] = (),
    ) -> None:
        """Believe whom one of `authorities` vouches for; none raises `UsageError`.

        Args:
            authorities: believed.
            clock: tells the time at which all has to be valid.
            intermediates: help to find the way, besides those in the bundle; not believed.
        """
        if not authorities:
            raise UsageError("no certificate authority was given, so nobody could be believed")
        self._authorities = tuple(authorities)
        self._clock = clock
        self._intermediates = tuple(intermediates)

    def verify(self, bundle: bytes, *, subject: Digest) -> VerifiedStatement:
        """Return the statement about `subject`. Raises `VerificationError`, as in the protocol."""
        parsed = parse_bundle(bundle)
        if parsed.key_hint is not None:
            raise VerificationError(
                "the bundle is signed with a key, and a certificate chain was asked for",
                hint="verify with --key K.pub, if that is whom you believe",
                code="key-signed-bundle",
            )
        chain = _chain_of(bundle)
        _check_chain((*chain, *self._intermediates), self._authorities, self._clock())
        try:
            key = ec_key(chain[0].public_key(), "the certificate's key")
        except (KeyFileError, ValueError) as error:
            raise VerificationError(str(error), hint=TAKEN, code="untrusted-root") from error
        key.verify(parsed.envelope.signature, pae(parsed.envelope.payload))
        statement = require_subject(parse_statement(parsed.envelope.payload), subject)
        return oms_statement(statement, subject, bundle, key, CHECK_OMS_CHAIN, Profile.CERTIFICATE)


def _chain_of(raw: bytes) -> tuple["x509.Certificate", ...]:
    """Return the certificates of a bundle of the method `certificate`, the leaf first."""
    from cryptography import x509

    material = parse_json_object(raw, "the bundle")["verificationMaterial"]
    if "x509CertificateChain" not in material:
        raise VerificationError(
            "the bundle is signed keylessly, and a certificate chain was asked for",
            hint="verify with --certificate-identity and --certificate-oidc-issuer",
            code="certificate-bundle",
        )
    items = material["x509CertificateChain"]["certificates"]
    try:
        return tuple(
            x509.load_der_x509_certificate(
                strict_base64(item["rawBytes"] if isinstance(item, dict) else None, "rawBytes")
            )
            for item in items
        )
    except (ValueError, KeyError):
        broken("a certificate of its chain cannot be read")


def _check_chain(
    chain: Sequence["x509.Certificate"], authorities: Sequence["x509.Certificate"], now: datetime
) -> None:
    """Find a way from the first certificate to a given authority, each step checked."""
    _check_leaf(chain[0])
    current, below, left = chain[0], 0, list(chain[1:])
    for _ in range(_MAX_CHAIN):
        _check_valid(current, now)
        issuer = _issuer(current, authorities)
        if issuer is not None:
            _check_valid(issuer, now)
            _check_authority(issuer, below)
            return
        issuer = _issuer(current, left)
        if issuer is None:
            break
        _check_authority(issuer, below)
        left.remove(issuer)
        current, below = issuer, below + 1
    raise VerificationError(
        "no given certificate authority vouches for the signing certificate",
        hint="give the authority's certificate: --ca-roots ROOT.pem",
        code="untrusted-root",
    )


def _issuer(
    certificate: "x509.Certificate", candidates: Sequence["x509.Certificate"]
) -> "x509.Certificate | None":
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    algorithm = certificate.signature_hash_algorithm
    if algorithm is not None and algorithm.name in _WEAK:
        return None
    for candidate in candidates:
        try:
            certificate.verify_directly_issued_by(candidate)
        except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
            continue
        return candidate
    return None


def _check_valid(certificate: "x509.Certificate", now: datetime) -> None:
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise VerificationError(
            f"the certificate of {certificate.subject.rfc4514_string()[:200]} is valid only from "
            f"{certificate.not_valid_before_utc:%F} to {certificate.not_valid_after_utc:%F}",
            hint="sign anew; nothing in the bundle proves that it was signed in time",
            code="expired-certificate",
        )


def _check_authority(certificate: "x509.Certificate", below: int) -> None:
    """Hold that a certificate may issue another one with `below` authorities under it."""
    from cryptography import x509

    constraints = _extension(certificate, x509.BasicConstraints)
    usage = _extension(certificate, x509.KeyUsage)
    if constraints is None or not constraints.ca or (usage and not usage.key_cert_sign):
        _untrusted("a certificate of the chain may not issue others")
    if constraints.path_length is not None and below > constraints.path_length:
        _untrusted("the chain is longer than its authority allows")


def _check_leaf(certificate: "x509.Certificate") -> None:
    """Hold that a certificate is for signing; RFC 5280, 4.2.1.3 and 4.2.1.12."""
    from cryptography import x509
    from cryptography.x509.oid import ExtendedKeyUsageOID

    usage = _extension(certificate, x509.KeyUsage)
    extended = _extension(certificate, x509.ExtendedKeyUsage)
    signing = usage is not None and usage.digital_signature
    code = extended is not None and ExtendedKeyUsageOID.CODE_SIGNING in extended
    if not (signing or code) or (usage and not signing) or (extended and not code):
        _untrusted("the certificate is not for signing code")


def _extension(certificate: "x509.Certificate", kind: type[Any]) -> Any:  # noqa: ANN401 - of `kind`
    from cryptography import x509

    try:
        unknown = [
            extension.oid.dotted_string
            for extension in certificate.extensions
            if extension.critical and extension.oid.dotted_string not in _READ_EXTENSIONS
        ]
        if unknown:
            _untrusted(f"a certificate has the critical extension {unknown[0]}")
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
    except ValueError:
        _untrusted("a certificate has a broken extension")


def _untrusted(reason: str) -> NoReturn:
    raise VerificationError(
        f"the signing certificate is not trusted: {reason}",
        hint="use a certificate that the authority issued for signing",
        code="untrusted-root",
    )
