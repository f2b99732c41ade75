# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.documents import dump_yaml
from tests.support.model_factory import make_model, onnx_file, safetensors_file

from modelseal.errors import ConflictError, InvalidProjectError, StorageError
from modelseal.modelpack.build import build
from modelseal.modelpack.detect import Findings, detect, param_size
from modelseal.modelpack.initialise import initialise, project_text
from modelseal.modelpack.inventory import scan
from modelseal.modelpack.project import Signature, Tensor
from modelseal.modelpack.project_file import load_project, parse_project

MLMODEL = """\
artifact_path: model
flavors:
  onnx: {data: model.onnx, onnx_version: 1.20.0}
  python_function: {loader_module: mlflow.onnx, python_version: 3.11.7}
mlflow_version: 3.1.0
model_uuid: 0123456789abcdef
run_id: fedcba9876543210
signature:
  inputs: '[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 4]}}]'
  outputs: '[{"name": "score", "type": "double"}]'
utc_time_created: '2026-05-01 12:00:00.000000'
"""


def write(directory: Path, **files: str | bytes) -> Path:
    for name, data in files.items():
        path = directory / name.replace("__", ".")
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return directory


def test_init_then_load_then_build(tmp_path: Path) -> None:
    directory = make_model(tmp_path, project="")
    written = initialise(directory)
    assert written.path.read_text() == written.text
    project = load_project(directory)
    package = build(directory, project, scan(directory, project))
    assert package.manifest.annotations["org.opencontainers.image.title"] == "fraud"


def test_what_is_found_is_written_down(tmp_path: Path) -> None:
    project = parse_project(initialise(make_model(tmp_path, project="")).text.encode())
    assert (project.metadata.name, project.metadata.version) == ("fraud", "0.1.0")
    assert project.metadata.licenses == ("Apache-2.0",)
    assert (project.format, project.family, project.architecture) == (
        "safetensors",
        "linear",
        "Linear",
    )
    assert (project.precision, project.param_size) == ("float32", "0.1K")
    assert project.requirements.lock == "requirements.lock"
    assert project.training.hyperparameters == "params.yaml"
    assert [dataset.name for dataset in project.training.datasets] == ["acme/transactions"]
    assert project.evaluation == ("eval/results.json",)
    assert project.signature == Signature(
        inputs=(Tensor(name="features", type="float32", shape=("batch", 4)),),
        outputs=(Tensor(name="scores", type="float32", shape=("batch", 3)),),
    )


def test_the_findings_stand_there_as_comments(tmp_path: Path) -> None:
    text = initialise(write(make_model(tmp_path, project=""), MLmodel=MLMODEL)).text
    assert "# found   model.safetensors: 1 tensors, 12 parameters" in text
    assert "# found   model.onnx: ONNX, opset 17, made by modelseal-tests 1.0" in text
    assert "# found   README.md: library_name onnx; language en; tags fraud, tabular" in text
    assert "# found   MLmodel: flavors onnx, python_function; run_id fedcba9876543210" in text


def test_an_empty_directory_gets_a_project_file_that_says_what_is_missing(tmp_path: Path) -> None:
    directory = tmp_path / "My model (v2)"
    directory.mkdir()
    project = parse_project(initialise(directory).text.encode())
    assert (project.metadata.name, project.format) == ("My-model-v2", "unknown")
    assert "nothing was found" in (directory / "modelseal.yaml").read_text()


def test_a_project_file_is_never_replaced(tmp_path: Path) -> None:
    write(tmp_path, modelseal__yaml="mine")
    with pytest.raises(ConflictError, match="is there already"):
        initialise(tmp_path)
    assert (tmp_path / "modelseal.yaml").read_text() == "mine"


def test_a_dangling_link_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "modelseal.yaml").symlink_to(tmp_path / "target")
    with pytest.raises(ConflictError):
        initialise(tmp_path / "model")
    assert not (tmp_path / "target").exists()


def test_a_directory_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidProjectError, match="gone is not a directory"):
        initialise(tmp_path / "gone")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")
def test_a_directory_that_cannot_be_written_is_named() -> None:
    with pytest.raises(StorageError, match="/proc/self/attr"):
        initialise(Path("/proc/self/attr"))


def test_mlflow_fills_in_what_the_files_do_not_say(tmp_path: Path) -> None:
    found = detect(write(tmp_path, MLmodel=MLMODEL))
    assert found.python == ">=3.11"
    assert found.signature == Signature(
        inputs=(Tensor(name="input_0", type="float32", shape=("dim_0", 4)),),
        outputs=(Tensor(name="score", type="double"),),
    )


def test_the_shards_of_a_model_are_summed_up(tmp_path: Path) -> None:
    shard = safetensors_file({"w": ("BF16", (1000, 1000), bytes(2_000_000))})
    found = detect(
        write(tmp_path, **{"model-1-of-2__safetensors": shard, "model-2-of-2__safetensors": shard})
    )
    assert (found.precision, found.param_size) == ("bfloat16", "2M")
    assert found.seen == ("2 safetensors files: 2 tensors, 2000000 parameters",)


def test_rare_element_types_are_no_precision(tmp_path: Path) -> None:
    tensors = {"w": ("F16", (1000,), bytes(2000)), "step": ("I64", (), bytes(8))}
    found = detect(write(tmp_path, model__safetensors=safetensors_file(tensors)))
    assert found.precision == "float16"


def test_what_cannot_be_read_is_a_note(tmp_path: Path) -> None:
    found = detect(
        write(
            tmp_path,
            model__safetensors=b"cut",
            model__onnx=onnx_file()[:-9],
            config__json=b"{",
            MLmodel=b"a: [",
            README__md=b"---\na: &x 1\nb: *x\n---\n",
        )
    )
    assert found.format == "safetensors"
    assert [note.split(" ", 1)[0] for note in found.notes] == [
        "README.md",
        "model.safetensors",
        "model.onnx",
        "MLmodel",
        "config.json",
    ]
    parse_project(project_text(found).encode())


def test_links_and_pipes_are_not_looked_at(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("---\nlicense: mit\n---\n")
    directory = tmp_path / "model"
    directory.mkdir()
    (directory / "README.md").symlink_to(secret)
    os.mkfifo(directory / "config.json")
    found = detect(directory)
    assert found.licenses == ()
    assert any("config.json is not a plain file" in note for note in found.notes)


def test_a_licence_that_is_not_spdx_is_for_a_person_to_look_at(tmp_path: Path) -> None:
    text = initialise(write(tmp_path, README__md="---\nlicense: openrail\n---\n")).text
    assert "# the card says openrail, which is no SPDX identifier" in text
    assert parse_project(text.encode()).metadata.licenses == ()


def test_a_base_model_without_a_digest_is_for_a_person_to_look_at(tmp_path: Path) -> None:
    text = initialise(write(tmp_path, README__md="---\nbase_model: bert\n---\n")).text
    assert "# the card names the base model bert; its digest is needed:" in text
    assert parse_project(text.encode()).training.base_model is None


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_card_is_read_with_any_line_ending(tmp_path: Path, ending: str) -> None:
    card = ending.join(["---", "license: mit", "---", "# Model", ""])
    assert detect(write(tmp_path, README__md=card)).licenses == ("MIT",)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, ""),
        (1, "0.1K"),
        (999, "1K"),
        (2410, "2.4K"),
        (66_955_010, "67M"),
        (6_738_415_616, "6.7B"),
        (1_000_000_000_000, "1T"),
        (2 * 10**15, "2Q"),
        (10**18, ""),
    ],
)
def test_a_number_of_parameters_is_written_as_modelpack_does(count: int, text: str) -> None:
    assert param_size(count) == text


_WORDS = st.text(max_size=30) | st.sampled_from(
    ["null", "true", "1.0", "- a", "#", "a: b", "'", '"']
)
_TENSORS = st.builds(
    Tensor,
    name=_WORDS,
    type=_WORDS,
    shape=st.none() | st.lists(st.integers(0, 9) | _WORDS, max_size=3).map(tuple),
)


@given(
    st.builds(
        Findings,
        name=_WORDS,
        unknown_licenses=st.lists(_WORDS, max_size=2).map(tuple),
        base_models=st.lists(_WORDS, max_size=2).map(tuple),
        signature=st.builds(Signature, inputs=st.lists(_TENSORS, max_size=2).map(tuple)),
        seen=st.lists(st.text(), max_size=2).map(tuple),
        notes=st.lists(st.text(), max_size=2).map(tuple),
    )
)
def test_whatever_was_found_the_text_is_a_project(found: Findings) -> None:
    project = parse_project(project_text(found).encode())
    assert project.metadata.version == "0.1.0"
    assert project.training.base_model is None  # a comment stays one


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | _WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_WORDS, inner, max_size=3),
    max_leaves=8,
)
_KEYS = """
license base_model datasets model-index tags pipeline_tag language library_name flavors signature
run_id model_type architectures torch_dtype
"""
_CARDS = st.dictionaries(st.sampled_from(_KEYS.split()), _JSON)


@given(_CARDS, _CARDS, st.binary(max_size=60))
def test_whatever_a_card_says_init_writes_a_project(
    card: dict[str, object], mlmodel: dict[str, object], config: bytes
) -> None:
    with tempfile.TemporaryDirectory() as place:
        directory = write(
            Path(place),
            README__md=f"---\n{dump_yaml(card)}---\n".encode("utf-8", "surrogatepass"),
            MLmodel=dump_yaml(mlmodel).encode("utf-8", "surrogatepass"),
            config__json=config,
        )
        initialise(directory)
        assert load_project(directory).metadata.version == "0.1.0"


def test_many_broken_or_huge_headers_do_not_keep_init_busy(tmp_path: Path) -> None:
    for number in range(40):
        (tmp_path / f"{number:02}.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0[]")
    found = detect(tmp_path)
    assert len([note for note in found.notes if "not a JSON object" in note]) == 8
    assert "08.safetensors and the safetensors files after it were not read: too many" in (
        found.notes
    )


@pytest.mark.parametrize("read", [initialise, load_project], ids=lambda read: read.__name__)
def test_a_path_that_no_disk_takes_is_an_error_of_ours(read: Callable[[Path], object]) -> None:
    with pytest.raises(InvalidProjectError, match="is not a directory"):
        read(Path("a" * 300))
