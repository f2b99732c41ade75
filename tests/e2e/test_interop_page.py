# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Who reads what whom, and what each does with a blob that was changed: docs/interop.md."""

import json
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
from tests.support.cli import Command, Result
from tests.support.interop import Table, version_of
from tests.support.kills import contents
from tests.support.model_factory import make_model
from tests.support.registries import Registry, RegistryName

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
WEIGHTS = "model.safetensors"
FILES = {
    WEIGHTS: b"weights " * 40_000,
    "config.json": b"{}",
    "README.md": b"# A model\n",
}
KITFILE = """
manifestVersion: "1.0.0"
package: {name: fraud, version: 1.0.0}
model: {name: fraud, path: model.safetensors, parts: [{path: config.json}]}
docs: [{path: README.md}]
"""
MODELFILE = (
    "NAME fraud\nFORMAT safetensors\nMODEL model.safetensors\nCONFIG config.json\nDOC README.md\n"
)
_PATIENCE = 25.0
STILL_TRYING = -1
"""In place of an exit code: it was ended after `_PATIENCE` seconds."""

ORAS_PY = """
import os, sys
from oras.client import OrasClient

what, target, place = sys.argv[1:]
client = OrasClient(insecure=True, tls_verify=False)
if what == "pull":
    client.pull(target=target, outdir=place)
else:
    os.chdir(place)
    client.push(target=target, files=sorted(os.listdir(".")), disable_path_validation=True)
"""

Read: TypeAlias = Callable[[str, Path], Result]
"""Fetches a reference into a directory."""
Write: TypeAlias = Callable[[str, Path], None]
"""Sends a directory under a reference."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A registry with its storage on this disk, and the programs."""

    registry: Registry
    home: Path
    modelseal: Command
    kit: Command
    modctl: Command
    oras: Command

    @property
    def place(self) -> str:
        """A reference that nobody has used."""
        return f"{self.registry.host}/models/m-{uuid.uuid4().hex[:12]}:1.4.0"

    def readers(self) -> Mapping[str, Read]:
        """Return every way to fetch a model, by the words of the page."""
        return {
            "modelseal pull": lambda ref, out: self.modelseal("pull", ref, "--output", out),
            f"{version_of('kit')}, `kit pull`, then `kit unpack`": self._kit_pull,
            f"{version_of('kit')}, `kit unpack` from the registry": self._kit_unpack,
            f"{version_of('modctl')}, `modctl pull`": self._modctl_pull,
            f"{version_of('oras')}, `oras pull`": lambda ref, out: self.oras(
                "pull", "--plain-http", ref, "--output", out
            ),
            f"{version_of('oras-py')}, `OrasClient.pull`": lambda ref, out: self._oras_py(
                "pull", ref, out
            ),
        }

    def writers(self) -> Mapping[str, Write]:
        """Return every way to send a model, by the words of the page."""
        return {
            f"{version_of('kit')}, ModelKit": self._kit_push,
            f"{version_of('kit')}, ModelPack": lambda ref, model: self._kit_push(
                ref, model, "--use-model-pack"
            ),
            f"{version_of('modctl')}, ModelPack": self._modctl_push,
            f"{version_of('oras')}, artifact": self._oras_push,
            f"{version_of('oras-py')}, artifact": lambda ref, model: self._check(
                self._oras_py("push", ref, model)
            ),
        }

    def spoil(self, reference: str) -> None:
        """Change four bytes of the largest blob in the registry's storage, beside its digest."""
        place, _, tag = reference.rpartition(":")
        name = place.partition("/")[2]
        asked = urllib.request.Request(
            f"{self.registry.url}/v2/{name}/manifests/{tag}", headers={"Accept": MANIFEST}
        )
        with urllib.request.urlopen(asked) as answer:
            layers = json.load(answer)["layers"]
        digest = max(layers, key=lambda layer: layer["size"])["digest"].removeprefix("sha256:")
        (blob,) = self.registry.directory.rglob(f"sha256/*/{digest}/data")
        with blob.open("r+b") as file:
            file.seek(blob.stat().st_size // 2)
            file.write(b"\xff\xfe\xfd\xfc")

    def _kit_pull(self, reference: str, out: Path) -> Result:
        done = self.kit("pull", reference, "--plain-http")
        return done if done.returncode else self.kit("unpack", reference, "--dir", out)

    def _kit_unpack(self, reference: str, out: Path) -> Result:
        fresh = Command(self.kit.program, self.home, {"KITOPS_HOME": f"{out}-kitops"})
        return fresh("unpack", reference, "--plain-http", "--dir", out)

    def _kit_push(self, reference: str, model: Path, *options: str) -> None:
        (model / "Kitfile").write_text(KITFILE)
        self.kit("pack", model, "--tag", reference, *options).check()
        self.kit("push", reference, "--plain-http").check()
        (model / "Kitfile").unlink()

    def _modctl_pull(self, reference: str, out: Path) -> Result:
        words = ("pull", reference, "--plain-http", "--extract-dir", out)
        try:
            return self.modctl(*words, timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            return Result(tuple(map(str, words)), STILL_TRYING, "", "")

    def _modctl_push(self, reference: str, model: Path) -> None:
        (model / "Modelfile").write_text(MODELFILE)
        self.modctl("build", model, "-f", model / "Modelfile", "-t", reference).check()
        self.modctl("push", reference, "--plain-http").check()
        (model / "Modelfile").unlink()

    def _oras_push(self, reference: str, model: Path) -> None:
        kind = ("--artifact-type", "application/vnd.acme.model")
        names = sorted(FILES)
        self.oras("push", "--plain-http", *kind, reference, *names, cwd=model).check()

    def _oras_py(self, what: str, reference: str, place: Path) -> Result:
        python = Command(Path(sys.executable), self.home)
        return python("-c", ORAS_PY, what, reference, place)

    def _check(self, result: Result) -> None:
        result.check()


@pytest.fixture
def stage(
    serve_registry: Callable[[RegistryName], Registry],
    home: Path,
    modelseal: Command,
    kit: Command,
    modctl: Command,
    oras: Command,
) -> Stage:
    return Stage(serve_registry("distribution"), home, modelseal, kit, modctl, oras)


def seen(done: Result, out: Path, files: Mapping[str, bytes]) -> str:
    """Say what came of fetching an intact model."""
    if done.returncode:
        return "refuses"
    found = contents(out)
    # Who keeps a list of its own writes it beside the files.
    extra = set(found) - set(files) - {"Kitfile"}
    return (
        "all files, byte for byte"
        if not extra and files.items() <= found.items()
        else "other files"
    )


def seen_spoilt(done: Result, out: Path, weights: bytes) -> str:
    """Say what came of fetching a model whose weights were changed in the registry."""
    there = contents(out).get(WEIGHTS) not in {None, weights} if out.is_dir() else False
    left = "**leaves the changed file**" if there else "leaves nothing"
    if done.returncode == 0:
        return f"**exits 0** and {left}"
    if done.returncode == STILL_TRYING:
        return f"asks for it again and again, {left}"
    return f"refuses, {left}"


def test_each_reads_what_modelseal_writes_and_what_it_does_with_a_changed_blob(
    stage: Stage,
) -> None:
    table = Table("reading", ["program", "reads what modelseal writes", "a changed blob"])
    model = make_model(stage.home / "model", extra={WEIGHTS: FILES[WEIGHTS]})
    intact = stage.place
    stage.modelseal("push", model, intact).check()
    # The storage keeps a blob once for all repositories: other weights, to be changed.
    weights = FILES[WEIGHTS][::-1]
    (model / WEIGHTS).write_bytes(weights)
    spoilt = stage.place
    stage.modelseal("push", model, spoilt).check()
    stage.spoil(spoilt)
    (model / WEIGHTS).write_bytes(FILES[WEIGHTS])
    for number, (name, read) in enumerate(stage.readers().items()):
        good, bad = stage.home / f"good-{number}", stage.home / f"bad-{number}"
        first = seen(read(intact, good), good, contents(model))
        table.add(name, first, seen_spoilt(read(spoilt, bad), bad, weights))
    table.hold()


def test_modelseal_reads_what_each_writes_and_refuses_a_changed_blob(stage: Stage) -> None:
    table = Table("writing", ["program", "modelseal reads what it writes", "a changed blob"])
    for number, (name, write) in enumerate(stage.writers().items()):
        files = {**FILES, WEIGHTS: FILES[WEIGHTS] + bytes([number])}
        model = stage.home / f"model-{number}"
        model.mkdir()
        for path, data in files.items():
            (model / path).write_bytes(data)
        reference = stage.place
        write(reference, model)
        out, bad = stage.home / f"good-{number}", stage.home / f"bad-{number}"
        first = seen(stage.modelseal("pull", reference, "--output", out), out, files)
        stage.spoil(reference)
        done = stage.modelseal("pull", reference, "--output", bad, "--no-cache")
        table.add(name, first, seen_spoilt(done, bad, files[WEIGHTS]))
    table.hold()
