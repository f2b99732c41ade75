# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The profile `keyless-private`: exactly what a given trusted root can show, and no less.

`sigstore` verifies only bundles that have everything; a private Sigstore may lack a CT log, a
transparency log or a timestamp authority, and a bundle may be in several logs. What has to hold is
decided by the trusted root alone, never by the bundle. Nothing here imports `sigstore`.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from cryptography import x509

from modelseal.errors import VerificationError
from modelseal.trust.bundle import BlobBundle, Bundle, Material
from modelseal.trust.certificate import claims_of, identity_of
from modelseal.trust.dsse import broken
from modelseal.trust.facts import Facts, refuse_key_bundle, require_identity
from modelseal.trust.identity import (
    CHECK_CERTIFICATE_CHAIN,
    CHECK_IDENTITY,
    CHECK_SCT,
    CHECK_SIGNATURE,
    CHECK_VALID_NOW,
    Identity,
)
from modelseal.trust.proofs.chain import (
    issuing_chain,
    load_certificate,
    require_issued,
    require_sct,
)
from modelseal.trust.proofs.evidence import Proven, prove
from modelseal.trust.proofs.root import Root
from modelseal.trust.proofs.signed import Signed, SigningKey


def _now() -> datetime:
    return datetime.now(UTC)


class KeylessPrivate:
    """A verifier of keyless bundles under one trusted root, for some identities."""

    def __init__(
        self, root: Root, identities: frozenset[Identity], clock: Callable[[], datetime] = _now
    ) -> None:
        """Believe `identities` under `root`; `clock` tells the time where nothing else does."""
        self._root = root
        self._identities = identities
        self._clock = clock

    def verify(self, bundle: Bundle) -> Facts:
        """Return what holds about a statement's bundle, or raise `VerificationError`."""
        return self._facts(bundle, Signed.of(bundle))

    def verify_blob(self, bundle: BlobBundle, digest: bytes) -> Facts:
        """Return what holds about the bundle of the blob with the SHA-256 `digest`.

        Raises:
            VerificationError: something does not hold.
        """
        return self._facts(bundle, Signed.of_blob(bundle, digest))

    def _facts(self, bundle: Material, signed: Signed) -> Facts:
        if bundle.key_hint is not None:
            raise refuse_key_bundle()
        _require_leaf_alone(bundle)
        certificate = load_certificate(bundle.certificate)
        key = SigningKey.of_certificate(certificate)
        key.require_signature(signed)
        try:
            now = self._clock()
            proven = prove(bundle, signed, key, self._root, now=now, all_of_root=True)
        except VerificationError:
            require_issued(certificate, self._root)  # of another Sigstore: that says the most
            raise
        return self._certified(certificate, proven, now)

    def _certified(self, certificate: x509.Certificate, proven: Proven, now: datetime) -> Facts:
        chain = issuing_chain(certificate, self._root, proven.times or (now,))
        if self._root.ct_logs:
            require_sct(certificate, chain, self._root)
        signer = identity_of(certificate)
        require_identity(signer, self._identities)
        ran = (
            (CHECK_CERTIFICATE_CHAIN, True),
            (CHECK_VALID_NOW, not proven.times),
            (CHECK_SCT, bool(self._root.ct_logs)),
            (CHECK_IDENTITY, True),
        )
        checks = tuple(check for check, done in ran if done)
        return Facts(
            signer=signer,
            signed_at=proven.signed_at,
            checks=(*checks, *proven.checks, CHECK_SIGNATURE),
            claims=claims_of(certificate),
        )


def _require_leaf_alone(bundle: Material) -> None:
    """Refuse chains where the format has none, and roots that a bundle brings along.

    Certificates above the signer's come from the trusted root only. Source:
    sigstore/protobuf-specs, `sigstore_bundle.proto`.
    """
    if bundle.chain and bundle.version == "0.3":
        broken("a bundle of version 0.3 has one certificate, not a chain")
    for der in bundle.chain:
        try:
            above = x509.load_der_x509_certificate(der)
            is_root = above.issuer == above.subject
        except Exception:  # noqa: BLE001 - its parser lets out many kinds of error
            broken("a certificate of its chain cannot be read")
        if is_root:
            broken("it brings a root certificate along")
