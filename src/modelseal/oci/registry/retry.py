# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Trying again, with back-off and jitter, what may pass."""

import email.utils
import random
import time
from collections.abc import Callable
from typing import TypeVar

from modelseal.errors import Error
from modelseal.oci.registry.options import RetryPolicy

_T = TypeVar("_T")
_random = random.SystemRandom()


class TransientError(Exception):
    """A failure that may pass. It never leaves this package: `final` does, when it did not."""

    def __init__(self, final: Error, *, wait: float | None = None) -> None:
        """Keep the error to raise at last; `wait` is what the registry asked for, in seconds."""
        super().__init__(str(final))
        self.final = final
        self.wait = wait


def _nothing_came_of_it() -> bool:
    return False


def retrying(
    policy: RetryPolicy,
    attempt: Callable[[], _T],
    *,
    progressed: Callable[[], bool] = _nothing_came_of_it,
) -> _T:
    """Call `attempt` until it raises no `TransientError`, or often enough.

    Args:
        policy: how often, and with which waits.
        attempt: what is tried.
        progressed: asked after each failure; True if that attempt got nearer to the end: then
            the counting starts anew. It has to be False at last, or this never ends.

    Raises:
        Error: the last failure's own error.
    """
    number = 0
    while True:
        number += 1
        try:
            return attempt()
        except TransientError as error:
            if progressed():
                number = 1
            wait = pause(policy, number) if error.wait is None else error.wait
            if number >= policy.attempts or wait > policy.longest_wait:
                raise error.final from error.__cause__
        policy.sleep(wait)


def pause(policy: RetryPolicy, number: int) -> float:
    """Return how long to wait after failure `number` (from 1): doubling, half of it by chance."""
    full = min(policy.first_wait * 2.0 ** (number - 1), policy.longest_wait)
    return full * _random.uniform(0.5, 1.0)


def between(low: float, high: float) -> float:
    """Return a random number of seconds, so that two who collided do not collide again."""
    return _random.uniform(low, high)


def retry_after(value: str | None) -> float | None:
    """Read a `Retry-After` header: seconds, or a date (RFC 9110, 10.2.3); None when absent."""
    text = (value or "").strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())
