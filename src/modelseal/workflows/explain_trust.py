# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Whom the caller of `explain` believes: also nobody, and also keys that only OMS takes."""

from dataclasses import dataclass

from modelseal.errors import KeyFileError
from modelseal.policy.document import Policy
from modelseal.trust.bundle_facts import Method
from modelseal.trust.oms import OmsKeyVerifier, OmsVerifier
from modelseal.trust.oms_keys import oms_hint, parse_oms_key
from modelseal.trust.verifier import Verifier
from modelseal.workflows.files import read_file
from modelseal.workflows.oms_trust import key_file, oms_verifier
from modelseal.workflows.wiring import Settings, trust_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Believed:
    """Whom the caller believes.

    Attributes:
        words: the same as a phrase; empty when nobody was named.
        method: what a bundle has to offer; None when nobody was named, or a policy was.
        verifiers: of statements about a manifest.
        oms: of OMS signatures.
        policy: when one was given.
        key_algorithm: of a key that was given, as `ecdsa-p256`.
        oms_hint: what OMS writes to find that key again.
        private_root: whether the trusted root is not the public one's.
        options: the words of the command line that say the same, also to cosign.
    """

    words: str = ""
    method: Method | None = None
    verifiers: tuple[Verifier, ...] = ()
    oms: tuple[OmsVerifier, ...] = ()
    policy: Policy | None = None
    key_algorithm: str = ""
    oms_hint: str = ""
    private_root: bool = False
    options: tuple[str, ...] = ()


NOBODY = Believed()


def believed_by(settings: Settings) -> Believed:
    """Return whom the settings say to believe; `NOBODY` when they say nothing.

    Raises:
        UsageError: they say two things, or half of one.
        KeyFileError: the key is of a kind that neither cosign nor OMS takes.
    """
    private = settings.trusted_root is not None
    root = ("--trusted-root", str(settings.trusted_root)) if private else ()
    if settings.policy is not None:
        trust = trust_for(settings)
        assert trust is not None
        return Believed(
            words=f"the roles of the policy {trust.policy.name}",
            verifiers=tuple(trust.verifiers),
            oms=tuple(map(OmsVerifier, trust.verifiers)),
            policy=trust.policy,
            private_root=private,
        )
    if settings.key is not None:
        return _key(settings)
    trust = trust_for(settings)
    if trust is None:
        return NOBODY
    subject, issuer = settings.certificate_identity, settings.certificate_oidc_issuer
    if settings.ca_roots is not None:
        return Believed(
            words=f"{subject}, certified by {settings.ca_roots}",
            method=Method.CERTIFICATE,
            verifiers=tuple(trust.verifiers),
            oms=tuple(map(OmsVerifier, trust.verifiers)),
            options=("--certificate-identity", subject, "--ca-roots", str(settings.ca_roots)),
        )
    return Believed(
        words=f"{subject} (issuer {issuer})",
        method=Method.KEYLESS,
        verifiers=tuple(trust.verifiers),
        oms=tuple(map(OmsVerifier, trust.verifiers)),
        private_root=private,
        options=("--certificate-identity", subject, "--certificate-oidc-issuer", issuer, *root),
    )


def _key(settings: Settings) -> Believed:
    from modelseal.workflows.signing_keys import open_public_key

    assert settings.key is not None
    try:
        trust = trust_for(settings)
        key = open_public_key(settings.key, pin=settings.pin, offline=settings.offline)
    except KeyFileError:
        # Not one that cosign takes; perhaps one that OMS does. Then that is what is told.
        path = key_file(settings.key)
        if path is None:
            raise
        other = parse_oms_key(read_file(path, "key"), str(path))
        verifier = OmsKeyVerifier([other])
        return Believed(
            words=f"{other.identity}",
            method=Method.KEY,
            verifiers=(verifier,),
            oms=(OmsVerifier(verifier),),
            key_algorithm=other.algorithm,
            oms_hint=oms_hint(other.pem),
            options=("--key", str(settings.key)),
        )
    assert trust is not None
    oms = oms_verifier(settings) if key.algorithm.startswith("ecdsa") else None
    return Believed(
        words=f"{key.identity}",
        method=Method.KEY,
        verifiers=tuple(trust.verifiers),
        oms=() if oms is None else (oms,),
        key_algorithm=key.algorithm,
        oms_hint=oms_hint(key.pem),
        options=("--key", str(settings.key)),
    )
