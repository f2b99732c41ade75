# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Quotes of TPMs as text or JSON."""

from collections.abc import Iterator
from typing import Any

from modelseal.cli.render import as_json as json_form
from modelseal.trust.environment import Quote
from modelseal.workflows.environment import BelievedQuote, EnvironmentVerification, Quoted

_BY = {
    "name": "pinned by its name, so it stays in its TPM and signs nothing from outside",
    "key": "pinned by its key; that it is an attestation key is taken on trust",
    "certificate": "certified by an authority that is believed",
}


def quoted_as_text(item: Quoted) -> Iterator[str]:
    """Write what was quoted and attached."""
    yield f"digest: {item.subject.digest}"
    yield from _quote(item.quote)
    yield "attached:"
    yield f"  {item.attached.predicate_type}  {item.attached.referrer}"
    yield f"  evidence  {item.evidence.digest}"


def quoted_as_json(item: Quoted, reference: str) -> dict[str, Any]:
    """Return the same for scripts."""
    return {
        "reference": reference,
        "manifest": json_form.descriptor(item.subject),
        "quote": quote_as_json(item.quote),
        "evidence": json_form.descriptor(item.evidence),
        "attached": json_form.attached((item.attached,)),
    }


def verification_as_text(item: EnvironmentVerification) -> Iterator[str]:
    """Write which quotes hold, and how their keys are believed."""
    yield f"verified: {item.subject.digest}"
    for believed in item.quotes:
        yield from _quote(believed.proof.quote)
        yield f"  the key is {_BY[believed.by]}"
        yield f"  signed by {believed.proof.statement.signer}"
    if item.rejections:
        yield f"not counted: {len(item.rejections)}"


def verification_as_json(item: EnvironmentVerification, reference: str) -> dict[str, Any]:
    """Return the same for scripts."""
    return {
        "reference": reference,
        "manifest": json_form.descriptor(item.subject),
        "quotes": [_believed(believed) for believed in item.quotes],
        "rejected": [json_form.rejection(rejection) for rejection in item.rejections],
    }


def _believed(item: BelievedQuote) -> dict[str, Any]:
    return {
        **quote_as_json(item.proof.quote),
        "attestationKeyBelievedBy": item.by,
        "statement": json_form.statement(item.proof.statement),
    }


def quote_as_json(item: Quote) -> dict[str, Any]:
    """Return one quote."""
    return {
        "attestationKey": {"name": item.ak_name, "publicKey": item.ak_key.fingerprint},
        **item.conditions(),
        "resetCount": item.reset_count,
        "restartCount": item.restart_count,
        "clock": item.clock,
        "firmware": f"{item.firmware:016x}",
        "evidence": str(item.evidence),
    }


def _quote(item: Quote) -> Iterator[str]:
    yield f"quoted by the attestation key {item.ak_name}"
    yield f"  start {item.reset_count} of the machine, firmware {item.firmware:016x} of the TPM"
    for bank, values in item.pcrs.items():
        for number, value in sorted(values.items()):
            yield f"  PCR {bank}:{number} {value}"
