# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Verification of OMS bundles: who signed a list of files. Whether files are so stands elsewhere.

An OMS bundle is a Sigstore bundle whose statement is about a root digest that it computes itself.
Three methods: a key (ECDSA P-256, P-384, P-521), a certificate chain of one's own (`oms_chain`),
and keyless, which is left to the verifier for keyless bundles. Forms that older signers wrote are
read as the specification asks. Source: OpenSSF Model Signing v1.0, sections 4, 8 and 11.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NoReturn

from modelseal.documents import canonical_json, parse_json_object
from modelseal.errors import (
    ContentError,
    UsageError,
    VerificationError,
)
from modelseal.oci.descriptor import Digest
from modelseal.trust.bundle import Bundle, parse_bundle
from modelseal.trust.dsse import Statement, pae, parse_statement
from modelseal.trust.identity import (
    CHECK_KEY,
    CHECK_SIGNATURE,
    CHECK_SUBJECT,
    Profile,
    VerifiedStatement,
)
from modelseal.trust.oms_keys import EcPublicKey, oms_hint
from modelseal.trust.verifier import Verifier, require_subject

if TYPE_CHECKING:
    pass

OMS_PREDICATE_TYPE: Final = "https://model_signing/signature/v1.0"
OMS_STATEMENT_TYPE: Final = "https://in-toto.io/Statement/v1"


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
        return oms_statement(statement, subject, bundle, signer, CHECK_KEY, Profile.KEY)

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


def oms_statement(  # noqa: PLR0917 - each is a field
    statement: Statement,
    subject: Digest,
    bundle: bytes,
    key: EcPublicKey,
    check: str,
    profile: Profile,
) -> VerifiedStatement:
    """Return a statement whose signature `key` has verified; `check` is why the key counts."""
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
