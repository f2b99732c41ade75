# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Verification of bundles: from bytes of a stranger to a `VerifiedStatement`, or an error.

Which verifier is asked is the caller's decision (a profile), never the bundle's: a bundle of the
other kind is refused. `keyless` is `sigstore` whole. What that does not know, key-signed bundles
and trusted roots that lack a part, is verified here: docs/adr/0011-profiles-and-own-proofs.md.
Each reason to refuse has its own `reason` code.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from modelseal.documents import parse_json_object
from modelseal.errors import ContentMismatchError, UsageError, VerificationError
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.trust.bundle import Bundle, Material, parse_bundle
from modelseal.trust.dsse import Statement, pae, parse_statement
from modelseal.trust.facts import Facts
from modelseal.trust.identity import (
    CHECK_DOCUMENT,
    CHECK_KEY,
    CHECK_SIGNATURE,
    CHECK_SUBJECT,
    ClaimedStatement,
    Identity,
    Profile,
    VerifiedStatement,
)

if TYPE_CHECKING:
    from sigstore.models import TrustedRoot

    from modelseal.trust.keys import PublicKey
    from modelseal.trust.proofs.root import Root

_MAX_SHOWN = 200


class Verifier(Protocol):
    """Checks bundles."""

    def verify(self, bundle: bytes, *, subject: Digest) -> VerifiedStatement:
        """Return the statement about `subject` that the bundle holds.

        Raises:
            VerificationError: it does not hold one that counts; `reason` says why.
        """
        ...


class KeyVerifier:
    """Accepts what exactly one of the given keys signed, and nothing else.

    A certificate never passes. Without a trusted root, log entries and timestamps that come with
    a bundle are not looked at, and therefore not claimed: the statements have no `signed_at`.
    With one, those of the logs and authorities that it names have to hold, and are claimed.
    """

    def __init__(self, public_keys: Sequence["PublicKey"], root: "Root | None" = None) -> None:
        """Trust `public_keys`, and `root` for log entries and timestamps.

        Raises:
            UsageError: there are no keys.
        """
        if not public_keys:
            raise UsageError("no public key was given, so nobody could be believed")
        self._keys = tuple(public_keys)
        self._root = root

    def verify(self, bundle: bytes, *, subject: Digest) -> VerifiedStatement:
        """Return the statement about `subject`. Raises `VerificationError`, as in the protocol."""
        parsed = parse_bundle(bundle)
        require_key_bundle(parsed)
        key = self._signer(parsed)
        signed_at, proofs = self._proven(parsed, key)
        facts = Facts(
            signer=key.identity,
            signed_at=signed_at,
            checks=(*proofs, CHECK_SIGNATURE, CHECK_KEY),
        )
        return make_statement(parsed, facts, subject, Profile.KEY)

    def _proven(self, bundle: Bundle, key: "PublicKey") -> tuple[datetime | None, tuple[str, ...]]:
        if self._root is None:
            return None, ()
        from modelseal.trust.proofs.evidence import prove
        from modelseal.trust.proofs.signed import Signed, SigningKey

        proven = prove(bundle, Signed.of(bundle), SigningKey.of_spki(key.der), self._root)
        return proven.signed_at, proven.checks

    def _signer(self, bundle: Bundle) -> "PublicKey":
        signed = pae(bundle.envelope.payload)
        for key in self._keys:
            try:
                key.verify(bundle.envelope.signature, signed)
            except VerificationError:
                continue
            if bundle.key_hint and bundle.key_hint not in _hints(key):
                raise VerificationError(
                    f"{key.identity} signed, but the bundle says that another key did",
                    hint="the bundle was changed; fetch it again, or sign anew",
                    code="other-key",
                )
            return key
        # The hint decides only which of two refusals is told.
        named = [key for key in self._keys if key.hint == bundle.key_hint]
        if named:
            raise VerificationError(
                f"the signature does not hold: {named[0].identity} did not sign this statement",
                hint="the bundle was changed; fetch it again, or sign anew",
                code="bad-signature",
            )
        wanted = ", ".join(str(key.identity) for key in self._keys)
        raise VerificationError(
            f"signed by another key than {wanted}",
            hint="give the public key of who signed, if that is whom you believe",
            code="other-key",
        )


def _hints(key: "PublicKey") -> frozenset[str]:
    """Return what a bundle may call a key: as cosign, npm and OMS do. It never picks a key."""
    digest = hashlib.sha256(key.der).digest()
    npm = f"SHA256:{key.hint.rstrip('=')}"
    return frozenset({key.hint, npm, digest.hex(), hashlib.sha256(key.pem).hexdigest()})


class SigstoreVerifier:
    """Accepts what one of the given identities signed keylessly, under one trusted root."""

    def __init__(self, trusted_root: "TrustedRoot", identities: Collection[Identity]) -> None:
        """Believe `identities`, each with exact issuer and subject; nothing is opened.

        Args:
            trusted_root: of the Sigstore that signs; see `load_trusted_root`.
            identities: who may have signed.

        Raises:
            UsageError: there are no identities, or an empty one.
        """
        from modelseal.trust.keyless import Keyless

        self._keyless = Keyless(trusted_root, _believed(identities))

    def verify(self, bundle: bytes, *, subject: Digest) -> VerifiedStatement:
        """Return the statement about `subject`. Raises `VerificationError`, as in the protocol."""
        parsed = parse_bundle(bundle)
        return make_statement(parsed, self._keyless.verify(parsed), subject, Profile.KEYLESS)


class PrivateVerifier:
    """Accepts what one of the given identities signed, as far as one trusted root can show it.

    The profile `keyless-private`: what the root names has to hold, and nothing else is claimed.
    """

    def __init__(self, root: "Root", identities: Collection[Identity]) -> None:
        """Believe `identities` under `root` (`load_root`). Raises `UsageError` for nobody."""
        from modelseal.trust.keyless_private import KeylessPrivate

        self._keyless = KeylessPrivate(root, _believed(identities))

    def verify(self, bundle: bytes, *, subject: Digest) -> VerifiedStatement:
        """Return the statement about `subject`. Raises `VerificationError`, as in the protocol."""
        parsed = parse_bundle(bundle)
        return make_statement(
            parsed, self._keyless.verify(parsed), subject, Profile.KEYLESS_PRIVATE
        )


def _believed(identities: Collection[Identity]) -> frozenset[Identity]:
    if not identities or not all(one.issuer and one.subject for one in identities):
        raise UsageError(
            "no identity was given, so nobody could be believed",
            hint="say who has to have signed: --certificate-identity and --certificate-oidc-issuer",
        )
    return frozenset(identities)


def require_key_bundle(bundle: Material) -> None:
    """Refuse a certificate where a key was asked for. Raises `VerificationError`."""
    if bundle.key_hint is None:
        raise VerificationError(
            "the bundle is signed keylessly, with a certificate, and a key was asked for",
            hint="verify with --certificate-identity and --certificate-oidc-issuer",
            code="certificate-bundle",
        )


def make_statement(
    bundle: Bundle, facts: Facts, subject: Digest, profile: Profile
) -> VerifiedStatement:
    """Return the statement in a bundle whose `facts` hold, if it is about `subject`.

    Raises:
        VerificationError: `not-a-statement`, or `wrong-subject`.
    """
    statement = require_subject(parse_statement(bundle.envelope.payload), subject)
    return VerifiedStatement(
        subject=subject,
        statement_type=statement.statement_type,
        predicate_type=statement.predicate_type,
        predicate=statement.predicate,
        signer=facts.signer,
        signed_at=facts.signed_at,
        profile=profile,
        checks=(*facts.checks, CHECK_SUBJECT),
        bundle=Digest.of(bundle.raw),
        claims=facts.claims,
    )


def require_subject(statement: Statement, subject: Digest) -> Statement:
    """Return the statement if it is about `subject`.

    A subject counts by the digest of the same algorithm only: names, weaker hashes and Git
    commits never bind. Raises `VerificationError` with the code `wrong-subject`.
    """
    if statement.names(subject):
        return statement
    others = ", ".join(_subjects(statement)[:3])
    raise VerificationError(
        f"the statement is about {others}, not about {subject}",
        hint="it was moved here from something else, or the tag points at other content now",
        code="wrong-subject",
    )


def statement_of_document(
    statement: VerifiedStatement, predicate_type: str, document: Descriptor, raw: bytes
) -> VerifiedStatement:
    """Return the statement that `statement` makes through a document, which it names by digest.

    Args:
        statement: verified; `document` and `predicate_type` were read from its predicate.
        predicate_type: what the document is.
        document: which bytes it has to be.
        raw: the bytes that were found.

    Raises:
        ContentMismatchError: they are others.
        InvalidDocumentError, LimitExceededError: they are no predicate.
    """
    if len(raw) != document.size or Digest.of(raw) != document.digest:
        raise ContentMismatchError(f"the document {document.digest} has other bytes than signed")
    predicate = parse_json_object(raw, f"the document {document.digest}")
    return replace(
        statement,
        predicate_type=predicate_type,
        predicate=MappingProxyType(predicate),
        checks=(*statement.checks, CHECK_DOCUMENT),
    )


def read_unsafe(bundle: bytes) -> ClaimedStatement:
    """Return what a bundle claims, for a person to look at. Nothing is checked; never raises."""
    try:
        parsed = parse_bundle(bundle)
        statement = parse_statement(parsed.envelope.payload)
    except VerificationError as error:
        return ClaimedStatement(problem=str(error))
    return ClaimedStatement(
        predicate_type=statement.predicate_type,
        signer=_claimed_signer(parsed),
        subjects=_subjects(statement),
        predicate=statement.predicate,
    )


def _claimed_signer(bundle: Bundle) -> str:
    if bundle.key_hint is not None:
        return f"key with the hint {_shown(bundle.key_hint)}" if bundle.key_hint else "a key"
    from cryptography import x509

    from modelseal.trust.certificate import identity_of
    from modelseal.trust.company import subjects_of

    try:
        certificate = x509.load_der_x509_certificate(bundle.certificate)
    except ValueError:
        return ""
    try:
        return _shown(str(identity_of(certificate)))
    except VerificationError:
        pass  # it is not Fulcio's
    try:
        return _shown(f"{subjects_of(certificate)[0]} (a company's certificate)")
    except VerificationError:
        return ""


def _subjects(statement: Statement) -> tuple[str, ...]:
    pairs = (pair for subject in statement.subjects for pair in subject.items())
    return tuple(_shown(f"{algorithm}:{encoded}") for algorithm, encoded in pairs)


def _shown(text: str) -> str:
    """Return a stranger's text so that it cannot steer a terminal or fill it."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:_MAX_SHOWN])
