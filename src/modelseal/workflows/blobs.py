# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""How the blobs of a model come here: from a far store through the cache, from a near one as is."""

import logging
from typing import cast

from modelseal.errors import StorageError
from modelseal.oci.cache import BlobCache
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.download import DownloadLimits
from modelseal.oci.fetcher import BlobFetcher, FarReader
from modelseal.oci.offline import RememberingStore
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
    if isinstance(store, RememberingStore):
        store = store.inner  # what is fetched here is kept by other ways
    if not isinstance(store, RangeReader):
        return CountingReader(store, services.on_event)
    cache = services.cache
    if cache is not None:
        try:
            cache.prepare()
        except StorageError as error:
            _log.debug("no cache: %s", error)
            cache = None
    limits = DownloadLimits(connections=services.connections)
    return BlobFetcher(cast("FarReader", store), cache, services.on_event, limits)


def tidy(cache: BlobCache | None) -> None:
    """Bring the cache below its limit, if it is there."""
    if cache is not None and cache.path.is_dir():
        try:
            cache.prune()
        except StorageError as error:
            _log.debug("the cache was not tidied: %s", error)


def here(services: Services, target: Descriptor) -> int:
    """Return how many bytes of a blob need no fetching, as far as can be told without reading."""
    near = not isinstance(services.store, RangeReader)
    cache = services.cache
    if near or (cache is not None and cache.holds(target)):
        return target.size
    return 0 if cache is None else cache.begun(target)
