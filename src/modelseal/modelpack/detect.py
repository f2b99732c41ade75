# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a directory says about the model in it, for a first `modelseal.yaml`.

Everything here is a suggestion that a person reads before it is signed. A file that cannot be
read is a note, not an error, and every read is bounded.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from modelseal.documents import parse_json, parse_json_object, parse_yaml
from modelseal.errors import Error, InvalidDocumentError
from modelseal.modelpack._forms import PRECISIONS
from modelseal.modelpack._patterns import Rules
from modelseal.modelpack.onnx import read_onnx
from modelseal.modelpack.plain_files import read_small
from modelseal.modelpack.project import FileRule, Signature, Tensor
from modelseal.modelpack.safetensors import read_safetensors

MAX_DOCUMENT_BYTES = 1 << 20
"""Largest card or configuration that is read."""

LOCK_NAMES = ("requirements.lock", "pylock.toml", "uv.lock", "poetry.lock", "conda-lock.yml")
"""What lock files are called, the one that is for the model alone first."""

_MAX_ENTRIES = 2_000
_MAX_DEPTH = 4
_MAX_HEADERS = 500
_MAX_ONNX = 32
_MAX_TENSORS = 500_000
_MAX_BROKEN = 8  # a header of 16 MiB takes seconds to read, and is no use when it is broken
_MAX_LIST = 64
_MAX_PARAMETERS = 10**18

_FORMATS: Mapping[str, str] = {
    ".safetensors": "safetensors",
    ".onnx": "onnx",
    ".gguf": "gguf",
    ".tflite": "tflite",
    ".keras": "keras",
    ".h5": "keras",
    ".pb": "tensorflow",
    ".pt": "pytorch",
    ".pth": "pytorch",
    ".bin": "pytorch",
    ".pkl": "pickle",
    ".joblib": "pickle",
}
"""Best first: the one that a model is served from, if it is there in several."""

# Hugging Face writes licences in lower case; these are the SPDX identifiers.
_SPDX = """
Apache-2.0 MIT BSD-2-Clause BSD-3-Clause ISC MPL-2.0 EPL-2.0 EUPL-1.2 BSL-1.0 AFL-3.0 OSL-3.0 MS-PL
Artistic-2.0 Unlicense WTFPL Zlib NCSA PostgreSQL OFL-1.1 CC0-1.0 CC-BY-3.0 CC-BY-4.0 CC-BY-SA-4.0
CC-BY-NC-4.0 CC-BY-NC-SA-4.0 CC-BY-ND-4.0 CC-BY-NC-ND-4.0 ODbL-1.0 PDDL-1.0 C-UDA-1.0
"""
_LICENSES = {name.lower(): name for name in _SPDX.split()} | {
    "gpl-2.0": "GPL-2.0-only",
    "gpl-3.0": "GPL-3.0-only",
    "lgpl-2.1": "LGPL-2.1-only",
    "lgpl-3.0": "LGPL-3.0-only",
    "agpl-3.0": "AGPL-3.0-only",
}
HUB_LICENSES: Mapping[str, str] = {spdx: hub for hub, spdx in _LICENSES.items()}
"""What Hugging Face calls the licence of an SPDX identifier."""


_RESULTS = re.compile(r"(eval|evaluation)/[A-Za-z0-9_-]{3,100}\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What was found; an empty value was not."""

    name: str = ""
    description: str = ""
    licenses: tuple[str, ...] = ()
    unknown_licenses: tuple[str, ...] = ()
    """As they were written; they are not SPDX identifiers."""
    format: str = ""
    family: str = ""
    architecture: str = ""
    precision: str = ""
    param_size: str = ""
    python: str = ""
    lock: str = ""
    hyperparameters: str = ""
    evaluation: tuple[str, ...] = ()
    base_models: tuple[str, ...] = ()
    datasets: tuple[str, ...] = ()
    signature: Signature | None = None
    seen: tuple[str, ...] = ()
    """One line for each file that said something."""
    notes: tuple[str, ...] = ()
    """One line for each file that could not be read."""

    def or_else(self, other: Self) -> Self:
        """Return these findings, with the gaps filled from `other`."""
        merged = {
            item.name: getattr(self, item.name) or getattr(other, item.name)
            for item in fields(self)
        }
        merged["seen"] = self.seen + other.seen
        merged["notes"] = self.notes + other.notes
        return type(self)(**merged)


def detect(directory: Path) -> Findings:
    """Look into `directory`. Raises nothing for what it finds there: that is noted."""
    paths = paths_in(directory)
    found = Findings()
    for reader in (_card, _safetensors, _onnx, _mlmodel, read_transformers, _named_files):
        found = found.or_else(_read(reader, directory, paths))
    return found.or_else(Findings(name=directory.resolve().name))


def paths_in(directory: Path, files: Iterable[FileRule] = ()) -> list[str]:
    """Return the plain files that would be packed, sorted; no more than 2000, four levels deep.

    Args:
        directory: the model directory.
        files: the rules of `spec.files`.
    """
    return sorted(_paths(directory, Rules(files)))


_Reader = Callable[[Path, list[str]], Findings]


def _read(reader: _Reader, directory: Path, paths: list[str]) -> Findings:
    try:
        return reader(directory, paths)
    except Error as error:
        return Findings(notes=(str(error),))


def _paths(directory: Path, rules: Rules) -> Iterator[str]:
    count = 0
    for place, directories, names in os.walk(directory):
        here = Path(place).relative_to(directory)
        directories[:] = sorted(
            name
            for name in directories
            if len(here.parts) < _MAX_DEPTH and not rules.skips_directory((here / name).as_posix())
        )
        for name in sorted(names):
            path = (here / name).as_posix()
            count += 1
            if count > _MAX_ENTRIES:
                return
            if rules.verdict(path) and not (directory / path).is_symlink():
                yield path


def _card(directory: Path, paths: list[str]) -> Findings:
    """Read the front matter of a model card: https://huggingface.co/docs/hub/model-cards."""
    raw = (
        read_small(directory, "README.md", limit=MAX_DOCUMENT_BYTES)
        if "README.md" in paths
        else None
    )
    match = re.match(
        rb"\xef?\xbb?\xbf?---[ \t]*\r?\n(.*?\n)---[ \t]*(?:\r?\n|$)", raw or b"", re.DOTALL
    )
    if not match:
        return Findings()
    card = parse_yaml(match.group(1), "README.md (front matter)")
    if not isinstance(card, dict):
        return Findings()
    written = _texts(card.get("license"))
    index = card.get("model-index")
    entry = index[0] if isinstance(index, list) and index else None
    return Findings(
        name=_text(entry.get("name")) if isinstance(entry, dict) else "",
        licenses=tuple(_LICENSES[item.lower()] for item in written if item.lower() in _LICENSES),
        unknown_licenses=tuple(item for item in written if item.lower() not in _LICENSES),
        base_models=_texts(card.get("base_model")),
        datasets=_texts(card.get("datasets")),
        seen=("README.md: " + _card_line(card),),
    )


def _card_line(card: Mapping[str, Any]) -> str:
    said = {
        key: _texts(card.get(key)) for key in ("library_name", "pipeline_tag", "language", "tags")
    }
    return (
        "; ".join(f"{key} {', '.join(value)}" for key, value in said.items() if value)
        or "a model card"
    )


def _safetensors(directory: Path, paths: list[str]) -> Findings:
    """Sum up the headers of all safetensors files: a model may be cut into several."""
    names = [path for path in paths if path.endswith(".safetensors")]
    counts: dict[str, int] = {}
    tensors = 0
    notes: list[str] = []
    for name in names[:_MAX_HEADERS]:
        if tensors > _MAX_TENSORS or len(notes) >= _MAX_BROKEN:
            notes.append(f"{name} and the safetensors files after it were not read: too many")
            break
        try:
            header = read_safetensors(directory / name)
        except Error as error:
            notes.append(str(error))
            continue
        tensors += header.tensors
        for element, count in header.parameters.items():
            counts[element] = counts.get(element, 0) + count
    if not tensors:
        return Findings(notes=tuple(notes))
    total = sum(counts.values())
    where = names[0] if len(names) == 1 else f"{len(names)} safetensors files"
    return Findings(
        precision=precision_of(counts),
        param_size=param_size(total),
        seen=(f"{where}: {tensors} tensors, {total} parameters",),
        notes=tuple(notes),
    )


def _onnx(directory: Path, paths: list[str]) -> Findings:
    found = Findings()
    for name in [path for path in paths if path.endswith(".onnx")][:_MAX_ONNX]:
        found = found.or_else(_read(_one_onnx, directory, [name]))
    return found


def _one_onnx(directory: Path, paths: list[str]) -> Findings:
    header = read_onnx(directory / paths[0])
    maker = f", made by {_text(header.producer)}" if _text(header.producer) else ""
    return Findings(
        precision=precision_of(header.parameters),
        param_size=param_size(sum(header.parameters.values())),
        signature=Signature(inputs=header.inputs, outputs=header.outputs),
        seen=(f"{paths[0]}: ONNX, opset {header.opset}{maker}",),
    )


def _mlmodel(directory: Path, paths: list[str]) -> Findings:
    """Read MLflow's description: https://mlflow.org/docs/latest/ml/model, "MLmodel"."""
    raw = read_small(directory, "MLmodel", limit=MAX_DOCUMENT_BYTES) if "MLmodel" in paths else None
    if raw is None:
        return Findings()
    model = parse_yaml(raw, "MLmodel")
    if not isinstance(model, dict):
        raise InvalidDocumentError("MLmodel is not a mapping")
    flavors = model.get("flavors")
    flavors = flavors if isinstance(flavors, dict) else {}
    said = ["flavors " + ", ".join(map(_text, flavors))] + [
        f"{key} {_text(model.get(key))}"
        for key in ("run_id", "model_uuid", "utc_time_created")
        if _text(model.get(key))
    ]
    function = flavors.get("python_function")
    python = _text(function.get("python_version")) if isinstance(function, dict) else ""
    version = re.match(r"[0-9]+\.[0-9]+", python)
    return Findings(
        python=f">={version.group()}" if version else "",
        signature=_mlflow_signature(model.get("signature")),
        seen=("MLmodel: " + "; ".join(said),),
    )


def _mlflow_signature(value: object) -> Signature | None:
    if not isinstance(value, dict):
        return None
    inputs, outputs = (_mlflow_tensors(value.get(key), key) for key in ("inputs", "outputs"))
    return Signature(inputs=inputs, outputs=outputs) if inputs or outputs else None


def _mlflow_tensors(value: object, key: str) -> tuple[Tensor, ...]:
    items = (
        parse_json(value.encode(), f"MLmodel, signature.{key}") if isinstance(value, str) else []
    )
    if not isinstance(items, list):
        return ()
    return tuple(
        _mlflow_tensor(item, f"{key.removesuffix('s')}_{place}")
        for place, item in enumerate(items[:_MAX_LIST])
        if isinstance(item, dict)
    )


def _mlflow_tensor(item: Mapping[str, Any], default: str) -> Tensor:
    name, spec = _text(item.get("name")) or default, item.get("tensor-spec")
    if not isinstance(spec, dict):
        return Tensor(name=name, type=_text(item.get("type")))
    shape = spec.get("shape")
    return Tensor(
        name=name,
        type=_text(spec.get("dtype")),
        shape=tuple(
            size if type(size) is int and size >= 0 else f"dim_{place}"
            for place, size in enumerate(shape[:_MAX_LIST])
        )
        if isinstance(shape, list)
        else None,
    )


def read_transformers(directory: Path, paths: list[str]) -> Findings:
    """Read the `config.json` of Hugging Face transformers."""
    raw = (
        read_small(directory, "config.json", limit=MAX_DOCUMENT_BYTES)
        if "config.json" in paths
        else None
    )
    if raw is None:
        return Findings()
    config = parse_json_object(raw, "config.json")
    family, architectures = _text(config.get("model_type")), _texts(config.get("architectures"))
    dtype = _text(config.get("torch_dtype")) or _text(config.get("dtype"))
    if not family and not architectures:
        return Findings()
    return Findings(
        family=family,
        architecture=architectures[0] if architectures else "",
        precision=dtype if dtype in PRECISIONS else "",
        seen=("config.json: " + ", ".join(filter(None, (family, *architectures))),),
    )


def _named_files(directory: Path, paths: list[str]) -> Findings:
    suffixes = {os.path.splitext(path)[1].lower() for path in paths}  # noqa: PTH122 - text in, text out
    weights = next((name for suffix, name in _FORMATS.items() if suffix in suffixes), "")
    hyperparameters = ("params.yaml", "params.yml", "params.json", "hyperparameters.yaml")
    return Findings(
        format=weights,
        lock=next((name for name in LOCK_NAMES if name in paths), ""),
        hyperparameters=next((name for name in hyperparameters if name in paths), ""),
        evaluation=tuple(filter(_RESULTS.fullmatch, paths))[:_MAX_LIST],
        notes=() if weights else (f"{directory} has no file in a format that is known",),
    )


def param_size(count: int) -> str:
    """Write a number of parameters as ModelPack does (`6.7B`); empty for none or too many."""
    if not 0 < count < _MAX_PARAMETERS:
        return ""
    for letter, scale in (("Q", 10**15), ("T", 10**12), ("B", 10**9), ("M", 10**6), ("K", 10**3)):
        if count >= scale or letter == "K":
            tenths = max(1, (count * 10 + scale // 2) // scale)
            return f"{tenths // 10}.{tenths % 10}".removesuffix(".0") + letter
    return ""


def precision_of(counts: Mapping[str, int]) -> str:
    """Name the element types of the weights, the most frequent first; rare ones are left out."""
    total = sum(counts.values())
    known = sorted((-count, name) for name, count in counts.items() if name in PRECISIONS)
    return ",".join(name for count, name in known if -count * 100 >= total)


def _text(value: object) -> str:
    """Return one short, printable line; what is anything else counts as not there."""
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    return text.strip() if text.isprintable() and len(text) <= 200 else ""  # noqa: PLR2004


def _texts(value: object) -> tuple[str, ...]:
    items = value if isinstance(value, list) else [value]
    return tuple(filter(None, map(_text, items[:_MAX_LIST])))
