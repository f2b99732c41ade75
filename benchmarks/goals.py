# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What was measured, held against the goals: tables, made of nothing but the results."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeAlias

from benchmarks.programs import OURS
from benchmarks.report import Table, mebibytes, ratio, seconds

Found: TypeAlias = Mapping[str, Any]

_GIB = 1 << 30
_VERIFYING = ("oras", "modctl")
_SPARE = 64 << 10
_MEMORY = 120 << 20


@dataclass(frozen=True, slots=True)
class Held:
    """One line of the table of goals."""

    what: str
    value: float
    goal: float
    shown: str
    more: bool = False
    """Whether more is better."""

    @property
    def met(self) -> bool:
        """Whether the goal is met."""
        return self.value >= self.goal if self.more else self.value <= self.goal


def tables(results: Found) -> list[Table]:
    """Return the table of goals and the tables behind it, for each scheme."""
    plan = results["plan"]
    schemes = [name for name in ("http", "https") if name in results]
    made = [_goals(results, schemes)]
    for scheme in schemes:
        found = results[scheme]
        if "push" in found:
            title = f"Push and pull over {scheme.upper()}, {_size(plan['size'])} in 4 files"
            made.append(_side_by_side(title, found, ("push", "pull"), plan["size"], plan["runs"]))
        if "smallPush" in found:
            title = f"{plan['smallFiles']:,} files of 4 KiB over {scheme.upper()}"
            made.append(_side_by_side(title, found, ("smallPush", "smallPull"), 0, plan["few"]))
        if "latencyPush" in found:
            title = f"200 files of 4 KiB over {scheme.upper()}, each request 50 ms later"
            made.append(_side_by_side(title, found, ("latencyPush", "latencyPull"), 0, plan["few"]))
    return made


def _goals(results: Found, schemes: list[str]) -> Table:
    table = Table(
        "Transfer: what is held, and what is not",
        "Ratios are those of modelseal to the best of the others, of medians: below 1 it "
        "takes less. Bytes are counted on the wire between client and registry.",
        ("", "goal", *(cell for name in schemes for cell in (name.upper(), ""))),
    )
    columns = {scheme: {item.what: item for item in held(results[scheme])} for scheme in schemes}
    for name in dict.fromkeys(what for column in columns.values() for what in column):
        cells: list[str] = []
        goal = ""
        for scheme in schemes:
            item = columns[scheme].get(name)
            if item is None:
                cells += ["-", ""]
                continue
            goal = f"{'≥' if item.more else '≤'} {item.goal:g}"
            cells += [item.shown, "met" if item.met else "**missed**"]
        table.rows.append((name, goal, *cells))
    table.data.update(results)
    return table


def held(  # noqa: C901 - a list of goals, to be read as a table
    found: Found,
) -> Iterator[Held]:
    """Yield what the goals are held against, of one scheme."""
    if "push" in found:
        push, pull = found["push"], found["pull"]
        yield _against("push, cold: wall time, to the fastest", push, "wallSeconds", 0.95)
        yield _against("push, cold: client CPU time, to the best", push, "cpuSeconds", 0.9)
        yield _against(
            "pull, cold: wall time, to the fastest that verifies",
            {name: pull[name] for name in (OURS, *_VERIFYING) if name in pull},
            "wallSeconds",
            0.8,
        )
        yield _against(
            "pull, cold: wall time, to kit, which does not verify",
            {name: pull[name] for name in (OURS, "kit")},
            "wallSeconds",
            1.0,
        )
        peak = max(*push[OURS]["peakBytes"], *pull[OURS]["peakBytes"])
        yield Held("peak memory, MiB", peak / (1 << 20), _MEMORY >> 20, mebibytes(peak))
    if "again" in found:
        yield from _held_again(found["again"])
    if "copy" in found:
        copied = found["copy"]
        layers = copied["wireBytes"] if copied["wireBytes"] > copied["modelBytes"] / 1000 else 0
        shown = f"{layers} ({copied['wireBytes'] / 1024:.0f} KiB in all)"
        yield Held("copy within a registry: bytes of layers", layers, 0, shown)
    for verb in ("push", "pull"):
        if "killed" in found:
            share = median(found["killed"][verb][OURS])
            others = median(found["killed"][verb]["oras"])
            shown = f"{share:.2f} (oras: {others:.2f})"
            yield Held(f"{verb}, killed at half, again: share of the bytes", share, 0.55, shown)
    for verb in ("push", "pull"):
        key = f"small{verb.title()}"
        if key in found:
            yield _against(f"{verb} of many small files: wall time", found[key], "wallSeconds", 1.0)
    for verb in ("push", "pull"):
        key = f"latency{verb.title()}"
        if key in found:
            what = f"{verb} with 50 ms a request: wall time, to oras"
            yield _against(what, found[key], "wallSeconds", 0.5)
    if "parts" in found:
        walls = found["parts"]["wallSeconds"]
        gain = median(walls["1"]) / median(walls["4"])
        yield Held(
            "4 connections of 100 MB/s: times as fast as one", gain, 3.5, f"{gain:.2f}", True
        )


def _held_again(again: Found) -> Iterator[Held]:
    cold, second = again["cold"][OURS], again["again"][OURS]
    share = median(second["wallSeconds"]) / median(cold["wallSeconds"])
    yield Held("push again, nothing changed: wall time, to cold", share, 0.1, f"{share:.3f}")
    read = max(second["readBytes"]) / again["modelBytes"]
    shown = f"{max(second['readBytes']) / (1 << 20):.0f} MiB (Python itself)"
    yield Held("push again: bytes read, of the model's", read, 0.05, shown)
    extra = max(again["sentBytes"][OURS]) - again["changedFileBytes"]
    yield Held(
        "push again, 1 of 100 changed: KiB sent besides the file",
        extra / 1024,
        _SPARE / 1024,
        f"{extra / 1024:.0f}",
    )


def _against(what: str, taken: Found, key: str, goal: float) -> Held:
    mine = median(taken[OURS][key])
    others = {name: median(samples[key]) for name, samples in taken.items() if name != OURS}
    best = min(others, key=lambda name: others[name])
    value = mine / others[best]
    return Held(what, value, goal, f"{value:.2f} ({best})")


def _side_by_side(title: str, found: Found, steps: tuple[str, ...], size: int, runs: int) -> Table:
    table = Table(
        title,
        f"Medians of {runs} runs, in turn. Client and registry share the cores, so the wall time "
        "has the registry's work in it; the client's CPU time is the steadier figure.",
        ("", "wall", "ratio", "client CPU", "a GiB", "ratio", "registry CPU", "memory"),
    )
    for step in steps:
        ours = found[step][OURS]
        for name, samples in found[step].items():
            mine = name == OURS
            wall, cpu = median(samples["wallSeconds"]), median(samples["cpuSeconds"])
            verb = step.removeprefix("small").removeprefix("latency").lower()
            table.rows.append(
                (
                    f"{verb}, {name}",
                    seconds(wall),
                    "" if mine else ratio(median(ours["wallSeconds"]), wall),
                    seconds(cpu),
                    seconds(cpu / (size / _GIB)) if size else "-",
                    "" if mine else ratio(median(ours["cpuSeconds"]), cpu),
                    seconds(median(samples["serverCpuSeconds"])),
                    mebibytes(max(samples["peakBytes"])),
                )
            )
    return table


def _size(count: int) -> str:
    return f"{count / _GIB:.3g} GiB"
