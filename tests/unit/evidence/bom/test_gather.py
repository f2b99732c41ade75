# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path

import pytest
from tests.support.bom import CONSIDERATIONS, facts_in
from tests.support.documents import dump_yaml
from tests.support.model_factory import make_model, project_text

from modelseal.documents import parse_yaml
from modelseal.errors import InvalidDocumentError, InvalidProjectError, LimitExceededError
from modelseal.evidence.bom.gather import Artifact, gather
from modelseal.evidence.bom.parameters import looks_secret, read_hyperparameters
from modelseal.evidence.facts import Basis, Finding, Level
from modelseal.modelpack.build import Profile
from modelseal.modelpack.project_file import load_project, parse_project
from modelseal.oci.descriptor import Digest
from modelseal.oci.events import discard
from modelseal.workflows.bom import facts_of
from modelseal.workflows.package import package

BARE = """\
apiVersion: modelseal.dev/v1
kind: Model
metadata: {name: m, version: 1.0.0}
spec: {format: pickle, files: [{include: model.pkl, kind: weight}, {exclude: "**"}]}
"""


def found(directory: Path) -> dict[str, Finding]:
    return {finding.id: finding for finding in facts_in(directory)[1]}


def test_headers_are_measured(tmp_path: Path) -> None:
    facts, _ = facts_in(make_model(tmp_path / "m"))
    assert (facts.measured.parameters, facts.measured.precision) == (12, "float32")
    assert facts.format.basis is facts.precision.basis is Basis.VERIFIED
    assert facts.kinds["model.safetensors"] == "weight"


def test_a_broken_header_verifies_nothing(tmp_path: Path) -> None:
    facts, _ = facts_in(make_model(tmp_path / "m", extra={"model.safetensors": b"no header"}))
    assert facts.measured.parameters == 0
    assert facts.format.basis is facts.precision.basis is Basis.DECLARED
    assert facts.precision.value == "float32"  # as it is declared


def test_each_missing_line_mends_its_finding_and_nothing_else(tmp_path: Path) -> None:
    directory = make_model(tmp_path / "m", project=BARE, extra={"model.pkl": b"x"})
    for path in ("params.yaml", "eval/results.json"):
        assert (directory / path).is_file()
    findings = [item for item in facts_in(directory)[1] if item.add]
    assert {item.id for item in findings} == {
        f"missing-{name}"
        for name in (
            "description",
            "vendor",
            "authors",
            "licenses",
            "task",
            "architecture",
            "signature",
            "evaluation",
            "approach",
            "hyperparameters",
            "users",
            "use-cases",
            "technical-limitations",
            "ethical-considerations",
            "performance-tradeoffs",
            "fairness-assessments",
            "environmental-considerations",
        )
    }
    for finding in findings:
        with pytest.raises(InvalidProjectError, match="placeholder"):
            parse_project(_with(finding.add))  # nobody signs an example by mistake
        whole = parse_yaml(_with(_filled_in(finding.add)), "")
        (directory / "modelseal.yaml").write_text(dump_yaml(whole), encoding="utf-8")
        assert finding.id not in found(directory), finding.id


def _with(lines: str) -> bytes:
    merged = _merged(parse_yaml(BARE.encode(), "a"), parse_yaml(lines.encode(), "b"))
    return dump_yaml(merged).encode()


def _filled_in(lines: str) -> str:
    """Write what a person would write for each placeholder."""
    for placeholder, value in {
        "<decimal>": "0.4",
        "<one of supervised, .*>": "supervised",
        "<SPDX expression>": "MIT",
        "<for example ([^>]*)>": r"\1",
        "<[^>]*>": "said",
    }.items():
        lines = re.sub(placeholder, value, lines)
    return lines


def _merged(one: dict[str, object], other: dict[str, object]) -> dict[str, object]:
    both = dict(one)
    for key, value in other.items():
        inner = both.get(key)
        nested = isinstance(inner, dict) and isinstance(value, dict)
        both[key] = _merged(inner, value) if nested else value  # type: ignore[arg-type]
    return both


def test_nothing_is_missing_where_all_is_said(tmp_path: Path) -> None:
    text = project_text().replace("  training:\n", "  training:\n    approach: supervised\n")
    text = text.replace(
        "personalData: none\n", "personalData: none\n        governance: {owners: [A]}\n"
    )
    assert found(make_model(tmp_path / "m", project=text + CONSIDERATIONS)) == {}


def test_what_was_left_out_of_the_artifact_is_not_published(tmp_path: Path) -> None:
    text = project_text().replace(
        "  files:\n", '  files:\n    - {exclude: params.yaml}\n    - {exclude: "eval/**"}\n'
    )
    facts, findings = facts_in(make_model(tmp_path / "m", project=text))
    assert facts.hyperparameters == {}
    assert facts.evaluations == ()
    told = [item.message for item in findings if item.id == "file-not-packed"]
    assert [message.split()[0] for message in told] == ["eval/results.json", "params.yaml"]


def test_values_that_are_named_like_secrets_are_left_out(tmp_path: Path) -> None:
    raw = b"lr: 0.1\nwandb: {api_key: hunter2}\nmax_tokens: 5\nbos_token: <s>\n"
    directory = make_model(tmp_path / "m", extra={"params.yaml": raw})
    facts, findings = facts_in(directory)
    assert facts.hyperparameters == {"lr": "0.1", "max_tokens": "5", "bos_token": "<s>"}
    (finding,) = [item for item in findings if item.id == "hyperparameter-looks-secret"]
    assert finding.level is Level.ERROR
    assert "wandb.api_key" in finding.message
    assert "hunter2" not in str(finding)


@pytest.mark.parametrize("name", ["db.password", "HF_TOKEN", "auth-token", "apikey", "secret"])
def test_these_look_secret(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize("raw", [b"[1", b"- 1", b"a: *b"])
def test_a_file_that_is_not_understood_is_a_finding(tmp_path: Path, raw: bytes) -> None:
    directory = make_model(tmp_path / "m", extra={"params.yaml": raw, "eval/results.json": b"["})
    findings = [item for item in facts_in(directory)[1] if item.id == "file-not-read"]
    assert [item.where.rpartition(": ")[2] for item in findings] == [
        "spec.evaluation[0]",
        "spec.training.hyperparameters",
    ]


def test_an_evaluation_without_metrics_is_a_finding(tmp_path: Path) -> None:
    directory = make_model(tmp_path / "m", extra={"eval/results.json": b'{"verdict": "good"}'})
    assert "evaluation-without-metrics" in found(directory)


def test_a_file_that_changed_since_it_was_hashed_is_refused(tmp_path: Path) -> None:
    directory = make_model(tmp_path / "m")
    project = load_project(directory)
    files = {"eval/results.json": Digest.of(b"what it was")}
    with pytest.raises(InvalidProjectError, match="changed since it was hashed"):
        gather(directory, project, Artifact(files=files, kinds={}))


def test_a_licence_that_is_no_spdx_is_a_finding(tmp_path: Path) -> None:
    text = project_text().replace("[Apache-2.0]", "[ours]").replace("CC-BY-4.0", "theirs")
    _, findings = facts_in(make_model(tmp_path / "m", project=text))
    told = [item.where for item in findings if item.id == "license-not-spdx"]
    assert told == [
        "modelseal.yaml: metadata.licenses",
        "modelseal.yaml: spec.training.datasets[0].license",
    ]


def test_hyperparameters_keep_their_digits_and_are_flat() -> None:
    raw = b'{"lr": 1.0E-5, "layers": [1, 2.50], "a": {"b": null, "c": true, "d": "x"}}'
    assert read_hyperparameters(raw, "p.json") == {
        "lr": "0.000010",
        "layers[0]": "1",
        "layers[1]": "2.50",
        "a.b": "null",
        "a.c": "true",
        "a.d": "x",
    }
    assert read_hyperparameters(b"lr: 1.10\n2: x\n", "p.yaml") == {"lr": "1.10", "2": "x"}
    with pytest.raises(InvalidDocumentError, match="is not a mapping"):
        read_hyperparameters(b"[]", "p.json")
    with pytest.raises(LimitExceededError):
        read_hyperparameters(b"a: [" + b"1," * 501 + b"1]", "p.yaml")


def test_an_image_has_the_same_files(tmp_path: Path) -> None:
    directory = make_model(tmp_path / "m")
    made = package(directory, {}, discard, profile=Profile.IMAGE)
    facts, _ = facts_of(directory, made, "", {})
    assert facts.files == facts_in(directory)[0].files
    assert facts.subject != facts_in(directory)[0].subject
    assert facts.kinds == {}  # an image's layers do not say
