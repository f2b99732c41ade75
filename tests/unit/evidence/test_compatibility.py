# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What contradicts itself is an error; what cannot be checked does not pass for checked."""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.gguf_file import F32, Q4_K, gguf_file
from tests.support.model_factory import make_model, onnx_file, project_text, safetensors_file

from modelseal.evidence.compatibility.checked import Checked
from modelseal.evidence.compatibility.model import check_model
from modelseal.evidence.compatibility.onnx import OPSETS, first_that_runs
from modelseal.evidence.facts import Finding, Level
from modelseal.evidence.locks.entries import Lock
from modelseal.evidence.locks.read import parse_lock, read_lock
from modelseal.modelpack.detect import paths_in
from modelseal.modelpack.onnx import OnnxHeader
from modelseal.modelpack.project import Platform, Project, Runtime
from modelseal.modelpack.project_file import parse_project

VECTORS = Path(__file__).parents[2] / "vectors" / "locks"
FULL = project_text()
HASH = "--hash=sha256:" + "1" * 64
# A decoder of two layers, in the layout of Llama.
CONFIG = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "torch_dtype": "bfloat16",
    "vocab_size": 8,
    "hidden_size": 4,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "num_hidden_layers": 2,
    "intermediate_size": 6,
}
LAYER = {
    "self_attn.q_proj": (4, 4),
    "self_attn.k_proj": (2, 4),
    "self_attn.v_proj": (2, 4),
    "self_attn.o_proj": (4, 4),
    "mlp.gate_proj": (6, 4),
    "mlp.up_proj": (6, 4),
    "mlp.down_proj": (4, 6),
}
TOKENIZER = {
    "model": {"type": "BPE", "vocab": {"a": 0, "b": 6}, "merges": []},
    "added_tokens": [{"id": 7, "content": "<s>"}],
}
MINIMAL = """\
apiVersion: modelseal.dev/v1
kind: Model
metadata: {name: m, version: 1.0.0}
spec: {format: FORMAT, precision: PRECISION, REST}
"""


def minimal(form: str, precision: str = "bfloat16", rest: str = "files: []") -> Project:
    text = MINIMAL.replace("FORMAT", form).replace("PRECISION", precision).replace("REST", rest)
    return parse_project(text.encode(), "modelseal.yaml")


def tensors(
    shapes: Mapping[str, tuple[int, ...]], dtype: str = "BF16"
) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    return {name: (dtype, shape, bytes(2 * math.prod(shape))) for name, shape in shapes.items()}


def llama_shapes() -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (8, 4)}
    for layer in range(2):
        for name, shape in LAYER.items():
            shapes[f"model.layers.{layer}.{name}.weight"] = shape
    return {**shapes, "lm_head.weight": (8, 4)}


def write(directory: Path, files: Mapping[str, object]) -> Path:
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return directory


def llama(directory: Path, **changes: object) -> Path:
    files: dict[str, object] = {
        "model.safetensors": safetensors_file(tensors(llama_shapes())),
        "config.json": CONFIG,
        "tokenizer.json": TOKENIZER,
    }
    return write(directory, {**files, **changes})


def check(directory: Path, project: Project, lock: Lock | None = None) -> Checked:
    return check_model(directory, paths_in(directory, project.files), project, lock)


def errors(checked: Checked) -> set[str]:
    return {item.id for item in checked.findings if item.level is Level.ERROR}


def one(checked: Checked, id_: str) -> Finding:
    (found,) = [item for item in checked.findings if item.id == id_]
    return found


def told(checked: Checked) -> str:
    return "\n".join(fact.text for fact in checked.facts)


def test_a_model_whose_parts_fit_has_no_error(tmp_path: Path) -> None:
    lock = parse_lock(f"onnxruntime==1.20.1 {HASH}\n".encode(), "requirements.lock")
    project = parse_project(FULL.encode(), "modelseal.yaml")
    checked = check(make_model(tmp_path), project, lock)
    assert errors(checked) == set()
    assert "the weights in model.safetensors are float32, as declared" in told(checked)
    assert "onnxruntime 1.20.1 of requirements.lock runs model.onnx" in told(checked)
    assert "spec.signature is that of model.onnx" in told(checked)


def test_config_and_weights_and_tokenizer_of_a_decoder_fit(tmp_path: Path) -> None:
    checked = check(llama(tmp_path), minimal("safetensors"))
    assert errors(checked) == set()
    assert "config.json fits the shapes of 16 tensors" in told(checked)
    assert "the tokenizer's tokens are all below config.json's 8" in told(checked)


@pytest.mark.parametrize(
    ("key", "value", "id_", "said"),
    [
        ("torch_dtype", "float32", "config-dtype-differs", "most parameters are bfloat16"),
        (
            "vocab_size",
            9,
            "config-shape-differs",
            "embed_tokens.weight is [8, 4] instead of [9, 4]",
        ),
        ("hidden_size", 8, "config-shape-differs", "is [8, 4] instead of [8, 8]"),
        ("num_key_value_heads", 2, "config-shape-differs", "k_proj.weight is [2, 4] instead of"),
        ("intermediate_size", 7, "config-shape-differs", "down_proj.weight is [4, 6] instead of"),
        ("num_hidden_layers", 3, "config-layers-missing", "3 layers, and the weights lack 2"),
        ("vocab_size", 7, "tokenizer-does-not-fit", "has the token 7"),
    ],
)
def test_a_config_of_another_model_is_told(
    tmp_path: Path, key: str, value: object, id_: str, said: str
) -> None:
    checked = check(
        llama(tmp_path, **{"config.json": {**CONFIG, key: value}}), minimal("safetensors")
    )
    assert said in one(checked, id_).message
    assert id_ in errors(checked)


def test_labels_are_compared_with_the_classifier(tmp_path: Path) -> None:
    config = {"model_type": "bert", "id2label": {"0": "a", "1": "b"}}
    files = {
        "config.json": config,
        "model.safetensors": safetensors_file(tensors({"classifier.weight": (3, 4)})),
    }
    checked = check(write(tmp_path, files), minimal("safetensors"))
    assert (
        "classifier.weight is [3, 4] instead of [2, hidden]"
        in one(checked, "config-shape-differs").message
    )


def test_a_quantised_model_is_left_alone_and_that_is_said(tmp_path: Path) -> None:
    config = {**CONFIG, "hidden_size": 99, "quantization_config": {"quant_method": "gptq"}}
    checked = check(llama(tmp_path, **{"config.json": config}), minimal("safetensors"))
    assert errors(checked) == set()
    assert "quantised" in one(checked, "compatibility-not-checked").message


def test_a_tokenizer_that_is_missing_is_told(tmp_path: Path) -> None:
    llama(tmp_path)
    (tmp_path / "tokenizer.json").unlink()
    assert (
        "8 kinds of tokens"
        in one(check(tmp_path, minimal("safetensors")), "tokenizer-missing").message
    )


def test_precision_is_that_of_the_files(tmp_path: Path) -> None:
    found = one(check(llama(tmp_path), minimal("safetensors", "float16")), "precision-differs")
    assert "spec.precision is float16" in found.message
    assert "100 % bfloat16" in found.message
    assert found.add == "spec:\n  precision: bfloat16"


def test_what_is_not_declared_is_told_with_what_the_files_say(tmp_path: Path) -> None:
    project = replace(minimal("safetensors"), precision="")
    checked = check(llama(tmp_path), project)
    assert one(checked, "missing-precision").add == "spec:\n  precision: bfloat16"
    assert one(checked, "missing-param-size").add == "spec:\n  paramSize: 0.3K"


def test_another_number_of_parameters_than_declared_is_told(tmp_path: Path) -> None:
    checked = check(llama(tmp_path), minimal("safetensors", rest="paramSize: 7B"))
    assert "the files have 304 parameters" in one(checked, "param-size-differs").message


def shards(directory: Path, index: Mapping[str, object]) -> Path:
    names = list(llama_shapes())
    halves = names[:8], names[8:]
    files: dict[str, object] = {
        f"model-0000{place}-of-00002.safetensors": safetensors_file(
            tensors({name: llama_shapes()[name] for name in half})
        )
        for place, half in enumerate(halves, 1)
    }
    places = {
        name: f"model-0000{place}-of-00002.safetensors"
        for place, half in enumerate(halves, 1)
        for name in half
    }
    whole = {"metadata": {"total_size": 608}, "weight_map": places}
    files["model.safetensors.index.json"] = {**whole, **index}
    return write(directory, files)


def test_shards_and_their_index_fit(tmp_path: Path) -> None:
    checked = check(shards(tmp_path, {}), minimal("safetensors"))
    assert errors(checked) == set()
    assert "all 2 parts of model.safetensors are there" in told(checked)
    assert "index.json: all 16 tensors are in the files that it names" in told(checked)


def test_a_missing_shard_is_told_by_the_index_and_by_the_names(tmp_path: Path) -> None:
    (shards(tmp_path, {}) / "model-00002-of-00002.safetensors").unlink()
    found = [
        item
        for item in check(tmp_path, minimal("safetensors")).findings
        if item.id == "shard-missing"
    ]
    assert len(found) == 2
    assert all("model-00002-of-00002.safetensors" in item.message for item in found)


@pytest.mark.parametrize(
    ("index", "id_", "said"),
    [
        ({"weight_map": {"x": "model-00001-of-00002.safetensors"}}, "index-differs", "x"),
        ({"weight_map": {"x": "gone.safetensors"}}, "shard-missing", "gone.safetensors"),
        ({"weight_map": []}, "index-broken", "weight_map"),
        ({"metadata": {"total_size": 1}}, "index-size-differs", "says 1 bytes"),
    ],
)
def test_an_index_of_other_files_is_told(
    tmp_path: Path, index: Mapping[str, object], id_: str, said: str
) -> None:
    checked = check(shards(tmp_path, index), minimal("safetensors"))
    assert any(item.id == id_ and said in item.message for item in checked.findings)


def test_a_file_that_is_cut_off_is_told_and_nothing_is_concluded(tmp_path: Path) -> None:
    whole = safetensors_file(tensors(llama_shapes()))
    checked = check(llama(tmp_path, **{"model.safetensors": whole[:-1]}), minimal("safetensors"))
    assert errors(checked) == {"weights-broken"}


def test_what_runs_code_when_it_is_read_is_not_read_and_that_is_said(tmp_path: Path) -> None:
    checked = check(write(tmp_path, {"model.pkl": b"cos\nsystem\n"}), minimal("pickle"))
    assert "model.pkl" in one(checked, "compatibility-not-checked").message


def onnx_project(runtime: str, signature: str = "") -> Project:
    rest = f'requirements: {{runtimes: [{{name: onnxruntime, version: "{runtime}"}}]}}{signature}'
    return minimal("onnx", "float32", rest)


@pytest.mark.parametrize(
    ("runtime", "opset_17_runs"),
    [(">=1.17", True), (">=1.12", True), (">=1.11", False), ("==1.11.1", False), ("", False)],
)
def test_the_oldest_runtime_that_is_allowed_has_to_know_the_opset(
    tmp_path: Path, runtime: str, *, opset_17_runs: bool
) -> None:
    checked = check(write(tmp_path, {"model.onnx": onnx_file()}), onnx_project(runtime))
    assert ("runtime-too-old" in errors(checked)) is not opset_17_runs
    if not opset_17_runs:
        assert '">=1.12"' in one(checked, "runtime-too-old").add


def test_what_a_runtime_beyond_the_table_runs_is_not_claimed() -> None:
    header = OnnxHeader(
        ir_version=99, producer="", opset=99, graph="", inputs=(), outputs=(), parameters={}
    )
    assert first_that_runs(header) is None
    assert [row[1] for row in OPSETS] == sorted(row[1] for row in OPSETS)


@pytest.mark.parametrize("runtime", [">=1.33", "==2.0.0", "<1.0"])
def test_a_new_opset_and_an_unknown_runtime_are_left_open(tmp_path: Path, runtime: str) -> None:
    data = onnx_file().replace(b"\x10\x11", b"\x10\x63")  # opset 99
    checked = check(write(tmp_path, {"model.onnx": data}), onnx_project(runtime))
    assert "opset 99" in one(checked, "compatibility-not-checked").message


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        ("{name: x}", "there is no input x"),
        ("{name: features, type: int64}", "input features is float32 and not int64"),
        ("{name: features, shape: [batch, 5]}", "[batch, 4] and not [batch, 5]"),
        ("{name: features, shape: [4]}", "[batch, 4] and not [4]"),
    ],
)
def test_a_signature_of_another_model_is_told(tmp_path: Path, tensor: str, said: str) -> None:
    project = onnx_project(">=1.17", f", signature: {{inputs: [{tensor}]}}")
    checked = check(write(tmp_path, {"model.onnx": onnx_file()}), project)
    found = one(checked, "signature-differs")
    assert said in found.message
    assert 'name: "features", type: float32, shape: ["batch", 4]' in found.add


def with_external(location: bytes) -> bytes:
    """Return an ONNX file with an initializer whose data lie elsewhere."""

    def field(number: int, data: bytes) -> bytes:
        return bytes([number << 3 | 2, len(data)]) + data

    entry = field(1, b"location") + field(2, location)
    initializer = b"\x08\x02\x10\x01" + field(8, b"w") + field(13, entry)
    graph = field(2, b"g") + field(5, initializer)
    return b"\x08\x08" + field(7, graph) + field(8, b"\x10\x11")


def test_weights_beside_an_onnx_file_have_to_be_there(tmp_path: Path) -> None:
    write(tmp_path, {"model.onnx": with_external(b"model.data")})
    assert "model.data" in one(check(tmp_path, onnx_project(">=1.17")), "onnx-data-missing").message
    write(tmp_path, {"model.data": b"12345678"})
    assert "all 1 files with its weights are there" in told(check(tmp_path, onnx_project(">=1.17")))


def test_weights_elsewhere_on_the_disk_are_refused(tmp_path: Path) -> None:
    write(tmp_path, {"model.onnx": with_external(b"../secret")})
    assert "onnx-data-outside" in errors(check(tmp_path, onnx_project(">=1.17")))


GGUF: dict[str, int | str] = {
    "general.architecture": "llama",
    "general.file_type": 15,
    "llama.embedding_length": 256,
}
SHAPES = {"token_embd.weight": (Q4_K, (256, 4)), "norm.weight": (F32, (256,))}


def test_a_gguf_file_fits_its_name_and_the_project(tmp_path: Path) -> None:
    data = gguf_file({**GGUF, "tokenizer.ggml.tokens": ["a", "b", "c", "d"]}, SHAPES)
    write(tmp_path, {"tiny-Q4_K_M.gguf": data})
    checked = check(tmp_path, minimal("gguf", rest="family: Llama"))
    assert errors(checked) == set()
    assert "GGUF, architecture llama, 2 tensors (Q4_K, F32), none cut off" in told(checked)
    assert "quantised as its name says: Q4_K_M" in told(checked)


@pytest.mark.parametrize(
    ("name", "metadata", "id_"),
    [
        ("tiny-Q8_0.gguf", {}, "quantization-differs"),
        ("tiny.gguf", {"tokenizer.ggml.tokens": list("abcde")}, "tokenizer-does-not-fit"),
        ("tiny.gguf", {"llama.embedding_length": 128}, "config-shape-differs"),
    ],
)
def test_a_gguf_file_that_contradicts_itself_is_told(
    tmp_path: Path, name: str, metadata: Mapping[str, int | list[str]], id_: str
) -> None:
    write(tmp_path, {name: gguf_file({**GGUF, **metadata}, SHAPES)})
    assert errors(check(tmp_path, minimal("gguf", rest="family: llama"))) == {id_}


def test_a_gguf_file_of_another_architecture_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"tiny.gguf": gguf_file(GGUF, SHAPES)})
    checked = check(tmp_path, minimal("gguf", rest="family: falcon"))
    assert "says llama" in one(checked, "architecture-differs").message


def lock_of(*lines: str) -> Lock:
    return parse_lock("\n".join(lines).encode(), "requirements.lock")


def test_the_locked_runtime_has_to_be_allowed() -> None:
    project = onnx_project(">=1.17,<2")
    lock = lock_of(f"onnxruntime==1.16.3 {HASH}")
    found = one(check(Path("/nowhere"), project, lock), "runtime-differs-from-lock")
    assert found.where == "requirements.lock:1"
    assert found.level is Level.ERROR
    lock = lock_of(f"numpy==1.26.4 {HASH}")
    assert (
        "does not lock it"
        in one(check(Path("/nowhere"), project, lock), "runtime-not-locked").message
    )


def with_requirements(python: str = "", *platforms: Platform) -> Project:
    project = minimal("onnx")
    needs = replace(project.requirements, python=python, platforms=platforms)
    return replace(project, requirements=replace(needs, runtimes=(Runtime(name="flask"),)))


@pytest.mark.parametrize(
    ("python", "refused"),
    [(">=3.9", "3.9, 3.10"), (">=3.11", ""), ("==3.12.4", ""), (">=3.10.2,<3.12", "3.10")],
)
def test_a_python_that_the_lock_is_not_for_is_told(python: str, refused: str) -> None:
    checked = check(Path("/nowhere"), with_requirements(python), read_lock(VECTORS, "uv.lock"))
    if refused:
        assert f"allows Python {refused}, and" in one(checked, "python-differs-from-lock").message
    else:
        assert errors(checked) == set()


def test_a_package_that_is_not_for_the_python_is_told() -> None:
    checked = check(Path("/n"), with_requirements(">=3.9"), read_lock(VECTORS, "poetry.lock"))
    assert "click 8.5.1 (for >=3.10)" in one(checked, "package-not-for-python").message


def test_wheels_are_there_for_the_platforms() -> None:
    platforms = (
        Platform(os="linux", architecture="amd64"),
        Platform(os="darwin", architecture="arm64"),
    )
    checked = check(
        Path("/nowhere"), with_requirements(">=3.11", *platforms), read_lock(VECTORS, "uv.lock")
    )
    assert errors(checked) == set()
    assert "uv.lock has wheels for linux/amd64 of all 7 packages" in told(checked)
    assert "uv.lock has wheels for darwin/arm64 of all 7 packages" in told(checked)


def test_a_package_without_a_wheel_for_a_platform_is_told() -> None:
    text = re.sub(r"manylinux\w*_x86_64", "linux_s390x", (VECTORS / "uv.lock").read_text())
    project = with_requirements(">=3.11", Platform(os="linux", architecture="amd64"))
    checked = check(Path("/nowhere"), project, parse_lock(text.encode(), "uv.lock"))
    assert "markupsafe" in one(checked, "only-source-for-platform").message
    without = "\n".join(line for line in text.splitlines() if not line.startswith("sdist"))
    checked = check(Path("/nowhere"), project, parse_lock(without.encode(), "uv.lock"))
    assert "markupsafe" in one(checked, "no-wheel-for-platform").message
    assert one(checked, "no-wheel-for-platform").level is Level.ERROR


def test_a_platform_that_conda_did_not_lock_is_told() -> None:
    project = with_requirements(">=3.11", Platform(os="windows", architecture="amd64"))
    checked = check(Path("/nowhere"), project, read_lock(VECTORS, "conda-lock.yml"))
    assert "linux-64, osx-arm64" in one(checked, "platform-not-locked").message


def test_every_finding_says_where_and_what_to_do(tmp_path: Path) -> None:
    llama(tmp_path, **{"config.json": {**CONFIG, "vocab_size": 7}, "x.onnx": onnx_file()})
    checked = check(tmp_path, minimal("safetensors", "float16"), lock_of("torch"))
    assert len(checked.findings) >= 5
    for found in checked.findings:
        assert found.where, found
        assert found.hint or found.add, found
