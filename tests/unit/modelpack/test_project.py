# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.documents import dump_yaml
from tests.support.model_factory import make_model, project_text

from modelseal.errors import InvalidProjectError
from modelseal.modelpack.media_types import LayerKind
from modelseal.modelpack.project import (
    Accelerator,
    Code,
    FileRule,
    PersonalData,
    Platform,
    Runtime,
    Tensor,
)
from modelseal.modelpack.project_file import load_project, parse_project
from modelseal.oci.descriptor import Digest

MINIMAL = """\
apiVersion: modelseal.dev/v1
kind: Model
metadata: {name: m, version: 1.0.0}
spec: {format: onnx}
"""


def test_every_field_is_read(tmp_path: Path) -> None:
    project = load_project(make_model(tmp_path))
    assert (project.metadata.name, project.metadata.version) == ("fraud", "1.4.0")
    assert project.metadata.authors == ("Ada <ada@acme.example>",)
    assert project.metadata.licenses == ("Apache-2.0",)
    assert project.metadata.source_url == "https://github.com/acme/fraud"
    assert (project.format, project.precision, project.param_size) == (
        "safetensors",
        "float32",
        "0.1K",
    )
    assert project.files == (
        FileRule("eval/**", LayerKind.DOC),
        FileRule("checkpoints/**", None),
    )
    needs = project.requirements
    assert needs.runtimes == (Runtime(name="onnxruntime", version=">=1.17"),)
    assert needs.platforms == (Platform(os="linux", architecture="amd64"),)
    assert needs.accelerators[1] == Accelerator(
        type="cuda", compute_capability=">=8.0", memory="16GiB"
    )
    assert (needs.python, needs.lock, needs.memory) == (">=3.11", "requirements.lock", "2GiB")
    assert str(needs.image) == "ghcr.io/acme/serve@sha256:" + "2" * 64
    made = project.training
    assert made.code == Code(repository="https://github.com/acme/fraud", commit="1" * 40)
    assert str(made.base_model) == "ghcr.io/acme/base@sha256:" + "3" * 64
    assert made.datasets[0].digest == Digest("sha256", "4" * 64)
    assert made.datasets[0].version == "2024-06-01"
    assert made.datasets[0].personal_data is PersonalData.NONE
    assert (made.datasets[0].legal_basis, made.datasets[0].usage) == ("", ())
    assert (made.hyperparameters, made.seeds) == ("params.yaml", (42,))
    assert project.evaluation == ("eval/results.json",)
    assert project.signature.inputs == (
        Tensor(name="features", type="float32", shape=("batch", 4)),
    )


def test_the_declarations_of_a_dataset_are_read() -> None:
    text = project_text().replace(
        "personalData: none",
        "personalData: sensitive\n        legalBasis: consent\n"
        "        usage: [DUO_0000006, DUO:0000018]",
    )
    (dataset,) = parse_project(text.encode()).training.datasets
    assert dataset.personal_data is PersonalData.SENSITIVE
    assert dataset.legal_basis == "consent"
    assert dataset.usage == ("DUO_0000006", "DUO_0000018")


def test_a_dataset_is_a_file_or_a_directory_below_wherever_the_data_lie() -> None:
    text = project_text().replace("digest: sha256:" + "4" * 64, "dirHash: " + "4" * 64)
    text = text.replace("s3://acme-data/transactions", "file:2024/transactions/")
    (dataset,) = parse_project(text.encode()).training.datasets
    assert (dataset.digest, dataset.dir_hash) == (None, "4" * 64)
    assert dataset.uri == "file:2024/transactions/"


def test_what_is_not_said_is_empty() -> None:
    project = parse_project(MINIMAL.encode())
    assert project.files == ()
    assert project.training.code is None
    assert project.requirements.image is None
    assert list(project.referenced_files()) == []


def test_a_section_with_nothing_but_comments_is_empty() -> None:
    text = MINIMAL.replace("{format: onnx}", "\n  format: onnx\n  training:\n  requirements:\n")
    assert parse_project(text.encode()).training.datasets == ()


def test_a_directory_without_a_project_file_gets_the_command_that_writes_one(
    tmp_path: Path,
) -> None:
    with pytest.raises(InvalidProjectError, match=r"no modelseal\.yaml") as caught:
        load_project(tmp_path)
    assert caught.value.hint == f"modelseal init {tmp_path}"


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidProjectError, match="nothing-here is not a directory"):
        load_project(tmp_path / "nothing-here")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("apiVersion: modelseal.dev/v1", "apiVersion: modelseal.dev/v2", "apiVersion is"),
        ("kind: Model", "kind: Modell", "kind is 'Modell'"),
        ("name: fraud", "nmae: fraud", r"metadata\.name is missing"),
        ("  vendor: Acme", "  vendr: Acme", r"metadata\.vendr .*did you mean `vendor`"),
        ("  family: fraud", "  familly: fraud", r"spec\.familly .*did you mean `family`"),
        ("name: fraud", "name: 'a b'", r"metadata\.name is 'a b'"),
        ("version: 1.4.0", "version: 1.4", r"version is '1.4', which is not a SemVer"),
        ("version: 1.4.0", "version: 01.4.0", "not a SemVer"),
        ("version: 1.4.0", "version: v1.4.0", "not a SemVer"),
        ("version: 1.4.0", "version: 1.4.0-01", "not a SemVer"),
        ("version: 1.4.0", 'version: "1.4.0\\n"', "not a SemVer"),
        ("authors: [Ada <ada@acme.example>]", "authors: Ada", "list of texts"),
        ("vendor: Acme", 'vendor: "A\\u001b[2J"', "control character"),
        ("precision: float32", "precision: flota32", "did you mean `float32`"),
        ("precision: float32", 'precision: "float32,"', "precision has ''"),
        ("paramSize: 0.1K", "paramSize: 12", r"spec\.paramSize"),
        ("paramSize: 0.1K", "paramSize: 6.75B", r"spec\.paramSize"),
        ("kind: doc", "kind: docs", r"spec\.files\[0\]\.kind is 'docs' .*`doc`"),
        ('exclude: "checkpoints/**"', 'exclude: "../**"', r"spec\.files\[1\]\.exclude"),
        ('exclude: "checkpoints/**"', 'exclude: "/etc/**"', r"spec\.files\[1\]\.exclude"),
        ('{exclude: "checkpoints/**"}', "{kind: doc}", "either include or exclude"),
        ('{exclude: "checkpoints/**"}', "{exclude: a, kind: doc}", r"files\[1\]\.kind is not a"),
        ('python: ">=3.11"', 'python: "3.11 or so"', r"requirements\.python"),
        ("lock: requirements.lock", "lock: ../../etc/passwd", r"requirements\.lock .*below"),
        ("lock: requirements.lock", "lock: /etc/passwd", r"requirements\.lock .*below"),
        ("memory: 2GiB", "memory: 2 gigs", r"requirements\.memory"),
        ("image: ghcr.io/acme/serve@sha256:" + "2" * 64, "image: ghcr.io/a/b:1", "a tag can move"),
        ("commit: " + "1" * 40, "commit: main", r"training\.code\.commit"),
        ("digest: sha256:" + "4" * 64, "digest: md5:abc", r"datasets\[0\]\.digest"),
        ("uri: s3://acme-data/transactions", "uri: somewhere", "is not a URL"),
        ("uri: s3://acme-data/transactions", "uri: file:///home/ada/x.csv", "below a data dir"),
        ("uri: s3://acme-data/transactions", "uri: file:../x.csv", "below a data directory"),
        ("uri: s3://acme-data/transactions", "uri: file:%2e%2e/x.csv", "below a data directory"),
        ("personalData: none", "personalData: no", r"personalData is 'no' \(did you mean `none`"),
        ("personalData: none", "personalData: e-mail addresses", "personalData is 'e-mail"),
        ("personalData: none", "legalBasis: consnet", r"legalBasis is .*did you mean `consent`"),
        ("personalData: none", "usage: [GRU]", r"datasets\[0\]\.usage has 'GRU'"),
        ("personalData: none", "usage: [DUO_0000042, DUO:0000042]", "names a term twice"),
        ("personalData: none", "dirHash: h1:abc", r"dirHash is 'h1:abc'"),
        ("personalData: none", "dirHash: " + "5" * 64, "dirHash and digest exclude each other"),
        ("personalData: none", "personalData: none\n      - name: transactions", "the same name"),
        ("seeds: [42]", "seeds: [true]", "list of integers"),
        ("seeds: [42]", "seeds: 42", "list of integers"),
        ("shape: [batch, 4]", "shape: [batch, -1]", r"signature\.inputs\[0\]\.shape"),
        ("type: cpu", "tpe: cpu", r"accelerators\[0\]\.type is missing"),
    ],
)
def test_what_does_not_hold_is_named_by_its_field(old: str, new: str, message: str) -> None:
    text = project_text()
    assert text.count(old) >= 1
    with pytest.raises(InvalidProjectError, match=message):
        parse_project(text.replace(old, new, 1).encode())


@pytest.mark.parametrize(
    "version", ["1.0.0", "0.0.0", "1.0.0-rc.1", "1.0.0-alpha-beta+001", "10.20.30+build.5"]
)
def test_semver_in_all_its_forms_is_taken(version: str) -> None:
    project = parse_project(MINIMAL.replace("1.0.0", version).encode())
    assert project.metadata.version == version


@pytest.mark.parametrize(
    "url",
    ["https://user:hunter2@git.acme.example/x", "https://ghp_hunter2@github.com/acme/fraud"],
)
def test_a_password_in_a_url_is_refused_and_not_shown(url: str) -> None:
    text = project_text().replace("sourceURL: https://github.com/acme/fraud", f'sourceURL: "{url}"')
    with pytest.raises(InvalidProjectError, match="would be published") as caught:
        parse_project(text.encode())
    assert "hunter2" not in str(caught.value) + caught.value.hint


def test_a_user_name_that_ssh_needs_is_taken() -> None:
    text = project_text().replace(
        'repository: "https://github.com/acme/fraud"',
        'repository: "ssh://git@github.com/acme/fraud"',
    )
    code = parse_project(text.encode()).training.code
    assert code is not None
    assert code.repository == "ssh://git@github.com/acme/fraud"


@pytest.mark.parametrize("path", ["requirements.lock", "params.yaml", "eval/results.json"])
def test_a_file_that_the_project_names_has_to_be_there(tmp_path: Path, path: str) -> None:
    (make_model(tmp_path) / path).unlink()
    with pytest.raises(InvalidProjectError, match=f"there is no file {path}"):
        load_project(tmp_path)


def test_a_file_that_the_project_names_is_no_link_out_of_the_directory(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    directory = make_model(tmp_path / "model")
    (directory / "params.yaml").unlink()
    (directory / "params.yaml").symlink_to(secret)
    with pytest.raises(InvalidProjectError, match=r"params\.yaml is, or goes through, a symbolic"):
        load_project(directory)


def test_the_project_file_itself_is_no_link(tmp_path: Path) -> None:
    directory = make_model(tmp_path / "model")
    (directory / "modelseal.yaml").rename(tmp_path / "elsewhere.yaml")
    (directory / "modelseal.yaml").symlink_to(tmp_path / "elsewhere.yaml")
    with pytest.raises(InvalidProjectError, match="not a plain file"):
        load_project(directory)


def test_a_pipe_in_place_of_the_project_file_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "modelseal.yaml")
    with pytest.raises(InvalidProjectError, match="not a plain file"):
        load_project(tmp_path)


def test_a_huge_project_file_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "modelseal.yaml").open("wb") as file:
        file.truncate(1 << 33)
    with pytest.raises(InvalidProjectError, match="larger than"):
        load_project(tmp_path)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_project_or_our_error(raw: bytes) -> None:
    with pytest.raises(InvalidProjectError):
        parse_project(raw)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "include", "kind", "code"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(
    st.sampled_from(["files", "requirements", "training", "evaluation", "signature", "format"]),
    _VALUES,
)
def test_any_value_in_any_field_is_taken_or_our_error(key: str, value: object) -> None:
    document = {
        "apiVersion": "modelseal.dev/v1",
        "kind": "Model",
        "metadata": {"name": "m", "version": "1.0.0"},
        "spec": {"format": "onnx"} | {key: value},
    }
    try:
        project = parse_project(dump_yaml(document).encode())
    except InvalidProjectError as error:
        assert str(error)  # noqa: PT017 - either outcome is right; nothing else may come out
    else:
        assert project.metadata.name == "m"
