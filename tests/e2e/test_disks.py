# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The installed command on disks that are small, full or read-only: told before, or cleanly."""

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.cli import Command
from tests.support.disks import small_disk
from tests.support.fake_registry import FakeRegistry, Fault, StoredManifest, digest_of
from tests.support.kills import contents
from tests.support.model_factory import make_model

SIZE = 5 << 20
SHARD = "large.safetensors"
NAME = "acme/fraud"


@pytest.fixture
def modelseal(started_modelseal: Command) -> Command:
    return started_modelseal


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


@pytest.fixture
def model(home: Path, registry: FakeRegistry, modelseal: Command) -> Path:
    """A model of 5 MiB that is in the registry."""
    directory = make_model(home / "model", extra={SHARD: bytes(range(256)) * (SIZE // 256)})
    modelseal("push", directory, f"{registry.host}/{NAME}:1").check()
    registry.requests.clear()
    return directory


def weights_asked_for(registry: FakeRegistry) -> list[str]:
    """Return the large blobs that were asked for."""
    large = {digest for (_, digest), data in registry.blobs.items() if len(data) == SIZE}
    return [r.path for r in registry.asked("GET") if r.path.rpartition("/")[2] in large]


def refused(done_stdout: str) -> dict[str, str]:
    """Return the error of a command that was asked for JSON."""
    error: dict[str, str] = json.loads(done_stdout)["error"]
    return error


@pytest.mark.usefixtures("model")
def test_what_no_disk_has_room_for_is_told_before_a_byte_is_fetched(
    modelseal: Command, registry: FakeRegistry, home: Path
) -> None:
    digest = registry.tags[NAME, "1"]
    manifest = json.loads(registry.manifests[NAME, digest].raw)
    (layer,) = [layer for layer in manifest["layers"] if layer["size"] == SIZE]
    layer["size"] = 1 << 50
    layer["annotations"].pop("org.cncf.model.file.metadata+json")
    raw = json.dumps(manifest).encode()
    kind = "application/vnd.oci.image.manifest.v1+json"
    registry.manifests[NAME, digest_of(raw)] = StoredManifest(kind, raw)
    registry.tags[NAME, "2"] = digest_of(raw)
    for cache in ((), ("--no-cache",)):
        done = modelseal("pull", f"{registry.host}/{NAME}:2", "--output", "out", "--json", *cache)
        error = refused(done.check(1).stdout)
        assert error["code"] == "storage"
        assert "room" in error["message"]
        assert not (home / "out").exists()
    assert weights_asked_for(registry) == []


@pytest.mark.parametrize("cache", [(), ("--no-cache",)], ids=["cache", "no cache"])
def test_a_disk_that_refuses_in_the_middle_is_told_and_the_next_run_finishes(
    modelseal: Command, registry: FakeRegistry, home: Path, model: Path, cache: tuple[str, ...]
) -> None:
    words = ["pull", f"{registry.host}/{NAME}:1", "--output", "out", *cache]
    # As a quota does it: no file may become larger than 2 MiB.
    script = 'ulimit -f 2048; exec "$0" "$@"'
    shell = ["bash", "-c", script, str(modelseal.program), *words, "--json"]
    done = subprocess.run(
        shell, env=modelseal.environment, cwd=home, check=False, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    assert refused(done.stdout)["code"] == "storage"
    assert "Traceback" not in done.stderr
    assert not (home / "out").exists()
    modelseal(*words).check()
    assert contents(home / "out") == contents(model)


@pytest.mark.usefixtures("model")
def test_a_disk_that_is_too_small_is_told_before_a_byte_is_fetched(
    modelseal: Command, registry: FakeRegistry, home: Path
) -> None:
    with small_disk(home / "disk", 3) as disk:
        out = disk.path / "out"
        words = ("pull", f"{registry.host}/{NAME}:1", "--output", out, "--json")
        error = refused(modelseal(*words).check(1).stdout)
        assert error["code"] == "storage"
        assert str(disk.path) in error["message"]
        assert weights_asked_for(registry) == []
        assert list(disk.path.iterdir()) == []


def test_a_disk_that_fills_up_in_the_middle_is_told_and_the_next_run_goes_on(
    modelseal: Command, registry: FakeRegistry, home: Path, model: Path
) -> None:
    with small_disk(home / "disk", 80) as disk:
        env = {"MODELSEAL_CACHE": str(disk.path / "cache")}
        out = disk.path / "out"
        words = ("pull", f"{registry.host}/{NAME}:1", "--output", out, "--json")
        registry.faults = [Fault(method="GET", path="/blobs/", rate=3 << 20)]

        def fill() -> None:
            until = time.monotonic() + 20
            while not weights_asked_for(registry) and time.monotonic() < until:
                time.sleep(0.01)
            time.sleep(0.3)
            disk.fill()

        filler = threading.Thread(target=fill)
        filler.start()
        done = modelseal(*words, env=env).check(1)
        filler.join()
        error = refused(done.stdout)
        assert error["code"] == "storage"
        assert "space" in error["message"]
        assert not out.exists()
        disk.empty()
        registry.faults = []
        modelseal(*words, env=env).check()
        assert contents(out) == contents(model)
        assert list((disk.path / "cache" / "parts").iterdir()) == []


def test_a_read_only_disk_is_told_and_a_cache_on_one_is_left_out(
    modelseal: Command, registry: FakeRegistry, home: Path, model: Path
) -> None:
    with small_disk(home / "disk", 80) as disk:
        disk.forbid_writing()
        words = ("pull", f"{registry.host}/{NAME}:1", "--json")
        error = refused(modelseal(*words, "--output", disk.path / "out").check(1).stdout)
        assert error["code"] == "storage"
        assert "Read-only" in error["message"]
        assert weights_asked_for(registry) == []
        cached = {"XDG_CACHE_HOME": str(disk.path), "MODELSEAL_CACHE": str(disk.path / "cache")}
        modelseal(*words, "--output", "out", env=cached).check()
        assert contents(home / "out") == contents(model)
        # What a push remembers is only a help, too.
        modelseal("push", model, f"{registry.host}/{NAME}:2", env=cached).check()
