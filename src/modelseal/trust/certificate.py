# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Whom a Fulcio certificate names, and what it says about the workload.

Source: sigstore/fulcio, `docs/oid-info.md` and `docs/certificate-specification.md`.
"""

from collections.abc import Mapping
from types import MappingProxyType

from cryptography import x509

from modelseal.errors import VerificationError
from modelseal.trust.identity import CLAIM_OIDS, MAX_CLAIM_BYTES, Identity

_ISSUER_V1 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER_V2 = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_OTHER_NAME = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7")
_UTF8_STRING = 0x0C
_MAX_SHORT_LENGTH = 0x7F


def identity_of(certificate: x509.Certificate) -> Identity:
    """Return the one identity that a certificate names, and the issuer that vouched for it.

    Raises:
        VerificationError: `broken-bundle`: none, several, or two different issuers.
    """
    try:
        return Identity(_issuer(certificate), _subject(certificate))
    except (ValueError, x509.ExtensionNotFound, x509.UnsupportedGeneralNameType) as error:
        raise VerificationError(
            "the signing certificate does not name exactly one identity and issuer",
            hint="it was not made by Fulcio; sign anew",
            code="broken-bundle",
        ) from error


def claims_of(certificate: x509.Certificate) -> Mapping[str, str]:
    """Return what a certificate says about the workload that signed, by the names of `CLAIM_OIDS`.

    What it does not say, or says with an empty text, is left out. Call it only for a certificate
    that was verified: nothing is checked here.

    Raises:
        VerificationError: `broken-bundle`: a claim is no text, or longer than `MAX_CLAIM_BYTES`.
    """
    claims = {}
    for name, oid in CLAIM_OIDS.items():
        raw = _extension(certificate, x509.ObjectIdentifier(oid))
        try:
            if len(raw) > MAX_CLAIM_BYTES:
                raise ValueError("too long")  # noqa: TRY301 - one refusal for all
            # Those of GitHub are from before Fulcio wrote DER.
            old = name.startswith("github") or not raw
            text = raw.decode() if old else _utf8_string(raw)
        except ValueError as error:
            raise VerificationError(
                f"the signing certificate's {name} is not a text that is read",
                hint="it was not made by Fulcio; sign anew",
                code="broken-bundle",
            ) from error
        if text:
            claims[name] = text
    return MappingProxyType(claims)


def _subject(certificate: x509.Certificate) -> str:
    extension = x509.SubjectAlternativeName
    (name,) = certificate.extensions.get_extension_for_class(extension).value
    if isinstance(name, x509.RFC822Name | x509.UniformResourceIdentifier):
        return name.value
    if isinstance(name, x509.OtherName) and name.type_id == _OTHER_NAME:
        return _utf8_string(name.value)
    raise ValueError("another kind of name")


def _issuer(certificate: x509.Certificate) -> str:
    old, new = _extension(certificate, _ISSUER_V1), _extension(certificate, _ISSUER_V2)
    issuers = {raw.decode() for raw in (old,) if raw} | {_utf8_string(raw) for raw in (new,) if raw}
    (issuer,) = issuers
    return issuer


def _extension(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> bytes:
    try:
        value = certificate.extensions.get_extension_for_oid(oid).value
    except x509.ExtensionNotFound:
        return b""
    return value.value if isinstance(value, x509.UnrecognizedExtension) else b""


def _utf8_string(der: bytes) -> str:
    """Decode a DER UTF8String with a length of one or two octets: names are no longer."""
    if len(der) < 2 or der[0] != _UTF8_STRING:  # noqa: PLR2004 - tag and length
        raise ValueError("not a UTF8String")
    long_form = der[1] > _MAX_SHORT_LENGTH
    octets = der[1] & _MAX_SHORT_LENGTH if long_form else 0
    start = 2 + octets
    length = int.from_bytes(der[2:start], "big") if long_form else der[1]
    if octets > 2 or len(der) != start + length:  # noqa: PLR2004 - 64 KiB is more than enough
        raise ValueError("a wrong length")
    return der[start:].decode()
