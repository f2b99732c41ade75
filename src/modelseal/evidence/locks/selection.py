# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a lock installs on one platform: markers are evaluated, edges followed, groups left out."""

import platform as machine
import sys
from collections.abc import Mapping

from modelseal.evidence.locks.entries import Edge, Lock, LockedPackage, Manager

# How OCI names a platform, and how Python and conda do.
_SYSTEMS = {"linux": ("linux", "Linux", "posix"), "darwin": ("darwin", "Darwin", "posix")} | {
    "windows": ("win32", "Windows", "nt")
}
_MACHINES = {
    ("linux", "amd64"): "x86_64",
    ("linux", "arm64"): "aarch64",
    ("darwin", "amd64"): "x86_64",
    ("darwin", "arm64"): "arm64",
    ("windows", "amd64"): "AMD64",
    ("windows", "arm64"): "ARM64",
}
_CONDA = {
    ("linux", "amd64"): "linux-64",
    ("linux", "arm64"): "linux-aarch64",
    ("darwin", "amd64"): "osx-64",
    ("darwin", "arm64"): "osx-arm64",
    ("windows", "amd64"): "win-64",
    ("windows", "arm64"): "win-arm64",
}


def environment_here(python: str = "") -> dict[str, str]:
    """Return the marker variables (PEP 508) of this machine.

    Args:
        python: the version of another interpreter on it; empty: of this one.
    """
    from packaging.markers import default_environment

    found = {key: str(value) for key, value in default_environment().items()}
    if python:
        found |= _of_python(python)
    return found


def environment_of(os: str, architecture: str, python: str) -> dict[str, str] | None:
    """Return the marker variables of CPython `python` (`3.12.0`) on a platform in OCI's words.

    None for a platform whose names Python is not known to have.
    """
    system, processor = _SYSTEMS.get(os), _MACHINES.get((os, architecture))
    if system is None or processor is None:
        return None
    return {
        "sys_platform": system[0],
        "platform_system": system[1],
        "os_name": system[2],
        "platform_machine": processor,
        "platform_release": "",
        "platform_version": "",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        **_of_python(python),
    }


def _of_python(python: str) -> dict[str, str]:
    return {
        "python_version": ".".join(python.split(".")[:2]),
        "python_full_version": python,
        "implementation_version": python,
    }


def conda_platform(os: str = "", architecture: str = "") -> str:
    """Return conda's name of a platform, by default of this one; empty when it has none."""
    if not os:
        os = {"win32": "windows"}.get(sys.platform, sys.platform)
        names = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "ARM64": "arm64"}
        architecture = names.get(machine.machine(), machine.machine())
    return _CONDA.get((os, architecture), "")


def holds(marker: str, environment: Mapping[str, str], extra: str = "") -> bool:
    """Evaluate a marker; one that cannot be evaluated holds, since it is told as a finding."""
    if not marker:
        return True
    from packaging.markers import (
        InvalidMarker,
        Marker,
        UndefinedComparison,
        UndefinedEnvironmentName,
    )

    try:
        return Marker(marker).evaluate({**environment, "extra": extra}, context="lock_file")
    except (InvalidMarker, UndefinedComparison, UndefinedEnvironmentName, RecursionError):
        return True


def selected(
    lock: Lock, environment: Mapping[str, str], conda: str = ""
) -> tuple[LockedPackage, ...]:
    """Return what the lock installs, without optional groups and extras, in its order.

    Args:
        lock: the lock.
        environment: the marker variables of the platform.
        conda: conda's name of the platform.
    """
    here = [
        package
        for package in lock.packages
        if not package.optional
        and package.platform in {"", conda}
        and (package.manager is Manager.CONDA or holds(package.marker, environment))
    ]
    if not lock.markers_on_edges:
        return tuple(here)
    return _reached(lock.roots or _needed_by_nobody(here), here, environment)


def _needed_by_nobody(packages: list[LockedPackage]) -> tuple[LockedPackage, ...]:
    """Return what nothing else needs: the project asks for it, when the lock does not name that."""
    needed = {edge.name for package in packages for edge in package.requires}
    return tuple(package for package in packages if package.name not in needed)


def _reached(
    roots: tuple[LockedPackage, ...], packages: list[LockedPackage], environment: Mapping[str, str]
) -> tuple[LockedPackage, ...]:
    """Follow the edges from the projects, each package once for each set of extras."""
    by_name: dict[str, list[LockedPackage]] = {}
    for package in (*packages, *roots):
        by_name.setdefault(package.name, []).append(package)
    seen: set[tuple[int, str]] = set()
    left = [(root, "") for root in roots]
    while left:
        package, extra = left.pop()
        if (id(package), extra) in seen:
            continue
        seen.add((id(package), extra))
        for edge in package.requires:
            if edge.extra == extra and holds(edge.marker, environment):
                for found in _meant(edge, by_name):
                    left += [(found, wanted) for wanted in ("", *edge.extras)]
    reached = {place for place, _ in seen}
    return tuple(package for package in packages if id(package) in reached)


def _meant(edge: Edge, by_name: Mapping[str, list[LockedPackage]]) -> list[LockedPackage]:
    return [
        package
        for package in by_name.get(edge.name, [])
        if not edge.version or package.version == edge.version
    ]
