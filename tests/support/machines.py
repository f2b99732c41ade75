# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Trees that stand for the /proc, /sys and /etc of other machines, and installed distributions."""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

_CPU = "processor\t: {number}\nmodel name\t: {model}\nflags\t\t: {flags}\n"
_NVIDIA_VERSION = (
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.129.03  Thu Oct 19 18:56:32 UTC 2023\n"
    "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n"
)


def write(root: Path, files: Mapping[str, str]) -> Path:
    """Write files below `root`, and return it."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return root


def cpuinfo(model: str, *flags: str) -> str:
    """Return a /proc/cpuinfo with one processor for each text of flags."""
    return "\n".join(
        _CPU.format(number=number, model=model, flags=said) for number, said in enumerate(flags)
    )


def debian(root: Path) -> Path:
    """Make a machine without accelerators."""
    release = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n'
    processors = cpuinfo("AMD EPYC", "sse2 avx avx2", "avx2 sse2 fma avx")
    return write(root, {"etc/os-release": release, "proc/cpuinfo": processors})


def with_nvidia(root: Path) -> Path:
    """Give a machine two cards, as the kernel's driver tells."""
    for place in ("0000:3b:00.0", "0000:d8:00.0"):
        told = (
            f"Model: \t\t NVIDIA A100-SXM4-80GB\nGPU UUID: \t GPU-{place}\nBus Location: {place}\n"
        )
        write(root, {f"proc/driver/nvidia/gpus/{place}/information": told})
        pci(root, place, kind="0x030200", vendor="0x10de", device="0x20b2", driver="nvidia")
    return write(root, {"proc/driver/nvidia/version": _NVIDIA_VERSION})


def with_amd(root: Path) -> Path:
    """Give a machine one card, as AMD's compute driver tells, beside its processor."""
    nodes = "sys/class/kfd/kfd/topology/nodes"
    pci(root, "0000:03:00.0", kind="0x038000", vendor="0x1002", device="0x740f", driver="amdgpu")
    gpu = "simd_count 416\ngfx_target_version 90010\ndevice_id 29711\nunique_id 77\n"
    return write(
        root,
        {
            f"{nodes}/0/properties": "cpu_cores_count 64\nsimd_count 0\ngfx_target_version 0\n",
            f"{nodes}/0/name": "\n",
            f"{nodes}/1/properties": gpu,
            f"{nodes}/1/name": "aldebaran\n",
            "sys/module/amdgpu/version": "6.7.0\n",
        },
    )


def pci(root: Path, place: str, *, kind: str, vendor: str, device: str, driver: str = "") -> None:
    """Give a machine a PCI device."""
    home = f"sys/bus/pci/devices/{place}"
    write(
        root,
        {f"{home}/class": kind, f"{home}/vendor": vendor, f"{home}/device": f"{device}\n"},
    )
    if driver:
        target = root / "sys/bus/pci/drivers" / driver
        target.mkdir(parents=True, exist_ok=True)
        (root / home / "driver").symlink_to(target)


def program(directory: Path, name: str, script: str) -> Path:
    """Write a program that a shell runs, and return it."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


def distribution(
    site: Path,
    name: str,
    version: str,
    files: Mapping[str, bytes] | None = None,
    *,
    more: tuple[str, ...] = (),
    backwards: bool = False,
) -> Path:
    """Install a distribution into `site` as pip would; `more` are further rows of its RECORD."""
    home = f"{name}-{version}.dist-info"
    described = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    contents = {f"{home}/METADATA": described, **(files or {f"{name}.py": b"x = 1\n"})}
    rows = [f"{path},sha256={_hash(data)},{len(data)}" for path, data in contents.items()]
    rows = [*rows, *more, f"{home}/RECORD,,"]
    if backwards:
        rows.reverse()
    for path, data in contents.items():
        target = site / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    (site / home / "RECORD").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
    return site / home


def _hash(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
