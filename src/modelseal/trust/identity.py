# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Who signs, and what a verifier hands on.

The only way to a `VerifiedStatement` is through a verifier of this package; policies take nothing
else (`tests/test_layers.py` holds both).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from modelseal.oci.descriptor import Digest

CHECK_SIGNATURE: Final = "signature"
"""The envelope is signed by the certificate's or the trusted key."""
CHECK_CERTIFICATE_CHAIN: Final = "certificate-chain"
"""The certificate was issued by the trusted root, and valid when the signature was made."""
CHECK_SCT: Final = "signed-certificate-timestamp"
"""A trusted certificate transparency log has seen the certificate."""
CHECK_TRANSPARENCY_LOG: Final = "transparency-log"
"""A trusted log holds an entry about this signature and this certificate."""
CHECK_TIMESTAMP: Final = "timestamp"
"""A trusted timestamp authority has seen the signature."""
CHECK_LOG_TIME: Final = "log-time"
"""The log's signed promise says when the entry came in (Rekor v1)."""
CHECK_VALID_NOW: Final = "certificate-valid-now"
"""The certificate is valid at this moment: nothing trusted says when the signature was made."""
CHECK_IDENTITY: Final = "identity"
"""The certificate names exactly one of the accepted issuers and subjects."""
CHECK_KEY: Final = "key"
"""The signature is by exactly one of the trusted keys."""
CHECK_DOCUMENT: Final = "document"
"""The predicate is a document apart, with the digest and the size that the statement names."""
CHECK_SUBJECT: Final = "subject"
"""The statement names the digest that was asked for."""


class Profile(StrEnum):
    """What a verifier insists on. Who verifies chooses it; nothing in a bundle does.

    `keyless` asks for all of it: certificate, CT log, transparency log, a verified time.
    `keyless-private` asks for exactly what the given trusted root can show, and says what that was.
    `key` asks for a signature by a key that was given, and takes no certificate.
    `certificate` asks for a certificate of a company's authority whose root was given.
    """

    KEYLESS = "keyless"
    KEYLESS_PRIVATE = "keyless-private"
    KEY = "key"
    CERTIFICATE = "certificate"


COMPANY_ISSUER: Final = "x509:sha256:"
"""How the issuer of an identity begins that a company's root vouches for; its SHA-256 follows."""

NO_CLAIMS: Final[Mapping[str, str]] = MappingProxyType({})
"""What a signer known by a key has."""

_FULCIO = "1.3.6.1.4.1.57264.1"
CLAIM_OIDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "githubWorkflowTrigger": f"{_FULCIO}.2",
        "githubWorkflowSHA": f"{_FULCIO}.3",
        "githubWorkflowName": f"{_FULCIO}.4",
        "githubWorkflowRepository": f"{_FULCIO}.5",
        "githubWorkflowRef": f"{_FULCIO}.6",
        "buildSignerURI": f"{_FULCIO}.9",
        "buildSignerDigest": f"{_FULCIO}.10",
        "runnerEnvironment": f"{_FULCIO}.11",
        "sourceRepositoryURI": f"{_FULCIO}.12",
        "sourceRepositoryDigest": f"{_FULCIO}.13",
        "sourceRepositoryRef": f"{_FULCIO}.14",
        "sourceRepositoryIdentifier": f"{_FULCIO}.15",
        "sourceRepositoryOwnerURI": f"{_FULCIO}.16",
        "sourceRepositoryOwnerIdentifier": f"{_FULCIO}.17",
        "buildConfigURI": f"{_FULCIO}.18",
        "buildConfigDigest": f"{_FULCIO}.19",
        "buildTrigger": f"{_FULCIO}.20",
        "runInvocationURI": f"{_FULCIO}.21",
        "sourceRepositoryVisibilityAtSigning": f"{_FULCIO}.22",
        "deploymentEnvironment": f"{_FULCIO}.23",
    }
)
"""What Fulcio writes about a workload besides its identity, and under which OID.

The names are those of sigstore/fulcio, `docs/oid-info.md`, in the spelling of sigstore-go's JSON.
Those of GitHub are deprecated there, and still written.
"""

MAX_CLAIM_BYTES: Final = 4096
"""Largest claim of a certificate, in bytes."""


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """A keyless signer: which OIDC issuer vouches, and for whom. Both are exact texts.

    `subject` is the certificate's one subject alternative name: an e-mail address, a workflow's
    URI, a service account's URI.
    """

    issuer: str
    subject: str

    def __str__(self) -> str:
        return f"{self.subject} (issuer {self.issuer})"


@dataclass(frozen=True, slots=True, order=True)
class KeyIdentity:
    """A signer known by a key: `sha256:` and the hex SHA-256 of its DER SubjectPublicKeyInfo."""

    fingerprint: str

    def __str__(self) -> str:
        return f"key {self.fingerprint}"


SignerIdentity: TypeAlias = Identity | KeyIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedStatement:
    """A statement whose signature, signer and subject were checked by a verifier.

    Attributes:
        subject: The digest that was asked for, and that the statement names.
        statement_type: The `_type`: in-toto Statement v1 or v0.1.
        predicate_type: What kind of claim it is, as a full URI.
        predicate: The claim. Its meaning is the signer's; only its origin is verified.
        signer: Who signed, from the certificate or the trusted key.
        profile: What the verifier insisted on.
        signed_at: When at the latest the signature existed, from a verified timestamp or log
            entry; None when nothing verified says so (key-signed bundles).
        checks: The names of the checks that ran and passed, and only those.
        bundle: SHA-256 of the bundle's bytes, to point at it.
        claims: What the certificate says besides, by the names of `CLAIM_OIDS`: the
            issuer of the token vouched for it. Empty when a key signed.
    """

    subject: Digest
    statement_type: str
    predicate_type: str
    predicate: Mapping[str, Any] = field(hash=False)
    signer: SignerIdentity
    signed_at: datetime | None
    profile: Profile
    checks: tuple[str, ...]
    bundle: Digest
    claims: Mapping[str, str] = field(default_factory=lambda: NO_CLAIMS, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimedStatement:
    """What a bundle says, for a person to look at. Nothing of it was checked; no policy takes it.

    Attributes:
        predicate_type: The claimed predicate type; empty when it cannot be read.
        signer: The claimed signer as text; empty when it cannot be read.
        subjects: The claimed subjects, each as `algorithm:hex`.
        predicate: The claim itself.
        problem: Why the rest is empty; empty when all could be read.
    """

    predicate_type: str = ""
    signer: str = ""
    subjects: tuple[str, ...] = ()
    predicate: Mapping[str, Any] = field(default_factory=dict, hash=False)
    problem: str = ""
