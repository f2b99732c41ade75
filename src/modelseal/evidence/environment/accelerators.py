# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Accelerators and their drivers.

The kernel is asked first: /proc/driver/nvidia, the PCI devices and AMD's topology below /sys. Then
`nvidia-smi`, where it is there, for what only the driver knows. Serial numbers and UUIDs are left
out: two cards of one model are one environment, and whose they are is nobody's business.
"""

import csv
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from modelseal.evidence.environment.reading import entries, pairs, printable, text_of
from modelseal.evidence.programs import ProgramError, ask_program, find_program

NVIDIA_SMI_SECONDS: Final = 15.0
"""Seconds that `nvidia-smi` may take: it hangs where a driver does."""

_VENDORS: Final = {
    "0x10de": "nvidia",
    "0x1002": "amd",
    "0x8086": "intel",
    "0x1ae0": "google",
    "0x1d0f": "amazon",
    "0x1da3": "habana",
}
_DISPLAY: Final = ("0x0300", "0x0302", "0x0380")  # VGA, 3D and other display controllers
_PROCESSING: Final = "0x12"  # https://pci-ids.ucw.cz, class 12: processing accelerators
_NVIDIA_VERSION: Final = re.compile(r"Kernel Module[^\n]*?\s([0-9]+(?:\.[0-9]+){1,3})\s")
_SMI_FIELDS: Final = ("name", "driver_version", "memory.total", "compute_cap")
_SMI_ENVIRONMENT: Final = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}


def accelerators(root: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the devices, and the versions of their drivers; `devices` is empty when there is none.

    Args:
        root: `/`, or a tree that stands for it.
        environment: of the process; its PATH tells where `nvidia-smi` is.
    """
    drivers: dict[str, str] = {}
    nvidia = _NVIDIA_VERSION.search(text_of(root / "proc/driver/nvidia/version") + "\n")
    if nvidia:
        drivers["nvidia"] = nvidia[1]
    devices = [*_nvidia(root, environment, drivers), *_amd(root), *_pci(root, drivers)]
    value: dict[str, Any] = {"devices": _counted(devices)}
    if drivers:
        value["drivers"] = drivers
    return value


def _counted(devices: list[dict[str, str]]) -> list[dict[str, str]]:
    """Return each kind of device once, with how many there are, in a constant order."""
    kinds: dict[tuple[tuple[str, str], ...], int] = {}
    for device in devices:
        kind = tuple(sorted(device.items()))
        kinds[kind] = kinds.get(kind, 0) + 1
    return [{**dict(kind), "count": str(kinds[kind])} for kind in sorted(kinds)]


def _nvidia(
    root: Path, environment: Mapping[str, str], drivers: dict[str, str]
) -> Iterator[dict[str, str]]:
    asked = list(_nvidia_smi(environment))
    for device in asked:
        drivers.setdefault("nvidia", device["driver"])
        yield {key: value for key, value in device.items() if key != "driver"}
    if asked:
        return
    for directory in entries(root / "proc/driver/nvidia/gpus"):
        told = dict(pairs(text_of(directory / "information"), ":"))
        if told.get("Model"):
            yield {"vendor": "nvidia", "name": told["Model"]}


def _nvidia_smi(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    program = find_program("nvidia-smi", environment)
    if program is None:
        return
    question = [f"--query-gpu={','.join(_SMI_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        _, answer = ask_program(
            [program, *question], _SMI_ENVIRONMENT, timeout=NVIDIA_SMI_SECONDS, limit=1 << 20
        )
    except ProgramError:  # without a driver, or with one of another version; the kernel is asked
        return
    text = printable(answer.decode("utf-8", "replace"))
    for row in csv.reader(text.splitlines(), skipinitialspace=True):
        if len(row) != len(_SMI_FIELDS):
            continue
        name, driver, memory, capability = (field.strip() for field in row)
        device = {"vendor": "nvidia", "name": name, "driver": driver}
        if memory.isdigit():
            device["memoryMiB"] = memory
        if re.fullmatch(r"[0-9]+\.[0-9]+", capability):
            device["computeCapability"] = capability
        yield device


def _amd(root: Path) -> Iterator[dict[str, str]]:
    """Yield the nodes of AMD's compute driver that are GPUs (kernel docs, "amdkfd")."""
    for node in entries(root / "sys/class/kfd/kfd/topology/nodes"):
        told = dict(pairs(text_of(node / "properties"), " "))
        version = told.get("gfx_target_version", "0")
        if told.get("simd_count", "0") == "0" or not version.isdigit() or version == "0":
            continue  # a processor
        major, minor, step = int(version) // 10000, int(version) // 100 % 100, int(version) % 100
        device = {"vendor": "amd", "target": f"gfx{major}{minor:x}{step:x}"}
        if told.get("device_id", "").isdigit():
            device["device"] = f"{int(told['device_id']):#06x}"
        name = text_of(node / "name")
        yield {**device, "name": name} if name else device


def _pci(root: Path, drivers: dict[str, str]) -> Iterator[dict[str, str]]:
    known_to = {"nvidia": root / "proc/driver/nvidia", "amd": root / "sys/class/kfd/kfd/topology"}
    for device in entries(root / "sys/bus/pci/devices"):
        kind, vendor = text_of(device / "class"), text_of(device / "vendor")
        name = _VENDORS.get(vendor, "")
        if not (kind.startswith(_PROCESSING) or (kind.startswith(_DISPLAY) and name)):
            continue
        driver = device / "driver"
        bound = driver.resolve().name if driver.exists() else ""
        version = text_of(root / "sys/module" / bound / "version") if bound else ""
        if version:
            drivers.setdefault(bound, version)
        if name in known_to and known_to[name].exists():
            continue  # told already, by who knows more
        found = {"vendor": name or vendor, "device": text_of(device / "device"), "driver": bound}
        yield {key: value for key, value in found.items() if value}
