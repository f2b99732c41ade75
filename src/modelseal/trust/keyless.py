# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Keyless verification: `sigstore` whole, through its public names, and a name for each refusal.

`sigstore` decides; nothing here makes it accept. What is looked at before and after its verdict
serves to say what is wrong, to find the one verified time, and to hold the exact identity.
This module imports `sigstore`, which takes about a second: import it only to verify keylessly.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from sigstore.errors import CertValidationError
from sigstore.errors import Error as SigstoreError
from sigstore.models import Bundle as SigstoreBundle
from sigstore.models import InvalidBundle, TrustedRoot
from sigstore.verify import Verifier

from modelseal.errors import Error, UsageError, VerificationError
from modelseal.trust.bundle import Bundle
from modelseal.trust.certificate import claims_of, identity_of
from modelseal.trust.dsse import PAYLOAD_TYPE, broken, pae
from modelseal.trust.facts import Facts, refuse_key_bundle, require_identity
from modelseal.trust.identity import (
    CHECK_CERTIFICATE_CHAIN,
    CHECK_IDENTITY,
    CHECK_LOG_TIME,
    CHECK_SCT,
    CHECK_SIGNATURE,
    CHECK_TIMESTAMP,
    CHECK_TRANSPARENCY_LOG,
    NO_CLAIMS,
    Identity,
)
from modelseal.trust.proofs.log import read_entries, require_origin

_OTHER_ROOT_HINT = "give the trusted root of the Sigstore that signed it: --trusted-root FILE"
# Rekor v1 and Rekor v2. Older `intoto` entries and `dsse 0.0.2` are not read by sigstore.
_LOG_KINDS = {"dsse 0.0.1", "hashedrekord 0.0.2"}
_CHANGED_HINT = "the bundle was changed; fetch it again, or sign anew"


class _ExactIdentity:
    """A policy of sigstore's: the certificate names exactly one of these identities."""

    def __init__(self, accepted: frozenset[Identity]) -> None:
        self._accepted = accepted
        self.signer: Identity | None = None
        self.claims: Mapping[str, str] = NO_CLAIMS

    def verify(self, cert: x509.Certificate) -> None:
        """Remember who signed, or raise our own error; sigstore lets it through."""
        signer = identity_of(cert)
        require_identity(signer, self._accepted)
        self.claims = claims_of(cert)
        self.signer = signer


class Keyless:
    """`sigstore`'s verifier for one trusted root and some identities."""

    def __init__(self, trusted_root: TrustedRoot, identities: frozenset[Identity]) -> None:
        """Make the verifier; opens nothing. Raises `UsageError` for an incomplete root."""
        try:
            self._verifier = Verifier(trusted_root=trusted_root)
            self._authorities = tuple(trusted_root.get_fulcio_certs())
        except (SigstoreError, ValueError) as error:
            raise UsageError(
                f"the trusted root cannot be used: {error}",
                hint="`cosign trusted-root create` writes one",
                code="invalid-trust-file",
            ) from error
        self._identities = identities

    def verify(self, bundle: Bundle) -> Facts:
        """Return what holds about the bundle, or raise `VerificationError`.

        sigstore takes exactly one log entry. Of a bundle with several, each has to hold in a
        bundle that has no other.
        """
        _require_material(bundle)
        found = [self._verify_one(bundle, text) for text in _one_entry_each(bundle)]
        return replace(
            found[0],
            signed_at=min(facts.signed_at for facts in found if facts.signed_at),
            checks=tuple(dict.fromkeys(check for facts in found for check in facts.checks)),
        )

    def _verify_one(self, bundle: Bundle, text: str) -> Facts:
        policy = _ExactIdentity(self._identities)
        try:
            parsed = SigstoreBundle.from_json(text)
            kind, payload = self._verifier.verify_dsse(parsed, policy)
            same = kind == PAYLOAD_TYPE and payload == bundle.envelope.payload
            if policy.signer is None or not same:
                broken("it was not looked at as a whole")
            signed_at, check = self._signed_at(parsed, text)
        except Error:
            raise
        except Exception as error:
            # Not only sigstore's own errors: on odd input its parsers and cryptography's let out
            # ValueError, TypeError, KeyError and more, and all of them mean no.
            raise self._explain(bundle, policy, error) from error
        return Facts(
            signer=policy.signer,
            claims=policy.claims,
            signed_at=signed_at,
            checks=(
                CHECK_CERTIFICATE_CHAIN,
                CHECK_SCT,
                CHECK_IDENTITY,
                CHECK_TRANSPARENCY_LOG,
                check,
                CHECK_SIGNATURE,
            ),
        )

    def _signed_at(self, bundle: SigstoreBundle, text: str) -> tuple[datetime, str]:
        """Return the verified time of a verified bundle, and the check that gave it.

        sigstore does not tell which of several timestamps it could verify, and ignores the
        others. So each is verified alone, in a bundle that has no other source of time; the
        earliest is the tightest bound.
        """
        value = json.loads(text)
        material = value["verificationMaterial"]
        log_time = _log_time(material["tlogEntries"][0])
        if log_time is not None:
            return log_time, CHECK_LOG_TIME
        timestamps = material["timestampVerificationData"]["rfc3161Timestamps"]
        if len(timestamps) == 1:
            return _timestamp(bundle), CHECK_TIMESTAMP
        times = []
        for timestamp in timestamps:
            material["timestampVerificationData"]["rfc3161Timestamps"] = [timestamp]
            alone = SigstoreBundle.from_json(json.dumps(value))
            if self._holds(alone):
                times.append(_timestamp(alone))
        return min(times), CHECK_TIMESTAMP

    def _holds(self, bundle: SigstoreBundle) -> bool:
        try:
            self._verifier.verify_dsse(bundle, _ExactIdentity(self._identities))
        except (SigstoreError, VerificationError):
            return False
        return True

    def _explain(
        self, bundle: Bundle, policy: _ExactIdentity, error: Exception
    ) -> VerificationError:
        """Find the name for a refusal that has already been made."""
        reason = " ".join(str(error).split())[:300]
        broken_bundle = _refusal("broken-bundle", f"the bundle is broken: {reason}", _CHANGED_HINT)
        if isinstance(error, InvalidBundle) or not isinstance(error, SigstoreError):
            return broken_bundle
        try:
            certificate = x509.load_der_x509_certificate(bundle.certificate)
        except ValueError:
            return broken_bundle
        if not any(_issued(certificate, authority) for authority in self._authorities):
            return _refusal(
                "untrusted-root",
                "the signing certificate was not issued by the trusted root",
                _OTHER_ROOT_HINT,
            )
        if not _signed(certificate, bundle):
            return _refusal("bad-signature", "the signature does not hold", _CHANGED_HINT)
        if isinstance(error, CertValidationError):
            return _expired(bundle)
        return _unproven(reason, identity_checked=policy.signer is not None)


def _unproven(reason: str, *, identity_checked: bool) -> VerificationError:
    """Name the proof that does not hold: sigstore checks time, CT log, identity, log in turn."""
    if identity_checked:
        return _refusal(
            "bad-log-entry", f"the transparency log entry does not hold: {reason}", _CHANGED_HINT
        )
    if "SCT" in reason:
        return _refusal(
            "untrusted-ct-log",
            f"no trusted log has seen the signing certificate: {reason}",
            _OTHER_ROOT_HINT,
        )
    return _refusal(
        "untrusted-timestamp",
        f"nothing trusted says when it was signed: {reason}",
        _OTHER_ROOT_HINT,
    )


def _require_material(bundle: Bundle) -> None:
    if bundle.key_hint is not None:
        raise refuse_key_bundle()
    if not bundle.log_kinds:
        raise _refusal(
            "no-log-entry",
            "the bundle has no transparency log entry",
            "sign with a signing config that names a log (Rekor)",
        )
    unknown = set(bundle.log_kinds) - _LOG_KINDS
    if unknown:
        raise _refusal(
            "unsupported-log-entry",
            f"the transparency log entry is of a kind that is not read: {min(unknown)!r}",
            "sign anew with cosign 3.1 or newer, or with modelseal",
        )
    for entry in read_entries(bundle.log_entries):
        require_origin(entry)  # a stricter reading: one bundle has one form
    if not bundle.timestamps and not bundle.log_time:
        raise _refusal(
            "no-timestamp",
            "nothing in the bundle says when it was signed, and the certificate was valid only "
            f"{_validity(bundle.certificate)}",
            "sign with a signing config that names a timestamp authority",
        )


def _validity(certificate: bytes) -> str:
    try:
        parsed = x509.load_der_x509_certificate(certificate)
    except ValueError:
        return "for minutes"
    return f"from {parsed.not_valid_before_utc:%F %T} to {parsed.not_valid_after_utc:%F %T} UTC"


def _expired(bundle: Bundle) -> VerificationError:
    return _refusal(
        "expired-certificate",
        "the signing certificate was not valid when it was used, only "
        f"{_validity(bundle.certificate)}",
        "sign anew",
    )


def _one_entry_each(bundle: Bundle) -> Iterator[str]:
    """Yield the bundle once for each log entry, with that entry alone."""
    value = json.loads(bundle.raw)
    for entry in bundle.log_entries:
        value["verificationMaterial"]["tlogEntries"] = [_completed(entry)]
        yield json.dumps(value)


def _completed(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return a log entry with the zeros and empty lists that proto3 leaves out of its JSON.

    cosign writes so, and sigstore does not read it: the first entry of a log, and of each new
    shard of Rekor v2, has the index 0 and a proof without hashes.
    """
    proof = entry.get("inclusionProof")
    if isinstance(proof, dict):
        proof = {"logIndex": "0", "hashes": [], **proof}
    return {"logIndex": "0", **entry, **({"inclusionProof": proof} if proof else {})}


def _refusal(code: str, message: str, hint: str) -> VerificationError:
    return VerificationError(message, hint=hint, code=code)


def _log_time(entry: dict[str, Any]) -> datetime | None:
    """Return the time that the log promised, which sigstore verified with the promise."""
    seconds = int(entry.get("integratedTime", "0"))
    return datetime.fromtimestamp(seconds, UTC) if seconds and "inclusionPromise" in entry else None


def _timestamp(bundle: SigstoreBundle) -> datetime:
    data = bundle.verification_material.timestamp_verification_data
    if data is None:
        broken("it has no timestamp")
    (timestamp,) = data.rfc3161_timestamps
    return timestamp.tst_info.gen_time


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _signed(certificate: x509.Certificate, bundle: Bundle) -> bool:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        key.verify(
            bundle.envelope.signature, pae(bundle.envelope.payload), ec.ECDSA(hashes.SHA256())
        )
    except InvalidSignature:
        return False
    return True
