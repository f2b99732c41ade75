# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The rule `environment`: a known TPM, known values, said by a known role."""

from dataclasses import replace
from typing import Any

import pytest
from tests.support.statements import APPROVER, BUILDER, SUBJECT, verified
from tests.support.tpm_quotes import SoftTpm
from tests.unit.policy.test_policy import NOW, document, parse, role

from modelseal.attest.predicates.types import REFERENCE, SCAI, SIGNATURE
from modelseal.errors import InvalidPolicyError
from modelseal.oci.descriptor import Digest
from modelseal.policy.decision import Decision
from modelseal.policy.evaluate import asked_types, asks_for_environments, evaluate, is_positive
from modelseal.policy.evidence import Evidence
from modelseal.trust.environment import ProvenEnvironment, nonce_for
from modelseal.trust.identity import Identity
from modelseal.trust.tpm.quote import verify_quote

TPM = SoftTpm(nonce=nonce_for(SUBJECT))
QUOTE = verify_quote(TPM.document(), SUBJECT)
KEY = QUOTE.ak_name
SEVEN = "07" * 32
OTHER = "000b" + "a" * 64


def rule(**with_: Any) -> dict[str, Any]:  # noqa: ANN401
    usual = {"role": "builder", "attestationKeys": [KEY]}
    return {"use": "environment", "with": {**usual, **with_}}


def decide(entry: dict[str, Any], *signers: Identity, threshold: int = 1) -> Decision:
    roles = {"builder": role(BUILDER, APPROVER, threshold=threshold)}
    policy = parse(document([entry], **roles))
    statements = tuple(verified(SCAI, signer) for signer in signers)
    proofs = tuple(ProvenEnvironment(statement, QUOTE) for statement in statements)
    return evaluate(policy, Evidence(SUBJECT, statements, "", proofs), NOW)


STRANGER = replace(BUILDER, subject="stranger@acme.example")
TABLE = [
    ({}, (BUILDER,), True, ""),
    ({"attestationKeys": [OTHER, KEY]}, (BUILDER,), True, ""),
    ({"attestationKeys": [QUOTE.ak_key.fingerprint]}, (BUILDER,), True, ""),
    ({"pcrs": {"sha256": {"7": SEVEN}}}, (BUILDER,), True, ""),
    ({"pcrs": {"sha256": {"7": ["00" * 32, SEVEN], "0": "01" * 32}}}, (BUILDER,), True, ""),
    ({"attestationKeys": [OTHER]}, (BUILDER,), False, "another attestation key"),
    ({"pcrs": {"sha256": {"7": "08" * 32}}}, (BUILDER,), False, f"PCR sha256:7 is {SEVEN}"),
    ({"pcrs": {"sha256": {"7": SEVEN, "9": SEVEN}}}, (BUILDER,), False, "sha256:9 is not quoted"),
    ({"pcrs": {"sha384": {"7": "07" * 48}}}, (BUILDER,), False, "sha384:7 is not quoted"),
    ({}, (), False, "no quote by that role was verified"),
    ({}, (STRANGER,), False, "no quote by that role was verified"),
]


@pytest.mark.parametrize(("with_", "signers", "allowed", "observed"), TABLE)
def test_a_quote_fits_or_not(
    *, with_: dict[str, Any], signers: tuple[Identity, ...], allowed: bool, observed: str
) -> None:
    decision = decide(rule(**with_), *signers)
    assert decision.allowed is allowed
    if not allowed:
        (finding,) = decision.findings
        assert observed in finding.observed
        assert finding.remediation.command.startswith("modelseal environment quote")


def test_a_threshold_counts_different_signers() -> None:
    assert not decide(rule(), BUILDER, BUILDER, threshold=2).allowed
    assert not decide(rule(), BUILDER, STRANGER, threshold=2).allowed
    assert decide(rule(), BUILDER, APPROVER, threshold=2).allowed


def test_a_statement_without_its_evidence_counts_for_nothing() -> None:
    policy = parse(document([rule()]))
    statement = verified(SCAI, predicate={"attributes": [{"attribute": "TPM2_QUOTE_VERIFIED"}]})
    assert not evaluate(policy, Evidence(SUBJECT, (statement,)), NOW).allowed


def test_evidence_about_something_else_cannot_be_held() -> None:
    other = replace(QUOTE, subject=Digest.of(b"other"))
    with pytest.raises(ValueError, match="about something else"):
        Evidence(SUBJECT, (), "", (ProvenEnvironment(verified(SCAI), other),))


def test_what_a_policy_needs_to_be_read_is_known() -> None:
    policy = parse(document([rule()]))
    assert asks_for_environments(policy)
    assert asked_types(policy) == {SCAI, REFERENCE}
    assert not is_positive(policy)  # its evidence is read after the statements
    signed = parse(document([{"use": "signed", "with": {"role": "builder"}}]))
    assert not asks_for_environments(signed)
    assert asked_types(signed) == {SIGNATURE}


@pytest.mark.parametrize(
    ("with_", "told"),
    [
        ({"attestationKeys": []}, "attestationKeys"),
        ({"attestationKeys": ["anything"]}, "does not list names"),
        ({"attestationKeys": ["000B" + "A" * 64]}, "does not list names"),
        ({"pcrs": {}}, "pcrs is empty"),
        ({"pcrs": {"sha1": {"7": "07" * 20}}}, "sha1 is no bank"),
        ({"pcrs": {"sha256": {}}}, "sha256 is empty"),
        ({"pcrs": {"sha256": {"24": SEVEN}}}, "is no PCR"),
        ({"pcrs": {"sha256": {"7": []}}}, "is no PCR"),
        ({"pcrs": {"sha256": {"7": "07"}}}, "64 lower-case hex digits"),
        ({"pcr": {"sha256": {"7": SEVEN}}}, "pcr"),
        ({"role": "nobody"}, "no role"),
    ],
)
def test_a_rule_that_says_nothing_certain_is_refused(with_: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidPolicyError) as caught:
        parse(document([rule(**with_)]))
    assert told in str(caught.value)
