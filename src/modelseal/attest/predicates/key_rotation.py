# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The record of a key rotation: which statements a new key signed again, in the place of which key.

An own predicate, because none is registered. It is signed by the new key, and so it proves what the
new key says, not what the old one agreed to.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from modelseal.attest.predicates.types import OWN_PREFIX
from modelseal.documents import rfc3339
from modelseal.oci.descriptor import Digest

KEY_ROTATION = f"{OWN_PREFIX}key-rotation/v0.1"


def build_key_rotation(
    old: str, new: str, statements: Sequence[tuple[str, Digest]], reason: str, moment: datetime
) -> dict[str, Any]:
    """Return the predicate.

    Args:
        old: the fingerprint of the key that signed before, `sha256:…`.
        new: that of the key that signs now.
        statements: predicate type and SHA-256 of the bytes of each statement that both signed.
        reason: why, for people; may be empty.
        moment: when.
    """
    return {
        "oldKey": {"fingerprint": old},
        "newKey": {"fingerprint": new},
        "reason": reason,
        "rotatedAt": rfc3339(moment),
        "statements": [
            {"predicateType": kind, "payload": {payload.algorithm: payload.encoded}}
            for kind, payload in sorted(statements, key=lambda pair: (pair[0], pair[1].encoded))
        ],
    }


def rotated_payloads(predicate: Mapping[str, Any], old: str, new: str) -> frozenset[str]:
    """Return the SHA-256 of every statement that a record names; none if it is about other keys."""
    keys = [predicate.get("oldKey"), predicate.get("newKey")]
    if keys != [{"fingerprint": old}, {"fingerprint": new}]:
        return frozenset()
    statements = predicate.get("statements")
    found = set()
    for entry in statements if isinstance(statements, list) else []:
        payload = entry.get("payload") if isinstance(entry, dict) else None
        encoded = payload.get("sha256") if isinstance(payload, dict) else None
        if isinstance(encoded, str):
            found.add(encoded)
    return frozenset(found)
