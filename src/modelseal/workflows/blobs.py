# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""How the blobs of a model come here: from a far store through the cache, from a near one as is."""

import logging
from typing import cast

from modelseal.errors import StorageError
from modelseal.oci.cache import BlobCache
from modelseal.oci.fetcher import BlobFetcher, FarReader
from modelseal.oci.store import ContentReader, RangeReader
from modelseal.oci.transfer import CountingReader
from modelseal.workflows.services import Services

WORKERS = 8
"""Files in flight: enough to hide the latency of a registry that is far away."""

_log = logging.getLogger(__name__)


def reader_of(services: Services) -> ContentReader:
    """Return the reader of the store's blobs that tells how they move.

    A cache that cannot be written to is left out: it only helps.
    """
    store = services.store
    if not isinstance(store, RangeReader):
        return CountingReader(store, services.on_event)
    cache = services.cache
    if cache is not None:
        try:
            cache.prepare()
        except StorageError as error:
            _log.debug("no cache: %s", error)
            cache = None
    return BlobFetcher(cast("FarReader", store), cache, services.on_event)


def tidy(cache: BlobCache | None) -> None:
    """Bring the cache below its limit."""
    if cache is not None:
        try:
            cache.prune()
        except StorageError as error:
            _log.debug("the cache was not tidied: %s", error)
