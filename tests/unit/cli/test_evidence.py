# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What is known about a build, as a person reads it and as a script does."""

from pathlib import Path

import pytest
from tests.support.model_factory import make_model

from modelseal.cli.render.evidence import as_json, as_text, counted
from modelseal.evidence.facts import Basis, Fact, Finding, Level
from modelseal.oci.events import discard
from modelseal.workflows.collect import Collected
from modelseal.workflows.explain_build import BuildExplanation
from modelseal.workflows.package import package

FACTS = (
    Fact("code", "commit 4f2a…, clean", Basis.VERIFIED),
    Fact("data", "transactions 2024-06-01", Basis.DECLARED),
    Fact("code", "github.com/acme/fraud", Basis.INFERRED),
)
FINDINGS = (
    Finding(id="no-seeds", message="no seeds", level=Level.NOTE),
    Finding(
        id="no-licence",
        message="no licence",
        where="modelseal.yaml: metadata.licenses",
        add="metadata:\n  licenses: [Apache-2.0]",
    ),
    Finding(id="other-commit", message="evil\x1b[2J", level=Level.ERROR, hint="commit\nfirst"),
)


@pytest.fixture
def explanation(tmp_path: Path) -> BuildExplanation:
    directory = make_model(tmp_path / "fraud")
    made = package(directory, {}, discard)
    collected = Collected((), FACTS, FINDINGS)
    return BuildExplanation(directory=directory, made=made, collected=collected)


def test_facts_stand_under_their_topic_with_how_they_are_known(
    explanation: BuildExplanation,
) -> None:
    lines = list(as_text(explanation))
    code = lines.index("code")
    assert lines[code + 1 : code + 3] == [
        "  verified  commit 4f2a…, clean",
        "  inferred  github.com/acme/fraud",
    ]
    assert "  declared  transactions 2024-06-01" in lines


def test_findings_come_worst_first_with_the_lines_to_add(explanation: BuildExplanation) -> None:
    lines = list(as_text(explanation))
    assert "findings: 1 error, 1 warning, 1 note" in lines
    numbered = [line for line in lines if line[:2] in {"1.", "2.", "3."}]
    assert [line.split()[1] for line in numbered] == ["error:", "warning:", "note:"]
    add = lines.index("   add to modelseal.yaml:")
    assert lines[add + 1 : add + 3] == ["     metadata:", "       licenses: [Apache-2.0]"]


def test_nothing_in_a_finding_steers_the_terminal(explanation: BuildExplanation) -> None:
    assert all(line.isprintable() for line in as_text(explanation))


def test_scripts_get_the_same(explanation: BuildExplanation) -> None:
    found = as_json(explanation)
    assert [fact["basis"] for fact in found["facts"]] == ["verified", "declared", "inferred"]
    assert [finding["id"] for finding in found["findings"]] == [
        "other-commit",
        "no-licence",
        "no-seeds",
    ]


def test_no_finding_is_said_as_none() -> None:
    assert counted(()) == "none"
