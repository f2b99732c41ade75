# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Blobs of a far store as files and streams: from the cache, else fetched, resumed and kept."""

import errno
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from threading import Event
from typing import BinaryIO, Protocol

from modelseal.errors import ContentMismatchError, StorageError
from modelseal.oci.cache import FILE_MODE, BlobCache, Part
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.download import Downloader, DownloadLimits
from modelseal.oci.events import (
    BytesMoved,
    TransferFinished,
    TransferSink,
    TransferStarted,
    discard,
)
from modelseal.oci.journal import Journal
from modelseal.oci.store import ContentReader, RangeReader, fetch_bytes
from modelseal.oci.transfer import CountingReader

SMALL = 1 << 20
"""Bytes up to which a blob goes through memory, without a part file and a journal."""

_SPARE = 64 << 20
"""Room that the cache leaves on its disk."""

_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_log = logging.getLogger(__name__)


class FarReader(ContentReader, RangeReader, Protocol):
    """A store whose content comes from far away."""


class BlobFetcher:
    """Reads a far store through a cache; safe to use from several threads."""

    def __init__(
        self,
        source: FarReader,
        cache: BlobCache | None,
        on_event: TransferSink = discard,
        limits: DownloadLimits | None = None,
    ) -> None:
        """Name the parts; without a cache nothing is kept, and a run that is killed starts anew."""
        self._source = source
        self._cache = cache
        self._on_event = on_event
        self._counting = CountingReader(source, on_event)
        self._downloader = Downloader(source, limits, on_event)
        self._never = Event()

    @contextmanager
    def fetch(self, target: Descriptor) -> Iterator[BinaryIO]:
        """Open content as a stream that checks itself (`ContentReader`)."""
        cache = self._cache
        if cache is None or target.size <= SMALL or not self._has_room(cache, target):
            with self._counting.fetch(target) as stream:
                yield stream
            return
        self._on_event(TransferStarted(target))
        # What is in the cache is hashed first: a stream that has begun cannot begin anew.
        known = cache.check(target)
        while not known:
            with cache.part(target, self._never) as part:
                if part is not None:
                    self._complete(cache, part, self._never)
                    cache.keep(part)
            known = part is not None or cache.check(target)
        kept = cache.open(target)
        with self._source.fetch(target) if kept is None else kept as stream:
            yield stream
        self._on_event(TransferFinished(target, skipped=known))

    def place(self, target: Descriptor, directory: int, name: str, stop: Event) -> None:
        """Make a file of a blob (`FilePlacer`)."""
        self._on_event(TransferStarted(target))
        cache = self._cache
        known = cache is not None and cache.place(target, directory, name, stop)
        if known:
            pass
        elif target.size <= SMALL:
            self._place_small(target, directory, name)
        elif cache is not None and self._has_room(cache, target):
            self._place_kept(cache, target, directory, name, stop)
        else:
            file = _new_file(target, directory, name)
            try:
                self._downloader.download(target, file, stop=stop)
            finally:
                os.close(file)
        self._on_event(TransferFinished(target, skipped=known))

    def there_already(self, targets: Sequence[Descriptor], directory: int) -> int:
        """Return what earlier runs fetched of these, where it becomes the file as it is."""
        if self._cache is None or not self._cache.is_beside(directory):
            return 0
        return sum(self._cache.begun(target) for target in targets)

    def _place_small(self, target: Descriptor, directory: int, name: str) -> None:
        data = fetch_bytes(self._source, target, limit=SMALL)
        self._on_event(BytesMoved(target, len(data)))
        if self._cache is not None and self._has_room(self._cache, target):
            self._cache.add(target, data, directory, name)
            return
        file = _new_file(target, directory, name)
        with _translated(target), os.fdopen(file, "wb") as sink:
            sink.write(data)

    def _place_kept(
        self, cache: BlobCache, target: Descriptor, directory: int, name: str, stop: Event
    ) -> None:
        placed = False
        while not placed:
            with cache.part(target, stop) as part:
                if part is not None:
                    self._complete(cache, part, stop)
                    cache.place_part(part, directory, name, stop)
                    cache.keep(part) if target.size <= cache.limit else cache.drop(part)
            # Another process fetched it while we waited.
            placed = part is not None or cache.place(target, directory, name, stop)

    def _complete(self, cache: BlobCache, part: Part, stop: Event) -> None:
        """Fetch what a part file lacks; return when its digest is right."""
        while True:
            with cache.translated():
                journal = Journal.open(part.journal_path, part.target, part.file)
            try:
                self._downloader.download(part.target, part.file, journal=journal, stop=stop)
            except ContentMismatchError:
                with cache.translated():
                    journal.forget()
                if not journal.begun:
                    cache.drop(part)
                    raise
                # What an earlier run left may be what was wrong.
                _log.debug("%s: what an earlier run left does not fit", part.target.digest)
                self._on_event(TransferStarted(part.target))
            else:
                return
            finally:
                journal.close()

    def _has_room(self, cache: BlobCache, target: Descriptor) -> bool:
        """Tell whether the cache takes a blob: it must not be what fills the disk."""
        needed = target.size - cache.begun(target) if target.size > SMALL else target.size
        try:
            return cache.free_space() >= needed + _SPARE
        except StorageError:
            return False


def _new_file(target: Descriptor, directory: int, name: str) -> int:
    with _translated(target):
        file = os.open(name, _NEW, FILE_MODE, dir_fd=directory)
        os.fchmod(file, FILE_MODE)  # whatever the umask
        return file


@contextmanager
def _translated(target: Descriptor) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "make room, or name a directory on another disk" if full else ""
        raise StorageError(f"cannot write {target.name}: {error.strerror}", hint=hint) from error
