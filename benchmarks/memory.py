# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Whether memory grows with the size of a model: the same with a small and a large one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measure import Call, Sample, Samples, measure
from benchmarks.report import Table, judged, mebibytes
from benchmarks.stage import MIB, Stage

SMALL = 64 * MIB
_GOAL = 120 * MIB
_PASSPHRASE = {"MODELSEAL_KEY_PASSPHRASE": "a passphrase"}


def run(stage: Stage, size: int, runs: int) -> list[Table]:
    """Measure peak memory with a model of 64 MiB and one of `size` bytes."""
    small, large = _peaks(stage, SMALL, runs), _peaks(stage, size, runs)
    table = Table(
        "Peak memory",
        f"Largest resident set of the process, the most of {runs} runs; each model is in four "
        "weight files of the same size, which move at the same time, and some small files.",
        ("", mebibytes(SMALL), mebibytes(size), "difference", "goal", ""),
    )
    for name, before in small.items():
        after = large[name]
        table.rows.append(
            (
                name,
                mebibytes(before.peak),
                mebibytes(after.peak),
                f"{(after.peak - before.peak) / MIB:+.0f} MiB",
                f"≤ {mebibytes(_GOAL)}",
                judged(max(before.peak, after.peak), _GOAL),
            )
        )
        table.data[name] = {"small": before.as_json(), "large": after.as_json()}
    return [table]


def _peaks(stage: Stage, size: int, runs: int) -> dict[str, Samples]:
    taken: dict[str, list[Sample]] = {}
    with stage.model(size) as model, stage.place("key") as keys:
        key = keys / "release.key"
        stage.modelseal("key", "generate", "--output", key, env=_PASSPHRASE).check()
        for _ in range(runs):
            for where in ("registry", "OCI layout"):
                for verbs in (("push", "pull"), ("publish --key", "pull --key")):
                    trip = _round_trip(stage, where, model, key if "--key" in verbs[1] else None)
                    for verb, sample in zip(verbs, trip, strict=True):
                        taken.setdefault(f"`{verb}`, {where}", []).append(sample)
    return {name: Samples(tuple(samples)) for name, samples in taken.items()}


def _round_trip(stage: Stage, where: str, model: Path, key: Path | None) -> tuple[Sample, Sample]:
    """Move a model into an empty store and out again; with a key, signed and verified."""
    with _target(stage, where) as reference, stage.place("pulled") as output:
        out: list[str | Path] = ["push", model, reference]
        back: list[str | Path] = ["pull", reference, "--output", output]
        if key is not None:
            out = ["publish", model, reference, "--key", key]
            back += ["--key", f"{key}.pub"]
        pushed = measure(Call(stage.modelseal, out, env=_PASSPHRASE))
        return pushed, measure(Call(stage.modelseal, back))


@contextmanager
def _target(stage: Stage, where: str) -> Iterator[str]:
    """Give a reference in an empty store."""
    if where == "registry":
        with stage.registry() as registry:
            yield f"{registry.host}/models/large:1.4.0"
    else:
        with stage.place("layout") as place:
            yield f"oci:{place}:1.4.0"
