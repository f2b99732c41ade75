# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Everything outside the process that a workflow may touch, handed in."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, TypeAlias

from modelseal.oci.events import discard
from modelseal.oci.reference import Repository
from modelseal.oci.store import Store

if TYPE_CHECKING:  # a command that verifies needs nothing of these but their names
    from modelseal.modelpack.digests import DigestCache
    from modelseal.oci.cache import BlobCache
    from modelseal.workflows.events import EventSink

Clock: TypeAlias = Callable[[], datetime]


def system_clock() -> datetime:
    """Return the time now, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The store of one model, the clock, where progress is told, and what may save work.

    Attributes:
        store: of one model.
        clock: tells the time.
        on_event: told about progress, from several threads.
        digests: of files that were hashed before; None hashes every file.
        neighbours: repositories of the store's registry that it may take blobs over from.
        cache: where the blobs of a store that is far away are kept; None keeps nothing.
        connections: at most that many fetch large blobs at once.
    """

    store: Store
    clock: Clock = system_clock
    on_event: "EventSink" = discard
    digests: "DigestCache | None" = None
    neighbours: tuple[Repository, ...] = ()
    cache: "BlobCache | None" = None
    connections: int = 8
