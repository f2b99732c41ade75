# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a person and a log see of a transfer: never a flood, never a wrong sum."""

import io
import sys
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelseal.cli.pace import Pace, duration
from modelseal.cli.progress import progress
from modelseal.oci.descriptor import OCTET_STREAM, Descriptor
from modelseal.oci.events import (
    BytesMoved,
    TransferEvent,
    TransferFinished,
    TransferPlanned,
    TransferStarted,
)
from modelseal.workflows.events import Event, StepFinished, StepStarted

MIB = 1 << 20


def file_of(number: int, size: int) -> Descriptor:
    title = {"org.opencontainers.image.title": f"shard-{number:05}.bin"}
    digest = Descriptor.of(b"%d" % number, OCTET_STREAM).digest
    return Descriptor(OCTET_STREAM, digest, size, annotations=title)


def whole(descriptor: Descriptor) -> list[TransferEvent]:
    moved = BytesMoved(descriptor, descriptor.size)
    return [TransferStarted(descriptor), moved, TransferFinished(descriptor, skipped=False)]


def test_the_rate_is_of_late_and_the_time_left_follows_from_it() -> None:
    pace, large = Pace(), file_of(0, 100 * MIB)
    pace.note(TransferPlanned(1, large.size), 0.0)
    pace.note(TransferStarted(large), 0.0)
    for second in range(1, 11):
        pace.note(BytesMoved(large, 2 * MIB), float(second))
    assert pace.rate(10.0) == 2 * MIB
    assert pace.seconds_left(10.0) == 40
    assert pace.speed(10.0) == "2.0 MiB/s, 40s left"
    for second in range(11, 41):
        pace.note(BytesMoved(large, MIB), float(second))
    assert pace.rate(40.0) == pytest.approx(MIB, rel=0.1)


def test_nothing_is_said_before_it_can_be_told() -> None:
    pace, large = Pace(), file_of(0, 100 * MIB)
    assert pace.speed(0.0) == ""
    pace.note(TransferStarted(large), 0.0)
    pace.note(BytesMoved(large, MIB), 0.1)
    assert pace.speed(0.1) == ""
    assert "left" not in pace.speed(2.0)


def test_what_is_there_already_is_no_speed() -> None:
    pace = Pace()
    files = [file_of(number, MIB) for number in range(10)]
    pace.note(TransferPlanned(10, 10 * MIB), 0.0)
    for descriptor in files[:9]:
        pace.note(TransferFinished(descriptor, skipped=True), 0.5)
    assert (pace.rate(1.0), pace.done, pace.complete) == (0, 9 * MIB, False)
    for event in whole(files[9]):
        pace.note(event, 2.0)
    assert pace.rate(2.0) == MIB / 2
    assert pace.complete
    assert pace.summary(2.0) == "10 files, 1.0 MiB in 2s, 512.0 KiB/s, 9 there already"


def test_an_attempt_that_failed_does_not_count_twice() -> None:
    pace, large = Pace(), file_of(0, 10 * MIB)
    pace.note(TransferPlanned(1, large.size), 0.0)
    for now in (0.0, 5.0):
        pace.note(TransferStarted(large), now)
        pace.note(BytesMoved(large, 8 * MIB), now + 1)
    assert pace.done == 8 * MIB
    assert pace.moved == 16 * MIB


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1 << 40), st.floats(0, 1e6))))
def test_any_order_of_events_gives_sums_that_can_be_shown(
    steps: list[tuple[int, int, float]],
) -> None:
    pace, now = Pace(), 0.0
    for kind, size, wait in steps:
        now += wait
        descriptor = file_of(size % 3, size)
        makers: list[Callable[[], TransferEvent]] = [
            lambda size=size: TransferPlanned(size % 7, size),  # type: ignore[misc] # bound now
            lambda one=descriptor: TransferStarted(one),  # type: ignore[misc]
            lambda one=descriptor, size=size: BytesMoved(one, size),  # type: ignore[misc]
            lambda one=descriptor: TransferFinished(one, skipped=False),  # type: ignore[misc]
            lambda one=descriptor: TransferFinished(one, skipped=True),  # type: ignore[misc]
            lambda one=descriptor: BytesMoved(one, 0),  # type: ignore[misc]
        ]
        pace.note(makers[kind](), now)
        assert pace.rate(now) >= 0
        assert "-" not in pace.speed(now) + pace.summary(now)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "0s"), (59.4, "59s"), (61, "1:01"), (3_600, "1:00:00"), (90_000, "over a day")],
)
def test_times_are_short(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def told(monkeypatch: pytest.MonkeyPatch, events: list[Event], *, terminal: bool) -> str:
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setattr(stream, "isatty", lambda: terminal, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    with progress(quiet=False) as on_event:
        for event in events:
            on_event(event)
    return stream.getvalue()


def transfer(count: int, size: int) -> list[Event]:
    files = [file_of(number, size) for number in range(count)]
    events: list[Event] = [StepStarted("push", "x"), TransferPlanned(count, count * size)]
    events += [TransferStarted(descriptor) for descriptor in files]
    events += [BytesMoved(descriptor, size) for descriptor in files]
    events += [TransferFinished(descriptor, skipped=False) for descriptor in files]
    return [*events, StepFinished("push", "x")]


@pytest.mark.parametrize("terminal", [True, False])
def test_two_hundred_files_do_not_flood(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> None:
    out = told(monkeypatch, transfer(200, 2 * MIB), terminal=terminal)
    kept = [line for line in out.splitlines() if "shard" not in line]
    assert sum("200 files, 400.0 MiB" in line for line in kept) == 1
    assert ": done" not in out
    if terminal:
        frames = out.split("\x1b[2K")  # each begins by erasing the lines of the last
        assert 0 < max(frame.count("shard") for frame in frames) <= 8
    else:
        assert len(out.splitlines()) == 2


@pytest.mark.parametrize("terminal", [True, False])
def test_a_few_files_are_named(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> None:
    out = told(monkeypatch, transfer(3, 2 * MIB), terminal=terminal)
    for number in range(3):
        assert out.count(f"shard-{number:05}.bin (2.0 MiB): done") == 1


def test_a_log_gets_a_line_every_few_seconds_with_rate_and_time_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("modelseal.cli.progress.time.monotonic", lambda: now)
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    large = file_of(0, 100 * MIB)
    with progress(quiet=False) as on_event:
        on_event(TransferPlanned(1, large.size))
        on_event(TransferStarted(large))
        for _ in range(20):
            now += 1
            on_event(BytesMoved(large, MIB))
    lines = stream.getvalue().splitlines()
    assert lines == [
        "  0 of 1 files, 5.0 MiB of 100.0 MiB, 1.0 MiB/s, 1:35 left",
        "  0 of 1 files, 10.0 MiB of 100.0 MiB, 1.0 MiB/s, 1:30 left",
        "  0 of 1 files, 15.0 MiB of 100.0 MiB, 1.0 MiB/s, 1:25 left",
        "  0 of 1 files, 20.0 MiB of 100.0 MiB, 1.0 MiB/s, 1:20 left",
    ]


def test_quiet_is_quiet(capsys: pytest.CaptureFixture[str]) -> None:
    with progress(quiet=True) as on_event:
        for event in transfer(3, MIB):
            on_event(event)
    assert capsys.readouterr() == ("", "")
