# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Environments: have a machine's TPM quote for a model, and verify such quotes.

The steps are those of docs/environment-attestation.md, in its order and numbering.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelseal.attest.predicates.environment import (
    TPM2_QUOTE_VERIFIED,
    EnvironmentClaim,
    build_report,
)
from modelseal.attest.predicates.provenance import ResourceDescriptor
from modelseal.attest.predicates.types import PROJECT, SCAI
from modelseal.attest.referrers import attach_evidence
from modelseal.errors import UsageError, VerificationError
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.store import ReadableStore
from modelseal.trust.environment import ProvenEnvironment, Quote
from modelseal.trust.signer import Signer
from modelseal.trust.tpm.evidence import MEDIA_TYPE
from modelseal.version import __version__
from modelseal.workflows.attest import Attached, Claim, attest_manifest
from modelseal.workflows.choose import document_of
from modelseal.workflows.environment_evidence import read_quotes, rejection_of
from modelseal.workflows.events import StepFinished, StepStarted
from modelseal.workflows.gather import Rejection
from modelseal.workflows.services import Clock, Services
from modelseal.workflows.trust import Trust
from modelseal.workflows.verify import verify

if TYPE_CHECKING:
    from modelseal.trust.tpm.ak import TrustedAks

_EXPECTED = re.compile(r"(sha256|sha384|sha512):([0-9]|1[0-9]|2[0-3])=([0-9a-fA-F]+)")
_HEX_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}
_PRODUCER = ResourceDescriptor(name="modelseal", uri=PROJECT, annotations={"version": __version__})


@dataclass(frozen=True, slots=True, kw_only=True)
class Quoted:
    """A quote that now hangs on a model, with the statement about it."""

    subject: Descriptor
    quote: Quote
    evidence: Descriptor
    attached: Attached


def attest_quote(
    name: str | Digest,
    make: Callable[[Digest], tuple[bytes, Quote]],
    signer: Signer,
    services: Services,
) -> Quoted:
    """Have a TPM quote for what `name` points at, and attach the evidence and a statement.

    Args:
        name: a model in the store.
        make: has the TPM quote for a digest; returns the evidence and what is in it, verified.
        signer: signs the statement.
        services: the store, the clock and the events.

    Raises:
        NotFoundError: there is nothing under that name.
        Error: as `make` and `attest_manifest` do.
    """
    signer.check()  # before a TPM is asked for anything

    # (1) Resolve the model: the digest of its manifest is what the TPM has to quote.
    subject = services.store.resolve(name)
    document_of(services.store, subject)

    # (2) Quote, and verify it as everybody else will.
    services.on_event(StepStarted("quote", str(subject.digest)))
    raw, quote = make(subject.digest)
    services.on_event(StepFinished("quote", f"by the attestation key {quote.ak_name}"))

    # (3) Attach the evidence, and a signed statement that names it by its digest.
    evidence = attach_evidence(services.store, subject, raw, MEDIA_TYPE, services.clock())
    claim = EnvironmentClaim(TPM2_QUOTE_VERIFIED, quote.conditions(), evidence)
    attached = attest_claim(subject, claim, signer, services)
    return Quoted(subject=subject, quote=quote, evidence=evidence, attached=attached)


def attest_claim(
    subject: Descriptor, claim: EnvironmentClaim, signer: Signer, services: Services
) -> Attached:
    """Sign and attach what was verified about a machine. Raises as `attest_manifest` does."""
    said = [Claim(SCAI, build_report(claim, _PRODUCER))]
    (attached,) = attest_manifest(subject, said, signer, services)
    return attached


@dataclass(frozen=True, slots=True, kw_only=True)
class BelievedQuote:
    """A quote that holds, and how its attestation key is believed: `name`, `key`, `certificate`."""

    proof: ProvenEnvironment
    by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentVerification:
    """The quotes about a model that hold, and what does not, with the reasons."""

    subject: Descriptor
    quotes: tuple[BelievedQuote, ...]
    rejections: tuple[Rejection, ...]


def verify_environment(
    name: str | Digest,
    trust: Trust,
    keys: "TrustedAks",
    expected: Mapping[str, Mapping[int, str]],
    *,
    store: ReadableStore,
    clock: Clock,
) -> EnvironmentVerification:
    """Verify that a believed TPM quoted for what `name` points at; return only if one did.

    Args:
        name: a model in the store.
        trust: who is believed to say so.
        keys: the attestation keys that are believed.
        expected: values that PCRs have to have (hex), by bank and number.
        store: where the model is.
        clock: tells the time.

    Raises:
        NotVerifiedError, PolicyDeniedError: nobody of `trust` says anything about it.
        VerificationError: no quote holds; the message has the reason of each.
    """
    # (4) Verify the statements, as `verify` does.
    found = verify(name, trust, store=store, clock=clock)

    # (5) Read the evidence that they name, and verify each quote for this model.
    proofs, rejections = read_quotes(store, found.statements)

    # (6) Believe the attestation key, and compare the PCRs.
    now, believed = clock(), []
    for proof in proofs:
        try:
            by = keys.require(proof.quote, now)
            require_values(proof.quote, expected)
        except VerificationError as error:
            rejections.append(rejection_of(proof.statement, error.reason, error))
        else:
            believed.append(BelievedQuote(proof=proof, by=by))
    if not believed:
        raise _none(found.subject.digest, rejections)
    return EnvironmentVerification(
        subject=found.subject, quotes=tuple(believed), rejections=tuple(rejections)
    )


def parse_expected(texts: Sequence[str]) -> dict[str, dict[int, str]]:
    """Read `BANK:NUMBER=HEX`, each a value that a PCR has to have.

    Raises:
        UsageError: one is not of this form, or a PCR stands there twice.
    """
    found: dict[str, dict[int, str]] = {}
    for text in texts:
        match = _EXPECTED.fullmatch(text)
        bank, number, value = match.groups() if match else ("", "0", "")
        if len(value) != _HEX_DIGITS.get(bank) or int(number) in found.get(bank, {}):
            raise UsageError(
                f"{text[:200]!r} is no value of a PCR, or one stands there already",
                hint="write for example sha256:7= and 64 hex digits; `modelseal environment "
                "verify` shows the values of a quote that holds",
            )
        found.setdefault(bank, {})[int(number)] = value.lower()
    return found


def require_values(quote: Quote, expected: Mapping[str, Mapping[int, str]]) -> None:
    """Compare a quote with the values that are expected.

    Raises:
        VerificationError: `other-pcrs`: one has another value, or was not quoted.
    """
    for bank, values in expected.items():
        for number, value in values.items():
            quoted = quote.pcrs.get(bank, {}).get(number)
            if quoted != value:
                raise VerificationError(
                    f"PCR {bank}:{number} is {quoted or 'not quoted'}, not {value}",
                    hint="the machine was started otherwise than expected; tpm2_eventlog tells how",
                    code="other-pcrs",
                )


def _none(subject: Digest, rejections: Sequence[Rejection]) -> VerificationError:
    if not rejections:
        return VerificationError(
            f"nothing that was verified about {subject} has a TPM's quote",
            hint="on the machine: modelseal environment quote REF --ak AK",
            code="no-quote",
        )
    reasons = {rejection.reason for rejection in rejections}
    return VerificationError(
        f"no quote about {subject} holds: "
        + "; ".join(dict.fromkeys(rejection.message for rejection in rejections)),
        hint="`modelseal environment verify` asks for the key (--ak) and the values (--pcr)",
        code=reasons.pop() if len(reasons) == 1 else "not-verified",
    )
