# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Archives as other tools write them, and as attackers do."""

import gzip
import io
import sys
import tarfile
from collections.abc import Callable, Iterable, Mapping

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

BLOCK = 512
END = bytes(2 * BLOCK)


def tar(files: Mapping[str, bytes], *, form: int = tarfile.PAX_FORMAT) -> bytes:
    """Return an archive of these files and their directories, by the standard library."""
    made = io.BytesIO()
    directories: dict[str, None] = {}
    with tarfile.open(fileobj=made, mode="w", format=form) as archive:
        for name, data in files.items():
            for directory in reversed(list(parents(name))):
                if directory not in directories:
                    directories[directory] = None
                    archive.addfile(_info(directory, tarfile.DIRTYPE))
            info = _info(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return made.getvalue()


def parents(name: str) -> Iterable[str]:
    """Yield the directories above a name, the nearest first."""
    while name := name.rpartition("/")[0]:
        yield name


def member(
    name: bytes,
    data: bytes = b"",
    *,
    kind: bytes = b"0",
    size: bytes | None = None,
    link: bytes = b"",
    prefix: bytes = b"",
    magic: bytes = b"ustar\x0000",
    checksum: int | None = None,
) -> bytes:
    """Return one member, byte for byte as it is told; without the end of an archive."""
    header = bytearray(BLOCK)
    header[:100] = name.ljust(100, b"\0")[:100]
    header[100:124] = b"0000644\x000000000\x000000000\x00"
    header[124:136] = size if size is not None else b"%011o\0" % len(data)
    header[136:148] = b"00000000000\0"
    header[156:157] = kind
    header[157:257] = link.ljust(100, b"\0")
    header[257:265] = magic
    header[345:500] = prefix.ljust(155, b"\0")
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % (sum(header) if checksum is None else checksum)
    return bytes(header) + data + bytes(-len(data) % BLOCK)


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    """Return an extended header with these keywords and values."""
    return member(b"././@PaxHeader", b"".join(_record(*pair) for pair in records), kind=kind)


def gzipped(data: bytes) -> bytes:
    """Return a gzip file."""
    return gzip.compress(data, mtime=0)


def zstd_compressed(data: bytes, *, window_log: int | None = None) -> bytes:
    """Return a zstd frame."""
    if window_log is None:
        return zstd.compress(data)
    options = {
        int(zstd.CompressionParameter.window_log): window_log,
        int(zstd.CompressionParameter.content_size_flag): 0,
    }
    made = zstd.ZstdCompressor(options=options)
    # In two steps, so that the window does not shrink to the size of the content.
    return made.compress(data) + made.flush()


def _record(keyword: bytes, value: bytes) -> bytes:
    body = b" " + keyword + b"=" + value + b"\n"
    length = len(body) + 1
    while len(str(length)) + len(body) != length:
        length = len(str(length)) + len(body)
    return str(length).encode() + body


def _info(name: str, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    info.mtime = 1_700_000_000
    info.mode = 0o4777  # what an archive says of modes is not believed
    info.uid = info.gid = 1000
    return info


COMPRESS: Mapping[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "+gzip": gzipped,
    "+zstd": zstd_compressed,
}
"""By the ends of media types."""
