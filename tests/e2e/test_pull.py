# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The installed command pulls: resumed after kills, from the cache, offline, in parts."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.cli import Command
from tests.support.fake_registry import FakeRegistry, Fault, Recorded
from tests.support.kills import NO_NETWORK, contents
from tests.support.model_factory import make_model, noise_file

ENV = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}
UNIT = 256 << 10
SHARD = "model-00001-of-00001.safetensors"
SEED = 20260109


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry() as fake:
        yield fake


def pushed(modelseal: Command, registry: FakeRegistry, home: Path, size: int) -> tuple[Path, str]:
    """Publish a model with one large file and the usual small ones; return it and its name."""
    model = make_model(home / "model", extra={SHARD: noise_file(size, SEED)})
    modelseal("key", "generate", "--output", home / "release.key", env=ENV).check()
    reference = f"{registry.host}/acme/fraud:1.4.0"
    modelseal("publish", model, reference, "--key", home / "release.key", env=ENV).check()
    registry.requests.clear()
    return model, reference


def key(home: Path) -> tuple[str | Path, ...]:
    return "--key", home / "release.key.pub"


def fetched_bytes(requests: list[Recorded], digest: str, size: int) -> int:
    """Return how many bytes of a blob were asked for."""
    total = 0
    for request in requests:
        if request.method == "GET" and request.path.endswith(f"/blobs/{digest}"):
            first, _, last = (
                request.headers.get("range", "bytes=0-").removeprefix("bytes=").partition("-")
            )
            total += int(last or size - 1) - int(first) + 1
    return total


def shard_digest(registry: FakeRegistry, size: int) -> str:
    (digest,) = {digest for (_, digest), data in registry.blobs.items() if len(data) == size}
    return digest


def test_parts_of_a_model_and_what_would_be_fetched(
    modelseal: Command, registry: FakeRegistry, home: Path
) -> None:
    model, reference = pushed(modelseal, registry, home, 3 << 20)
    only = ("--include", "*.safetensors", "--include", "README.md", "--exclude", "model-0*")
    dry = modelseal("pull", reference, "--dry-run", "--json", *only, *key(home)).check()
    plan = json.loads(dry.stdout)
    names = {"README.md", "model.safetensors"}
    assert {layer["path"] for layer in plan["layers"]} == names
    assert plan["missing"] == plan["size"] == sum((model / name).stat().st_size for name in names)
    assert {layer["from"] for layer in plan["layers"]} == {"store"}
    assert plan["verification"]["statements"]
    modelseal("pull", reference, "--output", home / "out", *only, *key(home)).check()
    assert contents(home / "out") == {name: (model / name).read_bytes() for name in names}
    again = json.loads(modelseal("pull", reference, "--dry-run", "--json", *only).check().stdout)
    assert again["missing"] == 0
    assert {layer["from"] for layer in again["layers"]} == {"here"}
    text = modelseal("pull", reference, "--dry-run").check().stdout
    assert f"{SHARD} (3.0 MiB): store" in text
    assert "to fetch: 3.0 MiB" in text


def test_a_pattern_that_means_nothing_is_wrong_usage(
    modelseal: Command, registry: FakeRegistry, home: Path
) -> None:
    _, reference = pushed(modelseal, registry, home, 300)
    done = modelseal("pull", reference, "--output", home / "out", "--include", "*.zip").check(2)
    assert "none of the model's" in done.stderr
    assert not (home / "out").exists()
    assert "--dry-run" in modelseal("pull", reference).check(2).stderr


def test_offline_asks_nobody_and_verifies_all_the_same(
    modelseal: Command, registry: FakeRegistry, home: Path
) -> None:
    model, reference = pushed(modelseal, registry, home, 3 << 20)
    (home / "quiet").mkdir()
    (home / "quiet" / "sitecustomize.py").write_text(NO_NETWORK)
    quiet = {"PYTHONPATH": str(home / "quiet")}
    offline = ("--offline", *key(home))

    early = modelseal("pull", reference, "--output", home / "early", *offline, env=quiet)
    assert "is not in the cache" in early.check(20).stderr
    modelseal("pull", reference, "--output", home / "online", *key(home)).check()
    modelseal("verify", reference, *offline, env=quiet).check()
    modelseal("pull", reference, "--output", home / "out", *offline, env=quiet).check()
    assert contents(home / "out") == contents(model) == contents(home / "online")

    modelseal("key", "generate", "--output", home / "other.key", env=ENV).check()
    other = ("--offline", "--key", home / "other.key.pub")
    modelseal("pull", reference, "--output", home / "other", *other, env=quiet).check(11)
    lost = modelseal("cache", "prune", "--all", "--output", "json").check()
    assert json.loads(lost.stdout)["size"] == 0
    gone = modelseal("pull", reference, "--output", home / "gone", *offline, env=quiet)
    assert "is not in the cache" in gone.check(20).stderr
    both = ("--offline", "--no-cache")
    modelseal("pull", reference, "--output", home / "both", *both, env=quiet).check(2)


def test_statements_that_nobody_listed_are_not_taken_for_none(
    modelseal: Command, registry: FakeRegistry, home: Path
) -> None:
    _, reference = pushed(modelseal, registry, home, 300)
    modelseal("pull", reference, "--output", home / "unverified").check()
    registry.faults.append(Fault(status=503))
    done = modelseal("verify", reference, "--offline", *key(home))
    assert "what speaks about" in done.check(20).stderr
    registry.faults.clear()
    modelseal("verify", reference, "--offline", *key(home)).check()


def test_the_cache_tells_what_it_holds(
    modelseal: Command, registry: FakeRegistry, home: Path
) -> None:
    _, reference = pushed(modelseal, registry, home, 3 << 20)
    env = {"MODELSEAL_CACHE": str(home / "elsewhere")}
    modelseal("pull", reference, "--output", home / "out", env=env).check()
    use = json.loads(modelseal("cache", "info", "--output", "json", env=env).check().stdout)
    assert use["path"] == str(home / "elsewhere")
    assert use["size"] > 3 << 20
    assert use["unfinished"] == 0
    assert "files: " in modelseal("cache", "info", env=env).check().stdout
    modelseal("cache", "prune", "--cache-limit", "1M", env=env).check()
    use = json.loads(modelseal("cache", "info", "--output", "json", env=env).check().stdout)
    assert 0 < use["size"] <= 1 << 20
    modelseal("cache", "info", "--cache-limit", "much").check(2)


def test_a_cache_that_cannot_be_written_to_does_not_stop_a_pull(
    modelseal: Command, registry: FakeRegistry, home: Path
) -> None:
    model, reference = pushed(modelseal, registry, home, 3 << 20)
    (home / "file").write_text("")
    cache = ("--cache", home / "file")
    modelseal("pull", reference, "--output", home / "out", *cache).check()
    assert contents(home / "out") == contents(model)


# Kills


def journal_of(cache: Path) -> Path | None:
    return next(iter((cache / "parts").glob("*.journal")), None)


def marked(cache: Path) -> int:
    """Return how many units a killed run has left."""
    journal = journal_of(cache)
    raw = b"" if journal is None else journal.read_bytes()
    return raw.partition(b"\n")[2].count(b"#")


def test_half_of_a_blob_survives_a_kill(
    modelseal: Command, registry: FakeRegistry, home: Path
) -> None:
    size = 48 << 20
    model, reference = pushed(modelseal, registry, home, size)
    digest = shard_digest(registry, size)
    registry.faults = [Fault(path=digest, rate=8 << 20)]
    cache = home / ".cache" / "modelseal"
    words = ["pull", reference, "--output", str(home / "out"), "--quiet"]
    command = [str(modelseal.program), *words]
    with subprocess.Popen(command, env=modelseal.environment) as process:
        until = time.monotonic() + 60
        while marked(cache) * UNIT < size // 2 and time.monotonic() < until:
            time.sleep(0.002)
        process.kill()
    registry.faults, registry.requests = [], []
    modelseal("pull", reference, "--output", home / "out").check()
    assert contents(home / "out") == contents(model)
    assert fetched_bytes(registry.requests, digest, size) <= size * 0.55
    assert list((cache / "parts").iterdir()) == []
