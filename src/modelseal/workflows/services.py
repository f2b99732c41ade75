# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Everything outside the process that a workflow may touch, handed in."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeAlias

from modelseal.modelpack.digests import DigestCache
from modelseal.oci.cache import BlobCache
from modelseal.oci.events import discard
from modelseal.oci.store import Store
from modelseal.workflows.events import EventSink

Clock: TypeAlias = Callable[[], datetime]


def system_clock() -> datetime:
    """Return the time now, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The store of one model, the clock, and where progress is told.

    `cache` is where the blobs of a store that is far away are kept; None keeps nothing.
    """

    store: Store
    clock: Clock = system_clock
    on_event: EventSink = discard
    digests: DigestCache | None = None
    cache: BlobCache | None = None
