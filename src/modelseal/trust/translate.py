# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What went wrong with Sigstore's services, as an error of ours.

Six exceptions of sigstore-python are not its `Error`, some have no public name, and `requests`
shines through. So they are told apart by what they are and what they carry, not by their class.
"""

from typing import TYPE_CHECKING, Final

from sigstore.errors import Error as SigstoreError
from sigstore.errors import NetworkError
from sigstore.models import InvalidBundle
from sigstore.oidc import ExpiredIdentity

from modelseal.errors import Error, SigningError, UnavailableError
from modelseal.oci.registry.retry import retry_after

if TYPE_CHECKING:
    from sigstore.models import ClientTrustConfig

# By name: they live in sigstore's private modules.
_SERVICES: Final = {
    "FulcioClientError": "the certificate authority (Fulcio)",
    "RekorClientError": "the transparency log (Rekor)",
    "TimestampError": "the timestamp authority",
}
_TOO_LARGE = 413
_TOO_MANY_REQUESTS = 429
_SERVER_ERROR = 500
_MAX_MESSAGE = 300


def signing_error(error: Exception, trust: "ClientTrustConfig") -> Error:
    """Return what to raise for an exception that came out of signing with sigstore."""
    if isinstance(error, ExpiredIdentity):
        return SigningError(
            "the identity token has expired", hint="get a new one", code="bad-identity-token"
        )
    if certificate_ran_out(error):
        return UnavailableError("the certificate ran out before the upload", hint="try again")
    if isinstance(error, InvalidBundle):
        return _without_proof(error, trust)
    service = _SERVICES.get(type(error).__name__)
    return _by_service(error, service) if service else _by_library(error)


def certificate_ran_out(error: Exception) -> bool:
    """Tell whether sigstore would not sign because its certificate has expired."""
    return type(error).__name__ == "ExpiredCertificate"


def asked_to_wait(error: Exception) -> float | None:
    """Return the seconds that a service asked for (`Retry-After`); None if it did not."""
    headers = getattr(_response(error), "headers", {})
    return retry_after(headers.get("Retry-After"))


def _by_service(error: Exception, service: str) -> Error:
    status = _status(error)
    if status:
        return _answered(service, status, _said(error))
    return SigningError(
        f"{service} gave an answer that is not taken: {_short(error)}",
        hint="sigstore needs a certificate chain with an embedded SCT; check the CT log",
    )


def _by_library(error: Exception) -> Error:
    if isinstance(error, OSError | NetworkError):
        # requests' exceptions are OSError; their text would name hosts that the user knows by URL.
        return UnavailableError(
            f"a Sigstore service did not answer: {type(error).__name__}",
            hint="check the network and the signing config, or try again",
        )
    if isinstance(error, SigstoreError):
        return SigningError(
            f"sigstore refused to sign: {_short(error)}",
            hint="check that --trusted-root and --signing-config are of one Sigstore",
        )
    return SigningError(f"a Sigstore service gave an odd answer: {type(error).__name__}")


def _without_proof(error: Exception, trust: "ClientTrustConfig") -> Error:
    if not trust.signing_config.get_tsas():
        return SigningError(
            "the signing config names no timestamp authority, and the log gives no time",
            hint="add one: cosign signing-config create --tsa=url=…",
        )
    return UnavailableError(
        f"a proof for the signature is missing: {_short(error)}",
        hint="the timestamp authority or the log did not answer as it must; try again",
    )


def _answered(service: str, status: int, said: str) -> Error:
    message = f"{service} answered {status}{said and f': {said}'}"
    if status == _TOO_MANY_REQUESTS:
        return UnavailableError(message, hint="try again later", code="rate-limited")
    if status == _TOO_LARGE:
        return SigningError(message, hint="attest the digest of the document: --by-digest")
    if status >= _SERVER_ERROR:
        return UnavailableError(message, hint="try again later")
    return SigningError(message, hint="check the identity token: its issuer has to be known there")


def _status(error: BaseException) -> int:
    """Return the HTTP status that an exception, or the one behind it, carries; or 0."""
    response = _response(error)
    status = getattr(response, "status_code", 0)
    return status if isinstance(status, int) else 0


def _said(error: BaseException) -> str:
    text = getattr(_response(error), "text", "")
    return _printable(text) if isinstance(text, str) else ""


def _response(error: BaseException | None) -> object:
    for _ in range(8):
        if error is None:
            break
        response = getattr(error, "response", None)
        if response is not None:
            return response
        error = error.__cause__ or error.__context__
    return None


def _short(error: BaseException) -> str:
    return _printable(str(error)) or type(error).__name__


def _printable(text: str) -> str:
    words = " ".join(text[: 4 * _MAX_MESSAGE].split())[:_MAX_MESSAGE]
    return "".join(sign if sign.isprintable() else "?" for sign in words)
