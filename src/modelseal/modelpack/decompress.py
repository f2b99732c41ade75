# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Decompression of what strangers compressed: streaming, in bounded memory, bounded growth."""

import io
import sys
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, NoReturn, Protocol

from modelseal.errors import InvalidDocumentError, LimitExceededError
from modelseal.modelpack.readers.layer import Compression

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_EXPANSION = 200
"""Most bytes that one compressed byte may become. Weights hardly shrink at all."""

FREE_EXPANSION = 64 << 20
"""Bytes that a layer may always become, so that small files of little content pass."""

FREE_PIECES = 10_000
MIN_PIECE_BYTES = 256
"""A layer may consist of `FREE_PIECES` compressed pieces, and one more for so many bytes."""

MAX_WINDOW_BYTES = 32 << 20
"""Most memory that a zstd frame may ask for; RFC 8878, 3.1.1.1.2, asks for 8 MiB."""

_INPUT = 128 << 10
_GZIP = 16 + zlib.MAX_WBITS


class _Decompressor(Protocol):
    """What decompresses one piece, keeping the input that it has not used yet."""

    failure: type[Exception]

    def decompress(self, data: bytes, max_length: int) -> bytes: ...

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...


class _Gzip:
    def __init__(self) -> None:
        self._inner = zlib.decompressobj(_GZIP)
        self.failure: type[Exception] = zlib.error

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


class _Zstd:
    def __init__(self) -> None:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd

        options = {
            int(zstd.DecompressionParameter.window_log_max): MAX_WINDOW_BYTES.bit_length() - 1
        }
        self._inner = zstd.ZstdDecompressor(options=options)
        self.failure: type[Exception] = zstd.ZstdError

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(data, max_length)

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


class Decompressed(io.RawIOBase):
    """The content of a compressed stream.

    Several compressed pieces one after the other are one content, as in gzip and zstd themselves
    (parallel compressors write them); anything else after the end is refused. What is cut off
    raises, and what grows too much does so before it is handed out.
    """

    def __init__(self, source: BinaryIO, compression: Compression, name: str) -> None:
        """Read `source`; `name` is for errors."""
        self._source = source
        self._new: Callable[[], _Decompressor]
        self._new = _Zstd if compression is Compression.ZSTD else _Gzip
        self._name = name
        self._inner: _Decompressor | None = None
        self._pieces = 0
        self._rest = b""
        self._came = 0
        self._went = 0

    def readable(self) -> bool:
        """Tell that it can be read."""
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        """Fill `buffer`; 0 at the end.

        Raises:
            InvalidDocumentError: it is broken or cut off.
            LimitExceededError: it grows too much, or needs too much memory.
        """
        view = memoryview(buffer).cast("B")
        while view:
            data = self._step(len(view))
            if data is None:
                return 0
            if data:
                view[: len(data)] = data
                self._count(len(data))
                return len(data)
        return 0

    def _step(self, wanted: int) -> bytes | None:
        """Return some content, nothing yet, or None at the end."""
        if self._inner is None:
            fresh = self._rest or self._read()
            if not fresh and self._pieces:
                return None
            if not fresh:
                self._broken("is empty")
            self._inner, self._rest = self._new(), b""
            self._count_piece()
            data = self._decompress(self._inner, fresh, wanted)
        else:
            data = self._decompress(self._inner, b"", wanted)
            if not data and not self._inner.eof:
                fresh = self._read()
                if not fresh:
                    self._broken("is cut off")
                data = self._decompress(self._inner, fresh, wanted)
        if self._inner.eof:
            self._rest, self._inner = self._inner.unused_data, None
        return data

    def _decompress(self, inner: _Decompressor, data: bytes, wanted: int) -> bytes:
        try:
            return inner.decompress(data, wanted)
        except inner.failure as error:
            if "memory" in str(error):
                raise LimitExceededError(
                    f"the layer {self._name!r} needs more than {MAX_WINDOW_BYTES} bytes of "
                    "memory to be read",
                    hint="compress it with a smaller window (zstd without --long and --ultra)",
                ) from error
            raise InvalidDocumentError(
                f"the layer {self._name!r} is not the compressed content that it says: {error}"
            ) from error

    def _read(self) -> bytes:
        data = self._source.read(_INPUT)
        self._came += len(data)
        return data

    def _count_piece(self) -> None:
        # Each costs the making of a decompressor, also when nothing is in it.
        self._pieces += 1
        if self._pieces > FREE_PIECES + self._came // MIN_PIECE_BYTES:
            raise LimitExceededError(
                f"the layer {self._name!r} is cut into more pieces than a compressor makes"
            )

    def _count(self, count: int) -> None:
        self._went += count
        if self._went > max(FREE_EXPANSION, self._came * MAX_EXPANSION):
            raise LimitExceededError(
                f"the layer {self._name!r} becomes more than {MAX_EXPANSION} times as large: "
                "that is how a disk is filled, not how a model is packed"
            )

    def _broken(self, why: str) -> NoReturn:
        raise InvalidDocumentError(f"the layer {self._name!r} {why}")
