# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What happens during a transfer, as values: a terminal draws bars, CI lines, tests compare."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from modelseal.oci.descriptor import Descriptor


@dataclass(frozen=True, slots=True)
class TransferPlanned:
    """`files` contents with `size` bytes in all are about to move, or to be skipped."""

    files: int
    size: int


@dataclass(frozen=True, slots=True)
class TransferStarted:
    """The bytes of `descriptor` begin to move; told again when they begin anew."""

    descriptor: Descriptor


@dataclass(frozen=True, slots=True)
class BytesMoved:
    """`count` more bytes of `descriptor` moved."""

    descriptor: Descriptor
    count: int


@dataclass(frozen=True, slots=True)
class TransferFinished:
    """All of `descriptor` is where it has to be; `skipped` when it was there before."""

    descriptor: Descriptor
    skipped: bool


@dataclass(frozen=True, slots=True)
class TransferNotice:
    """Something that may make the transfer fail, told before it begins."""

    text: str


TransferEvent: TypeAlias = (
    TransferPlanned | TransferStarted | BytesMoved | TransferFinished | TransferNotice
)
TransferSink: TypeAlias = Callable[[TransferEvent], None]
"""Called from several threads at once; it must not raise and not block."""


def discard(event: object) -> None:
    """Ignore the event: what a library caller gets by default."""
