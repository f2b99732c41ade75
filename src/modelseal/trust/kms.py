# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Keys that stay where they are kept: in a cloud's KMS, in Vault, in a PKCS#11 token.

`securesystemslib` knows how to ask each of them; which key it is, a URI says. What is signed is the
same as with a key from a file, and what comes back is checked with the public key before it is
handed on. Every library of a cloud is an extra of this package (`pip install 'modelseal[aws]'`),
and is imported only when such a URI is used. Source: securesystemslib 1.6, the page "signer".
"""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import parse_qsl

from modelseal.errors import Error, KeyFileError, SigningError, UnavailableError, VerificationError
from modelseal.trust.clouds import let_clouds_in

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from modelseal.trust.keys import PublicKey

    class _Key(Protocol):
        """What is used of securesystemslib's `SSlibKey`."""

        keytype: str
        scheme: str
        keyval: Mapping[str, str]

    class _Signature(Protocol):
        signature: str

    class _Signer(Protocol):
        """What is used of securesystemslib's `Signer`."""

        def sign(self, payload: bytes) -> _Signature: ...


T = TypeVar("T")

KMS_TIMEOUT: Final = 60.0
"""Seconds that a KMS gets for one answer."""

EXTRAS: Final = {
    "awskms": "aws",
    "azurekms": "azure",
    "gcpkms": "gcp",
    "hsm": "pkcs11",
    "hv": "vault",
}
"""The schemes of key URIs, and the extra of this package that each one needs."""

_NAMES = {
    "awskms": "AWS KMS",
    "azurekms": "Azure Key Vault",
    "gcpkms": "Google Cloud KMS",
    "hsm": "the PKCS#11 token",
    "hv": "Vault",
}
_HINTS = {
    "awskms": "see that AWS_REGION and the credentials are set, and that they may use "
    "kms:GetPublicKey and kms:Sign",
    "azurekms": "see that az login or AZURE_* gives credentials with the role "
    "Key Vault Crypto User",
    "gcpkms": "see that GOOGLE_APPLICATION_CREDENTIALS or gcloud gives credentials with the roles "
    "cloudkms.publicKeyViewer and cloudkms.signer",
    "hsm": "see that PYKCS11LIB names the PKCS#11 module and MODELSEAL_PKCS11_PIN holds the PIN",
    "hv": "see that VAULT_ADDR and VAULT_TOKEN are set, and that the transit engine is at transit/",
}
# What others write, and what to write instead.
_OTHER_SCHEMES = {
    "hashivault": "hv:NAME is the spelling for Vault's transit engine",
    "pkcs11": "hsm:ID?label=TOKEN is the spelling for PKCS#11, and PYKCS11LIB names the module",
    "file2": "name the file itself; it has to be encrypted",
    "gnupg": "GnuPG's keys sign nothing that cosign takes",
    "k8s": "write the secret's key into a file, and name that",
    "env": "write the key into a file, and name that",
}
_FORMS = {
    "awskms": re.compile(r"awskms:(?:///)?(?P<key>[A-Za-z0-9][A-Za-z0-9:/_.-]{0,2047})"),
    "azurekms": re.compile(
        r"azurekms://(?P<vault>[A-Za-z0-9-]{1,127})\.vault\.azure\.net/keys/"
        r"(?P<key>[A-Za-z0-9-]{1,127})(?:/(?P<version>[A-Za-z0-9]{1,64}))?"
    ),
    "gcpkms": re.compile(
        r"gcpkms:(?P<key>projects/[^/?#\s]+/locations/[^/?#\s]+/keyRings/[^/?#\s]+/cryptoKeys/"
        r"[^/?#\s]+/cryptoKeyVersions/[0-9]+)"
    ),
    "hsm": re.compile(r"hsm:(?P<key>[0-9]{0,9})(?:\?(?P<query>.*))?"),
    "hv": re.compile(r"hv:(?P<key>[A-Za-z0-9_.-]{1,255})(?:/(?P<version>[0-9]{1,9}))?"),
}
_EXAMPLES = {
    "awskms": "awskms:alias/NAME, awskms:KEY-ID or awskms:ARN",
    "azurekms": "azurekms://VAULT.vault.azure.net/keys/NAME",
    "gcpkms": "gcpkms:projects/P/locations/L/keyRings/R/cryptoKeys/K/cryptoKeyVersions/V",
    "hsm": "hsm:ID?label=TOKEN; the PIN never stands in it",
    "hv": "hv:NAME",
}
# Exceptions of five clients that mean "no answer", by name: importing the classes would import all.
_NO_ANSWER = {
    "ConnectionError",
    "ConnectTimeoutError",
    "ReadTimeoutError",
    "Timeout",
    "TimeoutError",
    "RetryError",
    "ServiceUnavailable",
    "DeadlineExceeded",
    "ServiceRequestError",
    "ServiceResponseError",
    "TransportError",
    "VaultDown",
    "HTTPClientError",
}


def is_key_uri(key: str) -> bool:
    """Tell whether `key` names a key elsewhere, and not a file (`./awskms:x` is a file)."""
    scheme, colon, _ = key.partition(":")
    return bool(colon) and (scheme in EXTRAS or scheme in _OTHER_SCHEMES)


@dataclass(frozen=True, slots=True)
class RemoteKey:
    """A key that signs where it is kept.

    Attributes:
        uri: Which one it is, down to the version where there are versions.
    """

    uri: str
    _signer: "_Signer" = field(repr=False)
    _public: "PublicKey" = field(repr=False)

    def public_key(self) -> "PublicKey":
        """Return the key that verifies, as the KMS gave it."""
        return self._public

    def sign(self, data: bytes) -> bytes:
        """Return the signature over `data`; ECDSA as DER.

        Raises:
            SigningError: the KMS refused, or what it gave does not verify.
            UnavailableError: it did not answer.
        """
        given = _asked(self.uri, lambda: self._signer.sign(data).signature)
        try:
            signature = bytes.fromhex(given)
            self._public.verify(signature, data)
        except (ValueError, VerificationError) as error:
            raise SigningError(
                f"what {self.uri} signed does not verify with its public key",
                hint="see that the key was not rotated or disabled meanwhile",
            ) from error
        return signature


def open_remote_key(uri: str, pin: Callable[[], str]) -> RemoteKey:
    """Ask for the public key of `uri`, and return the key that signs.

    Args:
        uri: `awskms:…`, `azurekms:…`, `gcpkms:…`, `hsm:…` or `hv:…`.
        pin: gives the PIN of a PKCS#11 token; asked at most once, and only for `hsm:`.

    Raises:
        KeyFileError: it is no such URI, the extra is not installed, or the key is of an algorithm
            that is not taken.
        SigningError: the KMS refused.
        UnavailableError: it did not answer.
    """
    parts = _parsed(uri)
    scheme = uri.partition(":")[0]
    library = _library(scheme)
    once = functools.cache(pin)

    def secret(_: str) -> str:
        return once()

    def imported() -> "tuple[str, _Key]":
        return _import(library, scheme, parts, secret)

    found, key = _asked(uri, imported)
    _require_version(uri, found, parts.get("version"))
    public = _public_key(key, found)
    signer = _asked(uri, lambda: library.Signer.from_priv_key_uri(found, key, secret))
    return RemoteKey(found, signer, public)


def _parsed(uri: str) -> dict[str, str]:
    scheme = uri.partition(":")[0]
    if scheme not in EXTRAS:
        raise KeyFileError(f"keys by {scheme}: are not taken", hint=_OTHER_SCHEMES[scheme])
    match = _FORMS[scheme].fullmatch(uri)
    found = {name: value for name, value in (match.groupdict() if match else {}).items() if value}
    query = dict(parse_qsl(found.pop("query", ""), keep_blank_values=True))
    if match is None or not query.keys() <= {"label"}:
        # The URI is not quoted: somebody may have written the PIN into it.
        raise KeyFileError(f"the {scheme}: key is not of a known form", hint=_EXAMPLES[scheme])
    return found | query


def _library(scheme: str) -> Any:  # noqa: ANN401 - a module
    let_clouds_in()
    try:
        import securesystemslib.signer as library
    except ImportError as error:
        raise _missing(scheme) from error
    return library


def _missing(scheme: str) -> KeyFileError:
    return KeyFileError(
        f"keys in {_NAMES[scheme]} need libraries that are not installed",
        hint=f"pip install 'modelseal[{EXTRAS[scheme]}]'",
    )


def _import(
    library: Any,  # noqa: ANN401 - a module
    scheme: str,
    parts: dict[str, str],
    secret: Callable[[str], str],
) -> "tuple[str, _Key]":
    key = parts.get("key", "")
    found: tuple[str, _Key]
    if scheme == "awskms":
        found = library.AWSSigner.import_(key)
        if found[1].keytype == "rsa":  # its own choice is RSA-PSS, and the key can do both
            found = library.AWSSigner.import_(key, library.RSA_PKCS1V15_SHA256)
    elif scheme == "azurekms":
        found = library.AzureSigner.import_(parts["vault"], key)
    elif scheme == "gcpkms":
        found = library.GCPSigner.import_(key)
    elif scheme == "hv":
        found = library.VaultSigner.import_(key)
    else:
        found = library.HSMSigner.import_(int(key) if key else None, parts.get("label"), secret)
    return found


def _require_version(uri: str, found: str, version: str | None) -> None:
    """Refuse to sign with another version than the one that was named."""
    if version is not None and found.rpartition("/")[2] != version:
        raise KeyFileError(
            f"{uri} is not the newest version of the key, which is {found}",
            hint="name the newest, or no version",
        )


def _public_key(key: "_Key", uri: str) -> "PublicKey":
    from modelseal.trust.keys import parse_public_key, public_key_of

    if key.scheme.startswith("rsassa-pss"):
        raise KeyFileError(
            f"{uri} is not taken: it signs with RSA-PSS, and cosign would refuse what it signs",
            hint="make a key for ECDSA P-256, or for RSA with PKCS#1 v1.5 and SHA-256",
        )
    if key.keytype == "ed25519":
        # RFC 8410: the SubjectPublicKeyInfo of Ed25519 is this and the 32 bytes.
        return public_key_of(bytes.fromhex("302a300506032b6570032100" + key.keyval["public"]), uri)
    return parse_public_key(key.keyval["public"].encode(), uri)


def _asked(uri: str, ask: Callable[[], T]) -> T:
    """Ask a KMS, within `KMS_TIMEOUT`, and translate whatever its client lets out."""
    from modelseal.trust.uploads import run_each

    scheme = uri.partition(":")[0]
    try:
        if scheme == "hsm":  # a thread could not be interrupted while it asks for the PIN
            return ask()
        (answer,) = run_each([ask], timeout=KMS_TIMEOUT, what=_NAMES[scheme])
    except Error:
        raise
    except Exception as error:
        raise _translated(uri, scheme, error) from error
    if isinstance(answer, Error):
        raise answer
    if isinstance(answer, Exception):
        raise _translated(uri, scheme, answer) from answer
    return answer


def _translated(uri: str, scheme: str, error: Exception) -> Error:
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if "UnsupportedLibraryError" in kinds:
        return _missing(scheme)
    text = " ".join(str(error).split())[:300]
    reason = f"{type(error).__name__}: {text}" if text else type(error).__name__
    if "UnsupportedAlgorithmError" in kinds or "UnsupportedKeyType" in kinds:
        return KeyFileError(
            f"{uri} is not taken: {text}",
            hint="make a key for ECDSA P-256; in Vault, for ed25519",
        )
    if kinds & _NO_ANSWER:
        return UnavailableError(f"{_NAMES[scheme]} did not answer: {reason}", hint=_HINTS[scheme])
    return SigningError(f"{uri} cannot be used: {reason}", hint=_HINTS[scheme])
