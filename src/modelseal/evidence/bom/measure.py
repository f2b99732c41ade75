# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What the weights say of themselves: their headers are read, never the weights."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from modelseal.errors import ContentError
from modelseal.evidence.bom.facts import Measured
from modelseal.modelpack.detect import precision_of
from modelseal.modelpack.onnx import OnnxHeader, read_onnx
from modelseal.modelpack.project import Signature
from modelseal.modelpack.safetensors import read_safetensors

MAX_HEADERS: Final = 500
"""Most weight files whose headers are read; a model of more is not measured."""


def measure(directory: Path, paths: Iterable[str], declared_format: str) -> Measured:
    """Read the headers of the files of the declared format; nothing when one cannot be read.

    Args:
        directory: where the files are.
        paths: of the packed files.
        declared_format: of several formats of one model the one that counts.

    Raises:
        Error: a file is not there any more, or the disk refused.
    """
    names = sorted(paths)
    onnx = _onnx(directory, [name for name in names if name.endswith(".onnx")])
    graph = onnx[0] if len(onnx) == 1 else None
    signature = Signature(inputs=graph.inputs, outputs=graph.outputs) if graph else None
    if declared_format == "onnx":
        counts = [header.parameters for header in onnx]
    elif declared_format == "safetensors":
        counts = _safetensors(directory, [n for n in names if n.endswith(".safetensors")])
    else:
        counts = []
    total = _total(counts)
    return Measured(
        format=declared_format if counts else "",
        parameters=sum(total.values()),
        precision=precision_of(total),
        signature=signature,
    )


def _safetensors(directory: Path, names: list[str]) -> list[Mapping[str, int]]:
    if len(names) > MAX_HEADERS:
        return []
    try:
        return [read_safetensors(directory / name).parameters for name in names]
    except ContentError:
        return []  # that a file is broken is told where it is checked


def _onnx(directory: Path, names: list[str]) -> list[OnnxHeader]:
    if len(names) > MAX_HEADERS:
        return []
    try:
        return [read_onnx(directory / name) for name in names]
    except ContentError:
        return []


def _total(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for count in counts:
        for element, number in count.items():
            total[element] = total.get(element, 0) + number
    return total
