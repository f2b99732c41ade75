# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Signatures over blobs: bundles with a `messageSignature`, which say nothing but "I signed this".

Models are never verified by them: no statement comes out, so no policy can take one. They are what
Sigstore's conformance suite and `cosign sign-blob` sign.
"""

from collections.abc import Collection
from typing import TYPE_CHECKING

from modelseal.errors import VerificationError
from modelseal.oci.descriptor import Digest
from modelseal.trust.bundle import BlobBundle, parse_any_bundle
from modelseal.trust.facts import Facts
from modelseal.trust.identity import CHECK_KEY, CHECK_SIGNATURE, Identity
from modelseal.trust.verifier import require_key_bundle

if TYPE_CHECKING:
    from modelseal.trust.keys import PublicKey
    from modelseal.trust.proofs.root import Root


def verify_blob(
    bundle: bytes, blob: Digest, *, root: "Root", identities: Collection[Identity]
) -> Facts:
    """Verify that one of `identities` signed the blob, as far as `root` can show it.

    Args:
        bundle: JSON.
        blob: SHA-256 of the blob.
        root: whom to believe; the profile is `keyless-private`.
        identities: who may have signed, exactly.

    Raises:
        VerificationError: nobody of them did, or a proof is missing.
    """
    from modelseal.trust.keyless_private import KeylessPrivate

    parsed = _blob_bundle(bundle)
    return KeylessPrivate(root, frozenset(identities)).verify_blob(parsed, _sha256(blob))


def verify_blob_with_key(
    bundle: bytes, blob: Digest, *, key: "PublicKey", root: "Root | None" = None
) -> Facts:
    """Verify that `key` signed the blob; `root` is for log entries, as in `KeyVerifier`.

    Raises:
        VerificationError: it did not, or it is an Ed25519 key, which signs no digests.
    """
    from modelseal.trust.proofs.evidence import Proven, prove
    from modelseal.trust.proofs.signed import Signed, SigningKey

    parsed = _blob_bundle(bundle)
    require_key_bundle(parsed)
    signed, signing_key = Signed.of_blob(parsed, _sha256(blob)), SigningKey.of_spki(key.der)
    signing_key.require_signature(signed)
    proven = Proven((), ()) if root is None else prove(parsed, signed, signing_key, root)
    return Facts(
        signer=key.identity,
        signed_at=proven.signed_at,
        checks=(*proven.checks, CHECK_SIGNATURE, CHECK_KEY),
    )


def _blob_bundle(raw: bytes) -> BlobBundle:
    bundle = parse_any_bundle(raw)
    if not isinstance(bundle, BlobBundle):
        raise VerificationError("the bundle signs a statement, not a blob", code="not-a-blob")
    return bundle


def _sha256(blob: Digest) -> bytes:
    if blob.algorithm != "sha256":
        raise VerificationError(f"{blob} is not a SHA-256", code="wrong-subject")
    return bytes.fromhex(blob.encoded)
