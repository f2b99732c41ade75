# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a transparency log's entry has to say to be about one signature, key and content.

Without this any entry of the log would do (GHSA-whqx-f9j3-ch6m, CVE-2022-36056). Sources:
sigstore/rekor, `pkg/types/{dsse,hashedrekord,intoto}`; sigstore/rekor-tiles, `hashedrekord.proto`.
"""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

from modelseal.documents import parse_json_object
from modelseal.errors import ContentError
from modelseal.trust.dsse import PAYLOAD_TYPE
from modelseal.trust.proofs.refusal import refusal
from modelseal.trust.proofs.signed import Signed, SigningKey, b64

_PEM = re.compile(
    rb"-----BEGIN (CERTIFICATE|PUBLIC KEY)-----\n([A-Za-z0-9+/=\n]+)-----END \1-----\n?"
)


def require_entry_about(kind: str, body: bytes, signed: Signed, key: SigningKey) -> None:
    """See that an entry's body is about exactly this signature.

    Args:
        kind: its kind and version, as `dsse 0.0.1`.
        body: as the log holds it.
        signed: the signature.
        key: what has to have made it.

    Raises:
        VerificationError: `unsupported-log-entry` or `bad-log-entry`.
    """
    expected = _BODIES.get(kind)
    if expected is None or (signed.payload is None and kind in _STATEMENTS_ONLY):
        raise refusal(
            "unsupported-log-entry",
            f"the transparency log entry is of a kind that is not read: {kind!r}",
            "sign anew with cosign 3.1 or newer, or with modelseal",
        )
    try:
        found = parse_json_object(body, "the entry")
    except ContentError as error:
        raise _another() from error
    name, version = kind.split(" ")
    wanted = {"apiVersion": version, "kind": name, "spec": expected(found, signed, key)}
    if found != wanted:
        raise _another()


def _another() -> Exception:
    return refusal(
        "bad-log-entry",
        "the transparency log entry does not hold: it is about another signature, key or content",
    )


def _dsse(found: Mapping[str, Any], signed: Signed, key: SigningKey) -> object:
    """The hash of the envelope is of JSON that nobody has any more; it is left as it is."""
    verifier = _at(_only(_at(found, "spec", "signatures")), "verifier")
    return {
        "envelopeHash": _at(found, "spec", "envelopeHash"),
        "payloadHash": _sha256(hashlib.sha256(signed.payload or b"").digest()),
        "signatures": [{"signature": b64(signed.signature), "verifier": _pem(verifier, key)}],
    }


def _intoto(found: Mapping[str, Any], signed: Signed, key: SigningKey) -> object:
    """Rekor v1's older entry for statements: base64 of base64, and the payload may be left out."""
    payload = signed.payload or b""
    given = _only(_at(found, "spec", "content", "envelope", "signatures"))
    signature = {
        "publicKey": _pem(_at(given, "publicKey"), key),
        "sig": b64(b64(signed.signature).encode()),
    }
    if _at(given, "keyid") == "":
        signature["keyid"] = ""
    envelope: dict[str, object] = {"payloadType": PAYLOAD_TYPE, "signatures": [signature]}
    if _at(found, "spec", "content", "envelope", "payload") is not None:
        envelope["payload"] = b64(b64(payload).encode())
    return {
        "content": {
            "envelope": envelope,
            "hash": _at(found, "spec", "content", "hash"),
            "payloadHash": _sha256(hashlib.sha256(payload).digest()),
        }
    }


def _hashedrekord_v1(found: Mapping[str, Any], signed: Signed, key: SigningKey) -> object:
    pem = _pem(_at(found, "spec", "signature", "publicKey", "content"), key)
    return {
        "data": {"hash": _sha256(signed.digest)},
        "signature": {"content": b64(signed.signature), "publicKey": {"content": pem}},
    }


def _hashedrekord_v2(_: Mapping[str, Any], signed: Signed, key: SigningKey) -> object:
    material = "x509Certificate" if key.is_certificate else "publicKey"
    return {
        "hashedRekordV002": {
            "data": {"algorithm": "SHA2_256", "digest": b64(signed.digest)},
            "signature": {
                "content": b64(signed.signature),
                "verifier": {"keyDetails": key.details, material: {"rawBytes": b64(key.der)}},
            },
        }
    }


def _sha256(digest: bytes) -> dict[str, str]:
    return {"algorithm": "sha256", "value": digest.hex()}


def _pem(given: object, key: SigningKey) -> str:
    """Return PEM as it is given if it is the key's, with lines of any length; else the usual."""
    label = b"CERTIFICATE" if key.is_certificate else b"PUBLIC KEY"
    try:
        block = _PEM.fullmatch(base64.b64decode(str(given), validate=True))
        same = (
            block is not None
            and block[1] == label
            and (base64.b64decode(block[2].replace(b"\n", b""), validate=True) == key.der)
        )
    except ValueError:
        same = False
    return str(given) if same else b64(key.pem)


def _only(value: object) -> object:
    return value[0] if isinstance(value, list) and len(value) == 1 else None


def _at(value: object, *path: str) -> object:
    for step in path:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


_BODIES: Final[Mapping[str, Callable[[Mapping[str, Any], Signed, SigningKey], object]]] = (
    MappingProxyType(
        {
            "dsse 0.0.1": _dsse,
            "intoto 0.0.2": _intoto,
            "hashedrekord 0.0.1": _hashedrekord_v1,
            "hashedrekord 0.0.2": _hashedrekord_v2,
        }
    )
)
_STATEMENTS_ONLY: Final = frozenset({"dsse 0.0.1", "intoto 0.0.2"})
