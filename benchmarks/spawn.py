# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Run one command and write down what it took: wall time, CPU time, peak memory, bytes read.

    python -I -S spawn.py REPORT COMMAND [ARGUMENT ...]

A process of its own, and a small one, because Linux counts what stood in memory before `exec`
towards the peak of what runs after it: started from the benchmark itself, every command would seem
to need at least as much memory as the benchmark. So nothing but the standard library is imported.
"""

import json
import os
import sys
import time
from pathlib import Path


def main(report: str, command: list[str]) -> int:
    """Run `command` in this environment; return its exit code."""
    began = time.monotonic()
    child = os.posix_spawn(command[0], command, os.environ)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    wall = time.monotonic() - began
    read = _read_bytes(child)
    _, status, usage = os.wait4(child, 0)
    taken = {
        "wall": wall,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak": usage.ru_maxrss << 10,  # of the largest process of the tree; Linux counts in KiB
        "read": read,
    }
    Path(report).write_text(json.dumps(taken), encoding="utf-8")
    return os.waitstatus_to_exitcode(status)


def _read_bytes(process: int) -> int:
    """Return what it read with calls to the kernel, from sockets too. Source: proc_pid_io(5)."""
    lines = Path(f"/proc/{process}/io").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("rchar"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
