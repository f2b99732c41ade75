# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Signing of statements: with a key, or keylessly through Sigstore.

A signer takes in-toto statements as bytes and gives a Sigstore bundle for each; it looks at
neither. Nothing is signed but what was handed in.
"""

import contextlib
import functools
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from modelseal.errors import Error, SigningError, UnavailableError, VerificationError
from modelseal.oci.descriptor import Digest
from modelseal.oci.events import discard
from modelseal.trust.bundle import MAX_BUNDLE_BYTES, build_key_bundle, parse_bundle
from modelseal.trust.dsse import pae, parse_statement
from modelseal.trust.events import SigningSink
from modelseal.trust.identity import Identity, SignerIdentity
from modelseal.trust.oms import is_oms
from modelseal.trust.oms_keys import check_oms_key, oms_hint
from modelseal.trust.uploads import MAX_UPLOADS, Patience, Persistence, Setback, run_each
from modelseal.trust.verifier import KeyVerifier, SigstoreVerifier, Verifier

if TYPE_CHECKING:
    from sigstore.dsse import Statement
    from sigstore.models import ClientTrustConfig
    from sigstore.oidc import IdentityToken
    from sigstore.sign import Signer as SigstoreSession

    from modelseal.trust.keys import SigningKey
    from modelseal.trust.oidc import IdentityTokens

_MAX_PAYLOAD_BYTES = MAX_BUNDLE_BYTES // 4 * 3 - (1 << 20)  # base64, and the proofs beside it
_CERTIFICATE_LIFE = timedelta(minutes=10)
_CLOCK_SKEW = timedelta(seconds=30)


class Signer(Protocol):
    """Signs statements."""

    def check(self) -> None:
        """See, before long work begins, that there is somebody to sign as.

        Raises:
            SigningError: there is not, so that `sign` would fail.
            UnavailableError: the platform that vouches did not answer.
        """
        ...

    def sign(self, payloads: Sequence[bytes], on_event: SigningSink = discard) -> list[bytes]:
        """Return a Sigstore bundle, v0.3 JSON, for each in-toto statement, in the same order.

        Args:
            payloads: the statements.
            on_event: told when a service has to be waited for.

        Raises:
            SigningError: a signature could not be made.
            UnavailableError: a service did not answer.
        """
        ...

    @property
    def identity(self) -> SignerIdentity | None:
        """Who signs; None as long as that is not known: keylessly, before the first signature."""
        ...

    def verifier(self) -> Verifier:
        """Return a verifier that accepts what this signer signed, and nobody else's.

        Raises:
            SigningError: it has signed nothing yet.
        """
        ...


class KeySigner:
    """Signs with a key, from a file or in a KMS. No log and no timestamp stand by it."""

    def __init__(self, key: "SigningKey") -> None:
        """Sign with `key`."""
        self._key = key
        self._public = key.public_key()

    @property
    def identity(self) -> SignerIdentity:
        """The key's fingerprint."""
        return self._public.identity

    def check(self) -> None:
        """Do nothing: the key is at hand."""

    def verifier(self) -> Verifier:
        """Accept this key."""
        return KeyVerifier([self._public])

    def sign(self, payloads: Sequence[bytes], on_event: SigningSink = discard) -> list[bytes]:  # noqa: ARG002 - nothing is waited for
        """Return a bundle for each statement, as `Signer.sign` says."""
        for payload in payloads:
            require_signable(payload)
        return [
            build_key_bundle(payload, self._key.sign(pae(payload)), self._hint(payload))
            for payload in payloads
        ]

    def check_oms(self) -> None:
        """See that OMS takes the key. Raises `SigningError`."""
        check_oms_key(self._public)

    def _hint(self, payload: bytes) -> str:
        if not is_oms(payload):
            return self._public.hint
        self.check_oms()
        return oms_hint(self._public.pem)


class SigstoreSigner:
    """Signs keylessly: one identity token and one certificate for all statements of a run.

    A certificate lives ten minutes. When a wait would outlast it, a fresh one is asked for after
    the wait; nothing is ever signed with one that has run out.
    """

    def __init__(
        self,
        trust: "ClientTrustConfig",
        tokens: "IdentityTokens",
        *,
        patience: Patience | None = None,
    ) -> None:
        """Prepare; nothing is asked before the first `sign`.

        Args:
            trust: where to sign and whom to believe; see `load_trust_config`.
            tokens: where the identity token is.
            patience: how long services are waited for; a person at a browser may take longer.
        """
        self._trust = trust
        self._tokens = tokens
        self._patience = patience or Patience()
        self._lock = threading.Lock()
        self._kept = contextlib.ExitStack()
        self._session: SigstoreSession | None = None
        self._usable_until = datetime.min.replace(tzinfo=UTC)
        self._identity: SignerIdentity | None = None

    @property
    def identity(self) -> SignerIdentity | None:
        """Whom the certificate names; None before the first signature."""
        return self._identity

    def check(self) -> None:
        """Look for an identity token, as `Signer.check` says; a person is not asked yet."""
        self._tokens.check()

    def verifier(self) -> Verifier:
        """Accept the identity of the certificate. Raises `SigningError` before there is one."""
        if not isinstance(self._identity, Identity):
            raise SigningError("nothing was signed yet, so nobody is known as the signer")
        return SigstoreVerifier(self._trust.trusted_root, {self._identity})

    def sign(self, payloads: Sequence[bytes], on_event: SigningSink = discard) -> list[bytes]:
        """Return a bundle for each statement, as `Signer.sign` says.

        A log answers only when a checkpoint covers the entry (Rekor v2: seconds), so the
        statements are uploaded side by side. Either all are signed or none is returned.
        """
        statements = [self._statement(payload) for payload in payloads]
        with self._lock:
            done: dict[int, bytes] = {}
            uploads = Persistence(self._patience, on_event, self._lasts)
            while pending := [place for place in range(len(statements)) if place not in done]:
                session = self._certified(on_event)
                batch = pending[:MAX_UPLOADS]
                outcomes = run_each(
                    [functools.partial(self._sign_one, session, statements[n]) for n in batch],
                    timeout=self._patience.attempt_timeout,
                    what="the transparency log or the timestamp authority",
                )
                setbacks = []
                for place, outcome in zip(batch, outcomes, strict=True):
                    if isinstance(outcome, bytes):
                        done[place] = outcome
                    else:
                        setbacks.append(self._setback(outcome))
                if len(setbacks) < len(batch):
                    uploads.succeeded()
                if setbacks:
                    uploads.wait(setbacks)
            return [done[place] for place in range(len(statements))]

    def sign_blob(self, blob: Digest) -> bytes:
        """Return the bundle of the blob with this SHA-256: a `messageSignature`, no statement.

        Raises as `sign` does, at the first failure: nobody waits for a single blob.
        """
        with self._lock:
            session = self._certified(discard)
            (outcome,) = run_each(
                [functools.partial(self._sign_digest, session, blob)],
                timeout=self._patience.attempt_timeout,
                what="the transparency log or the timestamp authority",
            )
            if isinstance(outcome, bytes):
                return outcome
            raise self._setback(outcome).error

    def _sign_digest(self, session: "SigstoreSession", blob: Digest) -> bytes:
        from sigstore.hashes import Hashed

        value = {"algorithm": "SHA2_256", "digest": bytes.fromhex(blob.encoded)}
        hashed = Hashed.model_validate(value)
        return session.sign_artifact(hashed).to_json().encode()

    def _statement(self, payload: bytes) -> "Statement":
        from sigstore.dsse import Statement
        from sigstore.errors import Error as SigstoreError

        require_signable(payload)
        try:
            return Statement(payload)
        except SigstoreError as error:
            reason = " ".join(str(error).split())[:300]
            raise SigningError(
                f"sigstore does not sign this statement: {reason}",
                hint="it takes in-toto Statement v1 whose subjects have a name and a SHA-2 digest",
            ) from error

    def _certified(self, on_event: SigningSink) -> "SigstoreSession":
        """Return a session with a certificate that lasts for an upload; ask for one if needed."""
        if self._session is not None and self._patience.clock() < self._usable_until:
            return self._session
        self._session = None
        asking = Persistence(self._patience, on_event, self._tokens.good_at)
        while True:
            token = self._tokens.find(self._trust.signing_config.get_oidc_url)
            (made,) = run_each(
                [functools.partial(self._new_session, token)],
                timeout=self._patience.attempt_timeout,
                what="the certificate authority (Fulcio)",
            )
            if not isinstance(made, Exception):
                self._session = made
                self._usable_until = self._patience.clock() + _CERTIFICATE_LIFE - self._reserve
                return made
            asking.wait([self._setback(made)])

    def _new_session(self, token: "IdentityToken") -> "SigstoreSession":
        """Ask Fulcio, here and once, before any thread shares the session."""
        from sigstore.sign import SigningContext

        context = SigningContext.from_trust_config(self._trust)
        return self._kept.enter_context(context.signer(token, cache=True))

    def _setback(self, error: Exception) -> Setback:
        """Return a failure that may pass; raise any other as an error of ours."""
        from modelseal.trust.translate import asked_to_wait, certificate_ran_out, signing_error

        if certificate_ran_out(error):
            # Its life is shorter than we take it for: a fresh one is asked for.
            self._usable_until = datetime.min.replace(tzinfo=UTC)
        # sigstore lets out six kinds of error that share no base, and its client's.
        told = error if isinstance(error, Error) else signing_error(error, self._trust)
        if isinstance(told, UnavailableError):
            return Setback(told, asked_to_wait(error))
        raise told from error

    @property
    def _reserve(self) -> timedelta:
        """How long before its end a certificate is not used for a new upload."""
        return timedelta(seconds=self._patience.attempt_timeout) + _CLOCK_SKEW

    def _lasts(self, moment: datetime) -> bool:
        return moment < self._usable_until or self._tokens.good_at(moment)

    def _sign_one(self, session: "SigstoreSession", statement: "Statement") -> bytes:
        from modelseal.trust.certificate import identity_of

        bundle = session.sign_dsse(statement)
        certificate = bundle.signing_certificate
        raw = bundle.to_json().encode()
        parsed = parse_bundle(raw)
        if not parsed.timestamps and not parsed.log_time:
            # sigstore only warns when a timestamp authority fails, and such a bundle is worthless.
            raise UnavailableError(
                "no timestamp authority answered, so nothing would say when it was signed",
                hint="try again; without a timestamp the signature is void in ten minutes",
            )
        identity = identity_of(certificate)
        if self._identity not in {None, identity}:
            raise SigningError(f"{identity} got the certificate, and {self._identity} the first")
        self._identity = identity
        self._usable_until = certificate.not_valid_after_utc - self._reserve
        return raw


def require_signable(payload: bytes) -> None:
    """Refuse what nobody would verify, before it is signed. Raises `SigningError`."""
    if len(payload) > _MAX_PAYLOAD_BYTES:
        raise SigningError(
            f"a statement of {len(payload)} bytes is too large to be signed",
            hint="push the document as an artifact and attest its digest",
        )
    try:
        parse_statement(payload)
    except VerificationError as error:
        raise SigningError(f"nobody would verify this: {error}") from error
