# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What modelseal.yaml does not say is a finding, with lines that mend it once filled in."""

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from tests.support.model_factory import project_text, safetensors_file

from modelseal.documents import canonical_json, parse_yaml
from modelseal.errors import InvalidProjectError
from modelseal.evidence.builder import Builder
from modelseal.evidence.completeness import lines_to_add, missing
from modelseal.evidence.facts import Basis, Finding, Level
from modelseal.evidence.source import words
from modelseal.evidence.source.working_tree import NoWorkingTree, Relation, WorkingTree
from modelseal.modelpack.considerations import Considerations
from modelseal.modelpack.project import Code, Metadata, Project, Requirements, Training
from modelseal.modelpack.project_file import parse_project
from modelseal.workflows.explain_build import explain_build

LEAST = """\
apiVersion: modelseal.dev/v1
kind: Model
metadata: {name: fraud, version: 1.4.0}
spec: {format: safetensors}
"""
NOWHERE = NoWorkingTree("none", is_missing=True)
COMMIT, OTHER = "a" * 40, "b" * 40
TREE = WorkingTree(root=Path("/code"), commit=COMMIT, remote="https://github.com/acme/fraud")
LOCAL = Builder(id="https://modelseal.dev/builders/local/v1")
ANSWERS = {
    "<URL of the repository>": "https://github.com/acme/fraud",
    "<whole commit id>": COMMIT,
    "<registry/repository@sha256:…>": f"ghcr.io/acme/base@sha256:{'3' * 64}",
    "<cpu, cuda, rocm …>": "cpu",
}
"""What a person would write for the placeholders that show no example."""


def merged(base: dict[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in more.items():
        both = isinstance(result.get(key), dict) and isinstance(value, dict)
        result[key] = merged(result[key], value) if both else value
    return result


def filled_in(value: Any) -> Any:  # noqa: ANN401 - YAML is what it is
    """Do what the placeholders ask for."""
    if isinstance(value, dict):
        return {key: filled_in(item) for key, item in value.items()}
    if isinstance(value, list):
        return [filled_in(item) for item in value]
    if value == "<integer>":
        return 42
    example = re.fullmatch(r"<for example (.+)>", str(value))
    return example[1] if example else ANSWERS.get(value, value)


def with_lines(finding: Finding) -> Project:
    lines = filled_in(parse_yaml(finding.add.encode(), "add"))
    whole = merged(parse_yaml(LEAST.encode(), "least"), lines)
    return parse_project(canonical_json(whole))  # JSON is YAML, and needs no style


LEAST_FINDINGS = list(missing(parse_project(LEAST.encode()), NOWHERE))


@pytest.mark.parametrize("finding", LEAST_FINDINGS, ids=lambda finding: finding.id)
def test_the_lines_of_a_finding_mend_it_once_they_are_filled_in(finding: Finding) -> None:
    left = {found.id for found in missing(with_lines(finding), NOWHERE)}
    assert left == {found.id for found in LEAST_FINDINGS} - {finding.id}


@pytest.mark.parametrize("finding", LEAST_FINDINGS, ids=lambda finding: finding.id)
def test_the_lines_of_a_finding_are_not_taken_as_they_are(finding: Finding) -> None:
    whole = merged(parse_yaml(LEAST.encode(), "x"), parse_yaml(finding.add.encode(), "x"))
    with pytest.raises(InvalidProjectError, match="placeholder"):
        parse_project(canonical_json(whole))


def test_a_full_project_misses_nothing() -> None:
    assert not list(missing(parse_project(project_text().encode()), NOWHERE))


@pytest.mark.parametrize(
    ("line", "mended"),
    [("baseModel: none", "missing-base-model"), ("seeds: none", "missing-seeds")],
)
def test_none_is_a_declaration_and_no_finding(line: str, mended: str) -> None:
    project = parse_project(
        f"{LEAST[:-1]}\n".replace(
            "spec: {format: safetensors}", f"spec:\n  format: onnx\n  training:\n    {line}"
        ).encode()
    )
    assert mended not in {finding.id for finding in missing(project, NOWHERE)}


def test_git_fills_in_what_it_knows_but_never_a_commit_that_lacks_something() -> None:
    project = parse_project(LEAST.encode())
    (code,) = [f for f in missing(project, TREE) if f.id == "missing-code"]
    assert parse_yaml(code.add.encode(), "add")["spec"]["training"]["code"] == {
        "repository": "https://github.com/acme/fraud",
        "commit": COMMIT,
    }
    dirty = WorkingTree(root=TREE.root, commit=COMMIT, remote=TREE.remote, changed=("train.py",))
    (code,) = [f for f in missing(project, dirty) if f.id == "missing-code"]
    assert COMMIT not in code.add


def test_lines_stand_from_the_top() -> None:
    assert lines_to_add("a.b", "\n- {c: 1}") == "a:\n  b:\n    - {c: 1}"


def told(tree: WorkingTree | NoWorkingTree, source_commit: str = "") -> list[tuple[str, Level]]:
    code = Code(repository="https://github.com/acme/fraud", commit=OTHER)
    builder = Builder(id=LOCAL.id, source_commit=source_commit)
    return [(found.id, found.level) for found in words.findings(tree, code, builder)]


def tree(relation: Relation, remote: str = TREE.remote) -> WorkingTree:
    return WorkingTree(root=TREE.root, commit=COMMIT, remote=remote, relation=relation)


@pytest.mark.parametrize(
    ("relation", "finding"),
    [
        (Relation.ABSENT, ("code-commit-contradicts", Level.ERROR)),
        (Relation.OTHER, ("code-commit-contradicts", Level.ERROR)),
        (Relation.EARLIER, ("code-commit-is-earlier", Level.NOTE)),
        (Relation.UNKNOWN, ("code-commit-not-compared", Level.NOTE)),
    ],
)
def test_a_commit_that_contradicts_the_working_tree_is_a_finding(
    relation: Relation, finding: tuple[str, Level]
) -> None:
    assert told(tree(relation)) == [finding]
    assert told(tree(relation, remote="")) == [finding]


def test_the_same_commit_is_no_finding_and_a_verified_fact() -> None:
    same = tree(Relation.SAME)
    assert told(same) == []
    code = Code(repository=TREE.remote, commit=COMMIT)
    assert {fact.basis for fact in words.facts(same, code)} == {Basis.VERIFIED}


def test_another_repository_is_not_compared() -> None:
    elsewhere = tree(Relation.ABSENT, "https://github.com/acme/models")
    assert told(elsewhere) == [("code-is-elsewhere", Level.NOTE)]


def test_what_is_in_no_commit_and_what_ci_says_otherwise_is_told() -> None:
    dirty = WorkingTree(
        root=TREE.root,
        commit=COMMIT,
        changed=tuple(f"{n}.py" for n in range(7)),
        untracked=("new.py",),
        not_compared=("w.bin",),
        relation=Relation.SAME,
    )
    assert [name for name, _ in told(dirty, source_commit="d" * 40)] == [
        "working-tree-dirty",
        "untracked-files",
        "files-not-compared",
        "ci-commit-contradicts",
    ]
    text = next(iter(words.findings(dirty, None, LOCAL))).message
    assert "4.py and 2 more" in text


def test_a_tree_that_cannot_be_read_is_a_finding_and_none_at_all_is_not() -> None:
    assert told(NoWorkingTree("git is not installed")) == [("working-tree-unknown", Level.WARNING)]
    assert told(NOWHERE) == []


OPTIONAL = {"spec.files", "spec.family"}
"""What a model may lack: rules for files, and a family beside an architecture."""


SPELLED = {"sourceUrl": "sourceURL", "energyConsumptions": "environmentalConsiderations"}


def fields_of(kind: type[Any], above: str) -> set[str]:
    """Return the paths of the fields as modelseal.yaml spells them."""
    names = (re.sub("_([a-z])", lambda at: at[1].upper(), field.name) for field in fields(kind))
    return {f"{above}.{SPELLED.get(name, name)}" for name in names}


def test_every_field_that_is_not_filled_in_is_a_finding_of_somebody(tmp_path: Path) -> None:
    (tmp_path / "modelseal.yaml").write_text(LEAST)
    (tmp_path / "model.safetensors").write_bytes(safetensors_file({}))
    found = explain_build(tmp_path, environment={"PATH": "/usr/bin:/bin"}).collected.findings
    wheres = {finding.where.partition(": ")[2] for finding in found}
    expected = fields_of(Metadata, "metadata") | fields_of(Requirements, "spec.requirements")
    expected |= fields_of(Training, "spec.training") | fields_of(Project, "spec")
    expected |= fields_of(Considerations, "spec.considerations")
    given = {"metadata.name", "metadata.version", "spec.format", "spec.metadata"}
    groups = {"spec.requirements", "spec.training", "spec.considerations"}
    flags = {"spec.training.fromScratch", "spec.training.unseeded"}
    assert expected - given - groups - flags - OPTIONAL - wheres == set()
    for finding in found:
        assert finding.add or finding.hint, finding
