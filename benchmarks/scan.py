# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""How fast files are looked into, and what all of publish's evidence adds to a push."""

import json
import os
import pickle
import random
import struct
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.measure import Call, measure_in_turn
from benchmarks.report import Table, judged, seconds
from benchmarks.stage import MIB, Stage

from modelseal.evidence.scan.scanner import scan_file

_PASSPHRASE = {"MODELSEAL_KEY_PASSPHRASE": "a passphrase"}
_LEAST_PICKLE = 50.0  # MB/s
_MOST_GROWTH = 2.0  # of the time for a safetensors file that is 1024 times as large
_MOST_ADDED = 0.20  # of a push's time
_SMALL, _LARGE = MIB, 1024 * MIB
_FASTEST_OF = 5


def run(stage: Stage, size: int, runs: int) -> list[Table]:
    """Measure single files in this process, then `publish` beside `push`."""
    with stage.place("files") as place:
        tables = [_files(place)]
    return [*tables, _publish(stage, size, runs)]


def _files(place: Path) -> Table:
    table = Table(
        "Looking into a file",
        f"CPU time in a warm process, fastest of {_FASTEST_OF}; safetensors of one tensor.",
        ("", "size", "time", "MB/s", "goal", ""),
    )
    times = {}
    for size in (_SMALL, _LARGE):
        path = place / f"{size}.safetensors"
        _hollow_safetensors(path, size)
        times[size] = _fastest(path)
        name = f"safetensors, {size // MIB} MiB"
        growth = times[size] / times[_SMALL]
        cells = (f"{size / 1e6:.0f} MB", f"{times[size] * 1000:.2f} ms", "-")
        table.rows.append((name, *cells, f"≤ {_MOST_GROWTH:.0f} x", judged(growth, _MOST_GROWTH)))
        table.data[name] = times[size]
    for name, data in _pickles():
        path = place / "model.pkl"
        path.write_bytes(data)
        took = _fastest(path)
        speed = len(data) / 1e6 / took
        cells = (f"{len(data) / 1e6:.0f} MB", f"{took * 1000:.0f} ms", f"{speed:.0f}")
        goal = f"≥ {_LEAST_PICKLE:.0f} MB/s" if "numbers alone" not in name else "-"
        verdict = judged(_LEAST_PICKLE, speed) if goal != "-" else ""
        table.rows.append((name, *cells, goal, verdict))
        table.data[name] = speed
    return table


def _fastest(path: Path) -> float:
    times = []
    for _ in range(_FASTEST_OF):
        began = time.process_time()
        found = scan_file(path, path.name)
        times.append(time.process_time() - began)
        assert all(one.rule != "pickle-broken" for one in found.findings), found.findings
    return min(times)


def _hollow_safetensors(path: Path, size: int) -> None:
    header = {"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}
    raw = json.dumps(header).encode().ljust(120)
    path.write_bytes(len(raw).to_bytes(8, "little") + raw)
    os.truncate(path, 8 + len(raw) + size)


def _pickles() -> Iterator[tuple[str, bytes]]:
    """Yield pickles as models are: much data in few arrays, and the many small ones of a forest."""
    chance = random.Random(42)  # noqa: S311 - numbers, not secrets
    arrays = {f"layer.{n}": chance.randbytes(256 << 10) for n in range(100)}
    yield "pickle of 100 arrays of 256 KiB", pickle.dumps(arrays, 5)
    trees = [
        {"nodes": chance.randbytes(8 << 10), "values": chance.randbytes(4 << 10), "depth": n,
         "classes": ["fraud", "none"], "weights": None, "score": n / 7}
        for n in range(1000)
    ]  # fmt: skip
    yield "pickle of 1000 trees of 12 KiB", pickle.dumps(trees, 4)
    numbers = list(struct.unpack("<200000d", chance.randbytes(1_600_000)))
    yield "pickle of 200000 floats in a list", pickle.dumps(numbers, 4)
    words = {f"token-{n}": n for n in range(60_000)}
    yield "pickle of 60000 words and numbers alone", pickle.dumps(words, 4)


def _publish(stage: Stage, size: int, runs: int) -> Table:
    """Push and publish the same model in turn, each into an empty registry."""
    with stage.model(size) as model, stage.place("key") as keys, stage.registry() as registry:
        key = keys / "release.key"
        stage.modelseal("key", "generate", "--output", key, env=_PASSPHRASE).check()
        number = iter(range(1000))

        def call(*words: str | Path) -> Call:
            # Each round another repository: what is there already would not be sent.
            return Call(stage.modelseal, [words[0], model, *words[1:]], env=_PASSPHRASE)

        rounds = []
        for _ in range(runs):
            push = call("push", f"{registry.host}/models/m{next(number)}:1.4.0", "--no-cache")
            publish = call(
                "publish", f"{registry.host}/models/m{next(number)}:1.4.0", "--key", key,
                "--no-cache",
            )  # fmt: skip
            rounds.append(measure_in_turn({"push": push, "publish": publish}, 1))
    table = Table(
        "What publishing adds to a push",
        f"{size // MIB} MiB of safetensors in four files, to a registry that has them: all is "
        f"hashed, scanned, signed and attested. Fastest of {runs} rounds in turn; the goal is held "
        "to the client's CPU time, because others' work falls on wall time.",
        ("", "push", "publish", "added", "goal", ""),
    )
    wall = [min(one[name].fastest for one in rounds) for name in ("push", "publish")]
    cpu = [min(one[name].cpu for one in rounds) for name in ("push", "publish")]
    for name, (pushed, published) in (("CPU", cpu), ("wall", wall)):
        added = published / pushed - 1
        goal = (f"≤ {_MOST_ADDED:.0%}", judged(added, _MOST_ADDED)) if name == "CPU" else ("", "")
        table.rows.append((name, seconds(pushed), seconds(published), f"{added:.0%}", *goal))
        table.data[name] = {"push": pushed, "publish": published}
    return table
