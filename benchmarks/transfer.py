# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Push and pull beside other programs: alternating, on the same bytes, over HTTP and HTTPS.

Each `_measure` function fills one part of the results, which are plain values for JSON;
`benchmarks.goals` makes the tables of them, now or later.
"""

import contextlib
import filecmp
import itertools
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

from benchmarks.measure import Sample, Samples
from benchmarks.programs import OURS, Program, programs, run
from benchmarks.stage import MIB, Stage
from tests.support.model_factory import project_text
from tests.support.registries import Registry
from tests.support.relay import Relay
from tests.support.tls import KeyPair, TlsAuthority

Results: TypeAlias = dict[str, Any]

_LATENCY = 0.05
_LATENT_FILES = 200
_AGAIN_FILES = 100
_RATE = 100e6
_CONNECTIONS = 4
_LOOK = 0.002


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured.

    Attributes:
        size: bytes of the large models.
        runs: how often each program pushes and pulls them.
        small_files: files of the model of small ones.
        few: how often all else is done.
        schemes: `http`, `https` or both.
        rows: which parts; all when empty.
    """

    size: int
    runs: int
    small_files: int
    few: int
    schemes: tuple[str, ...]
    rows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Arena:
    """Where all meet: with the file of a CA when it is HTTPS."""

    stage: Stage
    tls: KeyPair | None
    ca: Path | None

    @contextlib.contextmanager
    def registry(self) -> Iterator[Registry]:
        """Start an empty registry."""
        with self.stage.registry(tls=self.tls) as registry:
            yield registry

    def push(
        self, program: Program, model: Path, host: str, registry: Registry, *, tag: str = "1.4.0"
    ) -> Sample:
        """Let a program push, as a user whose home is empty but for what `keep` says."""
        calls = program.push(model, f"{host}/models/m:{tag}", self.ca)
        return run(program, calls, self.home(program), model, self.ca, registry.server)

    def pull(
        self, program: Program, host: str, registry: Registry, output: Path, *words: str
    ) -> Sample:
        """Let a program pull."""
        calls = program.pull(f"{host}/models/m:1.4.0", output, self.ca)
        calls[-1] += words
        return run(program, calls, self.home(program), None, self.ca, registry.server)

    def home(self, program: Program) -> Path:
        """Return the home of a program's user."""
        home = self.stage.directory / f"home-{program.name}"
        home.mkdir(exist_ok=True)
        return home

    def forget(self, program: Program) -> None:
        """Let a program's user move into an empty home."""
        shutil.rmtree(self.home(program))


def measure_all(stage: Stage, plan: Plan, tell: Callable[[str], None]) -> Results:
    """Measure what `plan` says; `tell` gets a line before each part."""
    results: Results = {"plan": {"size": plan.size, "runs": plan.runs, "few": plan.few}}
    results["plan"]["smallFiles"] = plan.small_files
    with stage.place("tls") as place:
        authority = TlsAuthority(place)
        for scheme in plan.schemes:
            secure = scheme == "https"
            tls = authority.issue("127.0.0.1") if secure else None
            arena = Arena(stage, tls, authority.ca_file if secure else None)
            found: Results = {}
            for name, part in _PARTS.items():
                if not plan.rows or name in plan.rows:
                    began = time.monotonic()
                    found.update(part(arena, plan))
                    tell(f"{scheme}, {name}: {time.monotonic() - began:.0f} s")
            results[scheme] = found
    return results


def _large(arena: Arena, plan: Plan) -> Results:
    """Push and pull `size` bytes in four files, cold."""
    compared = programs()
    with arena.stage.model(plan.size) as model:
        pushes = _taken(compared, plan.runs, lambda p: _cold_push(arena, p, model))
        pulls = _pulls(arena, compared, model, plan.runs)
    return {"push": pushes, "pull": pulls}


def _small(arena: Arena, plan: Plan) -> Results:
    """Push and pull many small files; kit makes one layer of a directory, and is not asked."""
    compared = programs(OURS, "oras", "modctl")
    with arena.stage.small_model(plan.small_files) as model:
        pushes = _taken(compared, plan.few, lambda p: _cold_push(arena, p, model))
        pulls = _pulls(arena, compared, model, plan.few)
    return {"smallPush": pushes, "smallPull": pulls}


def _cold_push(arena: Arena, program: Program, model: Path) -> Sample:
    with arena.registry() as registry:
        sample = arena.push(program, model, registry.host, registry)
    arena.forget(program)
    return sample


def _pulls(arena: Arena, compared: list[Program], model: Path, runs: int) -> Results:
    with arena.registry() as registry:
        arena.push(compared[0], model, registry.host, registry)
        arena.forget(compared[0])

        def cold(program: Program) -> Sample:
            with arena.stage.place("pulled") as output:
                sample = arena.pull(program, registry.host, registry, output)
                _check_same(model, output)
            arena.forget(program)
            return sample

        return _taken(compared, runs, cold)


def _again(arena: Arena, plan: Plan) -> Results:
    """Push 100 files, push them again, and again with one of them changed."""
    compared = programs(OURS, "oras", "modctl")
    taken: dict[str, dict[str, list[Sample]]] = {"cold": {}, "again": {}}
    sent: dict[str, list[int]] = {}
    versions = itertools.count(1)
    with arena.stage.model(plan.size // 2, files=_AGAIN_FILES) as model:
        changing = model / f"model-{1:05}-of-{_AGAIN_FILES:05}.safetensors"
        size = changing.stat().st_size + len(project_text())
        time.sleep(2.5)  # or the files could have been changed unseen
        for number in range(plan.few):
            for program in _turned(compared, number):
                with arena.registry() as registry:
                    for samples in taken.values():
                        sample = arena.push(program, model, registry.host, registry)
                        samples.setdefault(program.name, []).append(sample)
                    with changing.open("r+b") as file:
                        file.write(f"{number} {program.name}".encode())
                    # Another model has another version, or it is refused.
                    version = f"1.4.{next(versions)}"
                    (model / "modelseal.yaml").write_text(project_text(version=version))
                    with Relay(registry.host) as relay:
                        arena.push(program, model, relay.host, registry, tag="1.4.1")
                        sent.setdefault(program.name, []).append(relay.sent)
                arena.forget(program)
    steps = {step: _as_json(samples) for step, samples in taken.items()}
    return {
        "again": {
            **steps,
            "changedFileBytes": size,
            "sentBytes": sent,
            "modelBytes": plan.size // 2,
        }
    }


def _copy(arena: Arena, plan: Plan) -> Results:
    """Copy between two repositories of one registry, all bytes counted."""
    with arena.stage.model(plan.size // 2) as model, arena.registry() as registry:
        ours = programs(OURS)[0]
        arena.push(ours, model, registry.host, registry)
        with Relay(registry.host) as relay:
            source, target = f"{relay.host}/models/m:1.4.0", f"{relay.host}/released/m:1.4.0"
            words: list[str | Path] = ["copy", source, target]
            words += [] if arena.ca is None else ["--ca-file", arena.ca]
            sample = run(ours, [words], arena.home(ours), None, arena.ca, registry.server)
            counted = relay.sent + relay.received
        arena.forget(ours)
    return {"copy": {"wireBytes": counted, "modelBytes": plan.size // 2, "wall": sample.wall}}


def _killed(arena: Arena, plan: Plan) -> Results:
    """Kill push and pull when half of the bytes have passed, and run them again."""
    pushes: dict[str, list[float]] = {}
    pulls: dict[str, list[float]] = {}
    with arena.stage.model(plan.size // 2) as model, arena.registry() as kept:
        compared = programs(OURS, "oras")
        arena.push(compared[0], model, kept.host, kept)
        arena.forget(compared[0])
        size = plan.size // 2
        for _ in range(plan.few):
            for program in compared:
                with arena.registry() as registry, Relay(registry.host) as relay:
                    words = program.push(model, f"{relay.host}/models/m:1.4.0", arena.ca)[-1]
                    _kill_at(arena, program, words, model, lambda: relay.sent > size / 2)
                    relay.reset()
                    arena.push(program, model, relay.host, registry)
                    pushes.setdefault(program.name, []).append(relay.sent / size)
                arena.forget(program)
                with arena.stage.place("pulled") as output, Relay(kept.host) as relay:
                    words = program.pull(f"{relay.host}/models/m:1.4.0", output, arena.ca)[-1]
                    _kill_at(arena, program, words, None, lambda: relay.received > size / 2)
                    relay.reset()
                    arena.pull(program, relay.host, kept, output)
                    pulls.setdefault(program.name, []).append(relay.received / size)
                    _check_same(model, output)
                arena.forget(program)
    return {"killed": {"push": pushes, "pull": pulls}}


def _kill_at(
    arena: Arena,
    program: Program,
    words: list[str | Path],
    cwd: Path | None,
    reached: Callable[[], bool],
) -> None:
    from tests.support.cli import Command

    command = Command(program.binary(), arena.home(program))
    trust = {} if arena.ca is None else {"SSL_CERT_FILE": str(arena.ca)}
    process = subprocess.Popen(
        [str(word) for word in (command.program, *words)],
        env={**command.environment, **trust},
        cwd=cwd or command.home,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not reached() and process.poll() is None:
        time.sleep(_LOOK)
    assert process.poll() is None, f"{program.name} ended before it was killed"
    process.send_signal(signal.SIGKILL)
    process.wait()
    time.sleep(0.5)  # what the dead have sent is on its way still


def _latency(arena: Arena, plan: Plan) -> Results:
    """Push and pull 200 small files with 50 ms added to each request."""
    compared = programs(OURS, "oras")
    with arena.stage.small_model(_LATENT_FILES) as model:

        def push(program: Program) -> Sample:
            with arena.registry() as registry, Relay(registry.host, latency=_LATENCY) as relay:
                sample = arena.push(program, model, relay.host, registry)
            arena.forget(program)
            return sample

        pushes = _taken(compared, plan.few, push)
        with arena.registry() as registry:
            arena.push(compared[0], model, registry.host, registry)
            arena.forget(compared[0])

            def pull(program: Program) -> Sample:
                with (
                    arena.stage.place("pulled") as output,
                    Relay(registry.host, latency=_LATENCY) as relay,
                ):
                    sample = arena.pull(program, relay.host, registry, output)
                arena.forget(program)
                return sample

            pulls = _taken(compared, plan.few, pull)
    return {"latencyPush": pushes, "latencyPull": pulls}


def _parts(arena: Arena, plan: Plan) -> Results:
    """Pull one file with one connection and with four, each limited to 100 MB/s."""
    ours = programs(OURS)[0]
    walls: dict[str, list[float]] = {"1": [], str(_CONNECTIONS): []}
    with arena.stage.model(plan.size, files=1) as model, arena.registry() as registry:
        arena.push(ours, model, registry.host, registry)
        for _ in range(plan.few):
            for count, samples in walls.items():
                arena.forget(ours)
                with (
                    arena.stage.place("pulled") as output,
                    Relay(registry.host, rate=_RATE) as relay,
                ):
                    words = ("--connections", count)
                    sample = arena.pull(ours, relay.host, registry, output, *words)
                    samples.append(sample.wall)
                    _check_same(model, output)
        arena.forget(ours)
    return {"parts": {"wallSeconds": walls, "modelBytes": plan.size, "rate": _RATE}}


_PARTS: Mapping[str, Callable[[Arena, Plan], Results]] = {
    "large": _large,
    "again": _again,
    "copy": _copy,
    "killed": _killed,
    "small": _small,
    "latency": _latency,
    "parts": _parts,
}
ROWS = tuple(_PARTS)


def _taken(compared: list[Program], runs: int, once: Callable[[Program], Sample]) -> Results:
    """Let all do it in turn, `runs` times; another one is the first in every round."""
    taken: dict[str, list[Sample]] = {program.name: [] for program in compared}
    for number in range(runs):
        for program in _turned(compared, number):
            taken[program.name].append(once(program))
    return _as_json(taken)


def _as_json(taken: Mapping[str, list[Sample]]) -> Results:
    return {name: Samples(tuple(samples)).as_json() for name, samples in taken.items()}


def _turned(compared: list[Program], number: int) -> list[Program]:
    start = number % len(compared)
    return compared[start:] + compared[:start]


def _check_same(model: Path, output: Path) -> None:
    names = [str(p.relative_to(model)) for p in model.rglob("*") if p.is_file()]
    _, other, missing = filecmp.cmpfiles(model, output, names, shallow=False)
    assert not other, f"other bytes came out: {other[:3]}"
    assert not missing, f"did not come out: {missing[:3]}"


def default_plan(size_mib: int, runs: int | None, small_files: int, schemes: str) -> Plan:
    """Return the plan of `make bench`."""
    wanted = ("http", "https") if schemes == "both" else (schemes,)
    runs = runs or 5
    return Plan(size_mib * MIB, runs, small_files, runs, wanted)


def only(plan: Plan, rows: tuple[str, ...]) -> Plan:
    """Return the plan for some of the parts; for all of them when none is named."""
    return replace(plan, rows=rows)
