# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The installed command pushes: what is refused beforehand, and what survives kills."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.cli import Command
from tests.support.fake_registry import FakeRegistry, Fault
from tests.support.kills import NO_NETWORK, contents
from tests.support.model_factory import make_model

from modelseal.oci.content import BytesContent
from modelseal.oci.descriptor import EMPTY_BYTES, EMPTY_DESCRIPTOR, Descriptor, Digest
from modelseal.oci.layout import LayoutStore
from modelseal.oci.manifest import Manifest

GIB = 1 << 30


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def quiet(home: Path) -> dict[str, str]:
    """An environment in which every connection is an error."""
    (home / "quiet").mkdir()
    (home / "quiet" / "sitecustomize.py").write_text(NO_NETWORK)
    return {"PYTHONPATH": str(home / "quiet")}


@pytest.mark.parametrize(
    ("registry", "size", "limit"),
    [
        ("ghcr.io", 10 * 10**9 + 1, "10 GB"),
        ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", 52_000 * 2**20 + 1, "52000 MiB"),
        ("public.ecr.aws", 10_000 * 2**20 + 1, "10000 MiB"),
    ],
)
def test_a_layer_that_is_too_large_is_told_before_anything_is_asked(
    modelseal: Command, home: Path, quiet: dict[str, str], registry: str, size: int, limit: str
) -> None:
    model = make_model(home / "model")
    with (model / "large.gguf").open("wb") as file:
        os.truncate(file.fileno(), size)  # no disk is needed for what nobody reads
    begun = time.monotonic()
    done = modelseal("push", model, f"{registry}/acme/fraud:1.4.0", "-o", "json", env=quiet)
    said = json.loads(done.check(1).stdout)["error"]
    assert said["code"] == "layer-too-large"
    assert f"{registry} takes no layer above {limit}, and large.gguf has" in said["message"]
    assert "llama-gguf-split --split" in said["hint"]
    assert time.monotonic() - begun < 20  # to hash it takes longer
    # Who says so gets to the network.
    again = ("push", model, f"{registry}/acme/fraud:1.4.0", "--ignore-limits")
    assert "the network was asked" in modelseal(*again, env=quiet).stderr


def test_what_has_to_arrive_in_ten_minutes_is_told_before_anything_is_asked(
    modelseal: Command, home: Path, quiet: dict[str, str]
) -> None:
    model = make_model(home / "model")
    with (model / "large.gguf").open("wb") as file:
        os.truncate(file.fileno(), 9 * 10**9)
    done = modelseal("push", model, "ghcr.io/acme/fraud:1.4.0", env=quiet)
    note = "ghcr.io ends an upload after 10 minutes: large.gguf (9 GB) needs 15 MB a second"
    assert f"note: {note}" in done.stderr.partition("the network was asked")[0]


def test_a_copy_that_is_too_large_is_told_before_anything_is_asked(
    modelseal: Command, home: Path, quiet: dict[str, str]
) -> None:
    store = LayoutStore(home / "store")
    kind = "application/vnd.acme.model"
    title = {"org.opencontainers.image.title": "model.safetensors"}
    layer = Descriptor(kind, Digest("sha256", "0" * 64), 11 * GIB, title)
    manifest = Manifest.build(artifact_type=kind, layers=[layer])
    store.push(EMPTY_DESCRIPTOR, BytesContent(EMPTY_BYTES))
    store.push(manifest.descriptor, BytesContent(manifest.raw))
    store.tag(manifest.descriptor, "1")
    done = modelseal("copy", "oci:store:1", "ghcr.io/acme/m:1", env=quiet).check(1)
    assert "ghcr.io takes no layer above 10 GB, and model.safetensors has 11 GiB" in done.stderr
    assert "max_shard_size" in done.stderr


@pytest.mark.parametrize("command", ["push", "copy"])
def test_half_of_an_upload_survives_a_kill(
    modelseal: Command, registry: FakeRegistry, home: Path, command: str
) -> None:
    size = 48 << 20
    model = make_model(home / "model", extra={"large.safetensors": os.urandom(size)})
    reference = f"{registry.host}/acme/fraud:1.4.0"
    registry.faults = [Fault(method="PUT", path="/uploads/", intake=12 << 20)]
    words = ["push", str(model), reference, "--quiet"]
    if command == "copy":
        modelseal("build", model, "--store", "oci:store:1.4.0", cwd=home).check()
        words = ["copy", f"oci:{home}/store:1.4.0", reference, "--quiet"]
    with subprocess.Popen([modelseal.program, *words], env=modelseal.environment) as process:
        until = time.monotonic() + 60
        while registry.taken < size * 0.6 and time.monotonic() < until:
            time.sleep(0.01)
        process.kill()
    while not any(len(held) > size // 2 for held in registry.uploads.values()):
        time.sleep(0.01)
        assert time.monotonic() < until
    registry.faults, registry.requests = [], []
    modelseal(*words).check()
    sent = sum(request.body_size for request in registry.requests if request.method == "PUT")
    assert sent <= size * 0.55
    modelseal("pull", reference, "--output", home / "out").check()
    assert contents(home / "out") == contents(model)
    assert list((home / ".cache" / "modelseal" / "uploads").iterdir()) == []
