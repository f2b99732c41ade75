# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Signing certificates of an authority of one's own: no Fulcio, no OIDC, no log.

A company's CA certifies a key for a subject, and whoever verifies gives the CA's root. Who signed
is then the subject (a subject alternative name, exact) together with that root. The path is built
and checked by `cryptography.x509.verification` (RFC 5280: signatures, validity, CA, path length,
key usage, name constraints); that every certificate may be used to sign code is checked here.
Revocation lists are not read.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from modelseal.errors import KeyFileError, UsageError
from modelseal.oci.descriptor import Digest
from modelseal.trust.bundle import Bundle, parse_bundle
from modelseal.trust.dsse import pae
from modelseal.trust.facts import Facts, refuse_key_bundle, require_identity
from modelseal.trust.identity import (
    CHECK_CERTIFICATE_CHAIN,
    CHECK_IDENTITY,
    CHECK_SIGNATURE,
    CHECK_TIMESTAMP,
    CHECK_VALID_NOW,
    COMPANY_ISSUER,
    Identity,
    Profile,
    VerifiedStatement,
)
from modelseal.trust.keys import PublicKey, public_key_of
from modelseal.trust.pem import pem_blocks, read_key_file
from modelseal.trust.proofs.refusal import refusal
from modelseal.trust.proofs.root import Authority
from modelseal.trust.proofs.stamps import require_timestamp, timestamped
from modelseal.trust.verifier import make_statement

MAX_CERTIFICATES: Final = 32
"""Most certificates that one file may hold."""

MAX_DEPTH: Final = 4
"""Most intermediate certificates between a signing certificate and a root."""

_MAX_NAMES = 16
_DER = serialization.Encoding.DER
_SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


def load_certificates(path: Path) -> tuple[x509.Certificate, ...]:
    """Read a PEM file of certificates, in its order.

    Raises:
        KeyFileError: no such file, no or too many certificates, or anything else in it.
    """
    blocks = pem_blocks(read_key_file(path), path)
    if len(blocks) > MAX_CERTIFICATES:
        raise KeyFileError(f"{path} has more than {MAX_CERTIFICATES} certificates")
    if any(label != "CERTIFICATE" for label, _ in blocks):
        raise KeyFileError(f"{path} holds other things than certificates", hint=_PEM_HINT)
    try:
        return tuple(x509.load_der_x509_certificate(der) for _, der in blocks)
    except ValueError as error:
        raise KeyFileError(f"{path} has a certificate that cannot be read") from error


_PEM_HINT = "give certificates only, as PEM"


def require_roots(certificates: Sequence[x509.Certificate], path: Path) -> None:
    """See that a file holds roots only: an intermediate that is trusted could not be limited.

    Raises:
        KeyFileError: one of them did not sign itself.
    """
    for one in certificates:
        try:
            one.verify_directly_issued_by(one)
        except Exception as error:
            raise KeyFileError(
                f"{path} holds a certificate that is no root: {one.subject.rfc4514_string()[:200]}",
                hint="give roots with --ca-roots, and what stands below with --ca-intermediates",
            ) from error


def issuer_of(root: x509.Certificate) -> str:
    """Return how a root stands in identities: by the SHA-256 of its DER."""
    return f"{COMPANY_ISSUER}{root.fingerprint(hashes.SHA256()).hex()}"


@dataclass(frozen=True, slots=True)
class Company:
    """Whom a company's authority vouches for.

    Attributes:
        roots: trusted, and they only.
        intermediates: help to find the path; not trusted.
        timestampers: say when it was signed; without any the certificate has to be valid now.
    """

    roots: tuple[x509.Certificate, ...] = field(repr=False)
    intermediates: tuple[x509.Certificate, ...] = field(repr=False)
    timestampers: tuple[Authority, ...] = field(default=(), repr=False)

    def identities(self, subject: str) -> frozenset[Identity]:
        """Return `subject`, as each of the roots may vouch for it."""
        return frozenset(Identity(issuer_of(root), subject) for root in self.roots)

    def root_above(
        self, certificate: x509.Certificate, time: datetime, more: Sequence[x509.Certificate] = ()
    ) -> x509.Certificate:
        """Return the root that the certificate leads to.

        Args:
            certificate: that signs.
            time: when everything has to be valid.
            more: further intermediates, by a stranger.

        Raises:
            VerificationError: `expired-certificate`, or `untrusted-root`.
        """
        if not certificate.not_valid_before_utc <= time <= certificate.not_valid_after_utc:
            raise refusal(
                "expired-certificate",
                f"the signing certificate was not valid at {time:%F %T} UTC, only from "
                f"{certificate.not_valid_before_utc:%F %T} to "
                f"{certificate.not_valid_after_utc:%F %T} UTC",
                "sign anew; with a timestamp a signature outlives its certificate",
            )
        try:
            verifier = _policy().store(verification.Store(list(self.roots))).time(time)
            found = verifier.build_client_verifier().verify(
                certificate, [*self.intermediates, *more]
            )
        except Exception as error:
            # Its parser lets out many kinds of error on odd input, and all of them mean no.
            reason = " ".join(str(error).split())[:200]
            raise refusal(
                "untrusted-root",
                f"the signing certificate does not lead to a trusted root: {reason}",
                "give the authority's root with --ca-roots, and what stands between with "
                "--ca-intermediates",
            ) from error
        return found.chain[-1]


def _policy() -> verification.PolicyBuilder:
    """Return the profile of RFC 5280 for signing code, in place of that of the web."""
    agnostic = verification.Criticality.AGNOSTIC
    kind = x509.ExtendedKeyUsage
    authority = verification.ExtensionPolicy.webpki_defaults_ca()
    signer = verification.ExtensionPolicy.webpki_defaults_ee()
    return (
        verification.PolicyBuilder()
        .max_chain_depth(MAX_DEPTH)
        .extension_policies(
            ca_policy=authority.may_be_present(kind, agnostic, _may_sign_code),
            ee_policy=signer.require_present(kind, agnostic, _signs_code),
        )
    )


def _may_sign_code(
    _: verification.Policy, __: x509.Certificate, usage: x509.ExtendedKeyUsage | None
) -> None:
    """See that an authority that is limited to some usages may issue for code signing."""
    any_usage = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE
    if usage is not None and not {ExtendedKeyUsageOID.CODE_SIGNING, any_usage} & set(usage):
        raise ValueError("an authority above it is not for signing code")


def _signs_code(_: verification.Policy, __: x509.Certificate, usage: x509.ExtendedKeyUsage) -> None:
    if ExtendedKeyUsageOID.CODE_SIGNING not in usage:
        raise ValueError("the certificate is not for signing code")


def subjects_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Return the e-mail addresses, URIs and DNS names that a certificate is for.

    Raises:
        VerificationError: `broken-bundle`: there are none, or too many, or they cannot be read.
    """
    kinds = (x509.RFC822Name, x509.UniformResourceIdentifier, x509.DNSName)
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        found = tuple(str(name.value) for name in names if isinstance(name, kinds))
    except Exception as error:
        raise refusal("broken-bundle", "the certificate's names cannot be read") from error
    if not 0 < len(found) <= _MAX_NAMES:
        raise refusal("broken-bundle", f"the certificate does not have 1 to {_MAX_NAMES} names")
    return found


def certified_key(certificate: x509.Certificate) -> PublicKey:
    """Return the key that a certificate certifies, if it is one that is taken.

    Raises:
        VerificationError: `broken-bundle`.
    """
    try:
        return public_key_of(certificate.public_key().public_bytes(_DER, _SPKI), "the key")
    except Exception as error:
        reason = str(error) if isinstance(error, KeyFileError) else "it cannot be read"
        raise refusal("broken-bundle", f"the signing certificate is not taken: {reason}") from error


def _now() -> datetime:
    return datetime.now(UTC)


class CompanyVerifier:
    """Accepts what certificates of a company's authority signed, for some subjects.

    The profile `certificate`. A key-signed bundle never passes, and neither does Fulcio's.
    """

    def __init__(
        self,
        company: Company,
        identities: Collection[Identity],
        clock: Callable[[], datetime] = _now,
    ) -> None:
        """Believe `identities`; `clock` tells the time where no timestamp authority is named.

        Raises:
            UsageError: there are no roots, or no identities.
        """
        named = identities and all(one.issuer and one.subject for one in identities)
        if not company.roots or not named:
            raise UsageError(
                "no authority or no subject was given, so nobody could be believed",
                hint="give --ca-roots FILE and --certificate-identity SUBJECT",
            )
        self._company = company
        self._accepted = frozenset(identities)
        self._clock = clock

    def verify(self, bundle: bytes, *, subject: Digest) -> VerifiedStatement:
        """Return the statement about `subject`. Raises `VerificationError`, as in the protocol."""
        parsed = parse_bundle(bundle)
        return make_statement(parsed, self._facts(parsed), subject, Profile.CERTIFICATE)

    def _facts(self, bundle: Bundle) -> Facts:
        if bundle.key_hint is not None:
            raise refuse_key_bundle()
        certificate, *chain = (_load(der) for der in (bundle.certificate, *bundle.chain))

        # (1) The certificate's key signed the statement.
        certified_key(certificate).verify(bundle.envelope.signature, pae(bundle.envelope.payload))

        # (2) When: every trusted timestamp, else now.
        stamped = timestamped(
            bundle.timestamps, bundle.envelope.signature, self._company.timestampers
        )
        if self._company.timestampers:
            require_timestamp(stamped, bundle.timestamps)
        times = stamped or [self._clock()]

        # (3) At each of these times the certificate leads to one trusted root.
        roots = {self._company.root_above(certificate, time, chain) for time in times}
        if len(roots) != 1:
            raise refusal("untrusted-root", "at different times it leads to different roots")

        # (4) That root vouches for exactly one of the subjects that are believed.
        issuer = issuer_of(roots.pop())
        names = [Identity(issuer, name) for name in subjects_of(certificate)]
        signer = next((name for name in names if name in self._accepted), names[0])
        require_identity(signer, self._accepted)
        return Facts(
            signer=signer,
            signed_at=min(stamped, default=None),
            checks=(
                CHECK_CERTIFICATE_CHAIN,
                CHECK_TIMESTAMP if stamped else CHECK_VALID_NOW,
                CHECK_IDENTITY,
                CHECK_SIGNATURE,
            ),
        )


def _load(der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(der)
    except Exception as error:
        raise refusal("broken-bundle", "a certificate of the bundle cannot be read") from error
