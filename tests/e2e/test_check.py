# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""`modelseal check` as a person runs it: what holds, what does not, where, and what to do."""

import json
import venv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.cli import Command
from tests.support.model_factory import make_model, project_text

VECTORS = Path(__file__).parents[1] / "vectors" / "locks"
HASH = "--hash=sha256:" + "1" * 64
LOCKED = f"onnxruntime==1.20.1 {HASH}\nnumpy==2.1.0 {HASH}\n"


@pytest.fixture
def fraud(home: Path) -> Path:
    """Make a model whose parts fit each other."""
    return make_model(home / "fraud", extra={"requirements.lock": LOCKED.encode()})


def findings(answer: str) -> Iterator[dict[str, Any]]:
    yield from json.loads(answer)["findings"]


def test_a_model_that_fits_together_is_told_so(modelseal: Command, fraud: Path) -> None:
    done = modelseal("check", str(fraud)).check()
    assert f"checked: fraud 1.4.0, in {fraud}" in done.stdout
    assert "2 packages, all pinned and hashed by requirements.lock" in done.stdout
    assert "the weights in model.safetensors are float32, as declared" in done.stdout
    assert "onnxruntime 1.20.1 of requirements.lock runs model.onnx" in done.stdout
    assert "error:" not in done.stdout


def test_everything_that_does_not_fit_is_told_with_its_place(
    modelseal: Command, fraud: Path
) -> None:
    project = project_text().replace("precision: float32", "precision: float16")
    project = project.replace('version: ">=1.17"', 'version: ">=1.21"')
    project = project.replace("shape: [batch, 4]", "shape: [batch, 5]")
    (fraud / "modelseal.yaml").write_text(project)
    (fraud / "requirements.lock").write_text(f"onnxruntime==1.20.1 {HASH}\nnumpy>=2\n")
    (fraud / "Dockerfile").write_text("FROM python:3.11\n")
    done = modelseal("check", str(fraud), "--output", "json").check(1)
    told = {found["id"]: found for found in findings(done.stdout)}
    assert json.loads(done.stdout)["holds"] is False
    places = {
        "precision-differs": "modelseal.yaml: spec.precision",
        "signature-differs": "modelseal.yaml: spec.signature",
        "runtime-differs-from-lock": "requirements.lock:1",
        "lock-entry-not-pinned": "requirements.lock:2",
        "floating-image-tag": "Dockerfile:1",
    }
    assert {id_: told[id_]["where"] for id_ in places} == places
    assert told["precision-differs"]["add"] == "spec:\n  precision: float32"
    shown = modelseal("check", str(fraud)).check(1).stdout
    assert "to do: write `FROM python:3.11@sha256:DIGEST`" in shown


def test_an_environment_that_is_named_has_to_be_that_of_the_lock(
    modelseal: Command, fraud: Path, home: Path
) -> None:
    venv.create(home / "venv", with_pip=False)
    (site,) = (home / "venv").glob("lib/python3.*/site-packages")
    for name, version in (("onnxruntime", "1.20.1"), ("numpy", "2.0.0"), ("extra", "1.0")):
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    arguments = ("check", str(fraud), "--environment", str(home / "venv"))
    done = modelseal(*arguments, "--output", "json").check(1)
    told = {found["id"]: found["message"] for found in findings(done.stdout)}
    assert "numpy 2.1.0 (installed: 2.0.0) (line 2)" in told["locked-package-in-another-version"]
    assert "extra 1.0" in told["package-not-in-the-lock"]
    (site / "numpy-2.0.0.dist-info").rename(site / "numpy-2.1.0.dist-info")
    path = site / "numpy-2.1.0.dist-info" / "METADATA"
    path.write_text(path.read_text().replace("2.0.0", "2.1.0"))
    assert "2 of 2 locked packages are installed" in modelseal(*arguments).check().stdout


@pytest.mark.parametrize(
    ("name", "packages"), [("uv.lock", 10), ("pylock.toml", 9), ("requirements.txt", 9)]
)
def test_what_uv_locks_is_checked(modelseal: Command, home: Path, name: str, packages: int) -> None:
    fraud = make_model(
        home / "fraud",
        project=project_text()
        .replace("requirements.lock", name)
        .replace("onnxruntime", "flask")
        .replace(">=1.17", ">=3"),
        extra={name: (VECTORS / name).read_bytes()},
    )
    shown = modelseal("check", str(fraud)).check().stdout
    assert f"{packages} packages, all pinned and hashed by {name} (made by uv)" in shown


def test_a_directory_that_is_no_model_and_a_venv_that_is_none_are_told(
    modelseal: Command, fraud: Path, home: Path
) -> None:
    assert "gone is not a directory" in modelseal("check", "gone").check(2).stderr
    done = modelseal("check", str(fraud), "--environment", str(home)).check(2)
    assert "is no virtual environment" in done.stderr


def test_a_lock_that_is_none_is_an_error_of_the_model(modelseal: Command, fraud: Path) -> None:
    (fraud / "requirements.lock").write_text("{}\n")
    done = modelseal("check", str(fraud), "--output", "json").check(1)
    assert "lock-unreadable" in {found["id"] for found in findings(done.stdout)}


def test_a_build_tells_the_same(modelseal: Command, fraud: Path) -> None:
    (fraud / "requirements.lock").write_text("numpy\n")
    done = modelseal("build", str(fraud), "--explain", "--output", "json").check()
    told = [found["id"] for found in findings(done.stdout)]
    assert {"lock-entry-not-pinned", "runtime-not-locked"} <= set(told)
    places = [
        (found["id"], found.get("where")) for found in findings(done.stdout) if "add" in found
    ]
    assert len(places) == len(set(places))
