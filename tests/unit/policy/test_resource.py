# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""`resource`: which repository a statement names, and which one a model is taken from."""

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.support.documents import dump_yaml
from tests.support.statements import APPROVER, BUILDER, SUBJECT, verified

from modelseal.attest.predicates.types import OWN_PREFIX, PROVENANCE, SIGNATURE, VSA
from modelseal.errors import InvalidPolicyError
from modelseal.policy.checks.resource import repository_of
from modelseal.policy.decision import Decision
from modelseal.policy.document import Policy, parse_policy
from modelseal.policy.evaluate import evaluate
from modelseal.policy.evidence import Evidence
from modelseal.trust.identity import VerifiedStatement

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HOME = "ghcr.io/acme/fraud"
MIRROR = "registry.inside.example/models/fraud"
APPROVAL = f"{OWN_PREFIX}approval/v0.1"


def policy(with_: dict[str, Any]) -> Policy:
    identity = {"issuer": BUILDER.issuer, "subject": BUILDER.subject}
    value = {
        "apiVersion": "modelseal.dev/v1",
        "kind": "Policy",
        "metadata": {"name": "test"},
        "spec": {
            "roles": {"builder": {"identities": [identity]}},
            "rules": [{"use": "resource", "with": with_}],
        },
    }
    return parse_policy(dump_yaml(value).encode(), "policy.yaml")


def decide(with_: dict[str, Any], *statements: VerifiedStatement, location: str = "") -> Decision:
    return evaluate(policy(with_), Evidence(SUBJECT, statements, location), NOW)


NAMED = {"role": "builder", "repositories": [HOME]}


def provenance(repository: object) -> dict[str, Any]:
    return {"buildDefinition": {"externalParameters": {"repository": repository}}}


@pytest.mark.parametrize(
    ("kind", "predicate"),
    [
        (VSA, {"resourceUri": HOME}),
        (VSA, {"resourceUri": f"{HOME}:1.4.0"}),
        (VSA, {"resourceUri": f"oci://{HOME}@{SUBJECT}"}),
        (VSA, {"resourceUri": "pkg:oci/fraud@sha256%3Aab?repository_url=ghcr.io%2Facme%2Ffraud"}),
        (PROVENANCE, provenance(HOME)),
        (APPROVAL, {"context": {"repository": HOME}}),
        (f"{OWN_PREFIX}eval-result/v0.1", {"repository": HOME}),
    ],
)
def test_a_statement_that_names_the_repository_is_allowed(
    kind: str, predicate: dict[str, Any]
) -> None:
    assert decide(NAMED, verified(kind, predicate=predicate)).allowed


@pytest.mark.parametrize(
    ("statement", "observed"),
    [
        (verified(VSA, predicate={"resourceUri": "ghcr.io/acme/other"}), "ghcr.io/acme/other"),
        (verified(VSA, predicate={"resourceUri": f"{HOME}-fork"}), f"{HOME}-fork"),
        (verified(VSA, predicate={"resourceUri": f"evil.example/{HOME}"}), f"evil.example/{HOME}"),
        (verified(VSA, predicate={"resourceUri": 7}), "names one"),
        (verified(VSA), "names one"),
        (verified(PROVENANCE, predicate=provenance([HOME])), "names one"),
        (verified(PROVENANCE, predicate={"repository": HOME}), "names one"),
        (verified(SIGNATURE, predicate={"repository": HOME, "resourceUri": HOME}), "names one"),
        (verified("https://acme.example/x", predicate={"repository": HOME}), "names one"),
        (verified(VSA, APPROVER, {"resourceUri": HOME}), "names one"),
    ],
)
def test_any_other_is_denied_with_what_was_seen(
    statement: VerifiedStatement, observed: str
) -> None:
    (finding,) = decide(NAMED, statement).findings
    assert observed in finding.observed
    assert finding.rule == "resource"
    assert HOME in finding.expected
    assert finding.remediation.command


def test_without_any_statement_it_is_denied() -> None:
    assert not decide(NAMED).allowed


def test_the_kind_of_statement_can_be_asked_for() -> None:
    asked = NAMED | {"predicateType": "vsa"}
    named = provenance(HOME)
    assert not decide(asked, verified(PROVENANCE, predicate=named)).allowed
    assert decide(asked, verified(VSA, predicate={"resourceUri": HOME})).allowed


@pytest.mark.parametrize(
    ("allowed", "location", "good"),
    [
        ([MIRROR], MIRROR, True),
        ([MIRROR], HOME, False),
        ([HOME, MIRROR], HOME, True),
        (["registry.inside.example/models/*"], MIRROR, True),
        (["registry.inside.example/*"], MIRROR, True),
        (["registry.inside.example/mod/*"], MIRROR, False),
        (["registry.inside.example/models/*"], "registry.inside.example/models", False),
        (["registry.inside.example/models/*"], "registry.inside.example.evil/models/x", False),
        ([MIRROR], f"{MIRROR}/below", False),
        (["oci:"], "oci:/media/usb/fraud", True),
        ([MIRROR], "oci:/media/usb/fraud", False),
        (["oci:"], MIRROR, False),
        ([MIRROR], "", False),
    ],
)
def test_where_a_model_may_be_used_from(
    allowed: list[str],
    location: str,
    good: bool,  # noqa: FBT001 - a column of the table
) -> None:
    decision = decide({"usedFrom": allowed}, location=location)
    assert decision.allowed is good
    if not good:
        (finding,) = decision.findings
        assert (location or "unknown") in finding.observed
        assert "modelseal copy" in finding.remediation.command


def test_both_are_told() -> None:
    both = NAMED | {"usedFrom": [MIRROR]}
    assert len(decide(both, location=HOME).findings) == 2
    vsa = verified(VSA, predicate={"resourceUri": HOME})
    assert decide(both, vsa, location=MIRROR).allowed


@pytest.mark.parametrize(
    "with_",
    [
        {},
        {"role": "builder"},
        {"repositories": [HOME]},
        {"role": "builder", "repositories": []},
        {"role": "other", "repositories": [HOME]},
        {"role": "builder", "repositories": ["*"]},
        {"role": "builder", "repositories": ["ghcr.io"]},
        {"role": "builder", "repositories": ["ghcr.io/*/fraud/"]},
        {"role": "builder", "repositories": [f"{HOME}:1.4.0"]},
        {"role": "builder", "repositories": [f"https://{HOME}"]},
        {"role": "builder", "repositories": ["oci:"]},
        {"role": "builder", "repositories": [HOME], "predicateType": "bill"},
        {"role": "builder", "repositories": [HOME], "from": [HOME]},
        {"usedFrom": []},
        {"usedFrom": [HOME], "role": "builder"},
    ],
)
def test_a_rule_that_asks_for_nothing_or_nonsense_is_an_error(with_: dict[str, Any]) -> None:
    with pytest.raises(InvalidPolicyError):
        policy(with_)


@pytest.mark.parametrize(
    ("uri", "repository"),
    [
        ("docker://GHCR.io/acme/fraud:1", HOME),
        ("127.0.0.1:5000/m/x:1@sha256:ab", "127.0.0.1:5000/m/x"),
        ("pkg:oci/fraud?tag=1", ""),
        ("pkg:oci/fraud", ""),
        ("ghcr.io", ""),
        ("", ""),
        ("ghcr.io/a/../b", ""),
        ("ghcr.io/a b", ""),
        ("oci://", ""),
        ("/x", ""),
    ],
)
def test_what_a_resource_uri_names(uri: str, repository: str) -> None:
    assert repository_of(uri) == repository
