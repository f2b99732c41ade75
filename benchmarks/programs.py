# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The programs that push and pull beside each other: each as its documentation has it used."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from benchmarks.measure import Call, Sample, measure
from tests.support import cli, peers
from tests.support.cli import Command
from tests.support.processes import Server

OURS = "modelseal"
_WEIGHTS = (".safetensors", ".bin", ".onnx")

Words: TypeAlias = list[str | Path]


@dataclass(frozen=True, slots=True)
class Program:
    """Somebody who pushes and pulls.

    Attributes:
        name: What to call it.
        push: From a model, a reference and the file of a CA (None: plain HTTP) to what is called,
            in this order.
        pull: From a reference, an output directory and the file of a CA to what is called.
        verifies: Whether every byte of a pull is compared with its digest.
    """

    name: str
    binary: Callable[[], Path]
    push: Callable[[Path, str, Path | None], list[Words]]
    pull: Callable[[str, Path, Path | None], list[Words]]
    verifies: bool = True


def programs(*names: str) -> list[Program]:
    """Return those that are compared; ours is the first."""
    return [_ALL[name] for name in names or _ALL]


def run(  # noqa: PLR0917 - who, what and where
    program: Program,
    calls: list[Words],
    home: Path,
    cwd: Path | None,
    ca: Path | None,
    server: Server,
) -> Sample:
    """Run a program's calls one after the other; return what they took together."""
    settings = {"KITOPS_HOME": str(home / "kitops")}
    if ca is not None:
        settings["SSL_CERT_FILE"] = str(ca)
    command = Command(program.binary(), home, settings)
    first, *rest = [measure(Call(command, words, cwd=cwd), server) for words in calls]
    for sample in rest:
        first += sample
    return first


def files_of(model: Path) -> list[str]:
    """Return the paths of all files below a directory, sorted."""
    return sorted(str(p.relative_to(model)) for p in model.rglob("*") if p.is_file())


def _ours_push(model: Path, reference: str, ca: Path | None) -> list[Words]:
    return [["push", model, reference, *_with_ca(ca)]]


def _ours_pull(reference: str, output: Path, ca: Path | None) -> list[Words]:
    return [["pull", reference, "--output", output, *_with_ca(ca)]]


def _with_ca(ca: Path | None) -> Words:
    return [] if ca is None else ["--ca-file", ca]


def _oras(ca: Path | None) -> Words:
    return ["--no-tty", *(["--plain-http"] if ca is None else ["--ca-file", ca])]


def _oras_push(model: Path, reference: str, ca: Path | None) -> list[Words]:
    return [["push", *_oras(ca), reference, *files_of(model)]]


def _oras_pull(reference: str, output: Path, ca: Path | None) -> list[Words]:
    return [["pull", *_oras(ca), reference, "--output", output]]


def _plain(ca: Path | None) -> Words:
    return ["--plain-http"] if ca is None else []


def _modctl_push(model: Path, reference: str, ca: Path | None) -> list[Words]:
    lines = ["NAME m", "FORMAT safetensors"]
    lines += [
        f"{'MODEL' if name.endswith(_WEIGHTS) else 'CODE'} {name}" for name in files_of(model)
    ]
    modelfile = model.with_name("Modelfile")
    modelfile.write_text("\n".join(lines) + "\n", encoding="utf-8")
    build: Words = ["build", model, "-f", modelfile, "-t", reference, "--raw"]
    return [build, ["push", reference, *_plain(ca)]]


def _modctl_pull(reference: str, output: Path, ca: Path | None) -> list[Words]:
    how: Words = ["--extract-from-remote", "--extract-dir", output]
    return [["pull", reference, *how, *_plain(ca)]]


def _kit_push(model: Path, reference: str, ca: Path | None) -> list[Words]:
    names = files_of(model)
    weights = [name for name in names if name.endswith(_WEIGHTS)]
    code = [name for name in names if not name.endswith(_WEIGHTS)]
    first, *parts = weights
    lines = ['manifestVersion: "1.0.0"', "package: {name: m, version: 1.4.0}"]
    lines += ["model:", "  name: m", f"  path: {first}", "  parts:"]
    lines += [f"    - path: {name}" for name in parts]
    lines += ["code:", *(f"  - path: {name}" for name in code)]
    kitfile = model.with_name("Kitfile")
    kitfile.write_text("\n".join(lines) + "\n", encoding="utf-8")
    pack: Words = ["pack", model, "--tag", reference, "--file", kitfile]
    return [pack, ["push", reference, *_plain(ca)]]


def _kit_pull(reference: str, output: Path, ca: Path | None) -> list[Words]:
    return [["unpack", reference, "--dir", output, *_plain(ca)]]


_ALL: Mapping[str, Program] = {
    OURS: Program(OURS, cli.modelseal_program, _ours_push, _ours_pull),
    "oras": Program("oras", lambda: peers.path("oras"), _oras_push, _oras_pull),
    "modctl": Program("modctl", lambda: peers.path("modctl"), _modctl_push, _modctl_pull),
    "kit": Program("kit", lambda: peers.path("kit"), _kit_push, _kit_pull, verifies=False),
}
