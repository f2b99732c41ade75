# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Progress on stderr: bars on a terminal, plain lines elsewhere, nothing with `--quiet`."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import assert_never

import typer

from modelseal.cli.render.text import printable, size
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.events import BytesMoved, TransferFinished, TransferStarted, discard
from modelseal.workflows.events import Event, EventSink, StepFinished, StepStarted

_LINE_EVERY_SECONDS = 5.0


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


class _Lines:
    """One line a step; for a transfer a line every few seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._moved = 0
        self._told = time.monotonic()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        match event:
            case StepStarted():
                self._moved = 0
            case StepFinished(step, detail):
                typer.echo(f"{step}: {printable(detail)}", err=True)
            case BytesMoved(_, count):
                self._moved += count
                if time.monotonic() - self._told >= _LINE_EVERY_SECONDS:
                    self._told = time.monotonic()
                    typer.echo(f"  {size(self._moved)} so far", err=True)
            case TransferFinished(descriptor, skipped):
                how = "there already" if skipped else "done"
                name = printable(descriptor.name)
                typer.echo(f"  {name} ({size(descriptor.size)}): {how}", err=True)
            case TransferStarted():
                pass
            case _:
                assert_never(event)


class _Bars:
    """A bar a file while it moves, a line a step. rich is imported here, and only here.

    Bars are drawn only while something moves: a step may ask for a passphrase or open a browser,
    and must not be drawn over.
    """

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TaskID,
            TextColumn,
            TransferSpeedColumn,
        )

        self._progress = Progress(
            TextColumn("  {task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn(binary_units=True),
            TransferSpeedColumn(),
            console=Console(stderr=True, highlight=False),
            transient=True,
        )
        self._bars: dict[Digest, TaskID] = {}
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Take away all bars."""
        self._progress.stop()

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._tell(event)

    def _tell(self, event: Event) -> None:
        match event:
            case StepStarted(step, detail):
                self._line(f"{step} {printable(detail)} …")
            case StepFinished(step, detail):
                self._line(f"{step}: {printable(detail)}")
            case TransferStarted(descriptor):
                self._start(descriptor)
            case BytesMoved(descriptor, count):
                bar = self._bars.get(descriptor.digest)
                if bar is not None:
                    self._progress.advance(bar, count)
            case TransferFinished(descriptor, skipped):
                self._finish(descriptor, "there already" if skipped else "done")
            case _:
                assert_never(event)

    def _start(self, descriptor: Descriptor) -> None:
        if not self._bars:
            self._progress.start()
        name = printable(descriptor.name)
        self._bars[descriptor.digest] = self._progress.add_task(name, total=descriptor.size)

    def _finish(self, descriptor: Descriptor, how: str) -> None:
        self._line(f"  {printable(descriptor.name)} ({size(descriptor.size)}): {how}")
        bar = self._bars.pop(descriptor.digest, None)
        if bar is not None:
            self._progress.remove_task(bar)
        if not self._bars:
            self._progress.stop()

    def _line(self, text: str) -> None:
        self._progress.console.print(text, markup=False, highlight=False, soft_wrap=True)
