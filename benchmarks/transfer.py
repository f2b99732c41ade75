# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Push and pull beside other programs: alternating, on the same bytes and an empty registry.

A program is one `Program`, a shape of model one `Shape`: both lists are there to grow.
"""

import filecmp
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from benchmarks.measure import Call, Sample, Samples, measure
from benchmarks.report import Table, mebibytes, ratio, seconds
from benchmarks.stage import MIB, Stage

_TAG = "1.4.0"
_OURS = "modelseal"

Taken: TypeAlias = Mapping[str, Samples]
"""What each program took, by its name."""


@dataclass(frozen=True, slots=True)
class Program:
    """Somebody who pushes and pulls.

    Attributes:
        name: What to call it.
        push: From a model directory and a reference to the call that pushes all its files.
        pull: From a reference and an output directory to the call that pulls them.
    """

    name: str
    push: Callable[[Path, str], Call]
    pull: Callable[[str, Path], Call]


@dataclass(frozen=True, slots=True)
class Shape:
    """A model: `size` bytes in `files` weight files, and the usual small files."""

    size: int
    files: int

    def __str__(self) -> str:
        return f"{self.size / (1 << 30):.3g} GiB in {self.files} files"


def programs(stage: Stage) -> list[Program]:
    """Return all that are compared; ours is the first."""

    def oras_push(model: Path, reference: str) -> Call:
        files = sorted(p.relative_to(model) for p in model.rglob("*") if p.is_file())
        words: list[str | Path] = ["push", "--plain-http", "--no-tty", reference, *files]
        return Call(stage.oras, words, cwd=model)

    def oras_pull(reference: str, output: Path) -> Call:
        words: list[str | Path] = ["pull", "--plain-http", "--no-tty", reference]
        return Call(stage.oras, [*words, "--output", output])

    def push(model: Path, reference: str) -> Call:
        return Call(stage.modelseal, ["push", model, reference])

    def pull(reference: str, output: Path) -> Call:
        return Call(stage.modelseal, ["pull", reference, "--output", output])

    return [Program(_OURS, push, pull), Program("oras", oras_push, oras_pull)]


def run(stage: Stage, size: int, runs: int) -> list[Table]:
    """Measure all programs on all shapes."""
    shapes = [Shape(size, files=4)]
    return [_table(shape, *_measured(stage, shape, runs), runs) for shape in shapes]


def _measured(stage: Stage, shape: Shape, runs: int) -> tuple[Taken, Taken]:
    compared = programs(stage)
    with stage.model(shape.size, files=shape.files) as model:
        return _pushes(stage, model, compared, runs), _pulls(stage, model, compared, runs)


def _pushes(stage: Stage, model: Path, compared: list[Program], runs: int) -> Taken:
    """Push in turn, each time into a registry that holds nothing."""
    taken: dict[str, list[Sample]] = {program.name: [] for program in compared}
    for number in range(runs):
        for program in _turned(compared, number):
            with stage.registry() as registry:
                call = program.push(model, f"{registry.host}/models/m:{_TAG}")
                taken[program.name].append(measure(call, registry.server))
    return {name: Samples(tuple(samples)) for name, samples in taken.items()}


def _pulls(stage: Stage, model: Path, compared: list[Program], runs: int) -> Taken:
    """Pull the same artifact in turn; what comes out is compared with what went in."""
    taken: dict[str, list[Sample]] = {program.name: [] for program in compared}
    with stage.registry() as registry:
        reference = f"{registry.host}/models/m:{_TAG}"
        measure(compared[0].push(model, reference))
        for number in range(runs):
            for program in _turned(compared, number):
                with stage.place("pulled") as output:
                    call = program.pull(reference, output)
                    taken[program.name].append(measure(call, registry.server))
                    _check_same(model, output)
    return {name: Samples(tuple(samples)) for name, samples in taken.items()}


def _turned(compared: list[Program], number: int) -> list[Program]:
    """Let another one be the first in every round."""
    start = number % len(compared)
    return compared[start:] + compared[:start]


def _check_same(model: Path, output: Path) -> None:
    names = [str(p.relative_to(model)) for p in model.rglob("*") if p.is_file()]
    _, other, missing = filecmp.cmpfiles(model, output, names, shallow=False)
    assert not other, f"other bytes came out: {other}"
    assert not missing, f"did not come out: {missing}"


def _table(shape: Shape, pushes: Taken, pulls: Taken, runs: int) -> Table:
    table = Table(
        f"Push and pull, {shape}",
        f"Medians of {runs} runs, in turn. Client and registry share the cores, so the wall time "
        "has the registry's work in it; the client's CPU time is the steadier figure. The ratios "
        f"are those of {_OURS}: below 1 it takes less. Every byte is verified by all of them.",
        ("", "wall", "ratio", "client CPU", "a GiB", "ratio", "registry CPU", "memory"),
    )
    for step, taken in (("push", pushes), ("pull", pulls)):
        ours = taken[_OURS]
        for name, samples in taken.items():
            mine = name == _OURS
            table.rows.append(
                (
                    f"{step}, {name}",
                    seconds(samples.wall),
                    "" if mine else ratio(ours.wall, samples.wall),
                    seconds(samples.cpu),
                    seconds(samples.cpu / (shape.size / (1024 * MIB))),
                    "" if mine else ratio(ours.cpu, samples.cpu),
                    seconds(samples.server_cpu),
                    mebibytes(samples.peak),
                )
            )
            table.data[f"{step}, {name}"] = samples.as_json()
    return table
