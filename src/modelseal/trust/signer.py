# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Signing of statements: with a key, or keylessly through Sigstore.

A signer takes in-toto statements as bytes and gives a Sigstore bundle for each; it looks at
neither. Nothing is signed but what was handed in.
"""

import contextlib
import functools
import queue
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from modelseal.errors import Error, SigningError, UnavailableError, VerificationError
from modelseal.trust.bundle import MAX_BUNDLE_BYTES, build_key_bundle, parse_bundle
from modelseal.trust.dsse import pae, parse_statement
from modelseal.trust.identity import Identity, SignerIdentity
from modelseal.trust.verifier import KeyVerifier, SigstoreVerifier, Verifier

if TYPE_CHECKING:
    from sigstore.dsse import Statement
    from sigstore.models import ClientTrustConfig
    from sigstore.sign import Signer as SigstoreSession

    from modelseal.trust.keys import PrivateKey
    from modelseal.trust.oidc import IdentityTokens

T = TypeVar("T")

SIGNING_TIMEOUT: Final = 120.0
"""Seconds that Fulcio gets for a certificate, and the log for all statements of a call."""

MAX_UPLOADS: Final = 8
"""Most statements that are uploaded to the log at once."""

_MAX_PAYLOAD_BYTES = MAX_BUNDLE_BYTES // 4 * 3 - (1 << 20)  # base64, and the proofs beside it
_CERTIFICATE_RESERVE = timedelta(seconds=150)  # a certificate lives ten minutes


class Signer(Protocol):
    """Signs statements."""

    def check(self) -> None:
        """See, before long work begins, that there is somebody to sign as.

        Raises:
            SigningError: there is not, so that `sign` would fail.
            UnavailableError: the platform that vouches did not answer.
        """
        ...

    def sign(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Return a Sigstore bundle, v0.3 JSON, for each in-toto statement, in the same order.

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
    """Signs with an ECDSA P-256 key. Needs no network; no log and no timestamp stand by it."""

    def __init__(self, key: "PrivateKey") -> None:
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

    def sign(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Return a bundle for each statement, as `Signer.sign` says."""
        for payload in payloads:
            _require_statement(payload)
        return [
            build_key_bundle(payload, self._key.sign(pae(payload)), self._public.hint)
            for payload in payloads
        ]


class SigstoreSigner:
    """Signs keylessly: one identity token and one certificate for all statements of a run."""

    def __init__(
        self,
        trust: "ClientTrustConfig",
        tokens: "IdentityTokens",
        *,
        timeout: float = SIGNING_TIMEOUT,
    ) -> None:
        """Prepare; nothing is asked before the first `sign`.

        Args:
            trust: where to sign and whom to believe; see `load_trust_config`.
            tokens: where the identity token is.
            timeout: seconds for the certificate, and again for all log entries; a person at a
                browser may take longer.
        """
        self._trust = trust
        self._tokens = tokens
        self._timeout = timeout
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

    def sign(self, payloads: Sequence[bytes]) -> list[bytes]:
        """Return a bundle for each statement, as `Signer.sign` says.

        A log answers only when a checkpoint covers the entry (Rekor v2: seconds), so the
        statements are uploaded side by side. Either all are signed or none is returned.
        """
        from modelseal.trust.translate import signing_error

        if not payloads:
            return []
        statements = [self._statement(payload) for payload in payloads]
        with self._lock:
            try:
                session = self._certified()
                return run_all(
                    [functools.partial(self._sign_one, session, one) for one in statements],
                    timeout=self._timeout,
                    what="the transparency log or the timestamp authority",
                )
            except Error:
                raise
            except Exception as error:
                # sigstore lets out six kinds of error that share no base, and its client's.
                raise signing_error(error, self._trust) from error

    def _statement(self, payload: bytes) -> "Statement":
        from sigstore.dsse import Statement
        from sigstore.errors import Error as SigstoreError

        _require_statement(payload)
        try:
            return Statement(payload)
        except SigstoreError as error:
            reason = " ".join(str(error).split())[:300]
            raise SigningError(
                f"sigstore does not sign this statement: {reason}",
                hint="it takes in-toto Statement v1 whose subjects have a name and a SHA-2 digest",
            ) from error

    def _certified(self) -> "SigstoreSession":
        """Return a session with a certificate that lasts for this call; ask for one if needed."""
        if self._session is not None and datetime.now(UTC) < self._usable_until:
            return self._session
        from sigstore.sign import SigningContext

        config = self._trust.signing_config
        token = self._tokens.find(config.get_oidc_url)
        context = SigningContext.from_trust_config(self._trust)
        # The session asks Fulcio as it is made, here and once, before any thread shares it; its
        # request has no time-out of its own.
        (self._session,) = run_all(
            [lambda: self._kept.enter_context(context.signer(token, cache=True))],
            timeout=self._timeout,
            what="the certificate authority (Fulcio)",
        )
        return self._session

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
        self._identity = identity_of(certificate)
        self._usable_until = certificate.not_valid_after_utc - _CERTIFICATE_RESERVE
        return raw


def _require_statement(payload: bytes) -> None:
    if len(payload) > _MAX_PAYLOAD_BYTES:
        raise SigningError(
            f"a statement of {len(payload)} bytes is too large to be signed",
            hint="push the document as an artifact and attest its digest",
        )
    try:
        parse_statement(payload)
    except VerificationError as error:
        raise SigningError(f"nobody would verify this: {error}") from error


def run_all(jobs: Sequence[Callable[[], T]], *, timeout: float, what: str) -> list[T]:
    """Run jobs side by side, and return their results in order, within `timeout` seconds.

    The threads are daemons: a service that never answers may keep one of them, but neither this
    call nor the end of the process.

    Args:
        jobs: what to do; after the first failure no other job is started.
        timeout: seconds for all of them.
        what: names the service in the error.

    Raises:
        UnavailableError: a job was not done in time. What a job raises comes out as it is.
    """
    waiting: queue.SimpleQueue[tuple[int, Callable[[], T]]] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[int, T | None, Exception | None]] = queue.SimpleQueue()
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            try:
                place, job = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((place, job(), None))
            except Exception as error:  # noqa: BLE001 - raised again where it is waited for
                done.put((place, None, error))

    deadline = time.monotonic() + timeout
    for item in enumerate(jobs):
        waiting.put(item)
    for _ in range(min(len(jobs), MAX_UPLOADS)):
        threading.Thread(target=work, name="modelseal-sign", daemon=True).start()
    results: dict[int, T] = {}
    try:
        while len(results) < len(jobs):
            place, result, error = done.get(timeout=max(0.0, deadline - time.monotonic()))
            if error is not None:
                raise error
            results[place] = result  # type: ignore[assignment] # None only beside an error
    except queue.Empty as error:
        raise UnavailableError(
            f"{what} did not answer in time", hint="try again, or check the signing config"
        ) from error
    finally:
        stop.set()
    return [results[place] for place in range(len(jobs))]
