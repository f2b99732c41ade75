# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Quotes of TPMs and tokens of attestation services as text or JSON."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from modelseal.cli.render import as_json as json_form
from modelseal.documents import rfc3339
from modelseal.trust.environment import Quote, Token
from modelseal.workflows.environment import BelievedQuote, EnvironmentVerification, Quoted

if TYPE_CHECKING:
    from modelseal.workflows.environment_tokens import (
        AttachedToken,
        ProvenToken,
        TokenVerification,
    )

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


def verification_as_text(
    quotes: EnvironmentVerification | None, tokens: "TokenVerification | None"
) -> Iterator[str]:
    """Write which evidence holds, and how its keys are believed."""
    found = [item for item in (quotes, tokens) if item is not None]
    yield f"verified: {found[0].subject.digest}"
    for believed in quotes.quotes if quotes is not None else ():
        yield from _quote(believed.proof.quote)
        yield f"  the key is {_BY[believed.by]}"
        yield f"  signed by {believed.proof.statement.signer}"
    for proven in tokens.tokens if tokens is not None else ():
        yield from _token(proven.token)
        yield f"  valid at {rfc3339(proven.at)}"
        yield f"  signed by {proven.statement.signer}"
    rejected = sum(len(item.rejections) for item in found)
    if rejected:
        yield f"not counted: {rejected}"


def verification_as_json(
    quotes: EnvironmentVerification | None, tokens: "TokenVerification | None", reference: str
) -> dict[str, Any]:
    """Return the same for scripts."""
    found = [item for item in (quotes, tokens) if item is not None]
    return {
        "reference": reference,
        "manifest": json_form.descriptor(found[0].subject),
        "quotes": [_believed(believed) for believed in quotes.quotes] if quotes else [],
        "tokens": [_proven(proven) for proven in tokens.tokens] if tokens else [],
        "rejected": [json_form.rejection(one) for item in found for one in item.rejections],
    }


def attached_token_as_text(item: "AttachedToken") -> Iterator[str]:
    """Write what was verified and attached."""
    yield f"digest: {item.subject.digest}"
    yield from _token(item.token)
    yield "attached:"
    yield f"  {item.attached.predicate_type}  {item.attached.referrer}"
    yield f"  evidence  {item.evidence.digest}"


def attached_token_as_json(item: "AttachedToken", reference: str) -> dict[str, Any]:
    """Return the same for scripts."""
    return {
        "reference": reference,
        "manifest": json_form.descriptor(item.subject),
        "token": token_as_json(item.token),
        "evidence": json_form.descriptor(item.evidence),
        "attached": json_form.attached((item.attached,)),
    }


def token_as_json(item: Token) -> dict[str, Any]:
    """Return one token."""
    return {
        **item.conditions(),
        "key": item.key.fingerprint,
        "algorithm": item.algorithm,
        "issuedAt": rfc3339(item.issued) if item.issued else None,
        "expires": rfc3339(item.expires),
        "allClaims": dict(item.claims),
        "evidence": str(item.evidence),
    }


def _proven(item: "ProvenToken") -> dict[str, Any]:
    return {
        **token_as_json(item.token),
        "validAt": rfc3339(item.at),
        "statement": json_form.statement(item.statement),
    }


def _token(item: Token) -> Iterator[str]:
    yield f"token of {item.issuer} (experimental)"
    yield f"  signed by key {item.key.fingerprint} ({item.algorithm})"
    yield f"  for this model, by its claim {item.nonce_claim}; expires {rfc3339(item.expires)}"
    for pointer, value in item.matched.items():
        yield f"  {pointer} is {json.dumps(value)}"


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
