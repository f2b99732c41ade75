# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Policies: read strictly, decided purely, every reason told."""

from copy import deepcopy
from datetime import UTC, datetime
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.documents import dump_yaml
from tests.support.statements import APPROVER, BUILDER, SUBJECT, verified

from modelseal.attest.predicates.types import PROVENANCE, SIGNATURE
from modelseal.errors import InvalidPolicyError
from modelseal.policy.decision import Decision
from modelseal.policy.document import Policy, key_identity, parse_policy
from modelseal.policy.evaluate import evaluate
from modelseal.policy.evidence import Evidence
from modelseal.policy.roles import Member, Role
from modelseal.trust.identity import Identity, KeyIdentity, Profile, VerifiedStatement
from modelseal.trust.keys import generate_key, parse_public_key

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCAN = "https://example.com/scan/v1"
BUILDER_ID = "https://github.com/acme/fraud/.github/workflows/train.yml@refs/heads/main"
REPOSITORY = "https://github.com/acme/fraud"


def document(rules: list[Any], **roles: Any) -> dict[str, Any]:  # noqa: ANN401
    return {
        "apiVersion": "modelseal.dev/v1",
        "kind": "Policy",
        "metadata": {"name": "test"},
        "spec": {"roles": roles or {"builder": role(BUILDER)}, "rules": rules},
    }


def role(*identities: Identity, threshold: int = 1) -> dict[str, Any]:
    return {
        "threshold": threshold,
        "identities": [{"issuer": one.issuer, "subject": one.subject} for one in identities],
    }


def parse(value: Any) -> Policy:  # noqa: ANN401
    return parse_policy(dump_yaml(value).encode(), "policy.yaml")


def decide(policy: Policy, *statements: VerifiedStatement) -> Decision:
    return evaluate(policy, Evidence(SUBJECT, statements), NOW)


SIGNED = {"use": "signed", "with": {"role": "builder"}}


def test_a_signature_by_the_role_is_allowed() -> None:
    assert decide(parse(document([SIGNED])), verified(SIGNATURE)).allowed


def test_b7_a_statement_of_another_kind_is_no_signature() -> None:
    decision = decide(parse(document([SIGNED])), verified(SCAN), verified(PROVENANCE))
    assert not decision.allowed
    (finding,) = decision.findings
    assert finding.rule == "signed"
    assert finding.remediation.command


def test_a_signature_by_somebody_else_is_denied_and_says_by_whom() -> None:
    decision = decide(parse(document([SIGNED])), verified(SIGNATURE, APPROVER))
    assert "approver@acme.example" in decision.findings[0].observed


@pytest.mark.parametrize(
    "other",
    [
        Identity("https://issuer.example/", BUILDER.subject),
        Identity("https://issuer.example.evil.example", BUILDER.subject),
        Identity(BUILDER.issuer, "builder@acme.example.evil.example"),
        Identity(BUILDER.issuer, "xbuilder@acme.example"),
        Identity(BUILDER.issuer, "Builder@acme.example"),
    ],
)
def test_identities_are_exact(other: Identity) -> None:
    assert not decide(parse(document([SIGNED])), verified(SIGNATURE, other)).allowed


def test_nothing_at_all_is_denied() -> None:
    assert not decide(parse(document([SIGNED]))).allowed


def test_a_threshold_counts_different_signers() -> None:
    policy = parse(document([SIGNED], builder=role(BUILDER, APPROVER, threshold=2)))
    assert not decide(policy, verified(SIGNATURE), verified(SIGNATURE, predicate={"a": 1})).allowed
    assert decide(policy, verified(SIGNATURE), verified(SIGNATURE, APPROVER)).allowed


def provenance(builder: str = BUILDER_ID, uri: str = f"git+{REPOSITORY}@refs/heads/main") -> Any:  # noqa: ANN401
    return {
        "buildDefinition": {"resolvedDependencies": [{"uri": uri}]},
        "runDetails": {"builder": {"id": builder}},
    }


BUILT = {
    "use": "provenance",
    "with": {"role": "builder", "builderId": BUILDER_ID, "sourceRepository": REPOSITORY},
}


def test_a_provenance_that_fits_is_allowed() -> None:
    statement = verified(PROVENANCE, predicate=provenance())
    assert decide(parse(document([BUILT])), statement).allowed


@pytest.mark.parametrize(
    "predicate",
    [
        provenance(builder="https://elsewhere.example"),
        provenance(uri="git+https://github.com/evil/fraud@refs/heads/main"),
        provenance(uri=f"git+{REPOSITORY}-evil@refs/heads/main"),
        provenance(uri=f"https://evil.example/?git+{REPOSITORY}"),
        {},
        {"buildDefinition": [], "runDetails": "x"},
        {"buildDefinition": {"resolvedDependencies": {"uri": 1}}, "runDetails": {"builder": []}},
        {"buildDefinition": {"resolvedDependencies": [1, None]}, "runDetails": {}},
    ],
    ids=str,
)
def test_a_provenance_that_does_not_fit_is_denied(predicate: dict[str, Any]) -> None:
    statement = verified(PROVENANCE, predicate=predicate)
    decision = decide(parse(document([BUILT])), statement)
    assert not decision.allowed
    assert decision.findings[0].expected


@pytest.mark.parametrize("name", ["code", "dataset:transactions", "base-model", "image", 1])
def test_a_repository_that_modelseal_yaml_only_names_is_not_the_source(name: object) -> None:
    # Who shares a builder with others (a reusable workflow) writes what he likes into his own.
    claimed = {
        "buildDefinition": {
            "resolvedDependencies": [
                {"name": name, "uri": f"git+{REPOSITORY}@refs/heads/main"},
                {"name": "source", "uri": "git+https://github.com/evil/fraud@refs/heads/main"},
            ]
        },
        "runDetails": {"builder": {"id": BUILDER_ID}},
    }
    decision = decide(parse(document([BUILT])), verified(PROVENANCE, predicate=claimed))
    assert not decision.allowed
    assert decision.findings[0].observed == f"builder {BUILDER_ID}, https://github.com/evil/fraud"


def test_the_source_of_our_own_provenance_counts() -> None:
    predicate = provenance()
    predicate["buildDefinition"]["resolvedDependencies"][0]["name"] = "source"
    assert decide(parse(document([BUILT])), verified(PROVENANCE, predicate=predicate)).allowed


@pytest.mark.parametrize("key", ["builderId", "sourceRepository"])
@pytest.mark.parametrize("value", ["", " ", None])
def test_an_empty_expectation_is_no_rule_that_asks_for_nothing(key: str, value: object) -> None:
    rule = {"use": "provenance", "with": {**BUILT["with"], key: value}}  # type: ignore[dict-item]  # a dictionary of both
    with pytest.raises(InvalidPolicyError, match=key):
        parse(document([rule]))


def test_a_threshold_without_a_value_is_not_one_signer() -> None:
    value = document([SIGNED], builder={**role(BUILDER, APPROVER), "threshold": None})
    with pytest.raises(InvalidPolicyError, match="threshold is empty"):
        parse(value)


def test_builder_and_repository_have_to_stand_in_one_provenance() -> None:
    first = verified(PROVENANCE, predicate=provenance(builder="https://elsewhere.example"))
    second = verified(PROVENANCE, predicate=provenance(uri="git+https://elsewhere.example/x"))
    assert not decide(parse(document([BUILT])), first, second).allowed


def test_every_rule_that_fails_is_told() -> None:
    decision = decide(parse(document([SIGNED, BUILT])))
    assert [finding.rule for finding in decision.findings] == ["signed", "provenance"]
    assert all(finding.remediation.summary for finding in decision.findings)


def test_a_public_key_can_be_a_role() -> None:
    public = generate_key().public_key()
    roles = {"builder": {"identities": [{"publicKey": public.pem.decode()}]}}
    policy = parse(document([SIGNED], **roles))
    assert policy.public_keys
    assert parse_public_key(policy.public_keys[0], "it").identity == public.identity
    assert decide(policy, verified(SIGNATURE, public.identity)).allowed
    assert not decide(policy, verified(SIGNATURE, KeyIdentity("sha256:" + "0" * 64))).allowed


def test_the_fingerprint_of_a_key_is_the_same_everywhere() -> None:
    public = generate_key().public_key()
    assert key_identity(public.pem.decode()) == public.identity


BROKEN: dict[str, Any] = {
    "no rule would allow everything": document([]),
    "an unknown rule": document([{"use": "sigend", "with": {"role": "builder"}}]),
    "a CEL rule, which this version does not have": document([{"cel": "true"}]),
    "an unknown role": document([{"use": "signed", "with": {"role": "bilder"}}]),
    "an unknown key in a rule": document([{"use": "signed", "with": {"role": "builder", "x": 1}}]),
    "an unknown key beside a rule": document([SIGNED | {"when": "never"}]),
    "a role of nobody": document([SIGNED], builder={"identities": []}),
    "a threshold of nobody": document([SIGNED], builder=role(BUILDER, threshold=0)),
    "a threshold nobody can reach": document([SIGNED], builder=role(BUILDER, threshold=2)),
    "one signer twice": document([SIGNED], builder=role(BUILDER, BUILDER, threshold=2)),
    "no issuer": document([SIGNED], builder={"identities": [{"subject": "a@b.example"}]}),
    "an empty subject": document(
        [SIGNED], builder={"identities": [{"issuer": "https://i.example", "subject": ""}]}
    ),
    "an issuer that is no URL": document(
        [SIGNED], builder={"identities": [{"issuer": "google", "subject": "a@b.example"}]}
    ),
    "a key that is none": document([SIGNED], builder={"identities": [{"publicKey": "x"}]}),
    "a key and an issuer": document(
        [SIGNED],
        builder={"identities": [{"publicKey": "x", "issuer": "https://i.example"}]},
    ),
    "another kind": document([SIGNED]) | {"kind": "Polciy"},
    "another version": document([SIGNED]) | {"apiVersion": "modelseal.dev/v2"},
    "an unknown key at the top": document([SIGNED]) | {"status": {}},
    "no mapping": [],
    "an attestation of no type": document([{"use": "attested", "with": {"role": "builder"}}]),
    "an ambiguous type": document(
        [{"use": "attested", "with": {"role": "builder", "predicateType": "slsaprovenance"}}]
    ),
}


@pytest.mark.parametrize("value", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_policy_is_refused(value: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidPolicyError, match=r"^policy\.yaml"):
        parse(value)


def test_an_unknown_rule_is_told_with_the_nearest_known_one() -> None:
    with pytest.raises(InvalidPolicyError, match="did you mean `signed`"):
        parse(BROKEN["an unknown rule"])


@given(st.binary(max_size=300))
def test_no_bytes_make_a_policy_crash(raw: bytes) -> None:
    with pytest.raises(InvalidPolicyError):
        parse_policy(raw, "policy.yaml")


def test_evidence_about_something_else_is_a_bug() -> None:
    with pytest.raises(ValueError, match="something else"):
        Evidence(SUBJECT, (verified(SIGNATURE, subject=SUBJECT.of(b"another")),))


@pytest.mark.parametrize(("ours", "theirs"), list(product([0, 1, 2], repeat=2)))
def test_b11_more_statements_never_turn_allow_into_deny(ours: int, theirs: int) -> None:
    policy = parse(document([SIGNED]))
    made = [verified(SIGNATURE, predicate={"n": n}) for n in range(ours)]
    noise = [verified(SCAN, APPROVER, {"n": n}) for n in range(theirs)]
    assert decide(policy, *made, *noise).allowed is (ours > 0)


def test_a_role_refuses_what_nobody_or_everybody_would_fill() -> None:
    with pytest.raises(InvalidPolicyError):
        Role("builder", 1, frozenset())
    with pytest.raises(InvalidPolicyError, match="twice"):
        Role(
            "builder",
            1,
            frozenset({Member.of(BUILDER), Member(BUILDER, Profile.KEYLESS_PRIVATE)}),
        )


OWNER = {"sourceRepositoryOwnerIdentifier": "123", "runnerEnvironment": "github-hosted"}


def claiming(claims: Any, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - any YAML
    member = {"issuer": BUILDER.issuer, "subject": BUILDER.subject, "claims": deepcopy(claims)}
    return {"identities": [member], **fields}


@pytest.mark.parametrize(
    ("claims", "allowed"),
    [
        (OWNER, True),
        (OWNER | {"buildTrigger": "push"}, True),
        (OWNER | {"sourceRepositoryOwnerIdentifier": "1234"}, False),
        ({"runnerEnvironment": "github-hosted"}, False),
        ({}, False),
    ],
)
def test_b9_a_claim_that_is_asked_for_has_to_be_there_exactly(
    claims: dict[str, str],
    allowed: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    policy = parse(document([SIGNED], builder=claiming(OWNER)))
    decision = decide(policy, verified(SIGNATURE, claims=claims))
    assert decision.allowed is allowed
    for finding in decision.findings:
        assert "sourceRepositoryOwnerIdentifier 123" in finding.expected


def test_claims_make_no_second_person() -> None:
    two = claiming(OWNER)
    two["identities"].append({"issuer": BUILDER.issuer, "subject": BUILDER.subject})
    with pytest.raises(InvalidPolicyError, match="one signer twice"):
        parse(document([SIGNED], builder=two))


def test_an_unknown_claim_is_told_with_the_nearest() -> None:
    with pytest.raises(InvalidPolicyError, match="did you mean `sourceRepositoryOwnerIdentifier`"):
        parse(document([SIGNED], builder=claiming({"sourceRepositoryOwnerIdentifer": "123"})))


@pytest.mark.parametrize("claims", [{}, None, [], "x", {"runnerEnvironment": ""}])
def test_claims_that_ask_for_nothing_are_an_error(claims: object) -> None:
    with pytest.raises(InvalidPolicyError):
        parse(document([SIGNED], builder=claiming(claims)))


def test_a_role_asks_for_the_profile_that_it_names() -> None:
    private = parse(document([SIGNED], builder=claiming(OWNER, profile="keyless-private")))
    assert private.profile is Profile.KEYLESS_PRIVATE
    lenient = verified(SIGNATURE, claims=OWNER, profile=Profile.KEYLESS_PRIVATE)
    assert decide(private, lenient).allowed
    assert not decide(parse(document([SIGNED], builder=claiming(OWNER))), lenient).allowed


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        ("key", "exclude each other"),
        ("keyles", "did you mean `keyless`"),
        (None, "profile"),
        ("", "profile"),
    ],
)
def test_a_profile_that_does_not_fit_is_an_error(profile: object, message: str) -> None:
    with pytest.raises(InvalidPolicyError, match=message):
        parse(document([SIGNED], builder=claiming(OWNER, profile=profile)))


def test_a_key_goes_with_the_profile_key_alone() -> None:
    pem = generate_key().public_key().pem.decode()
    key = {"identities": [{"publicKey": pem}]}
    assert parse(document([SIGNED], builder=key | {"profile": "key"})).public_keys
    for profile in ("keyless", "keyless-private"):
        with pytest.raises(InvalidPolicyError, match="exclude each other"):
            parse(document([SIGNED], builder=key | {"profile": profile}))
    claimed = {"identities": [{"publicKey": pem, "claims": OWNER}]}
    with pytest.raises(InvalidPolicyError, match="no claims"):
        parse(document([SIGNED], builder=claimed))


def test_one_policy_has_one_keyless_profile() -> None:
    both = {"builder": claiming(OWNER), "other": claiming(OWNER, profile="keyless-private")}
    with pytest.raises(InvalidPolicyError, match="one role asks"):
        parse(document([SIGNED], **both))
