# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Pickles, instruction by instruction. They are written and looked at, and never loaded."""

import io
import struct
import tarfile
import zipfile
from collections.abc import Mapping

COMMAND = "echo harmless"


def text(value: str) -> bytes:
    raw = value.encode()
    return b"\x8c" + bytes([len(raw)]) + raw


def glob(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def stack_global(module: str, name: str) -> bytes:
    return text(module) + text(name) + b"\x93"


def call(module: str, name: str, *arguments: str, protocol: int = 4) -> bytes:
    """Return a whole pickle that calls a function with texts."""
    head = b"\x80" + bytes([protocol]) if protocol >= 2 else b""
    imported = stack_global(module, name) if protocol >= 4 else glob(module, name)
    if protocol < 2:
        told = b"(" + b"".join(f"V{one}\n".encode() for one in arguments) + b"t"
    else:
        told = (
            b"("
            + b"".join(b"X" + struct.pack("<I", len(one)) + one.encode() for one in arguments)
            + b"t"
        )
    return head + imported + told + b"R."


def zip_of(files: Mapping[str, bytes], *, deflated: bool = False) -> bytes:
    """Return a plain zip archive, the same every time."""
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w") as archive:
        for name, data in files.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED if deflated else zipfile.ZIP_STORED
            archive.writestr(info, data)
    return raw.getvalue()


def torch_zip(code: bytes, more: Mapping[str, bytes] | None = None) -> bytes:
    """Return a container as `torch.save` lays it out (`caffe2/serialize/inline_container.cc`)."""
    files = {"archive/data.pkl": code, "archive/byteorder": b"little", "archive/data/0": bytes(64)}
    return zip_of({**files, **(more or {}), "archive/version": b"3\n"})


def tensor_pickle(inside: bytes = b"") -> bytes:
    """Return a state dict with a tensor, as `torch.save` writes it; `inside` is one more value."""
    storage = (
        b"("
        b"X\x07\0\0\0storage"
        + glob("torch", "FloatStorage")
        + b"X\x01\0\0\x000X\x03\0\0\0cpuK\x10tQ"
    )
    tensor = (
        glob("torch._utils", "_rebuild_tensor_v2")
        + b"("
        + storage
        + b"K\0K\x04K\x04\x86K\x04K\x01\x86\x89"
        + glob("collections", "OrderedDict")
        + b")RtR"
    )
    extra = b"X\x01\0\0\0x" + inside if inside else b""
    return (
        b"\x80\x02"
        + glob("collections", "OrderedDict")
        + b")R(X\x01\0\0\0w"
        + tensor
        + extra
        + b"u."
    )


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return raw.getvalue()


def tar_member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info
