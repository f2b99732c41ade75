# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""ours ⇄ kit ⇄ modctl ⇄ oras: each reads what the others write, through a real registry."""

import json
import tarfile
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.cli import Command
from tests.support.model_factory import make_model
from tests.support.registries import Registry, RegistryName

FILES = {
    "model.safetensors": b"weights " * 4000,
    "config.json": b"{}",
    "README.md": b"# A model\n",
    "src/run.py": b"print(1)\n",
    "data/train.csv": b"1,2\n" * 200,
}
KITFILE = """
manifestVersion: "1.0.0"
package: {name: fraud, version: 1.0.0}
model: {name: fraud, path: model.safetensors, parts: [{path: config.json}]}
code: [{path: src/run.py}]
datasets: [{name: train, path: data/train.csv}]
docs: [{path: README.md}]
"""
MODELFILE = """
NAME fraud
FORMAT safetensors
MODEL model.safetensors
CONFIG config.json
CODE src/run.py
DOC README.md
"""


@pytest.fixture
def place(serve_registry: Callable[[RegistryName], Registry]) -> str:
    """A repository that nobody has used."""
    return f"{serve_registry('distribution').host}/models/m-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def model(home: Path) -> Path:
    """A directory for packers that know nothing of modelseal."""
    return make_model(home / "model", project="", extra=FILES)


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def pulled(modelseal: Command, reference: str) -> dict[str, bytes]:
    """Pull what others wrote, after an inspection and a signature of ours on it."""
    home = modelseal.home
    secret = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}
    modelseal("key", "generate", "--output", "k", env=secret).check()
    modelseal("inspect", reference).check()
    modelseal("sign", reference, "--key", "k", env=secret).check()
    modelseal("pull", reference, "--output", "out", "--key", "k.pub").check()
    return contents(home / "out")


@pytest.mark.parametrize(
    "options",
    [
        ["--layer-format", form, "--compression", compression, *how]
        for how in ([], ["--use-model-pack"])
        for form in ("tar", "raw")
        for compression in ("none", "gzip", "zstd")
        if not (how and form == "raw" and compression != "none")  # ModelPack has no such layers
    ],
    ids=" ".join,
)
def test_modelseal_reads_what_kit_writes(
    options: list[str], place: str, model: Path, modelseal: Command, kit: Command
) -> None:
    (model / "Kitfile").write_text(KITFILE)
    kit("pack", model, "--tag", f"{place}:1", *options).check()
    kit("push", f"{place}:1", "--plain-http").check()
    assert pulled(modelseal, f"{place}:1") == FILES


@pytest.mark.parametrize("form", ["raw", "tar"])
def test_modelseal_reads_what_modctl_writes(
    form: str, place: str, model: Path, modelseal: Command, modctl: Command
) -> None:
    (model / "Modelfile").write_text(MODELFILE)
    raw = f"--raw={'true' if form == 'raw' else 'false'}"
    modctl("build", model, "-f", model / "Modelfile", "-t", f"{place}:1", raw).check()
    modctl("push", f"{place}:1", "--plain-http").check()
    wanted = {name: data for name, data in FILES.items() if name != "data/train.csv"}
    assert pulled(modelseal, f"{place}:1") == wanted


def test_modelseal_reads_what_oras_writes(
    place: str, model: Path, modelseal: Command, oras: Command
) -> None:
    names = ["model.safetensors", "src", "data/train.csv:text/csv"]
    kind = ("--artifact-type", "application/vnd.acme.model")
    oras("push", "--plain-http", *kind, f"{place}:1", *names, cwd=model).check()
    assert pulled(modelseal, f"{place}:1") == {
        name: FILES[name] for name in ("model.safetensors", "src/run.py", "data/train.csv")
    }


@pytest.fixture
def ours(place: str, home: Path, modelseal: Command) -> tuple[str, dict[str, bytes]]:
    """The reference of a model that modelseal wrote, and its files."""
    directory = make_model(home / "ours", extra={"deep/er/vocab.json": b"{}"})
    modelseal("push", directory, f"{place}:1.4.0").check()
    return f"{place}:1.4.0", contents(directory)


def test_kit_reads_what_modelseal_writes(
    ours: tuple[str, dict[str, bytes]], home: Path, kit: Command
) -> None:
    reference, files = ours
    kit("pull", reference, "--plain-http").check()
    kit("unpack", reference, "--dir", home / "out").check()
    assert contents(home / "out") == files


def test_modctl_reads_what_modelseal_writes(
    ours: tuple[str, dict[str, bytes]], home: Path, modctl: Command
) -> None:
    reference, files = ours
    modctl("pull", reference, "--plain-http", "--extract-dir", home / "out").check()
    assert contents(home / "out") == files


def test_oras_reads_what_modelseal_writes(
    ours: tuple[str, dict[str, bytes]], home: Path, oras: Command
) -> None:
    reference, files = ours
    oras("pull", "--plain-http", reference, "--output", home / "out").check()
    assert contents(home / "out") == files


def test_an_index_of_oras_gives_one_model(
    place: str, model: Path, modelseal: Command, oras: Command
) -> None:
    for platform in ("amd64", "arm64"):
        (model / "which.bin").write_text(platform)
        oras(
            *("push", "--plain-http", "--artifact-platform", f"linux/{platform}"),
            *("--artifact-type", "application/vnd.acme.model"),
            *(f"{place}:{platform}", "which.bin"),
            cwd=model,
        ).check()
    oras("manifest", "index", "create", "--plain-http", f"{place}:all", "amd64", "arm64").check()
    for platform in ("amd64", "arm64"):
        out = modelseal.home / platform
        chosen = ("--platform", f"linux/{platform}")
        done = modelseal("pull", f"{place}:all", "--output", out, *chosen, "--json").check()
        assert (out / "which.bin").read_text() == platform
        assert json.loads(done.stdout)["index"]["mediaType"].endswith("index.v1+json")
    other = ("--platform", "linux/s390x", "--output", "other")
    refused = modelseal("pull", f"{place}:all", *other).check(1)
    assert "linux/amd64, linux/arm64" in refused.stderr


def test_crane_reads_the_image_that_modelseal_writes(
    place: str, home: Path, modelseal: Command, crane: Command
) -> None:
    directory = make_model(home / "ours", extra={"deep/er/vocab.json": b"{}"})
    reference = f"{place}:1.4.0-image"
    modelseal("push", directory, reference, "--profile", "image").check()
    crane("export", reference, "image.tar").check()
    with tarfile.open(home / "image.tar") as archive:
        archive.extractall(home / "image", filter="data")
    assert contents(home / "image" / "models") == contents(directory)
    modelseal("pull", reference, "--output", "out").check()
    assert contents(home / "out") == contents(directory)


def test_models_are_compared_without_their_weights(
    place: str, home: Path, modelseal: Command
) -> None:
    for version in ("1.4.0", "1.5.0"):
        directory = make_model(home / version, version=version, extra={"v.txt": version.encode()})
        modelseal("push", directory, f"{place}:{version}").check()
    assert modelseal("diff", f"{place}:1.4.0", f"{place}:1.4.0").check().stdout.endswith("equal\n")
    done = modelseal("diff", f"{place}:1.4.0", f"{place}:1.5.0", "--output", "json").check(1)
    changed = {change["name"] for change in json.loads(done.stdout)["changedFiles"]}
    assert changed == {"modelseal.yaml", "v.txt"}
