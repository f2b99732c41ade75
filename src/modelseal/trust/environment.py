# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What was verified about the machine that a model was made or checked on.

These values carry no key and import nothing heavy, so that a policy can hold them.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelseal.oci.descriptor import Digest
from modelseal.trust.identity import KeyIdentity, VerifiedStatement


def nonce_for(subject: Digest) -> bytes:
    """Return what evidence for an artifact has to hold: a TPM's `qualifyingData`; 32 bytes.

    It is the SHA-256 of the manifest's digest as text, in ASCII: `sha256:` and 64 lower-case hex
    digits, with nothing before or behind. So evidence for one artifact is none for another.
    """
    return hashlib.sha256(str(subject).encode("ascii")).digest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What a TPM has signed about the machine that it is in. Only `tpm.quote` makes one.

    Whose the attestation key is, is not said here: whoever decides has to pin it.

    Attributes:
        subject: the artifact that it was made for.
        ak_name: the TPM's name of the attestation key (hex), over its public area as a whole.
        ak_key: the attestation key alone.
        nonce: what the TPM was given to quote (hex).
        pcrs: the values of the PCRs (hex), by bank and number.
        reset_count: how often the machine was started.
        restart_count: how often it woke up since.
        clock: milliseconds that the TPM has counted.
        firmware: the version of the TPM's firmware.
        certificates: (DER) that came with the key; not verified.
        evidence: SHA-256 of the document that shows it.
    """

    subject: Digest
    ak_name: str
    ak_key: KeyIdentity
    nonce: str
    pcrs: Mapping[str, Mapping[int, str]] = field(hash=False)
    reset_count: int
    restart_count: int
    clock: int
    firmware: int
    certificates: tuple[bytes, ...] = field(repr=False)
    evidence: Digest

    def conditions(self) -> dict[str, object]:
        """Return what the statement about it has to say as SCAI `conditions`."""
        banks = {
            bank: {str(number): value for number, value in sorted(values.items())}
            for bank, values in self.pcrs.items()
        }
        return {"nonce": self.nonce, "pcrs": banks}


@dataclass(frozen=True, slots=True)
class ProvenEnvironment:
    """A verified statement about an environment, and the quote that shows it.

    Only `tpm.proof` makes one.
    """

    statement: VerifiedStatement
    quote: Quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What an attestation service says about a machine (EAT). Only `eat.token` makes one.

    Attributes:
        subject: the artifact that it was made for.
        issuer: the service.
        key: the pinned key that signed it.
        algorithm: how (RFC 7518).
        nonce: what the service was given (hex).
        nonce_claim: where it stands in the token.
        claims: all that it says.
        matched: what had to be said, by JSON Pointer.
        issued: when, if it says so.
        expires: when it ended.
        evidence: SHA-256 of the token.
    """

    subject: Digest
    issuer: str
    key: KeyIdentity
    algorithm: str
    nonce: str
    nonce_claim: str
    claims: Mapping[str, Any] = field(hash=False)
    matched: Mapping[str, Any] = field(hash=False)
    issued: datetime | None
    expires: datetime
    evidence: Digest

    def conditions(self) -> dict[str, object]:
        """Return what the statement about it says as SCAI `conditions`."""
        return {
            "nonce": self.nonce,
            "nonceClaim": self.nonce_claim,
            "issuer": self.issuer,
            "claims": dict(self.matched),
        }
