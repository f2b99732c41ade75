# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
from dataclasses import replace

import pytest
from tests.support.model_factory import project_text

from modelseal.evidence.versions import Contents, FileFact, Step, advise, judge
from modelseal.modelpack.media_types import LayerKind
from modelseal.modelpack.project_file import parse_project
from modelseal.modelpack.semver import parse_semver

# From, to, what the changes ask for; the step that was taken, whether it fits, and what is told.
TRANSITIONS = [
    ("1.4.0", "1.4.1", Step.PATCH, "patch", True, "as is asked for"),
    ("1.4.0", "1.4.1", Step.MINOR, "patch", False, "take at least 1.5.0"),
    ("1.4.0", "1.4.1", Step.MAJOR, "patch", False, "take at least 2.0.0"),
    ("1.4.9", "1.5.0", Step.PATCH, "minor", True, "more than is asked for"),
    ("1.4.9", "1.5.0", Step.MINOR, "minor", True, "as is asked for"),
    ("1.4.9", "1.5.0", Step.MAJOR, "minor", False, "take at least 2.0.0"),
    ("1.4.9", "2.0.0", Step.PATCH, "major", True, "more than is asked for"),
    ("1.4.9", "2.0.0", Step.MAJOR, "major", True, "as is asked for"),
    ("1.4.9", "1.10.0", Step.MINOR, "minor", True, "as is asked for"),
    ("1.4.0", "3.7.2", Step.MAJOR, "major", True, "as is asked for"),
    ("1.4.0", "2.0.0-rc.1", Step.MAJOR, "major", True, "as is asked for"),
    ("1.4.0", "1.4.0", Step.NONE, "none", True, "nothing differs"),
    ("1.4.0", "1.4.0", Step.PATCH, "none", False, "one version stands for two models"),
    ("1.4.0", "1.4.0+b2", Step.MINOR, "none", False, "take at least 1.5.0"),
    ("1.4.0", "1.4.1", Step.NONE, "patch", True, "more than is asked for"),
    ("1.4.0", "1.3.9", Step.PATCH, "back", False, "name the earlier model first"),
    ("1.4.0", "1.4.0-rc.1", Step.PATCH, "back", False, "comes before 1.4.0"),
    ("2.0.0-rc.1", "2.0.0-rc.2", Step.MAJOR, "pre-release", True, "until 2.0.0 is released"),
    ("2.0.0-rc.9", "2.0.0-rc.10", Step.MINOR, "pre-release", True, "until 2.0.0 is released"),
    ("2.0.0-rc.1", "2.0.0", Step.MAJOR, "release", True, "until 2.0.0 is released"),
    ("2.0.0-rc.1", "2.0.0-rc.1", Step.PATCH, "none", False, "take at least 2.0.0"),
    ("0.3.1", "0.3.2", Step.PATCH, "patch", True, "as is asked for"),
    ("0.3.1", "0.3.2", Step.MINOR, "patch", False, "take at least 0.4.0"),
    ("0.3.1", "0.3.2", Step.MAJOR, "patch", False, "take at least 0.4.0"),
    ("0.3.1", "0.4.0", Step.MAJOR, "minor", True, "before 1.0.0 a minor step is enough"),
    ("0.3.1", "1.0.0", Step.MAJOR, "major", True, "as is asked for"),
    ("", "1.0.0", Step.PATCH, "", None, "one of the two does not carry"),
    ("latest", "v2", Step.PATCH, "", None, "neither carries"),
]


@pytest.mark.parametrize(("left", "right", "asked", "taken", "fits", "told"), TRANSITIONS)
def test_a_step_of_the_version_fits_or_not(
    *, left: str, right: str, asked: Step, taken: str, fits: bool | None, told: str
) -> None:
    found = judge(left, right, asked)
    assert found[:2] == (taken, fits)
    assert told in found[2]


ORDER = ["1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2"]
ORDER += ["1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.1.0", "2.0.0"]


def test_versions_have_the_order_of_the_specification() -> None:
    versions = [parse_semver(text) for text in ORDER]  # its item 11, and more
    assert None not in versions
    for place, version in enumerate(versions):
        assert all(other is not None and version is not None for other in versions)
        for later in versions[place + 1 :]:
            assert version is not None
            assert later is not None
            assert version < later
            assert version != later
    assert parse_semver("1.0.0+a") == parse_semver("1.0.0+b")
    assert len({parse_semver("1.0.0+a"), parse_semver("1.0.0")}) == 1
    assert parse_semver("1.0") is None
    assert parse_semver("1.0.0-" + "a" * 2000) is None


BASE = parse_project(project_text().encode())
FILES = {
    "model.onnx": FileFact("sha256:1", LayerKind.WEIGHT),
    "tokenizer.json": FileFact("sha256:2", LayerKind.WEIGHT_CONFIG),
    "run.py": FileFact("sha256:3", LayerKind.CODE),
    "README.md": FileFact("sha256:4", LayerKind.DOC),
}
LEFT = Contents(version="1.4.0", files=FILES, project=BASE, labels={}, config={})

# What is written into modelseal.yaml instead, and the step that it asks for.
REWRITTEN = [
    ("format: safetensors", "format: onnx", Step.MAJOR),
    ("family: fraud", "family: fraud\n  task: text-classification", Step.MAJOR),
    ("architecture: linear", "architecture: mlp", Step.MAJOR),
    ("family: fraud", "family: scoring", Step.MAJOR),
    ("[batch, 4]", "[batch, 5]", Step.MAJOR),
    ("name: scores", "name: probabilities", Step.MAJOR),
    ("type: float32, shape: [batch, 3]", "type: float16, shape: [batch, 3]", Step.MAJOR),
    ("precision: float32", "precision: float16", Step.MINOR),
    ("paramSize: 0.1K", "paramSize: 0.2K", Step.MINOR),
    ("commit: " + "1" * 40, "commit: " + "a" * 40, Step.MINOR),
    ("sha256:" + "3" * 64, "sha256:" + "a" * 64, Step.MINOR),
    ("sha256:" + "4" * 64, "sha256:" + "a" * 64, Step.MINOR),
    ("seeds: [42]", "seeds: [43]", Step.MINOR),
    ("hyperparameters: params.yaml", "hyperparameters: other.yaml", Step.MINOR),
    ('python: ">=3.11"', 'python: ">=3.12"', Step.MINOR),
    ("memory: 2GiB", "memory: 3GiB", Step.MINOR),
    ("digest: sha256:" + "4" * 64, "dirHash: " + "4" * 64, Step.MINOR),
    ("    seeds:", "    approach: supervised\n    seeds:", Step.PATCH),
    ("license: CC-BY-4.0", "license: CC0-1.0", Step.PATCH),
    ("personalData: none", "personalData: sensitive", Step.PATCH),
    ("Scores transactions", "Scores payments", Step.PATCH),
    ("licenses: [Apache-2.0]", "licenses: [MIT]", Step.PATCH),
    ("vendor: Acme", "vendor: Other", Step.PATCH),
    ("version: 1.4.0", "version: 1.4.1", Step.NONE),
]


@pytest.mark.parametrize(("old", "new", "step"), REWRITTEN)
def test_what_modelseal_yaml_says_otherwise_asks_for_a_step(old: str, new: str, step: Step) -> None:
    assert old in project_text()
    project = parse_project(project_text().replace(old, new).encode())
    assert advise(LEFT, replace(LEFT, project=project)).step is step


@pytest.mark.parametrize(
    ("path", "step"),
    [
        ("model.onnx", Step.MINOR),
        ("tokenizer.json", Step.MINOR),
        ("run.py", Step.MINOR),
        ("README.md", Step.PATCH),
    ],
)
def test_another_file_asks_for_a_step_by_what_it_is_for(path: str, step: Step) -> None:
    changed = {**FILES, path: FileFact("sha256:9", FILES[path].kind)}
    gone = {name: fact for name, fact in FILES.items() if name != path}
    for files in (changed, gone):
        assert advise(LEFT, replace(LEFT, files=files)).step is step
        assert advise(replace(LEFT, files=files), LEFT).step is step


def test_an_output_that_goes_or_comes_is_a_major_change() -> None:
    less = replace(BASE, signature=replace(BASE.signature, outputs=()))
    for left, right in ((BASE, less), (less, BASE)):
        advice = advise(replace(LEFT, project=left), replace(LEFT, project=right))
        assert advice.step is Step.MAJOR


def test_without_an_interface_it_is_told_that_none_was_compared() -> None:
    bare = parse_project(project_text().partition("  signature:")[0].encode())
    (gap,) = advise(replace(LEFT, project=bare), replace(LEFT, project=bare)).gaps
    assert "spec.signature" in gap
    (gap,) = advise(replace(LEFT, project=None), LEFT).gaps
    assert "without a modelseal.yaml" in gap


@pytest.mark.parametrize(
    ("key", "step"),
    [
        ("config.architecture", Step.MAJOR),
        ("config.format", Step.MAJOR),
        ("descriptor.family", Step.MAJOR),
        ("config.precision", Step.MINOR),
        ("annotation dev.modelseal.inputs-digest", Step.MINOR),
        ("annotation org.opencontainers.image.created", Step.PATCH),
        ("packed as", Step.PATCH),
        ("descriptor.version", Step.NONE),
    ],
)
def test_without_a_project_file_the_config_tells(key: str, step: Step) -> None:
    left = replace(LEFT, project=None, config={key: "a"})
    assert advise(left, replace(left, config={key: "b"})).step is step
