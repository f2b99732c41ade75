# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Progress on stderr: bars on a terminal, plain lines elsewhere, nothing with `--quiet`."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from modelseal.cli.pace import Pace
from modelseal.cli.render.text import printable, size
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.events import (
    BytesMoved,
    TransferEvent,
    TransferFinished,
    TransferNotice,
    TransferPlanned,
    TransferStarted,
    discard,
)
from modelseal.trust.events import SigningDelayed
from modelseal.workflows.events import Event, EventSink, StepFinished, StepStarted

if TYPE_CHECKING:
    from rich.progress import TaskID

_LINE_EVERY_SECONDS = 5.0
_MOST_BARS = 8
_MOST_NAMED = 20
"""With more files than this, their names are not listed one by one."""

_SMALL = 1 << 20
"""Among other files, one of fewer bytes gets no bar of its own: it would only flash by."""

_NAME_WIDTH = 36
_REFRESH_SECONDS = 0.1


@contextmanager
def progress(*, quiet: bool) -> Iterator[EventSink]:
    """Give a sink for events that suits where stderr goes."""
    if quiet:
        yield discard
    elif sys.stderr.isatty():
        bars = _Bars()
        try:
            yield bars
        finally:
            bars.stop()
    else:
        yield _Lines()


class _Teller:
    """What bars and lines have in common: steps, names of files, sums."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pace = Pace()

    def __call__(self, event: Event) -> None:
        with self._lock:
            match event:
                case StepStarted(step, detail):
                    self._step_started(step, printable(detail))
                case StepFinished(step, detail):
                    self._end_transfer()
                    self._line(f"{step}: {printable(detail)}")
                case SigningDelayed(seconds, reason):
                    self._line(f"sign: waiting {seconds:.1f} s: {printable(reason)}")
                case TransferNotice(text):
                    self._line(f"note: {printable(text)}")
                case _:
                    self._transfer(event, time.monotonic())

    def _step_started(self, step: str, detail: str) -> None:
        raise NotImplementedError

    def _line(self, text: str) -> None:
        raise NotImplementedError

    def _show(self, event: TransferEvent, now: float) -> None:
        raise NotImplementedError

    def _transfer(self, event: TransferEvent, now: float) -> None:
        if isinstance(event, TransferPlanned) and self._pace.planned is not None:
            self._end_transfer()
        self._pace.note(event, now)
        if isinstance(event, TransferFinished) and self._named:
            how = "there already" if event.skipped else "done"
            descriptor = event.descriptor
            self._line(f"  {printable(descriptor.name)} ({size(descriptor.size)}): {how}")
        self._show(event, now)

    @property
    def _named(self) -> bool:
        planned = self._pace.planned
        return planned is None or planned.files <= _MOST_NAMED

    def _end_transfer(self) -> None:
        if self._pace.finished and not self._named:
            self._line(f"  {self._pace.summary(time.monotonic())}")
        self._pace = Pace()


class _Lines(_Teller):
    """One line a step; for a transfer a line every few seconds."""

    def __init__(self) -> None:
        super().__init__()
        self._told = time.monotonic()

    def _step_started(self, step: str, detail: str) -> None:
        """Say nothing: the step says when it is done."""

    def _line(self, text: str) -> None:
        typer.echo(text, err=True)

    def _show(self, event: TransferEvent, now: float) -> None:
        if isinstance(event, TransferPlanned):
            self._told = now
        if not isinstance(event, BytesMoved) or now - self._told < _LINE_EVERY_SECONDS:
            return
        self._told = now
        pace = self._pace
        parts = [size(pace.done)]
        if pace.planned is not None:
            parts = [
                f"{pace.finished} of {pace.planned.files} files",
                f"{size(min(pace.done, pace.planned.size))} of {size(pace.planned.size)}",
            ]
        speed = pace.speed(now)
        self._line(f"  {', '.join([*parts, speed] if speed else parts)}")


class _Bars(_Teller):
    """A bar a file while it moves, one for all, a line a step. rich is imported only here.

    Bars are drawn only while something moves: a step may ask for a passphrase or open a browser,
    and must not be drawn over.
    """

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

        self._progress = Progress(
            TextColumn("  {task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn(binary_units=True),
            TextColumn("{task.fields[speed]}", markup=False),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._bars: dict[Digest, TaskID] = {}
        self._waiting: dict[Digest, Descriptor] = {}
        self._total: TaskID | None = None
        self._drawn = 0.0

    def stop(self) -> None:
        """Take away all bars."""
        self._progress.stop()
        for bar in self._progress.task_ids:
            self._progress.remove_task(bar)
        self._bars.clear()
        self._waiting.clear()
        self._total = None

    def _step_started(self, step: str, detail: str) -> None:
        self._end_transfer()
        self._line(f"{step} {detail} …")

    def _end_transfer(self) -> None:
        self.stop()
        super()._end_transfer()

    def _line(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def _show(self, event: TransferEvent, now: float) -> None:
        match event:
            case TransferPlanned() | TransferNotice():
                pass
            case TransferStarted(descriptor):
                self._start(descriptor)
            case BytesMoved():
                self._draw(now)
            case TransferFinished(descriptor, _):
                self._finish(descriptor, now)

    def _start(self, descriptor: Descriptor) -> None:
        if not self._progress.live.is_started:
            self._progress.start()
        planned = self._pace.planned
        if self._total is None and planned is not None and planned.files > 1:
            self._total = self._add(f"total of {planned.files} files", planned.size)
        if descriptor.digest in self._bars or (
            self._total is not None and descriptor.size < _SMALL
        ):
            return
        self._waiting[descriptor.digest] = descriptor
        self._fill()

    def _fill(self) -> None:
        """Give bars to files that move, as long as there is room."""
        while self._waiting and len(self._bars) < _MOST_BARS:
            following = self._waiting.pop(next(iter(self._waiting)))
            self._bars[following.digest] = self._add(_short(following), following.size)

    def _add(self, name: str, total: int) -> "TaskID":
        return self._progress.add_task(name, total=total, speed="")

    def _draw(self, now: float) -> None:
        if now - self._drawn < _REFRESH_SECONDS:
            return
        self._drawn = now
        speed = self._pace.speed(now)
        alone = self._total is None and len(self._bars) == 1
        for digest, bar in self._bars.items():
            moved = self._pace.of(digest)
            self._progress.update(bar, completed=moved, speed=speed if alone else "")
        self._draw_total(speed)

    def _draw_total(self, speed: str) -> None:
        if self._total is not None and self._pace.planned is not None:
            self._progress.update(
                self._total,
                description=f"{self._pace.finished} of {self._pace.planned.files} files",
                completed=min(self._pace.done, self._pace.planned.size),
                speed=speed,
            )

    def _finish(self, descriptor: Descriptor, now: float) -> None:
        self._waiting.pop(descriptor.digest, None)
        bar = self._bars.pop(descriptor.digest, None)
        if bar is not None:
            self._progress.remove_task(bar)
        self._fill()
        self._draw_total(self._pace.speed(now))
        if self._pace.complete or (self._pace.planned is None and not self._bars):
            self.stop()


def _short(descriptor: Descriptor) -> str:
    """Write a file's name, cut in front: files of one model differ at the end."""
    name = printable(descriptor.name)
    return name if len(name) <= _NAME_WIDTH else f"…{name[1 - _NAME_WIDTH :]}"
