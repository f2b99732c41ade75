# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""TLS: whom we trust, who we are, and what it means when no connection comes about."""

import ssl

from modelseal.errors import KeyFileError, UnavailableError, UsageError
from modelseal.oci.registry.hosts import Origin
from modelseal.oci.registry.options import RegistryOptions

# Numbers of OpenSSL's X509_V_ERR_*, which Python hands on as `verify_code`.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_ISSUER = frozenset({2, 18, 19, 20, 21, 24})
_OTHER_NAME = frozenset({62, 64})

_HUNG_UP = (ssl.SSLEOFError, ssl.SSLZeroReturnError)
_WANTS_A_CERTIFICATE = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE")
_REFUSES_OURS = ("UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_UNKNOWN", "CERTIFICATE_EXPIRED")


def tls_context(options: RegistryOptions, *, client_cert: bool) -> ssl.SSLContext:
    """Return how to speak TLS; with our own certificate only where `client_cert` says so.

    Raises:
        UsageError, KeyFileError: a file cannot be used.
    """
    context = ssl.create_default_context()
    if options.ca_file is not None:
        try:
            context.load_verify_locations(cafile=str(options.ca_file))
        except (OSError, ssl.SSLError) as error:
            raise UsageError(
                f"cannot read CA certificates from {options.ca_file}",
                hint="a file with PEM certificates is needed",
            ) from error
    if client_cert:
        _show_certificate(context, options)
    return context


def _show_certificate(context: ssl.SSLContext, options: RegistryOptions) -> None:
    files = " and ".join(str(path) for path in (options.client_cert, options.client_key) if path)
    asked: list[bool] = []

    def passphrase() -> str:
        # Without this OpenSSL itself asks, on the terminal.
        asked.append(True)
        return options.client_key_passphrase

    try:
        context.load_cert_chain(str(options.client_cert), options.client_key, passphrase)
    except (OSError, ssl.SSLError, ValueError) as error:
        if asked:
            raise KeyFileError(
                f"the client key in {files} does not open with this passphrase",
                hint="set MODELSEAL_CLIENT_KEY_PASSPHRASE",
            ) from error
        raise KeyFileError(
            f"{files} cannot be used as a client certificate: {_reason(error)}",
            hint="a certificate and the private key that belongs to it are needed, both PEM",
        ) from error


def hung_up(error: Exception) -> bool:
    """Tell whether the other side went away in the middle, which may pass.

    With TLS 1.3 it may also be how a missing client certificate shows: the alert that says so is
    lost when the registry closes before our request is out.
    """
    return isinstance(error.args[0] if error.args else error, _HUNG_UP)


def tls_failure(error: Exception, origin: Origin) -> UnavailableError:
    """Say why there is no TLS with `origin`, and what would help."""
    inner = error.args[0] if error.args else error
    code = getattr(inner, "verify_code", None)
    alert = str(getattr(inner, "reason", "") or "")
    why = _reason(error)
    if code in _UNKNOWN_ISSUER:
        hint = "if that is right, give the certificates of its CA with --ca-file"
    elif code in _OTHER_NAME:
        hint = "speak to it by the name that its certificate is for"
    elif code in {_EXPIRED, _NOT_YET_VALID}:
        hint = "who runs it has to renew its certificate; look at the clock of this machine, too"
    elif any(name in alert for name in _WANTS_A_CERTIFICATE):
        why = f"it wants a client certificate ({alert})"
        hint = "give yours with --client-cert and --client-key"
    elif any(name in alert for name in _REFUSES_OURS) and "ALERT" in alert:
        why = f"it refuses our client certificate ({alert})"
        hint = "look at --client-cert: has its CA issued it, and is it still valid?"
    elif hung_up(error):
        why = "it hung up"
        hint = "try again; if it asks for client certificates, look at --client-cert"
    else:
        hint = f"if it is a registry without TLS, name it: --plain-http {origin.netloc}"
    return UnavailableError(f"no TLS with {origin.netloc}: {why}", hint=hint)


def _reason(error: Exception) -> str:
    inner = error.args[0] if error.args else error
    verify = str(getattr(inner, "verify_message", "") or "")
    own = getattr(error, "reason", "") or getattr(error, "strerror", "")
    return verify or str(getattr(inner, "reason", "") or own or "handshake failed")
