# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Which parts of a file that is being fetched are there, so that the next run goes on from them.

A part file has its whole size from the start; beside it stands its journal: a line that says
which blob it is for, then one byte a unit, set when the unit's bytes are written. Setting a byte is
one write of one byte, which is done or not, also when the process is killed. After a power cut the
journal may say more than the disk has: the digest of the whole decides, never the journal.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from modelseal.oci.descriptor import Descriptor

UNIT = 256 << 10
"""Bytes of one unit: what is lost at most by each connection of a run that is killed."""

_LARGE = 64 << 20
_LARGE_UNIT = 1 << 20

_MOST_UNITS = 4 << 20
_VERSION = 1
_THERE = ord("#")
_ABSENT = b"."
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


def unit_of(size: int) -> int:
    """Return the unit for a blob of `size` bytes.

    Each unit is some calls to the kernel, so those of large blobs are larger; those of sizes that
    only an attacker claims grow with it.
    """
    unit = UNIT if size < _LARGE else _LARGE_UNIT
    while size > unit * _MOST_UNITS:
        unit *= 2
    return unit


@dataclass(slots=True)
class Journal:
    """The units of one part file; `there` has a non-zero byte for each that was written."""

    file: int
    offset: int
    unit: int
    there: bytearray

    @classmethod
    def open(cls, path: Path, target: Descriptor, part: int) -> Self:
        """Open a journal; if it does not fit the part file, both begin anew.

        Args:
            path: of the journal, in a directory of the caller's own.
            target: the blob.
            part: the open part file; it has the size of the blob when this returns.

        Raises:
            OSError: the disk refused.
        """
        unit = unit_of(target.size)
        units = -(-target.size // unit)
        about = {"version": _VERSION, "digest": str(target.digest), "size": target.size}
        header = json.dumps({**about, "unit": unit}).encode() + b"\n"
        file = os.open(path, _FLAGS, 0o600)
        try:
            known = _read(file, header, units)
            if known is None or os.fstat(part).st_size != target.size:
                known = bytearray(units)
                # In this order: a kill in between must not leave a journal that says too much.
                os.ftruncate(file, 0)
                os.ftruncate(part, 0)
                os.ftruncate(part, target.size)
                os.pwrite(file, header + _ABSENT * units, 0)
        except BaseException:
            os.close(file)
            raise
        return cls(file, len(header), unit, known)

    @property
    def begun(self) -> bool:
        """Whether an earlier run has written something."""
        return any(self.there)

    def mark(self, position: int) -> None:
        """Say that the unit at `position`, in bytes, is written. Raises `OSError`."""
        os.pwrite(self.file, b"#", self.offset + position // self.unit)

    def forget(self) -> None:
        """Say that nothing is written; the next to open it begins anew. Raises `OSError`."""
        os.ftruncate(self.file, 0)

    def close(self) -> None:
        """Close the file."""
        os.close(self.file)


def _read(file: int, header: bytes, units: int) -> bytearray | None:
    """Return the marks, or None when the journal is not exactly what we would have written."""
    if os.fstat(file).st_size != len(header) + units:
        return None
    raw = os.pread(file, len(header) + units, 0)
    marks = raw[len(header) :]
    if raw[: len(header)] != header or marks.strip(b"#.") or len(marks) != units:
        return None
    return bytearray(mark == _THERE for mark in marks)
