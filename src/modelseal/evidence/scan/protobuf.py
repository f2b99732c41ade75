# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Protobuf's wire format, read by place: https://protobuf.dev/programming-guides/encoding."""

from collections.abc import Iterator

from modelseal.evidence.scan.source import Source

MAX_FIELDS = 5_000_000
"""Most fields that are looked at in one file."""

_MAX_VARINT = 10
_WINDOW = 1 << 16
_MAX_TEXT = 4096


class WireError(Exception):
    """It is not protobuf, or too much of it. Never leaves this package."""

    def __init__(self, why: str, offset: int) -> None:
        """Say why, and where."""
        super().__init__(why)
        self.why = why
        self.offset = offset


class Wire:
    """A protobuf message, of which fields are passed over unless they are asked for."""

    def __init__(self, source: Source) -> None:
        """Read `source`."""
        self._source = source
        self._base = 0
        self._buf = b""
        self._left = MAX_FIELDS

    def fields(self, span: range) -> Iterator[tuple[int, int | range]]:
        """Yield the fields of the message in `span`: a number, or where the bytes stand."""
        at = span.start
        while at < span.stop:
            self._left -= 1
            if self._left < 0:
                raise WireError(f"it has more than {MAX_FIELDS} fields", at)
            key, at = self._varint(at)
            kind = key & 7
            if kind == 0:
                value, at = self._varint(at)
                field: int | range = value
            elif kind == 2:  # noqa: PLR2004 - LEN
                length, at = self._varint(at)
                field = range(at, at + length)
                at += length
            elif kind in (1, 5):
                field = range(at, at + (8 if kind == 1 else 4))
                at = field.stop
            else:
                raise WireError("it has a field of a kind that is not known", at)
            if key >> 3 == 0 or at > span.stop:
                raise WireError("a field does not fit", at)
            yield key >> 3, field

    def message(self, value: int | range) -> Iterator[tuple[int, int | range]]:
        """Yield the fields of a message in a field."""
        if isinstance(value, int):
            raise WireError("a number stands where a message has to be", 0)
        return self.fields(value)

    def text(self, value: int | range) -> str:
        """Return text; what is too long is cut."""
        if isinstance(value, int):
            raise WireError("a number stands where a text has to be", 0)
        return self._source.read_at(value.start, min(len(value), _MAX_TEXT)).decode(
            "utf-8", "replace"
        )

    def _varint(self, at: int) -> tuple[int, int]:
        value = 0
        place = at - self._base
        if not 0 <= place <= len(self._buf) - _MAX_VARINT:
            self._base, self._buf = at, self._source.read_at(at, _WINDOW)
            place = 0
        for index in range(_MAX_VARINT):
            if place + index >= len(self._buf):
                raise WireError("it is cut off", at)
            byte = self._buf[place + index]
            value |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:  # noqa: PLR2004 - the bit that says that more follows
                return value, at + index + 1
        raise WireError("a number is too long", at)
