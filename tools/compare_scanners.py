# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Let other scanners look at the corpus: how many hostile files pass, how many benign are denied.

    python tools/compare_scanners.py

In an environment with this project's tests on the path and some of picklescan, modelscan,
modelaudit-picklescan and fickling. Their figures in `docs/benchmarks.md` come from here. A scanner
that fails on a file counts as one that denied it.
"""

import contextlib
import io
import sys
import tempfile
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from tests.vectors.scan.hostile import Hostile, hostile_files

Denies = Callable[[Path], bool]
BENIGN = Path(__file__).parent.parent / "tests" / "vectors" / "scan" / "benign"


def _modelseal() -> Denies:
    from modelseal.evidence.scan.allowed import BUILT_IN
    from modelseal.workflows.scan import scan_paths

    allowed = BUILT_IN.and_list((BENIGN.parent / "allow-list.yaml").read_bytes())
    return lambda path: scan_paths([path], allowed).denied


def _picklescan() -> Denies:
    from picklescan.scanner import scan_file_path

    def denies(path: Path) -> bool:
        result: Any = scan_file_path(str(path))
        return bool(result.issues_count or result.scan_err)

    return denies


def _modelscan() -> Denies:
    from modelscan.modelscan import ModelScan

    def denies(path: Path) -> bool:
        result: Any = ModelScan().scan(str(path))
        return bool(result["summary"]["total_issues"] or result["errors"])

    return denies


def _modelaudit() -> Denies:
    from modelaudit_picklescan import scan_file

    return lambda path: str(scan_file(str(path)).verdict.value) != "clean"


def _fickling() -> Denies:
    import fickling

    return lambda path: not fickling.is_likely_safe(str(path))


SCANNERS = {
    "modelseal": _modelseal,
    "picklescan": _picklescan,
    "modelscan": _modelscan,
    "modelaudit-picklescan": _modelaudit,
    "fickling": _fickling,
}


def main() -> int:
    """Print a table."""
    hostile = hostile_files()
    pickles = [one for one in hostile if one.rule.startswith("pickle-")]
    benign = sorted(BENIGN.iterdir())
    benign_pickles = [one for one in benign if one.suffix in {".pkl", ".joblib", ".pt"}]
    print(f"{len(pickles)} hostile pickles of {len(hostile)} hostile files; ", end="")
    print(f"{len(benign_pickles)} benign pickles of {len(benign)} benign files")
    for name, make in SCANNERS.items():
        try:
            denies = make()
        except ImportError:
            continue
        with tempfile.TemporaryDirectory() as directory:
            missed = _count(_written(pickles, Path(directory)), denies, wanted=False)
            others = [one for one in hostile if one not in pickles]
            others_missed = _count(_written(others, Path(directory)), denies, wanted=False)
        alarms = _count(benign_pickles, denies, wanted=True)
        row = [name, _version(name), str(missed), str(missed + others_missed), str(alarms)]
        print("| " + " | ".join(row) + " |", flush=True)
    return 0


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "this"


def _written(files: Iterable[Hostile], directory: Path) -> Iterable[Path]:
    for one in files:
        path = directory / one.name
        path.write_bytes(one.data)
        yield path
        path.unlink()


def _count(paths: Iterable[Path], denies: Denies, *, wanted: bool) -> int:
    return sum(_denies(path, denies) is wanted for path in paths)


def _denies(path: Path, denies: Denies) -> bool:
    silence = io.StringIO()
    try:
        with contextlib.redirect_stdout(silence), contextlib.redirect_stderr(silence):
            return denies(path)
    except Exception:  # noqa: BLE001 - whatever it was, the file did not pass
        return True


if __name__ == "__main__":
    sys.exit(main())
