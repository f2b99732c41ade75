# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Two hundred kills of the command, each at another point: the next run finishes, byte for byte.

The points are drawn from a seed that is printed; `MODELSEAL_KILL_SEED` repeats a run.
"""

import os
import random
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.cli import Command
from tests.support.fake_registry import FakeRegistry, digest_of
from tests.support.kills import Killer, Runner, contents
from tests.support.model_factory import make_model

KILLS = 100
UNIT = 256 << 10
SIZE = 5 * (1 << 20) + 77
SHARD = "model-00001-of-00001.safetensors"
NAME = "acme/fraud"

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="fork servers and kills as Linux does them"
)


@pytest.fixture
def registry() -> Iterator[FakeRegistry]:
    with FakeRegistry(auth="bearer", password="pass-word") as fake:
        yield fake


@pytest.fixture
def seed() -> int:
    chosen = int(os.environ.get("MODELSEAL_KILL_SEED") or random.SystemRandom().getrandbits(32))
    print(f"MODELSEAL_KILL_SEED={chosen}")  # noqa: T201 - pytest shows it when a test fails
    return chosen


@pytest.fixture
def model(modelseal: Command, registry: FakeRegistry, home: Path, seed: int) -> Path:
    """A model with a large file, and a login."""
    login = ("login", registry.host, "-u", "user", "--password-stdin")
    modelseal(*login, stdin="pass-word").check()
    return make_model(home / "model", extra={SHARD: random.Random(seed).randbytes(SIZE)})


def body_sizes(registry: FakeRegistry, digest: str) -> int:
    """Return the bytes that were sent for a blob."""
    wanted = f"digest={digest.replace(':', '%3A')}"
    return sum(r.body_size for r in registry.asked("PUT") if r.path.endswith(wanted))


def asked_bytes(registry: FakeRegistry, digest: str) -> int:
    """Return how many bytes of a blob were asked for."""
    total = 0
    for request in registry.asked("GET", f"/blobs/{digest}$"):
        wanted = request.headers.get("range", f"bytes=0-{SIZE - 1}").removeprefix("bytes=")
        first, _, last = wanted.partition("-")
        total += int(last) - int(first) + 1
    return total


def marked(cache: Path) -> int:
    """Return how many units a killed run has left."""
    journal = next(iter((cache / "parts").glob("*.journal")), None)
    raw = b"" if journal is None else journal.read_bytes()
    return raw.partition(b"\n")[2].count(b"#")


def test_a_hundred_kills_of_a_push_send_again_only_what_did_not_arrive(
    modelseal: Command, registry: FakeRegistry, home: Path, model: Path, seed: int
) -> None:
    shard = (model / SHARD).read_bytes()
    digest = digest_of(shard)
    words = ["push", str(model), f"{registry.host}/{NAME}:1", "--quiet"]
    runner, killer = Runner(modelseal.environment), Killer(registry)
    killer.arm(0, 0)
    assert not killer.run(runner, words)
    whole, points = killer.ticks, random.Random(seed)
    blobs, tags = dict(registry.blobs), dict(registry.tags)
    killed = resumed = 0
    for number in range(KILLS):
        registry.blobs, registry.manifests, registry.tags = {}, {}, {}
        killer.arm(points.randint(1, whole), points.choice([0.0, points.uniform(0, 0.02)]))
        killed += killer.run(runner, words)
        begun = [data for data in registry.uploads.values() if data and shard.startswith(data)]
        held = max(map(len, begun), default=0)
        there = (NAME, digest) in registry.blobs
        registry.requests.clear()
        assert runner.run(words) == 0, number
        sent = body_sizes(registry, digest)
        assert sent == (0 if there else SIZE - held), number
        resumed += 0 < sent < SIZE
        assert registry.blobs == blobs, number
        assert registry.tags == tags, number
        assert list((home / ".cache" / "modelseal" / "uploads").iterdir()) == [], number
        registry.uploads.clear()
    assert killed > KILLS * 3 // 4
    assert resumed > KILLS // 4


def test_a_hundred_kills_of_a_pull_fetch_again_only_what_is_not_there(
    modelseal: Command, registry: FakeRegistry, home: Path, model: Path, seed: int
) -> None:
    reference = f"{registry.host}/{NAME}:1"
    modelseal("push", model, reference, "--quiet").check()
    digest = digest_of((model / SHARD).read_bytes())
    wanted = contents(model)
    cache, out = home / ".cache" / "modelseal", home / "out"
    words = ["pull", reference, "--output", str(out), "--quiet"]
    runner, killer = Runner(modelseal.environment), Killer(registry)
    killer.arm(0, 0)
    assert not killer.run(runner, words)
    whole, points = killer.ticks, random.Random(seed)
    killed = resumed = 0
    for number in range(KILLS):
        shutil.rmtree(out)
        for path in (cache / "blobs" / "sha256").iterdir():
            path.unlink()
        killer.arm(points.randint(1, whole), points.choice([0.0, points.uniform(0, 0.02)]))
        killed += killer.run(runner, words)
        visible = out.exists() and {name for name in contents(out) if not name.startswith(".")}
        kept = marked(cache)
        whole_blob = (cache / "blobs" / "sha256" / digest.removeprefix("sha256:")).exists()
        registry.requests.clear()
        # All files have their names, or none has.
        assert not visible or visible == set(wanted), number
        assert runner.run([*words, "--overwrite"]) == 0, number
        missing = 0 if whole_blob else max(0, SIZE - kept * UNIT)
        # One byte more when somebody asks whether parts are to be had.
        assert asked_bytes(registry, digest) in {missing, missing + 1}, number
        resumed += 0 < missing < SIZE
        assert contents(out) == wanted, number
        assert list((cache / "parts").iterdir()) == [], number
    assert killed > KILLS * 3 // 4
    assert resumed > KILLS // 4
