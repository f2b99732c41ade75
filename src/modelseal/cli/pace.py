# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""How far a transfer is, how fast it goes and how long it still takes; no clock, no output."""

from collections import deque
from dataclasses import dataclass, field

from modelseal.cli.render.text import size
from modelseal.oci.descriptor import Digest
from modelseal.oci.events import (
    BytesMoved,
    TransferEvent,
    TransferFinished,
    TransferNotice,
    TransferPlanned,
)

_WINDOW = 15.0
"""Seconds over which the rate is taken: long enough to be calm, short enough to be true."""

_SAMPLE = 0.25
_SHORTEST = 0.5
_DAY = 86_400


@dataclass(slots=True)
class Pace:
    """The state of one transfer of many files; `now` is in seconds and never goes back.

    Attributes:
        planned: files and bytes that were announced; None when nothing was.
        moved: bytes that went over the wire in this run, also those of attempts that failed.
        finished: files that are where they have to be.
        skipped: how many of those were there before.
    """

    planned: TransferPlanned | None = None
    moved: int = 0
    finished: int = 0
    skipped: int = 0
    began: float = 0.0
    _settled: int = 0
    _moving: dict[Digest, int] = field(default_factory=dict)
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, event: TransferEvent, now: float) -> None:
        """Take an event into account."""
        if not self._samples:
            self.began = now
            self._samples.append((now, 0))
        match event:
            case TransferNotice():
                pass
            case TransferPlanned():
                self.planned = event
            case BytesMoved(descriptor, count):
                self.moved += count
                self._moving[descriptor.digest] = self._moving.get(descriptor.digest, 0) + count
            case TransferFinished(descriptor, skipped):
                self.finished += 1
                self.skipped += skipped
                self._settled += descriptor.size
                self._moving.pop(descriptor.digest, None)
            case _:  # it begins, perhaps anew
                self._moving[event.descriptor.digest] = 0
        if now - self._samples[-1][0] >= _SAMPLE:
            self._samples.append((now, self.moved))
            while now - self._samples[0][0] > _WINDOW:
                self._samples.popleft()

    @property
    def complete(self) -> bool:
        """Whether all that was announced is there."""
        return self.planned is not None and self.finished >= self.planned.files

    @property
    def done(self) -> int:
        """The bytes that are where they have to be, or on their way there."""
        return self._settled + sum(self._moving.values())

    def of(self, digest: Digest) -> int:
        """Return how much of one file that is on its way moved."""
        return self._moving.get(digest, 0)

    def rate(self, now: float) -> float:
        """Return the bytes a second of late; 0 when it is too early to tell."""
        then, moved = self._samples[0] if self._samples else (now, 0)
        return (self.moved - moved) / (now - then) if now - then >= _SHORTEST else 0.0

    def seconds_left(self, now: float) -> float | None:
        """Return how long it still takes at this rate; None when that cannot be told."""
        rate = self.rate(now)
        if self.planned is None or rate <= 0 or self.done >= self.planned.size:
            return None
        return (self.planned.size - self.done) / rate

    def speed(self, now: float) -> str:
        """Write the rate and the time left, as far as they are known."""
        rate = self.rate(now)
        left = self.seconds_left(now)
        parts = [f"{size(int(rate))}/s"] if rate > 0 else []
        parts += [f"{duration(left)} left"] if left is not None else []
        return ", ".join(parts)

    def summary(self, now: float) -> str:
        """Write what it came to: files, bytes that moved, time and rate."""
        took = now - self.began
        parts = [f"{self.finished} files", f"{size(self.moved)} in {duration(took)}"]
        if took >= _SHORTEST and self.moved:
            parts.append(f"{size(int(self.moved / took))}/s")
        if self.skipped:
            parts.append(f"{self.skipped} there already")
        return ", ".join(parts)


def duration(seconds: float) -> str:
    """Write a time for people: `12s`, `3:05`, `1:02:03`."""
    if seconds >= _DAY:
        return "over a day"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}:{minutes:02}:{rest:02}"
    return f"{minutes}:{rest:02}" if minutes else f"{rest}s"
