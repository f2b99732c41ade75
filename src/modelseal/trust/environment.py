# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What was verified about the machine that a model was made or checked on.

These values carry no key and import nothing heavy, so that a policy can hold them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from modelseal.oci.descriptor import Digest
from modelseal.trust.identity import KeyIdentity, VerifiedStatement


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
