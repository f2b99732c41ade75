# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Whose an attestation key is: pinned as a whole, pinned by its key, or vouched for by a CA.

The name of a key is a hash over all of its public area, so that who pins the name pins also that
the key is restricted and stays in its TPM. Who pins the key alone, or a CA, takes that on trust:
a CA has to have seen it when it certified the key (TCG, "TPM 2.0 Keys for Device Identity and
Attestation").
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.x509 import verification

from modelseal.errors import KeyFileError, UsageError, VerificationError
from modelseal.trust.company import MAX_DEPTH, load_certificates, require_roots
from modelseal.trust.environment import Quote
from modelseal.trust.keys import load_public_key, public_key_of
from modelseal.trust.pem import read_key_file
from modelseal.trust.tpm.evidence import MAX_AK_CERTIFICATES
from modelseal.trust.tpm.structures import parse_public

AIK_CERTIFICATE: Final = x509.ObjectIdentifier("2.23.133.8.3")
"""tcg-kp-AIKCertificate: the extended key usage of a certificate of an attestation key."""

_PEM = b"-----BEGIN "


@dataclass(frozen=True, slots=True)
class TrustedAks:
    """The attestation keys that are believed.

    Attributes:
        names: of keys, as the TPM has them (hex).
        keys: fingerprints of keys, `sha256:…`.
        roots: of authorities that certify attestation keys.
    """

    names: frozenset[str] = frozenset()
    keys: frozenset[str] = frozenset()
    roots: tuple[x509.Certificate, ...] = field(default=(), repr=False)

    def __post_init__(self) -> None:
        if not self.names and not self.keys and not self.roots:
            raise UsageError(
                "no attestation key was given, so no TPM could be believed",
                hint="give its public area with --ak FILE (tpm2_readpublic -c AK -o FILE), or the "
                "roots of who certified it with --ak-ca FILE",
            )

    def require(self, quote: Quote, now: datetime) -> str:
        """Return how the key of a quote is believed: `name`, `key` or `certificate`.

        Raises:
            VerificationError: `other-attestation-key`.
        """
        if quote.ak_name in self.names:
            return "name"
        if quote.ak_key.fingerprint in self.keys:
            return "key"
        reason = "it is none of those that were given"
        if self.roots:
            reason = _certified(quote, self.roots, now)
            if not reason:
                return "certificate"
        raise VerificationError(
            f"the attestation key {quote.ak_name} is not believed: {reason}",
            hint="compare it with the key of the machine: tpm2_readpublic -c AK",
            code="other-attestation-key",
        )


def load_aks(files: Collection[Path], authorities: Collection[Path]) -> TrustedAks:
    """Read the attestation keys that are believed.

    Args:
        files: public areas as `tpm2_readpublic` writes them, or public keys (PEM).
        authorities: PEM files of roots.

    Raises:
        KeyFileError: a file is not what it has to be.
        UsageError: there is none.
    """
    names, keys = set(), set()
    for path in files:
        raw = read_key_file(path)
        if raw.startswith(_PEM):
            keys.add(load_public_key(path).identity.fingerprint)
            continue
        try:
            names.add(parse_public(raw).name)
        except VerificationError as error:
            raise KeyFileError(
                f"{path} is no public area of an attestation key: {error}",
                hint="tpm2_readpublic -c AK -o FILE writes one",
            ) from error
    roots: list[x509.Certificate] = []
    for path in authorities:
        found = load_certificates(path)
        require_roots(found, path)
        roots += found
    return TrustedAks(frozenset(names), frozenset(keys), tuple(roots))


def load_ak_certificates(path: Path) -> tuple[bytes, ...]:
    """Read the certificate of an attestation key (PEM), and those above it; return them as DER.

    Raises:
        KeyFileError: no such file, too many certificates, or anything else in it.
    """
    found = load_certificates(path)
    if len(found) > MAX_AK_CERTIFICATES:
        raise KeyFileError(
            f"{path} has more than {MAX_AK_CERTIFICATES} certificates",
            hint="put the key's there, and those above it but the root",
        )
    return tuple(one.public_bytes(serialization.Encoding.DER) for one in found)


def _certified(quote: Quote, roots: Sequence[x509.Certificate], now: datetime) -> str:
    """Return why no root vouches for the key of a quote; empty when one does."""
    if not quote.certificates:
        return "no certificate came with it"
    spki = serialization.PublicFormat.SubjectPublicKeyInfo
    try:
        own, *chain = (x509.load_der_x509_certificate(der) for der in quote.certificates)
        key = public_key_of(own.public_key().public_bytes(serialization.Encoding.DER, spki), "it")
        if key.identity != quote.ak_key:
            return "the certificate is for another key"
        verifier = _policy().store(verification.Store(list(roots))).time(now)
        verifier.build_client_verifier().verify(own, chain)
    except Exception as error:  # noqa: BLE001 - the parser lets out many kinds, and all mean no
        return f"its certificate does not lead to a root: {' '.join(str(error).split())[:200]}"
    return ""


def _policy() -> verification.PolicyBuilder:
    agnostic = verification.Criticality.AGNOSTIC
    return (
        verification.PolicyBuilder()
        .max_chain_depth(MAX_DEPTH)
        .extension_policies(
            ca_policy=verification.ExtensionPolicy.webpki_defaults_ca(),
            ee_policy=verification.ExtensionPolicy.permit_all()
            .require_present(x509.ExtendedKeyUsage, agnostic, _is_aik)
            .may_be_present(x509.BasicConstraints, agnostic, _is_no_authority),
        )
    )


def _is_aik(_: verification.Policy, __: x509.Certificate, usage: x509.ExtendedKeyUsage) -> None:
    if AIK_CERTIFICATE not in usage:
        raise ValueError("the certificate is not for an attestation key (tcg-kp-AIKCertificate)")


def _is_no_authority(
    _: verification.Policy, __: x509.Certificate, constraints: x509.BasicConstraints | None
) -> None:
    if constraints is not None and constraints.ca:
        raise ValueError("the certificate is an authority's")
