# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Signing with a key that a company's authority has certified.

A bundle of version 0.3 has exactly one certificate; who verifies brings those above it. A
timestamp, where an authority for that is named, lets the signature outlive the certificate.
"""

import functools
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from modelseal.errors import Error, KeyFileError, UnavailableError, VerificationError
from modelseal.oci.events import discard
from modelseal.trust.bundle import build_certificate_bundle
from modelseal.trust.company import (
    Company,
    CompanyVerifier,
    certified_key,
    issuer_of,
    subjects_of,
)
from modelseal.trust.dsse import pae
from modelseal.trust.events import SigningSink
from modelseal.trust.identity import Identity, SignerIdentity
from modelseal.trust.keys import SigningKey
from modelseal.trust.oms import is_oms
from modelseal.trust.oms_keys import check_oms_key
from modelseal.trust.signer import require_signable
from modelseal.trust.uploads import run_each
from modelseal.trust.verifier import Verifier

if TYPE_CHECKING:
    from sigstore.models import SigningConfig

_DER = serialization.Encoding.DER
Stamp = Callable[[bytes], bytes]
"""Gives the RFC 3161 response about a signature, DER."""

STAMP_TIMEOUT: Final = 30.0
"""Seconds that the timestamp authorities get for one signature."""


class CertificateSigner:
    """Signs with a certified key. Either all statements are signed or none."""

    def __init__(
        self,
        key: SigningKey,
        certificate: x509.Certificate,
        company: Company,
        stamps: Sequence[Stamp] = (),
    ) -> None:
        """See that the certificate is the key's, and that it leads to the company's root now.

        Raises:
            KeyFileError: it is not, or does not.
        """
        try:
            certified = certified_key(certificate)
            root = company.root_above(certificate, datetime.now(UTC))
            subject = subjects_of(certificate)[0]
        except VerificationError as error:
            raise KeyFileError(
                f"nobody would verify what this certificate signs: {error}",
                hint="give the signing certificate with --certificate, and with "
                "--certificate-chain those above it, the root last",
            ) from error
        if certified != key.public_key():
            raise KeyFileError(
                f"the certificate is of {certified.identity}, and the key is "
                f"{key.public_key().identity}",
                hint="give the certificate that was issued for this key",
            )
        self._key = key
        self._certificate = certificate.public_bytes(_DER)
        self._company = company
        self._identity = Identity(issuer_of(root), subject)
        self._stamps = tuple(stamps)

    @property
    def identity(self) -> SignerIdentity:
        """The first subject of the certificate, and the root that vouches for it."""
        return self._identity

    def check(self) -> None:
        """Do nothing: the key and its certificate are at hand."""

    def check_oms(self) -> None:
        """See that OMS takes the key. Raises `SigningError`."""
        check_oms_key(self._key.public_key())

    def verifier(self) -> Verifier:
        """Accept this subject of this root, as long as the certificate is valid."""
        return CompanyVerifier(self._company, {self._identity})

    def sign(self, payloads: Sequence[bytes], on_event: SigningSink = discard) -> list[bytes]:  # noqa: ARG002 - nothing is waited for
        """Return a bundle for each statement, as `Signer.sign` says."""
        for payload in payloads:
            require_signable(payload)
        return [self._sign_one(payload) for payload in payloads]

    def _sign_one(self, payload: bytes) -> bytes:
        signature = self._key.sign(pae(payload))
        jobs = [functools.partial(stamp, signature) for stamp in self._stamps]
        answers = run_each(jobs, timeout=STAMP_TIMEOUT, what="the timestamp authority")
        stamped = [answer for answer in answers if isinstance(answer, bytes)]
        if self._stamps and not stamped:
            error = answers[0]
            raise (
                error
                if isinstance(error, Error)
                else UnavailableError(
                    f"no timestamp authority answered: {type(error).__name__}",
                    hint="try again, or sign without --signing-config",
                )
            )
        chain = None
        if is_oms(payload):
            check_oms_key(self._key.public_key())
            chain = [one.public_bytes(_DER) for one in self._company.intermediates]
        return build_certificate_bundle(payload, signature, self._certificate, stamped, chain)


def stamps_of(config: "SigningConfig") -> list[Stamp]:
    """Return a way to each timestamp authority that a signing config names."""

    def stamp(place: int, signature: bytes) -> bytes:
        return bytes(config.get_tsas()[place].request_timestamp(signature).as_bytes())

    return [functools.partial(stamp, place) for place in range(len(config.get_tsas()))]
