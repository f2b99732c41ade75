# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Train a small real model that reads handwritten digits, and predict with it.

`train(directory)` fits scikit-learn's digits (1797 pictures of 8 x 8 pixels) and writes what a
team would hand over: the weights as safetensors and ONNX, a model card, the hyper-parameters, the
lock file, an evaluation with the numbers that were measured, a Croissant description of the data,
and a `modelseal.yaml` that names all of it. `predict(directory)` serves it.

By hand: `.venv/bin/python examples/train_digits.py DIR [DATA]`; DATA is where the data are put
that it was trained on, which are not part of the model.
"""

import hashlib
import json
import shutil
import sys
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources
from pathlib import Path
from typing import Any

SEED = 42
HIDDEN_UNITS = 32
LEARNING_RATE = "0.01"
MAX_ITERATIONS = 300
TEST_SHARE = 0.25
OPSET = 17
BRIGHTEST = 16.0
LOCK = Path(__file__).resolve().parents[1] / "requirements-demo.lock"

_SHADES = " .:-=+*#%@"

_CARD = """\
---
license: apache-2.0
library_name: onnx
pipeline_tag: image-classification
language: [en]
tags: [digits, tabular, demo]
datasets: [sklearn/digits]
model-index:
  - name: digits
    results:
      - task: {{type: image-classification}}
        dataset: {{name: scikit-learn digits, type: sklearn/digits}}
        metrics: [{{type: accuracy, value: "{accuracy}"}}]
---
# Digits

Reads a handwritten digit from a picture of 8 x 8 grey pixels. A network with one hidden layer of
{hidden} units, trained on {trained} pictures of scikit-learn's digits; of the {tested} that it
never saw it reads {percent} % right.

- Input `pixels`: float32, [batch, 64], from 0 (white) to 1 (black).
- Outputs: `label`, and the `probabilities` of the ten digits.
- Limits: it knows nothing but single digits of this size and contrast.
"""


_PROJECT = """\
apiVersion: modelseal.dev/v1
kind: Model
metadata:
  name: digits
  version: 0.1.0
  description: Reads a handwritten digit from a picture of 8 x 8 grey pixels
  authors: [the modelseal authors]
  licenses: [Apache-2.0]
  vendor: modelseal's examples
spec:
  format: safetensors
  task: image-classification
  family: mlp
  architecture: MLPClassifier
  precision: float32
  paramSize: 2.4K
  requirements:
    python: ">=3.11"
    lock: requirements.lock
    runtimes: [{{name: onnxruntime, version: ">=1.17"}}]
    platforms: [{{os: linux, architecture: amd64}}, {{os: linux, architecture: arm64}}]
    accelerators: [{{type: cpu}}]
    memory: 512MiB
  training:
    approach: supervised
    baseModel: none
    datasets:
      - name: digits
        version: "{version}"
        uri: file:digits.csv.gz
        digest: sha256:{sha256}
        croissant: data/croissant.json
        license: CC-BY-4.0
        personalData: none
    hyperparameters: params.yaml
    seeds: [{seed}]
  evaluation: [eval/results.json]
  signature:
    inputs: [{{name: pixels, type: float32, shape: [batch, 64]}}]
    outputs:
      - {{name: label, type: int64, shape: [batch]}}
      - {{name: probabilities, type: float32, shape: [batch, 10]}}
  considerations:
    users: [whoever tries modelseal]
    useCases: [showing how a model is shipped]
    technicalLimitations: [it knows nothing but single digits of 8 x 8 grey pixels]
    ethicalConsiderations:
      - {{name: a digit is read wrongly, mitigationStrategy: nobody relies on an example}}
"""
_DATA_VERSION = "1.0.0"
_DATA_FILE = "digits.csv.gz"


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says about one picture that it was not trained on."""

    picture: str
    expected: int
    predicted: int
    probability: str


@dataclass(frozen=True, slots=True)
class _Split:
    train_x: Any
    train_y: Any
    test_x: Any
    test_y: Any


def train(directory: Path, data: Path | None = None) -> None:
    """Train the model and write its files into `directory`, which is made if it is not there.

    Args:
        directory: where the files of the model go.
        data: where the data go that it was trained on; None: nowhere.
    """
    from sklearn.neural_network import MLPClassifier

    split = _load()
    model = MLPClassifier(
        hidden_layer_sizes=(HIDDEN_UNITS,),
        learning_rate_init=float(LEARNING_RATE),
        max_iter=MAX_ITERATIONS,
        random_state=SEED,
    )
    model.fit(split.train_x, split.train_y)
    directory.mkdir(parents=True, exist_ok=True)
    _write_weights(directory, model, split)
    results = _evaluate(directory, split)
    _write_json(directory / "eval" / "results.json", results)
    _write_documents(directory, split, results["accuracy"])
    content = _data_file()
    sha256 = hashlib.sha256(content).hexdigest()
    _write_json(directory / "data" / "croissant.json", _croissant(sha256, len(content)))
    project = _PROJECT.format(version=_DATA_VERSION, sha256=sha256, seed=SEED)
    (directory / "modelseal.yaml").write_text(project, encoding="utf-8")
    if data is not None:
        data.mkdir(parents=True, exist_ok=True)
        (data / _DATA_FILE).write_bytes(content)


def predict(directory: Path, *, place: int = 0) -> Prediction:
    """Load the model from `directory` and let it read a picture from the test set.

    Args:
        directory: where the files of the model are.
        place: which picture of the test set.
    """
    split = _load()
    labels, probabilities = _run(directory, split.test_x[place : place + 1])
    return Prediction(
        picture=_picture(split.test_x[place]),
        expected=int(split.test_y[place]),
        predicted=int(labels[0]),
        probability=_decimal(probabilities[0].max()),
    )


def _load() -> _Split:
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    pixels = (digits.data / BRIGHTEST).astype("float32")
    parts = train_test_split(
        pixels, digits.target, test_size=TEST_SHARE, random_state=SEED, stratify=digits.target
    )
    train_x, test_x, train_y, test_y = parts
    return _Split(train_x, train_y, test_x, test_y)


def _data_file() -> bytes:
    """Return the file that scikit-learn reads its digits from."""
    return (resources.files("sklearn.datasets.data") / _DATA_FILE).read_bytes()


def _croissant(sha256: str, size: int) -> dict[str, Any]:
    """Describe the data as Croissant 1.1 has it: what they are, whose, and where from."""
    return {
        "@context": {
            "@language": "en",
            "@vocab": "https://schema.org/",
            "cr": "http://mlcommons.org/croissant/",
            "rai": "http://mlcommons.org/croissant/RAI/",
            "dct": "http://purl.org/dc/terms/",
            "sc": "https://schema.org/",
            "prov": "http://www.w3.org/ns/prov#",
            "duo": "http://purl.obolibrary.org/obo/DUO_",
        },
        "@type": "Dataset",
        "dct:conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": "digits",
        "description": "1797 pictures of handwritten digits, 8 x 8 pixels of 17 shades each: the "
        "test set of UCI's optical recognition of handwritten digits.",
        "license": "https://creativecommons.org/licenses/by/4.0/",
        "url": "https://archive.ics.uci.edu/dataset/80",
        "creator": [
            {"@type": "Person", "name": "E. Alpaydin"},
            {"@type": "Person", "name": "C. Kaynak"},
        ],
        "datePublished": "1998-07-01",
        "version": _DATA_VERSION,
        "distribution": [
            {
                "@type": "cr:FileObject",
                "@id": _DATA_FILE,
                "name": _DATA_FILE,
                "contentUrl": _DATA_FILE,
                "contentSize": f"{size} B",
                "encodingFormat": "application/gzip",
                "sha256": sha256,
            }
        ],
        "cr:recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "pictures",
                "name": "pictures",
                "cr:field": [
                    {
                        "@type": "cr:Field",
                        "@id": "pictures/line",
                        "name": "line",
                        "description": "64 shades from 0 to 16, then the digit, with commas",
                        "cr:dataType": {"@id": "sc:Text"},
                        "cr:source": {
                            "cr:fileObject": {"@id": _DATA_FILE},
                            "cr:extract": {"cr:fileProperty": "lines"},
                        },
                    }
                ],
            }
        ],
        "cr:citeAs": "E. Alpaydin, C. Kaynak: Optical Recognition of Handwritten Digits. UCI "
        "Machine Learning Repository, 1998. https://doi.org/10.24432/C50P49",
        "prov:wasDerivedFrom": {
            "@id": "https://archive.ics.uci.edu/dataset/80",
            "prov:label": "Optical Recognition of Handwritten Digits, UCI",
        },
        "prov:wasGeneratedBy": {
            "@type": "prov:Activity",
            "prov:label": "counting the pixels of scanned forms in blocks of 4 x 4",
        },
        "usageInfo": {
            "@type": "DefinedTerm",
            "name": "No restriction",
            "termCode": "DUO_0000004",
            "url": "duo:0000004",
        },
        "rai:personalSensitiveInformation": "None",
        "rai:dataLimitations": "Digits of 13 writers; one size and one contrast",
    }


def _write_weights(directory: Path, model: Any, split: _Split) -> None:  # noqa: ANN401 - as above
    from safetensors.numpy import save_file
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    tensors = {}
    for name, weight, bias in zip(
        ("hidden", "output"), model.coefs_, model.intercepts_, strict=True
    ):
        tensors[f"{name}.weight"] = weight.astype("float32")
        tensors[f"{name}.bias"] = bias.astype("float32")
    save_file(tensors, directory / "model.safetensors")
    network = to_onnx(
        model,
        name="digits",
        initial_types=[("pixels", FloatTensorType([None, split.train_x.shape[1]]))],
        options={"zipmap": False},
        target_opset=OPSET,
    )
    (directory / "model.onnx").write_bytes(network.SerializeToString(deterministic=True))


def _run(directory: Path, pixels: Any) -> tuple[Any, Any]:  # noqa: ANN401 - arrays
    import onnxruntime

    session = onnxruntime.InferenceSession(
        (directory / "model.onnx").read_bytes(), providers=["CPUExecutionProvider"]
    )
    (name,) = (item.name for item in session.get_inputs())
    labels, probabilities = session.run(None, {name: pixels})
    return labels, probabilities


def _evaluate(directory: Path, split: _Split) -> dict[str, Any]:
    """Measure what is handed over: the ONNX file, not the object in memory."""
    from sklearn.metrics import accuracy_score, log_loss, precision_recall_fscore_support

    labels, probabilities = _run(directory, split.test_x)
    precision, recall, f1, support = precision_recall_fscore_support(
        split.test_y, labels, labels=range(10)
    )
    return {
        "dataset": {"name": "scikit-learn digits", "split": "test", "seed": SEED},
        "samples": len(split.test_y),
        "accuracy": _decimal(accuracy_score(split.test_y, labels)),
        "logLoss": _decimal(log_loss(split.test_y, probabilities)),
        "perClass": {
            str(digit): {
                "precision": _decimal(precision[digit]),
                "recall": _decimal(recall[digit]),
                "f1": _decimal(f1[digit]),
                "samples": int(support[digit]),
            }
            for digit in range(10)
        },
    }


def _write_documents(directory: Path, split: _Split, accuracy: str) -> None:
    card = _CARD.format(
        accuracy=accuracy,
        percent=f"{Decimal(accuracy) * 100:.1f}",
        hidden=HIDDEN_UNITS,
        trained=len(split.train_y),
        tested=len(split.test_y),
    )
    (directory / "README.md").write_text(card, encoding="utf-8")
    config = {
        "model_type": "mlp",
        "architectures": ["MLPClassifier"],
        "torch_dtype": "float32",
        "hidden_layer_sizes": [HIDDEN_UNITS],
        "activation": "relu",
        "classes": 10,
    }
    _write_json(directory / "config.json", config)
    params = (
        f"hidden_units: {HIDDEN_UNITS}\nlearning_rate: {LEARNING_RATE}\n"
        f"max_iterations: {MAX_ITERATIONS}\ntest_share: {TEST_SHARE}\nseed: {SEED}\n"
    )
    (directory / "params.yaml").write_text(params, encoding="utf-8")
    shutil.copyfile(LOCK, directory / "requirements.lock")


def _write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def _picture(pixels: Any) -> str:  # noqa: ANN401 - an array
    shades = [_SHADES[min(int(pixel * len(_SHADES)), len(_SHADES) - 1)] for pixel in pixels]
    rows = ["".join(shade * 2 for shade in shades[at : at + 8]) for at in range(0, 64, 8)]
    return "\n".join(row.rstrip() for row in rows)


def _decimal(number: float) -> str:
    """Write a measured number as text: what decides something is never a float."""
    return f"{float(number):.4f}"


if __name__ == "__main__":
    train(*map(Path, sys.argv[1:3]))
