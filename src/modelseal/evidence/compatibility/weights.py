# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Safetensors files: whole, none missing, in the precision and the size that is declared."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modelseal.documents import parse_json_object
from modelseal.errors import ContentError, Error
from modelseal.evidence.compatibility.checked import REMAKE, Checked
from modelseal.evidence.locks.said import listed
from modelseal.modelpack.detect import param_size
from modelseal.modelpack.plain_files import read_small
from modelseal.modelpack.project import Project
from modelseal.modelpack.safetensors import StoredTensor, read_safetensors

MAX_INDEX_BYTES = 32 << 20
"""Largest `model.safetensors.index.json` that is read."""
MAX_TENSORS = 2_000_000
"""Most tensors of all files of one model that are looked at."""

_SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})(\.\w+)")
_INDEX = (".safetensors.index.json", ".bin.index.json")
_RARE = 100  # a type that fewer than one in so many parameters has need not be declared
_SIZE = re.compile(r"(\d+(?:\.\d)?)([KMBTQ])", re.IGNORECASE)
_SCALES = {"K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12, "Q": 10**15}
_MOST_OFF = 1.25
"""How far a declared number of parameters may be off; names of models round generously."""


@dataclass(slots=True)
class Weights:
    """The tensors of all safetensors files, by name."""

    tensors: dict[str, StoredTensor] = field(default_factory=dict)
    place: dict[str, str] = field(default_factory=dict)
    """In which file each is."""
    files: list[str] = field(default_factory=list)
    """Those that were read."""
    complete: bool = True
    """All of the files were read."""

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of parameters by element type, the most frequent first."""
        found: dict[str, int] = {}
        for tensor in self.tensors.values():
            found[tensor.type] = found.get(tensor.type, 0) + math.prod(tensor.shape)
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def check_weights(directory: Path, paths: list[str], project: Project) -> tuple[Checked, Weights]:
    """Read the headers of all safetensors files; compare them with each other and the project."""
    checked, weights = Checked(), Weights()
    for path in (path for path in paths if path.endswith(".safetensors")):
        _read(directory, path, checked, weights)
    for path in paths:
        if path.endswith(_INDEX):
            _check_index(directory, path, set(paths), checked, weights)
    _check_shards(paths, checked)
    if weights.files:
        total = sum(weights.counts.values())
        where = weights.files[0] if len(weights.files) == 1 else f"{len(weights.files)} files"
        checked.hold(f"{where}: {len(weights.tensors)} tensors, {total} parameters, none cut off")
        if weights.complete and project.format not in {"onnx", "gguf"}:
            check_precision(checked, weights.counts, project, where)
            _check_size(checked, total, project, weights.counts)
    return checked, weights


def _read(directory: Path, path: str, checked: Checked, weights: Weights) -> None:
    if len(weights.tensors) > MAX_TENSORS:
        weights.complete = False
        checked.leave(path, f"the files before it have over {MAX_TENSORS} tensors", where=path)
        return
    try:
        header = read_safetensors(directory / path)
    except Error as error:
        weights.complete = False
        checked.contradict("weights-broken", str(error), where=path, hint=REMAKE)
        return
    weights.files.append(path)
    twice = sorted(header.stored.keys() & weights.tensors.keys())
    # Adapters and several precisions beside each other are models of their own.
    below = path.rpartition("/")[0]
    same = [name for name in twice if weights.place[name].rpartition("/")[0] == below]
    if same and _SHARD.fullmatch(path):
        checked.contradict(
            "tensor-twice",
            f"{path} has tensors that {weights.place[same[0]]} has, too: {listed(same[:5])}",
            where=path,
            hint="leave one of the files out in spec.files",
        )
    for name, tensor in header.stored.items():
        weights.tensors.setdefault(name, tensor)
        weights.place.setdefault(name, path)


def check_precision(
    checked: Checked, counts: Mapping[str, int], project: Project, where: str
) -> None:
    """Compare the declared precision with the element types of the weights."""
    declared = project.precision.split(",") if project.precision else []
    total = sum(counts.values())
    found = [name or "another" for name, count in counts.items() if count * _RARE >= total]
    if not total:
        return
    told = ",".join(name for name in counts if name and counts[name] * _RARE >= total)
    if not declared:
        checked.lack(
            "missing-precision",
            f"it is not said in which precision the weights are; in {where} they are {told}",
            where="modelseal.yaml: spec.precision",
            add=f"spec:\n  precision: {told}" if told else "",
            hint="" if told else "ModelPack has no name for these element types",
        )
    elif "another" in found:
        checked.leave("the precision", f"{where} has element types without a name", where=where)
    elif set(found) - set(declared) or not set(declared) & set(found):
        shares = ", ".join(f"{counts[name] * 100 // total} % {name}" for name in found)
        checked.contradict(
            "precision-differs",
            f"spec.precision is {project.precision}, and the weights in {where} are {shares}",
            where="modelseal.yaml: spec.precision",
            add=f"spec:\n  precision: {told}",
            hint="or pack the weights that were meant",
        )
    else:
        checked.hold(f"the weights in {where} are {', '.join(found)}, as declared")


def _check_size(checked: Checked, total: int, project: Project, counts: Mapping[str, int]) -> None:
    where = "modelseal.yaml: spec.paramSize"
    match = _SIZE.fullmatch(project.param_size)
    if any("int" in name for name in counts):
        # A quantised model packs several parameters into one integer.
        checked.leave("spec.paramSize", "the weights are quantised", where=where)
        return
    if match is None:
        checked.lack(
            "missing-param-size",
            f"it is not said how many parameters the model has; in the files there are {total}",
            where=where,
            add=f"spec:\n  paramSize: {param_size(total)}" if param_size(total) else "",
            hint="" if param_size(total) else "the files have none: look whether all are there",
        )
        return
    said = float(match[1]) * _SCALES[match[2].upper()]
    rounding = _SCALES[match[2].upper()] / 10
    low, high = min(said, total), max(said, total)
    if high > low * _MOST_OFF and high - low > rounding:
        checked.contradict(
            "param-size-differs",
            f"spec.paramSize is {project.param_size}, and the files have {total} parameters",
            where=where,
            add=f"spec:\n  paramSize: {param_size(total)}",
        )


def _check_shards(paths: list[str], checked: Checked) -> None:
    """See that of `model-00001-of-00003.safetensors` all three are there."""
    groups: dict[tuple[str, str, str], set[int]] = {}
    for path in paths:
        match = _SHARD.fullmatch(path)
        if match:
            groups.setdefault((match[1], match[3], match[4]), set()).add(int(match[2]))
    for (stem, count, suffix), numbers in sorted(groups.items()):
        if len(numbers) > int(count) or int(count) > len(numbers) + MAX_TENSORS:
            continue
        missing = [
            f"{stem}-{number:05}-of-{count}{suffix}"
            for number in range(1, min(int(count), len(numbers) + 50) + 1)
            if number not in numbers
        ]
        if missing:
            checked.contradict(
                "shard-missing",
                f"the weights are cut into {int(count)} files, and these are missing: "
                f"{listed(missing)}",
                where=missing[0],
                hint="add them, or look whether spec.files leaves them out",
            )
        else:
            checked.hold(f"all {int(count)} parts of {stem}{suffix} are there")


def _check_index(
    directory: Path, path: str, paths: set[str], checked: Checked, weights: Weights
) -> None:
    """Compare the index of a model in several files with the files.

    Source: Hugging Face transformers, "Sharded checkpoints": `weight_map` gives each tensor its
    file; `metadata.total_size` counts the bytes of all tensors.
    """
    index = read_index(directory, path, MAX_INDEX_BYTES, checked)
    places = index.get("weight_map") if index is not None else None
    if index is None:
        return
    if not isinstance(places, dict) or not all(isinstance(item, str) for item in places.values()):
        checked.contradict("index-broken", f"{path} has no weight_map", where=path, hint=REMAKE)
        return
    below = path.rpartition("/")[0]
    prefix = f"{below}/" if below else ""
    gone = sorted({place for place in places.values() if f"{prefix}{place}" not in paths})
    if gone:
        checked.contradict(
            "shard-missing",
            f"{path} names files that are not there: {listed(gone)}",
            where=path,
            hint="add them, or look whether spec.files leaves them out",
        )
    if path.endswith(_INDEX[0]) and weights.complete:
        _check_places(path, prefix, index, checked, weights)


def _check_places(
    path: str, prefix: str, index: Mapping[str, Any], checked: Checked, weights: Weights
) -> None:
    places: Mapping[str, str] = index["weight_map"]
    read = set(weights.files)
    wrong = sorted(
        name
        for name, place in places.items()
        if f"{prefix}{place}" in read and weights.place.get(name) != f"{prefix}{place}"
    )
    named = {f"{prefix}{place}" for place in places.values()}
    extra = sorted(
        name for name, place in weights.place.items() if place in named and name not in places
    )
    if wrong:
        checked.contradict(
            "index-differs",
            f"{path} names tensors that are not in the file that it says: {listed(wrong[:20])}",
            where=path,
            hint=REMAKE,
        )
    if extra:
        checked.contradict(
            "index-differs",
            f"files have tensors that {path} does not name, so that nobody loads them: "
            f"{listed(extra[:20])}",
            where=path,
            hint=REMAKE,
        )
    metadata = index.get("metadata")
    said = metadata.get("total_size") if isinstance(metadata, dict) else None
    size = sum(tensor.size for name, tensor in weights.tensors.items() if name in places)
    if type(said) is int and said != size and not wrong and named <= read:
        checked.lack(
            "index-size-differs",
            f"{path} says {said} bytes in all, and the tensors that it names have {size}",
            where=path,
            hint="tensors that share their data are counted twice by some tools; see that none is "
            "another one than meant",
        )
    if not wrong and not extra and named <= read:
        checked.hold(f"{path}: all {len(places)} tensors are in the files that it names")


def read_index(directory: Path, path: str, limit: int, checked: Checked) -> dict[str, Any] | None:
    """Read a JSON object beside the model; what keeps it from being read is noted."""
    try:
        raw = read_small(directory, path, limit=limit)
        return parse_json_object(raw, path) if raw is not None else None
    except ContentError as error:
        checked.contradict("document-broken", str(error), where=path, hint=REMAKE)
    except Error as error:
        checked.leave(path, str(error), where=path)
    return None
