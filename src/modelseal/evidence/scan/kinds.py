# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a file is, by its bytes. Its name is not asked."""

import re
from enum import StrEnum

from modelseal.evidence.scan.pickles import is_pickle, probably_pickle
from modelseal.evidence.scan.source import Source

_HEAD = 4096
_TAR_BLOCK = 512
_END_OF_DIRECTORY = b"PK\x05\x06"
_TAIL = (1 << 16) + 22


class Kind(StrEnum):
    """What a file is."""

    EMPTY = "empty"
    ZIP = "zip"
    TAR = "tar"
    COMPRESSED = "compressed"
    OTHER_ARCHIVE = "archive"
    PICKLE = "pickle"
    SAFETENSORS = "safetensors"
    GGUF = "gguf"
    NUMPY = "numpy"
    HDF5 = "hdf5"
    PROTOBUF = "protobuf"
    EXECUTABLE = "executable"
    DATA = "data"
    """A picture, a table and their like: formats without code."""
    TEXT = "text"
    UNKNOWN = "unknown"


_MAGIC: tuple[tuple[bytes, Kind], ...] = (
    (b"PK\x03\x04", Kind.ZIP),
    (_END_OF_DIRECTORY, Kind.ZIP),
    (b"\x93NUMPY", Kind.NUMPY),
    (b"GGUF", Kind.GGUF),
    (b"\x89HDF\r\n\x1a\n", Kind.HDF5),
    (b"\x1f\x8b", Kind.COMPRESSED),
    (b"BZh", Kind.COMPRESSED),
    (b"\xfd7zXZ\x00", Kind.COMPRESSED),
    (b"\x5d\x00\x00", Kind.COMPRESSED),
    (b"\x28\xb5\x2f\xfd", Kind.COMPRESSED),
    (b"\x04\x22\x4d\x18", Kind.COMPRESSED),
    (b"7z\xbc\xaf\x27\x1c", Kind.OTHER_ARCHIVE),
    (b"Rar!\x1a\x07", Kind.OTHER_ARCHIVE),
    (b"MSCF\x00\x00\x00\x00", Kind.OTHER_ARCHIVE),
    (b"!<arch>\n", Kind.OTHER_ARCHIVE),
    (b"xar!", Kind.OTHER_ARCHIVE),
    (b"hsqs", Kind.OTHER_ARCHIVE),
    (b"070701", Kind.OTHER_ARCHIVE),
    (b"070707", Kind.OTHER_ARCHIVE),
    (b"ZF0x", Kind.OTHER_ARCHIVE),  # joblib before 0.10
    (b"\x7fELF", Kind.EXECUTABLE),
    (b"MZ", Kind.EXECUTABLE),
    (b"\xfe\xed\xfa\xce", Kind.EXECUTABLE),
    (b"\xfe\xed\xfa\xcf", Kind.EXECUTABLE),
    (b"\xce\xfa\xed\xfe", Kind.EXECUTABLE),
    (b"\xcf\xfa\xed\xfe", Kind.EXECUTABLE),
    (b"\xca\xfe\xba\xbe", Kind.EXECUTABLE),
    (b"\x00asm", Kind.EXECUTABLE),
    (b"\x89PNG\r\n\x1a\n", Kind.DATA),
    (b"\xff\xd8\xff", Kind.DATA),
    (b"GIF87a", Kind.DATA),
    (b"GIF89a", Kind.DATA),
    (b"RIFF", Kind.DATA),
    (b"%PDF-", Kind.DATA),
    (b"PAR1", Kind.DATA),
    (b"ARROW1\x00\x00", Kind.DATA),
    (b"FEA1", Kind.DATA),
    (b"Obj\x01", Kind.DATA),
    (b"OggS", Kind.DATA),
    (b"fLaC", Kind.DATA),
    (b"ID3", Kind.DATA),
    (b"II*\x00", Kind.DATA),
    (b"MM\x00*", Kind.DATA),
    (b"wOFF", Kind.DATA),
    (b"wOF2", Kind.DATA),
    (b"\x00\x01\x00\x00\x00", Kind.DATA),
    (b"OTTO\x00", Kind.DATA),
    (b"SQLite format 3\x00", Kind.DATA),
    (b"CBM1", Kind.DATA),
    (b"{L\x00\x00\x00\x00\x00\x00\x00", Kind.DATA),  # XGBoost's UBJSON
    (b"{i\x07learner", Kind.DATA),
)
_HDF5_USER_BLOCKS = (512, 1024, 2048, 4096, 8192)
_PYC = re.compile(rb"..\r\n[\x00-\x03]\x00\x00\x00", re.DOTALL)
_ZLIB = 0x78
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def kind_of(source: Source) -> Kind:
    """Tell what a file is."""
    head = source.read_at(0, _HEAD)
    if not head:
        return Kind.EMPTY
    kind = next((kind for magic, kind in _MAGIC if head.startswith(magic)), None)
    if kind is None or kind is Kind.DATA:
        kind = _by_structure(source, head) or kind
    return kind or _without_mark(source, head)


def has_zip_at_end(source: Source) -> bool:
    """Tell whether a reader of zip archives, which begins at the end, would find one."""
    start = max(0, source.size - _TAIL)
    tail = source.read_at(start, _TAIL)
    at = tail.rfind(_END_OF_DIRECTORY)
    if at < 0 or at + 22 > len(tail):
        return False
    size = int.from_bytes(tail[at + 12 : at + 16], "little")
    where = start + at - size
    large = tail[max(0, at - 20) : at].startswith(b"PK\x06\x07")
    return large or size == 0 or (where >= 0 and source.read_at(where, 4) == b"PK\x01\x02")


def is_text(head: bytes) -> bool:
    """Tell whether bytes are the beginning of a text in UTF-8 or UTF-16."""
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    if _CONTROLS.search(head):
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return len(head) - error.start < 4 and "unexpected end" in error.reason  # noqa: PLR2004 - cut in a letter
    return True


def _by_structure(source: Source, head: bytes) -> Kind | None:  # noqa: PLR0911 - one form a line
    if is_pickle(head):
        return Kind.PICKLE
    if _is_safetensors(source, head):
        return Kind.SAFETENSORS
    if head[4:8] == b"ftyp":
        return Kind.DATA
    if head[4:8] == b"TFL3":
        return Kind.DATA
    if _is_tar(head):
        return Kind.TAR
    if any(source.read_at(place, 8) == b"\x89HDF\r\n\x1a\n" for place in _HDF5_USER_BLOCKS):
        return Kind.HDF5
    if _PYC.match(head):
        return Kind.EXECUTABLE
    if (
        head[0] == _ZLIB
        and len(head) > 1
        and int.from_bytes(head[:2], "big") % 31 == 0
        and not is_text(head)
    ):
        return Kind.COMPRESSED
    return None


def _without_mark(source: Source, head: bytes) -> Kind:
    text = is_text(head)
    if probably_pickle(source, text=text):
        return Kind.PICKLE
    if text:
        return Kind.TEXT
    if _is_protobuf(source, head):
        return Kind.PROTOBUF
    return Kind.UNKNOWN


def _is_safetensors(source: Source, head: bytes) -> bool:
    length = int.from_bytes(head[:8], "little")
    return head[8:9] == b"{" and 1 < length <= source.size - 8


def _is_tar(head: bytes) -> bool:
    block = head[:_TAR_BLOCK]
    if len(block) < _TAR_BLOCK:
        return False
    digits = block[148:156].strip(b" \x00")
    try:
        told = int(digits, 8)
    except ValueError:
        return False
    return told == sum(block) - sum(block[148:156]) + 8 * 0x20


def _is_protobuf(source: Source, head: bytes) -> bool:
    from modelseal.evidence.scan.protobuf import Wire, WireError

    try:
        for _ in Wire(source).fields(range(source.size)):
            pass
    except WireError:
        return False
    return bool(head)
