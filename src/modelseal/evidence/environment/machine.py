# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The operating system, the kernel, the C library and the processor.

What cannot be found out is left out; nothing is guessed from something else.
"""

import os
import re
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from modelseal.evidence.environment.reading import entries, pairs, text_of
from modelseal.evidence.programs import ProgramError, ask_program

_MUSL_VERSION = re.compile(rb"Version ([0-9][0-9A-Za-z.+_-]{0,40})")
_SHOWS_USAGE = 1  # musl's loader without arguments
_LOADER_SECONDS = 5.0
# x86 and s390 say flags, Arm Features; https://docs.kernel.org/arch/x86/cpuinfo.html
_FEATURES = ("flags", "Features", "features")
_MODELS = ("model name", "Model Name", "cpu model", "cpu")


def operating_system(root: Path) -> dict[str, str]:
    """Return name, version and how they are written for people (`os-release(5)`)."""
    said = text_of(root / "etc/os-release") or text_of(root / "usr/lib/os-release")
    release = {key: value.strip("\"'") for key, value in pairs(said, "=")}
    return _filled(
        {
            "id": release.get("ID", "" if sys.platform == "linux" else sys.platform),
            "version": release.get("VERSION_ID", ""),
            "name": release.get("PRETTY_NAME", ""),
        }
    )


def kernel() -> dict[str, str]:
    """Return what `uname(2)` says, without the host's name."""
    told = os.uname()
    return _filled(
        {
            "name": told.sysname,
            "release": told.release,
            "version": told.version,
            "machine": told.machine,
        }
    )


def libc(root: Path) -> dict[str, str]:
    """Return the C library that this process uses, and its version."""
    # KeyError and ValueError: another C library than glibc does not know the name.
    with suppress(AttributeError, KeyError, ValueError, OSError):
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
        if name and version:
            return {"name": name, "version": version}
    return musl(root)


def musl(root: Path) -> dict[str, str]:
    """Return musl's version, which its loader tells; empty where there is none."""
    for loader in entries(root / "lib", "ld-musl-*.so.1"):
        with suppress(ProgramError):
            _, written = ask_program(
                [loader], {}, timeout=_LOADER_SECONDS, answers=(0, _SHOWS_USAGE), stderr=True
            )
            found = _MUSL_VERSION.search(written)
            if found:
                return {"name": "musl", "version": found[1].decode()}
    return {}


def processor(root: Path) -> dict[str, object]:
    """Return the processor's architecture, model, number of threads, and features.

    A feature is told that all of them have: code may run on any.
    """
    cores = _cores(text_of(root / "proc/cpuinfo"))
    value: dict[str, object] = {"architecture": os.uname().machine}
    if not cores:
        return value
    value["threads"] = str(len(cores))
    models = sorted({model for core in cores if (model := _first(core, _MODELS))})
    if models:
        value["models"] = models
    features = [set(_first(core, _FEATURES).split()) for core in cores]
    common = set.intersection(*features)
    if common:
        value["features"] = sorted(common)
    return value


def _cores(cpuinfo: str) -> list[Mapping[str, str]]:
    blocks = [dict(pairs(block, ":")) for block in cpuinfo.split("\n\n")]
    return [block for block in blocks if "processor" in block]


def _first(core: Mapping[str, str], keys: tuple[str, ...]) -> str:
    return next((core[key] for key in keys if core.get(key)), "")


def _filled(values: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in values.items() if value}
