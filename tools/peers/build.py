"""Build the programs that the tests run against, each from its pinned Go module.

    python tools/peers/build.py [NAME ...] [--optional]

A peer is a folder beside this file with a `go.mod` and a `go.sum`: what is built is the package
that the `tool` line names, or the folder's own `main.go`. Go checks every module that it downloads
against `go.sum`. Binaries go to a cache outside the checkout, named after all that they were made
from, so that nothing is built twice and nothing stale is used. Standard library only: this runs
before anything is installed.
"""

import argparse
import functools
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_NEEDS_CGO = frozenset({"ct-test-srv"})
_FLAGS = ("-mod=readonly", "-trimpath", "-buildvcs=false", "-ldflags=-s -w")
_TOOL_LINE = re.compile(r"^tool (\S+)$", re.MULTILINE)

NO_GO = "Go 1.26 or newer is not installed"
NAMES = tuple(sorted(module.parent.name for module in _HERE.glob("*/go.mod")))


class BuildError(Exception):
    """A peer could not be built; the message says which, why, and what to do."""


def cache_directory() -> Path:
    """Return where binaries are kept: `MODELSEAL_PEERS_CACHE`, or a folder in the user's cache."""
    if chosen := os.environ.get("MODELSEAL_PEERS_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "modelseal" / "peers"


@functools.cache
def go_version() -> str | None:
    """Return the version of Go that would build, such as `go1.26.8`, or None without Go."""
    if shutil.which("go") is None:
        return None
    # Asked inside a module, because Go may switch to the toolchain that the module wants.
    answer = subprocess.run(
        ["go", "env", "GOVERSION", "GOOS", "GOARCH"],  # noqa: S607 - whichever Go the user has
        cwd=_HERE / NAMES[0],
        check=False,
        capture_output=True,
        text=True,
    )
    return "-".join(answer.stdout.split()) if answer.returncode == 0 else None


def locate(name: str) -> Path | None:
    """Return the binary of a peer as its sources stand now, or None when it is not built.

    Without Go, what any Go built from the same sources will do.
    """
    made_with = go_version() or "*"
    found = sorted(cache_directory().glob(f"{name}/{_fingerprint(name)}-{made_with}/{name}"))
    return found[-1] if found else None


def build(name: str) -> Path:
    """Build one peer if it is not there yet, and return its binary.

    Raises:
        BuildError: Go, or a C compiler where one is needed, is missing, or the build failed.
    """
    if there := locate(name):
        return there
    version = go_version()
    if version is None:
        raise BuildError(f"{name}: {NO_GO}; install it and run `make peers`")
    if name in _NEEDS_CGO and not any(map(shutil.which, ("cc", "gcc", "clang"))):
        raise BuildError(f"{name}: needs a C compiler; on Debian: apt-get install gcc libc6-dev")
    target = cache_directory() / name / f"{_fingerprint(name)}-{version}" / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="building-") as scratch:
        made = Path(scratch) / name
        _go_build(name, made)
        made.replace(target)  # whole or not at all, also when two builds run at once
    return target


def main(arguments: list[str]) -> int:
    """Build what is asked for, print a line for each peer, and return an exit code."""
    parser = argparse.ArgumentParser(description="Build the programs that the tests run against.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument("--optional", action="store_true", help="do without Go, unless CI=true")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.names) - set(NAMES)):
        parser.error(f"no such peer: {', '.join(unknown)} (there are {', '.join(NAMES)})")
    names = options.names or NAMES
    missing = [name for name in names if locate(name) is None]
    if missing and go_version() is None:
        return _without_go(missing, optional=options.optional and os.environ.get("CI") != "true")
    return max([_report(name) for name in names], default=0)


def _fingerprint(name: str) -> str:
    """Digest all that decides what the binary will be, except the version of Go."""
    folder = _HERE / name
    hasher = hashlib.sha256(repr((_FLAGS, name in _NEEDS_CGO)).encode())
    for source in sorted([folder / "go.mod", folder / "go.sum", *folder.glob("*.go")]):
        content = source.read_bytes()
        hasher.update(f"{source.name} {len(content)}\n".encode() + content)
    return hasher.hexdigest()[:16]


def _go_build(name: str, output: Path) -> None:
    """Run `go build`; its `-mod=readonly` refuses whatever `go.sum` does not list."""
    folder = _HERE / name
    tool = _TOOL_LINE.search((folder / "go.mod").read_text())
    package = tool[1] if tool else "."
    cgo = "1" if name in _NEEDS_CGO else "0"
    done = subprocess.run(
        ["go", "build", *_FLAGS, "-o", str(output), package],  # noqa: S607 - whichever Go the user has
        cwd=folder,
        env={**os.environ, "CGO_ENABLED": cgo, "GOWORK": "off"},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        last = "\n".join(f"  {line}" for line in done.stdout.splitlines()[-15:])
        raise BuildError(
            f"{name}: `go build {package}` failed in {folder}:\n{last}\n"
            "check the network and the version of Go (1.26 is needed), then run `make peers` again"
        )


def _without_go(missing: list[str], *, optional: bool) -> int:
    """Say in one line what cannot be built."""
    stream = sys.stdout if optional else sys.stderr
    print(
        f"{NO_GO}: tests that need {', '.join(missing)} will not run",
        file=stream,
    )
    return 0 if optional else 1


def _report(name: str) -> int:
    """Build one peer, print what came of it, and return 0 or 1."""
    if locate(name):
        print(f"{name}: there already", flush=True)
        return 0
    started = time.monotonic()
    print(f"{name}: building ...", end=" ", flush=True)
    try:
        build(name)
    except BuildError as error:
        print("failed", flush=True)
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{time.monotonic() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
