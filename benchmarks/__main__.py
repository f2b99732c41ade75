# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Measure modelseal beside its peers.

    python -m benchmarks [startup] [memory] [transfer] [trust] [--size MIB] [--runs N] [--json FILE]

The tables go to stdout as markdown, all samples to a JSON file. Everything is on loopback and in
a directory that is removed at the end. The figures of `docs/benchmarks.md` come from here.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import memory, startup, transfer, trust
from benchmarks.report import Table, machine
from benchmarks.stage import MIB, PEERS, Stage, open_stage
from tools.peers import build

_STARTUP_RUNS = 15
_TRANSFER_RUNS = 3
_TRUST_RUNS = 5
_MEMORY_RUNS = 2
_COPIES = 4  # the model, the registry's, what is pulled, and one to be on the safe side

Part = Callable[[Stage, int, int | None], list[Table]]
_PARTS: Mapping[str, Part] = {
    "startup": lambda stage, _, runs: startup.run(stage, runs or _STARTUP_RUNS),
    "memory": lambda stage, size, runs: memory.run(stage, size, runs or _MEMORY_RUNS),
    "transfer": lambda stage, size, runs: transfer.run(stage, size, runs or _TRANSFER_RUNS),
    "trust": lambda stage, _, runs: trust.run(stage, runs or _TRUST_RUNS),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for; return the exit code."""
    chosen = _parser().parse_args(arguments)
    missing = [name for name in PEERS if build.locate(name) is None]
    if missing:
        print(f"not built: {', '.join(missing)}; run `make peers`", file=sys.stderr)
        return 1
    size = chosen.size * MIB
    with open_stage(size * _COPIES, chosen.work) as stage:
        here = machine(stage.directory)
        print("\n".join(f"- {name}: {value}" for name, value in here.items()), flush=True)
        tables = []
        for name in chosen.parts or _PARTS:
            for table in _PARTS[name](stage, size, chosen.runs):
                print(f"\n{table.markdown()}", end="", flush=True)
                tables.append(table)
    if chosen.json:
        results = {"machine": here, "tables": [table.as_json() for table in tables]}
        chosen.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(_PARTS))
    parser.add_argument(
        "--size", type=int, default=2048, help="MiB of the large model (%(default)s)"
    )
    parser.add_argument("--runs", type=int, help="how often each command is run")
    parser.add_argument("--json", type=Path, help="a file for all samples")
    parser.add_argument("--work", type=Path, help="where the files are; memory, if it has room")
    return parser


if __name__ == "__main__":
    sys.exit(main())
