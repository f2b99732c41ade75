# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Which keys signed what in a repository: verified for the keys that are given, else claimed."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelseal.attest.referrers import AttachedBundle, attached_bundles
from modelseal.errors import VerificationError
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.store import ReadableStore
from modelseal.trust.bundle import parse_bundle
from modelseal.trust.dsse import parse_statement
from modelseal.trust.identity import KeyIdentity
from modelseal.trust.verifier import KeyVerifier
from modelseal.workflows.rotate import release_subjects

if TYPE_CHECKING:
    from modelseal.trust.keys import PublicKey

_SHA256_BYTES = 32


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class KeyUse:
    """A statement that a key signed, or is said to have signed.

    Attributes:
        key: The fingerprint; of a claim, what the bundle hints at.
        verified: Whether the signature was checked, with a key that was given.
        release: The tags, or the digest of what no tag leads to.
        predicate_type: What kind of statement it is.
    """

    key: str
    verified: bool
    release: str
    predicate_type: str


def key_uses(store: ReadableStore, keys: Sequence["PublicKey"]) -> tuple[KeyUse, ...]:
    """Return every key-signed statement about the releases of a repository.

    Statements that were signed keylessly are left out: no key of theirs outlives the run.

    Raises:
        LimitExceededError, UnavailableError: as `plan_rotation` does.
    """
    verifier = KeyVerifier(keys) if keys else None
    found: set[KeyUse] = set()
    for subject, tags in release_subjects(store, ()):
        release = ", ".join(tags) or str(subject.digest)
        for bundle in attached_bundles(store, subject):
            use = _use(bundle, subject, release, verifier)
            if use is not None:
                found.add(use)
    return tuple(sorted(found))


def _use(
    bundle: object, subject: Descriptor, release: str, verifier: KeyVerifier | None
) -> KeyUse | None:
    if not isinstance(bundle, AttachedBundle):
        return None
    if verifier is not None:
        try:
            verified = verifier.verify(bundle.raw, subject=subject.digest)
        except VerificationError:
            pass
        else:
            assert isinstance(verified.signer, KeyIdentity)
            return KeyUse(
                key=verified.signer.fingerprint,
                verified=True,
                release=release,
                predicate_type=verified.predicate_type,
            )
    try:
        parsed = parse_bundle(bundle.raw)
        claimed = parse_statement(parsed.envelope.payload)
    except VerificationError:
        return None
    if parsed.key_hint is None:
        return None
    return KeyUse(
        key=_fingerprint(parsed.key_hint),
        verified=False,
        release=release,
        predicate_type=claimed.predicate_type,
    )


def _fingerprint(hint: str) -> str:
    """Return the fingerprint that cosign's form of a hint stands for, else the hint as it is."""
    try:
        digest = base64.b64decode(hint, validate=True)
    except ValueError:
        digest = b""
    return f"sha256:{digest.hex()}" if len(digest) == _SHA256_BYTES else hint[:200]
