# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Asking Sigstore's services side by side, each within its time, and again when that may help.

sigstore-python sends to the log without a time-out and never twice. So each request runs in a
thread of its own that is left alone when its time is over, and what may pass is tried again.
"""

import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from modelseal.errors import Error, UnavailableError
from modelseal.trust.events import SigningDelayed, SigningSink

T = TypeVar("T")

MAX_UPLOADS: Final = 8
"""Most statements that are uploaded to the log at once."""

ATTEMPTS: Final = 5
"""How often in a row one thing is asked for."""

ATTEMPT_TIMEOUT: Final = 30.0
"""Seconds for one answer. Rekor v2 answers when a checkpoint covers the entry: up to 20."""

LONGEST_ASKED: Final = 600.0
"""Longest wait, in seconds, that a service may ask for."""

_random = random.SystemRandom()


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long Sigstore's services are waited for, in seconds.

    Attributes:
        attempts: how often one thing is asked for in a row without success.
        attempt_timeout: for one answer: of Fulcio, or of the timestamp authority and the log
            together.
        first_wait: after the first failure; it doubles, with jitter.
        longest_wait: of our own back-off.
        longest_asked: the longest wait that a service may ask for (`Retry-After`); one that asks
            for more is given up on.
        sleep: waits; tests replace it.
        clock: tells the time, for the certificate's end; tests replace it.
    """

    attempts: int = ATTEMPTS
    attempt_timeout: float = ATTEMPT_TIMEOUT
    first_wait: float = 0.5
    longest_wait: float = 15.0
    longest_asked: float = LONGEST_ASKED
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], datetime] = _now


@dataclass(frozen=True, slots=True)
class Setback:
    """An attempt that failed and may pass; `asked` is the wait that the service wants."""

    error: Error
    asked: float | None = None


@dataclass(slots=True)
class Persistence:
    """The failures in a row of one thing that is asked for, and what is waited after them.

    `lasts` tells whether what was got so far (a certificate, a token) is still good, or can be
    had again, at a later time.
    """

    patience: Patience
    on_event: SigningSink
    lasts: Callable[[datetime], bool]
    failures: int = field(default=0)

    def succeeded(self) -> None:
        """Count anew."""
        self.failures = 0

    def wait(self, setbacks: Sequence[Setback]) -> None:
        """Wait for as long as it takes after these failures, and tell so.

        Raises:
            Error: of the one that asks for the longest wait, when waiting does not help.
        """
        self.failures += 1
        longest = max(setbacks, key=lambda one: -1.0 if one.asked is None else one.asked)
        error, asked = longest.error, longest.asked
        seconds = self._back_off() if asked is None else asked * _random.uniform(1.0, 1.1)
        if self.failures >= self.patience.attempts:
            raise error
        if asked is not None and asked > self.patience.longest_asked:
            raise UnavailableError(f"{error}; it asks to wait for {asked:.0f} s", hint=error.hint)
        if not self.lasts(self.patience.clock() + timedelta(seconds=seconds)):
            raise UnavailableError(
                f"{error}; the certificate and the identity token run out within the "
                f"{seconds:.0f} s to wait",
                hint="sign again later with a new identity token, or name a file or a platform "
                "that gives new ones",
            )
        self.on_event(SigningDelayed(seconds, str(error)))
        self.patience.sleep(seconds)

    def _back_off(self) -> float:
        full = min(
            self.patience.first_wait * 2.0 ** (self.failures - 1), self.patience.longest_wait
        )
        return full * _random.uniform(0.5, 1.0)


def run_each(jobs: Sequence[Callable[[], T]], *, timeout: float, what: str) -> list[T | Exception]:
    """Run jobs side by side; return the result of each, or what it raised, in their order.

    The threads are daemons: a service that never answers may keep one of them, but neither this
    call nor the end of the process.

    Args:
        jobs: what to do.
        timeout: seconds; a job that is not done by then gives `UnavailableError`.
        what: names the service in that error.
    """
    done: queue.SimpleQueue[tuple[int, T | Exception]] = queue.SimpleQueue()

    def work(place: int, job: Callable[[], T]) -> None:
        try:
            done.put((place, job()))
        except Exception as error:  # noqa: BLE001 - handed to who asked
            done.put((place, error))

    deadline = time.monotonic() + timeout
    for place, job in enumerate(jobs):
        threading.Thread(target=work, args=(place, job), name="modelseal-sign", daemon=True).start()
    results: dict[int, T | Exception] = {}
    while len(results) < len(jobs):
        try:
            place, result = done.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        results[place] = result
    late = UnavailableError(
        f"{what} did not answer in time", hint="try again, or check the signing config"
    )
    return [results.get(place, late) for place in range(len(jobs))]
