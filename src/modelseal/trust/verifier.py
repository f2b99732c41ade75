# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Verification of bundles: from bytes of a stranger to a `VerifiedStatement`, or an error.

Which verifier is asked is the caller's decision (keyless or key), never the bundle's: a bundle of
the other kind is refused. Keyless bundles are verified by `sigstore` whole. Key-signed bundles,
which it does not know, are verified here. Each reason to refuse has its own `reason` code.
"""

from collections.abc import Collection, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from modelseal.documents import parse_json_object
from modelseal.errors import ContentMismatchError, UsageError, VerificationError
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.trust.bundle import Bundle, parse_bundle
from modelseal.trust.dsse import Statement, pae, parse_statement
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

    A certificate never passes. Log entries and timestamps that cosign adds to key-signed bundles
    are not looked at, and therefore not claimed: the statements have no `signed_at`.
    """

    def __init__(self, public_keys: Sequence["PublicKey"]) -> None:
        """Trust `public_keys`. Raises `UsageError` when there are none."""
        if not public_keys:
            raise UsageError("no public key was given, so nobody could be believed")
        self._keys = tuple(public_keys)

    def verify(self, bundle: bytes, *, subject: Digest) -> VerifiedStatement:
        """Return the statement about `subject`. Raises `VerificationError`, as in the protocol."""
        parsed = parse_bundle(bundle)
        if parsed.key_hint is None:
            raise VerificationError(
                "the bundle is signed keylessly, with a certificate, and a key was asked for",
                hint="verify with --certificate-identity and --certificate-oidc-issuer",
                code="certificate-bundle",
            )
        key = self._signer(parsed)
        statement = require_subject(parse_statement(parsed.envelope.payload), subject)
        return VerifiedStatement(
            subject=subject,
            statement_type=statement.statement_type,
            predicate_type=statement.predicate_type,
            predicate=statement.predicate,
            signer=key.identity,
            signed_at=None,
            profile=Profile.KEY,
            checks=(CHECK_SIGNATURE, CHECK_KEY, CHECK_SUBJECT),
            bundle=Digest.of(bundle),
        )

    def _signer(self, bundle: Bundle) -> "PublicKey":
        signed = pae(bundle.envelope.payload)
        for key in self._keys:
            try:
                key.verify(bundle.envelope.signature, signed)
            except VerificationError:
                continue
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
        if not identities or not all(one.issuer and one.subject for one in identities):
            raise UsageError(
                "no identity was given, so nobody could be believed",
                hint="say who has to have signed: --certificate-identity and "
                "--certificate-oidc-issuer",
            )
        from modelseal.trust.keyless import Keyless

        self._keyless = Keyless(trusted_root, frozenset(identities))

    def verify(self, bundle: bytes, *, subject: Digest) -> VerifiedStatement:
        """Return the statement about `subject`. Raises `VerificationError`, as in the protocol."""
        facts = self._keyless.verify(parse_bundle(bundle))
        statement = require_subject(parse_statement(facts.payload), subject)
        return VerifiedStatement(
            subject=subject,
            statement_type=statement.statement_type,
            predicate_type=statement.predicate_type,
            predicate=statement.predicate,
            signer=facts.signer,
            signed_at=facts.signed_at,
            profile=Profile.KEYLESS,
            checks=(*facts.checks, CHECK_SUBJECT),
            bundle=Digest.of(bundle),
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
    )


def _claimed_signer(bundle: Bundle) -> str:
    if bundle.key_hint is not None:
        return f"key with the hint {_shown(bundle.key_hint)}" if bundle.key_hint else "a key"
    from cryptography import x509

    from modelseal.trust.certificate import identity_of

    try:
        return _shown(str(identity_of(x509.load_der_x509_certificate(bundle.certificate))))
    except (ValueError, VerificationError):
        return ""


def _subjects(statement: Statement) -> tuple[str, ...]:
    pairs = (pair for subject in statement.subjects for pair in subject.items())
    return tuple(_shown(f"{algorithm}:{encoded}") for algorithm, encoded in pairs)


def _shown(text: str) -> str:
    """Return a stranger's text so that it cannot steer a terminal or fill it."""
    return "".join(sign if sign.isprintable() else "?" for sign in text[:_MAX_SHOWN])
