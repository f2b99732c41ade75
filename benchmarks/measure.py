# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What commands take, as numbers: samples of single runs, and their medians."""

import json
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support import cli
from tests.support.cli import Command, Result
from tests.support.processes import Server

_SPAWN = Path(__file__).with_name("spawn.py")
_TIMEOUT_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run took.

    Attributes:
        wall: Seconds from start to end.
        cpu: Seconds of CPU, user and system, with all child processes.
        peak: Bytes of the largest resident set of any of its processes.
        server_cpu: Seconds of CPU that the server beside it took meanwhile.
        read: Bytes that it read, from files and sockets.
        result: What it answered.
    """

    wall: float
    cpu: float
    peak: int
    server_cpu: float
    read: int
    result: Result

    def __add__(self, other: "Sample") -> "Sample":
        """Return what this and then another command took."""
        return Sample(
            self.wall + other.wall,
            self.cpu + other.cpu,
            max(self.peak, other.peak),
            self.server_cpu + other.server_cpu,
            self.read + other.read,
            other.result,
        )


@dataclass(frozen=True, slots=True)
class Samples:
    """The runs of one command."""

    all: tuple[Sample, ...]

    @property
    def wall(self) -> float:
        """Median of the seconds."""
        return statistics.median(sample.wall for sample in self.all)

    @property
    def fastest(self) -> float:
        """Fewest seconds: what it takes when the machine does nothing else."""
        return min(sample.wall for sample in self.all)

    @property
    def cpu(self) -> float:
        """Median of the client's CPU seconds."""
        return statistics.median(sample.cpu for sample in self.all)

    @property
    def server_cpu(self) -> float:
        """Median of the server's CPU seconds."""
        return statistics.median(sample.server_cpu for sample in self.all)

    @property
    def peak(self) -> int:
        """Most bytes of memory of all runs."""
        return max(sample.peak for sample in self.all)

    def as_json(self) -> dict[str, list[float]]:
        """Return every sample, so that nobody has to believe a median."""
        return {
            "wallSeconds": [round(sample.wall, 4) for sample in self.all],
            "cpuSeconds": [round(sample.cpu, 4) for sample in self.all],
            "serverCpuSeconds": [round(sample.server_cpu, 4) for sample in self.all],
            "peakBytes": [sample.peak for sample in self.all],
            "readBytes": [sample.read for sample in self.all],
        }


@dataclass(frozen=True, slots=True)
class Call:
    """A command line that is to be measured.

    Attributes:
        command: The program, and the home it runs in.
        arguments: What it is told.
        cwd: Where it runs; its home when not given.
        env: Variables for this call.
    """

    command: Command
    arguments: Sequence[str | Path]
    cwd: Path | None = None
    env: Mapping[str, str] | None = None


def measure(call: Call, server: Server | None = None) -> Sample:
    """Run a command once. Raises AssertionError with its output when it fails."""
    command = call.command
    with tempfile.TemporaryDirectory(prefix="modelseal-bench-") as directory:
        report = Path(directory) / "usage.json"
        before = _cpu_seconds(server)
        result = cli.run(
            [sys.executable, "-I", "-S", _SPAWN, report, command.program, *call.arguments],
            env={**command.environment, **(call.env or {})},
            cwd=call.cwd or command.home,
            timeout=_TIMEOUT_SECONDS,
        ).check()
        spent = _cpu_seconds(server) - before
        taken = json.loads(report.read_text(encoding="utf-8"))
    return Sample(taken["wall"], taken["cpu"], taken["peak"], spent, taken["read"], result)


def measure_in_turn(calls: Mapping[str, Call], runs: int) -> dict[str, Samples]:
    """Run each of the commands `runs` times, one after the other and not each in a block.

    So whatever else the machine does in between falls on all of them. A first round, which
    brings the programs into the page cache, does not count.
    """
    rounds = [{name: measure(call) for name, call in calls.items()} for _ in range(runs + 1)]
    return {name: Samples(tuple(done[name] for done in rounds[1:])) for name in calls}


def _cpu_seconds(server: Server | None) -> float:
    """Return the CPU time of a server so far. Source: proc(5), /proc/PID/stat."""
    if server is None:
        return 0.0
    status = Path(f"/proc/{server.process.pid}/stat").read_text(encoding="utf-8")
    user, system = status.rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
