# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Verification of OMS bundles: who signed a list of files. Whether files are so stands elsewhere.

An OMS bundle is a Sigstore bundle whose statement is about a root digest that it computes itself.
Three methods: a key (ECDSA P-256, P-384, P-521), a certificate chain of one's own, and keyless,
which is left to the verifier for keyless bundles. Forms that older signers wrote are read as the
specification asks. Source: OpenSSF Model Signing v1.0, sections 4, 8 and 11.
This module imports `cryptography` where a key or a certificate is really used.
"""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn

from modelseal.documents import canonical_json, parse_json_object
from modelseal.errors import (
    ContentError,
    KeyFileError,
    SigningError,
    UsageError,
    VerificationError,
)
from modelseal.oci.descriptor import Digest
from modelseal.trust.bundle import Bundle, parse_bundle
from modelseal.trust.dsse import Statement, broken, pae, parse_statement, strict_base64
from modelseal.trust.identity import (
    CHECK_KEY,
    CHECK_SIGNATURE,
    CHECK_SUBJECT,
    KeyIdentity,
    Profile,
    VerifiedStatement,
)
from modelseal.trust.verifier import Verifier, require_subject

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

    from modelseal.trust.keys import PublicKey

OMS_PREDICATE_TYPE: Final = "https://model_signing/signature/v1.0"
OMS_STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"
CHECK_OMS_CHAIN: Final = "own-certificate-chain"
"""A given certificate authority vouches for the signing certificate, which is valid now."""

_CURVES = {"secp256r1": "SHA256", "secp384r1": "SHA384", "secp521r1": "SHA512"}
_TAKEN = "OMS takes ECDSA keys on P-256, P-384 and P-521"
_MAX_CHAIN = 10
_READ_EXTENSIONS = {"2.5.29.19", "2.5.29.15", "2.5.29.37", "2.5.29.17"}  # BC, KU, EKU, SAN
_WEAK = {"md5", "sha1"}


class OmsVerifier:
    """Finds out who signed the list of files in an OMS bundle, by a verifier of one method."""

    def __init__(self, verifier: Verifier) -> None:
        """Ask `verifier`, which says whom to believe."""
        self._verifier = verifier

    def verify(self, bundle: bytes) -> VerifiedStatement:
        """Return the signed statement; its `subject` is the root digest that it names.

        That the root digest is that of the listed files has to be checked by who reads those.

        Raises:
            VerificationError: as `Verifier.verify` does; `not-an-oms-signature` for a statement
                of another kind or shape.
        """
        current = _in_current_form(bundle)
        root = _root(parse_bundle(current).envelope.payload)
        statement = self._verifier.verify(current, subject=root)
        return replace(statement, bundle=Digest.of(bundle))


def is_oms(payload: bytes) -> bool:
    """Tell whether a statement calls itself an OMS signature; nothing of it is checked."""
    try:
        return parse_statement(payload).predicate_type == OMS_PREDICATE_TYPE
    except VerificationError:
        return False


def check_oms_key(key: "PublicKey") -> None:
    """See that OMS takes what a key signs. Raises `SigningError`."""
    if not key.algorithm.startswith("ecdsa"):
        raise SigningError(
            f"OMS signatures are made with ECDSA keys, and this one is {key.algorithm}",
            hint="sign with an ECDSA key (`modelseal key generate`), or keylessly",
        )


def oms_hint(public_pem: bytes) -> str:
    """Return what OMS writes into a bundle to find a key again: hex SHA-256 of its PEM.

    model_signing 1.1.1 refuses a bundle with any other hint.
    """
    return hashlib.sha256(public_pem).hexdigest()


def _root(payload: bytes) -> Digest:
    """Return the digest that an OMS statement is about; the statement has to have its shape."""
    statement = parse_statement(payload)
    if statement.predicate_type != OMS_PREDICATE_TYPE:
        _no_oms(f"the statement is a {statement.predicate_type[:200]}")
    if statement.statement_type != OMS_STATEMENT_TYPE:
        _no_oms("its _type is not in-toto Statement v1")
    value = parse_json_object(payload, "the signed statement")
    unknown = value.keys() - {"_type", "subject", "predicateType", "predicate"}
    if unknown:
        _no_oms(f"the statement has the unknown key {min(unknown)[:40]!r}")
    if len(statement.subjects) != 1 or not _named(value):
        _no_oms("it does not have exactly one subject with a name")
    encoded = statement.subjects[0].get("sha256", "")
    try:
        return Digest("sha256", encoded)
    except UsageError:
        _no_oms("its subject has no SHA-256 digest")


def _named(statement: Mapping[str, Any]) -> bool:
    name = statement["subject"][0].get("name")
    return isinstance(name, str) and bool(name)


def _no_oms(reason: str) -> NoReturn:
    raise VerificationError(
        f"this is no OMS signature: {reason}",
        hint="`modelseal sign REF --oms` makes one; without --oms other statements are verified",
        code="not-an-oms-signature",
    )


def _in_current_form(raw: bytes) -> bytes:
    """Return a bundle as it is, or one of an older form as it would be written today (11.2).

    Only what no signature covers is touched: a `keyid` of null, and `rawBytes` in place of a hint.
    """
    try:
        value = parse_json_object(raw, "it")
    except ContentError:
        return raw  # to be refused by who reads it
    changed = False
    envelope = value.get("dsseEnvelope")
    signatures = envelope.get("signatures") if isinstance(envelope, dict) else None
    for signature in signatures if isinstance(signatures, list) else []:
        if isinstance(signature, dict) and signature.get("keyid", "") is None:
            del signature["keyid"]
            changed = True
    material = value.get("verificationMaterial")
    key = material.get("publicKey") if isinstance(material, dict) else None
    if isinstance(key, dict) and "rawBytes" in key and key.keys() <= {"rawBytes", "keyDetails"}:
        key.clear()
        changed = True
    return canonical_json(value) if changed else raw


@dataclass(frozen=True, slots=True)
class EcPublicKey:
    """An ECDSA key on one of the three curves; each goes with the hash of its size."""

    _key: "ec.EllipticCurvePublicKey" = field(repr=False, compare=False)
    der: bytes = field(repr=False)
    pem: bytes = field(repr=False, compare=False)

    @property
    def identity(self) -> KeyIdentity:
        """Who signs with this key."""
        return KeyIdentity(f"sha256:{hashlib.sha256(self.der).hexdigest()}")

    @property
    def algorithm(self) -> str:
        """What it signs with: `ecdsa-p256`, `ecdsa-p384` or `ecdsa-p521`."""
        return f"ecdsa-p{self._key.curve.key_size}"

    def verify(self, signature: bytes, data: bytes) -> None:
        """Check a signature over `data`. Raises `VerificationError`: `bad-signature`."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec

        algorithm: hashes.HashAlgorithm = getattr(hashes, _CURVES[self._key.curve.name])()
        try:
            self._key.verify(signature, data, ec.ECDSA(algorithm))
        except (InvalidSignature, ValueError) as error:
            raise VerificationError(
                f"the signature is not by {self.identity}",
                hint="the bundle was changed; fetch it again, or sign anew",
                code="bad-signature",
            ) from error


def parse_oms_key(pem: bytes, name: str) -> EcPublicKey:
    """Read a PEM public key for OMS; `name` names it in errors.

    Raises:
        KeyFileError: not a public key, or of a kind that OMS does not take.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    try:
        key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as error:
        hint = "verifying takes the public key, the file that ends in .pub"
        raise KeyFileError(f"{name} is not a public key", hint=hint) from error
    return _ec_key(key, name)


def _ec_key(key: object, name: str) -> EcPublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name not in _CURVES:
        raise KeyFileError(f"{name} is not taken: it is of another kind", hint=_TAKEN)
    spki = PublicFormat.SubjectPublicKeyInfo
    return EcPublicKey(
        key, key.public_bytes(Encoding.DER, spki), key.public_bytes(Encoding.PEM, spki)
    )


class OmsKeyVerifier:
    """Accepts what one of the given keys signed; a certificate never passes."""

    def __init__(self, keys: Sequence[EcPublicKey]) -> None:
        """Trust `keys`. Raises `UsageError` when there are none."""
        if not keys:
            raise UsageError("no public key was given, so nobody could be believed")
        self._keys = tuple(keys)

    def verify(self, bundle: bytes, *, subject: Digest) -> VerifiedStatement:
        """Return the statement about `subject`. Raises `VerificationError`, as in the protocol."""
        parsed = parse_bundle(bundle)
        if parsed.key_hint is None:
            raise VerificationError(
                "the bundle is signed with a certificate, and a key was asked for",
                hint="verify with --certificate-identity and --certificate-oidc-issuer, or with "
                "--ca-roots",
                code="certificate-bundle",
            )
        statement = require_subject(parse_statement(parsed.envelope.payload), subject)
        signer = self._signer(parsed)
        return _verified(statement, subject, bundle, signer, CHECK_KEY, Profile.KEY)

    def _signer(self, bundle: Bundle) -> EcPublicKey:
        for key in self._keys:
            try:
                key.verify(bundle.envelope.signature, pae(bundle.envelope.payload))
            except VerificationError:
                continue
            return key
        wanted = ", ".join(str(key.identity) for key in self._keys)
        if any(oms_hint(key.pem) == bundle.key_hint for key in self._keys):
            raise VerificationError(
                f"the signature does not hold: {wanted} did not sign this list of files",
                hint="the bundle was changed; fetch it again, or sign anew",
                code="bad-signature",
            )
        raise VerificationError(
            f"signed by another key than {wanted}",
            hint="give the public key of who signed, if that is whom you believe",
            code="other-key",
        )


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
            key = _ec_key(chain[0].public_key(), "the certificate's key")
        except (KeyFileError, ValueError) as error:
            raise VerificationError(str(error), hint=_TAKEN, code="untrusted-root") from error
        key.verify(parsed.envelope.signature, pae(parsed.envelope.payload))
        statement = require_subject(parse_statement(parsed.envelope.payload), subject)
        return _verified(statement, subject, bundle, key, CHECK_OMS_CHAIN, Profile.CERTIFICATE)


def _verified(  # noqa: PLR0917 - each is a field
    statement: Statement,
    subject: Digest,
    bundle: bytes,
    key: EcPublicKey,
    check: str,
    profile: Profile,
) -> VerifiedStatement:
    return VerifiedStatement(
        subject=subject,
        statement_type=statement.statement_type,
        predicate_type=statement.predicate_type,
        predicate=statement.predicate,
        signer=key.identity,
        signed_at=None,
        profile=profile,
        checks=(CHECK_SIGNATURE, check, CHECK_SUBJECT),
        bundle=Digest.of(bundle),
    )


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
