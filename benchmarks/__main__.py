# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Measure modelseal beside its peers.

    python -m benchmarks [PART …] [--size MIB] [--runs N] [--json FILE]
    python -m benchmarks --report FILE      the transfer tables and picture of docs/, from its JSON

The tables go to stdout as markdown, all samples to a JSON file. Everything is on loopback and in
a directory that is removed at the end. The figures of `docs/benchmarks.md` come from here.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import goals, memory, page, scan, startup, transfer, trust
from benchmarks.report import Table, machine
from benchmarks.stage import MIB, PEERS, Stage, open_stage
from tools.peers import build

_STARTUP_RUNS = 15
_MEMORY_RUNS = 2
_TRUST_RUNS = 5
_COPIES = 4  # the model, the registry's, what is pulled or packed, and one to be on the safe side
_SMALL_FILES = 10_000 - 10  # with the usual ones, as many as a model may have

Part = Callable[[Stage, argparse.Namespace], list[Table]]


def _startup(stage: Stage, chosen: argparse.Namespace) -> list[Table]:
    return startup.run(stage, chosen.runs or _STARTUP_RUNS)


def _memory(stage: Stage, chosen: argparse.Namespace) -> list[Table]:
    return memory.run(stage, chosen.size * MIB, chosen.runs or _MEMORY_RUNS)


def _transfer(stage: Stage, chosen: argparse.Namespace) -> list[Table]:
    plan = transfer.default_plan(chosen.size, chosen.runs, chosen.small_files, chosen.scheme)
    plan = transfer.only(plan, tuple(chosen.rows or ()))
    results = transfer.measure_all(
        stage, plan, lambda line: print(line, file=sys.stderr, flush=True)
    )
    return goals.tables(results)


def _trust(stage: Stage, chosen: argparse.Namespace) -> list[Table]:
    return trust.run(stage, chosen.runs or _TRUST_RUNS)


def _scan(stage: Stage, chosen: argparse.Namespace) -> list[Table]:
    return scan.run(stage, chosen.size * MIB, chosen.runs or _TRUST_RUNS)


_PARTS: Mapping[str, Part] = {
    "startup": _startup,
    "memory": _memory,
    "transfer": _transfer,
    "trust": _trust,
    "scan": _scan,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; return the exit code."""
    chosen = _parser().parse_args(arguments)
    if chosen.report:
        return _report(chosen.report)
    missing = [name for name in PEERS if build.locate(name) is None]
    if missing:
        print(f"not built: {', '.join(missing)}; run `make peers`", file=sys.stderr)
        return 1
    with open_stage(chosen.size * MIB * _COPIES, chosen.work) as stage:
        here = machine(stage.directory)
        print("\n".join(f"- {name}: {value}" for name, value in here.items()), flush=True)
        tables = []
        for name in chosen.parts or _PARTS:
            for table in _PARTS[name](stage, chosen):
                print(f"\n{table.markdown()}", end="", flush=True)
                tables.append(table)
    if chosen.json:
        results = {"machine": here, "tables": [table.as_json() for table in tables]}
        chosen.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


def _report(kept: Path) -> int:
    """Write the transfer part of the documentation anew."""
    value = json.loads(kept.read_text(encoding="utf-8"))
    for table in value["tables"]:
        if "plan" in table["results"]:
            for path in page.write(table["results"], value["machine"]):
                print(path)
            return 0
    print(f"{kept} has no results of `transfer`", file=sys.stderr)
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(_PARTS))
    parser.add_argument(
        "--size", type=int, default=2048, help="MiB of the large model (%(default)s)"
    )
    parser.add_argument("--runs", type=int, help="how often each command is run")
    parser.add_argument(
        "--small-files", type=int, default=_SMALL_FILES, help="files of the model of small ones"
    )
    parser.add_argument("--scheme", choices=("http", "https", "both"), default="both")
    parser.add_argument("--rows", nargs="+", choices=transfer.ROWS, help="parts of `transfer`")
    parser.add_argument("--json", type=Path, help="a file for all samples")
    parser.add_argument("--report", type=Path, help="a file that --json wrote, for docs/")
    parser.add_argument("--work", type=Path, help="where the files are; memory, if it has room")
    return parser


if __name__ == "__main__":
    sys.exit(main())
