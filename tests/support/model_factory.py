# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Small real model directories, made in milliseconds and without a machine-learning library.

The model is `scores = features x w`: a safetensors file and an ONNX file with the same weights, a
model card, evaluation results, hyper-parameters, a lock file, and a full `modelseal.yaml`.
"""

import json
import random
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from modelseal.attest.predicates.types import CYCLONEDX, PROVENANCE, SCAI, SIGNATURE

FEATURES, CLASSES = 4, 3
WEIGHTS = tuple(place / 8 for place in range(FEATURES * CLASSES))

ATTESTED = (SIGNATURE, PROVENANCE, SCAI, CYCLONEDX, SCAI)
"""What `publish` signs about this model, and in this order: more evidence, more statements."""

_NOTHING: Mapping[str, bytes] = MappingProxyType({})
_FLOAT32 = 1  # onnx.TensorProto.FLOAT

PROJECT = """\
apiVersion: modelseal.dev/v1
kind: Model
metadata:
  name: {name}
  version: {version}
  description: Scores transactions
  authors: [Ada <ada@acme.example>]
  licenses: [Apache-2.0]
  vendor: Acme
  sourceURL: https://github.com/acme/fraud
spec:
  format: safetensors
  family: fraud
  architecture: linear
  precision: float32
  paramSize: 0.1K
  files:
    - {{include: "eval/**", kind: doc}}
    - {{exclude: "checkpoints/**"}}
  requirements:
    python: ">=3.11"
    lock: requirements.lock
    runtimes: [{{name: onnxruntime, version: ">=1.17"}}]
    platforms: [{{os: linux, architecture: amd64}}]
    accelerators: [{{type: cpu}}, {{type: cuda, computeCapability: ">=8.0", memory: 16GiB}}]
    memory: 2GiB
    image: ghcr.io/acme/serve@sha256:{image}
  training:
    code: {{repository: "https://github.com/acme/fraud", commit: {commit}}}
    baseModel: {{reference: "ghcr.io/acme/base@sha256:{base}"}}
    datasets:
      - name: transactions
        version: 2024-06-01
        digest: sha256:{data}
        uri: s3://acme-data/transactions
        license: CC-BY-4.0
        personalData: none
    hyperparameters: params.yaml
    seeds: [42]
  evaluation: [eval/results.json]
  signature:
    inputs: [{{name: features, type: float32, shape: [batch, 4]}}]
    outputs: [{{name: scores, type: float32, shape: [batch, 3]}}]
"""

_CARD = """\
---
license: apache-2.0
library_name: onnx
language: [en]
tags: [fraud, tabular]
datasets: [acme/transactions]
model-index:
  - name: fraud
    results: []
---
# Fraud

Scores transactions.
"""


def make_model(
    directory: Path,
    *,
    name: str = "fraud",
    version: str = "1.4.0",
    commit: str = "1" * 40,
    extra: Mapping[str, bytes] = _NOTHING,
    project: str | None = None,
) -> Path:
    """Write a model into `directory`, which is made if it is not there, and return it.

    Args:
        directory: where.
        name: the model's name.
        version: its version.
        commit: of the training code; another one is another input.
        extra: more files, or other contents, by path.
        project: the text of another `modelseal.yaml`; empty for none.
    """
    if project is None:
        project = project_text(name=name, version=version, commit=commit)
    files = model_files()
    if project:
        files["modelseal.yaml"] = project.encode()
    files.update(extra)
    for path, data in files.items():
        target = directory / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return directory


def project_text(*, name: str = "fraud", version: str = "1.4.0", commit: str = "1" * 40) -> str:
    """Return a `modelseal.yaml` that uses every field."""
    return PROJECT.format(
        name=name, version=version, commit=commit, image="2" * 64, base="3" * 64, data="4" * 64
    )


def model_files() -> dict[str, bytes]:
    """Return the files of the model by path, without `modelseal.yaml`."""
    config = {"model_type": "linear", "architectures": ["Linear"], "torch_dtype": "float32"}
    results = {"accuracy": "0.9720", "samples": 360, "perClass": {"0": "0.99", "1": "0.96"}}
    return {
        "model.safetensors": safetensors_file({"w": ("F32", (FEATURES, CLASSES), weight_bytes())}),
        "model.onnx": onnx_file(),
        "config.json": json.dumps(config, indent=2).encode(),
        "README.md": _CARD.encode(),
        "eval/results.json": json.dumps(results, indent=2).encode(),
        "params.yaml": b"learning_rate: '0.01'\nepochs: 3\n",
        "requirements.lock": b"onnxruntime==1.32.0 \\\n    --hash=sha256:" + b"5" * 64 + b"\n",
    }


def weight_bytes() -> bytes:
    """Return the weights as little-endian 32-bit floats."""
    return struct.pack(f"<{len(WEIGHTS)}f", *WEIGHTS)


def safetensors_file(
    tensors: Mapping[str, tuple[str, Sequence[int], bytes]],
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """Return a safetensors file: name to element type, shape and data.

    Format: eight bytes of header length, little-endian; a JSON header; the data.
    """
    header: dict[str, object] = {} if metadata is None else {"__metadata__": dict(metadata)}
    start = 0
    for name, (dtype, shape, data) in tensors.items():
        end = start + len(data)
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    body = b"".join(data for _, _, data in tensors.values())
    return struct.pack("<Q", len(text)) + text + body


def noise_file(size: int, seed: int) -> bytes:
    """Return a safetensors file of exactly `size` bytes, at least 256, that nothing compresses."""
    count = size - 256
    header = {"w": {"dtype": "U8", "shape": [count], "data_offsets": [0, count]}}
    text = json.dumps(header).encode().ljust(256 - 8)
    return struct.pack("<Q", len(text)) + text + random.Random(seed).randbytes(count)


def onnx_file(*, producer: str = "modelseal-tests", weights: bytes | None = None) -> bytes:
    """Return an ONNX model: one MatMul with an initializer. Fields: onnx.proto3."""
    data = weight_bytes() if weights is None else weights
    initializer = (
        _varint(1, FEATURES)
        + _varint(1, CLASSES)
        + _varint(2, _FLOAT32)
        + _text(8, "w")
        + _bytes(9, data)
    )
    node = _text(1, "features") + _text(1, "w") + _text(2, "scores") + _text(4, "MatMul")
    graph = (
        _bytes(1, node)
        + _text(2, "linear")
        + _bytes(5, initializer)
        + _bytes(11, _value_info("features", FEATURES))
        + _bytes(12, _value_info("scores", CLASSES))
    )
    opset = _text(1, "") + _varint(2, 17)
    return (
        _varint(1, 8) + _text(2, producer) + _text(3, "1.0") + _bytes(7, graph) + _bytes(8, opset)
    )


def _value_info(name: str, width: int) -> bytes:
    shape = _bytes(1, _text(2, "batch")) + _bytes(1, _varint(1, width))
    tensor = _varint(1, _FLOAT32) + _bytes(2, shape)
    return _text(1, name) + _bytes(2, _bytes(1, tensor))


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, value: bytes) -> bytes:
    return _number(field << 3 | 2) + _number(len(value)) + value


def _varint(field: int, value: int) -> bytes:
    return _number(field << 3) + _number(value)


def _number(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)
