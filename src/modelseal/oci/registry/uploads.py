# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Which upload sessions are open, so that the next process goes on where this one was killed.

One small file a blob, for one registry, repository, digest and size; it is locked while the blob
is on its way, so that two processes do not send into one session. Only sessions at the registry's
own origin are noted: a URL at a storage service may be signed, and is as good as a password. What
is read is a stranger's text all the same: it has to name the registry's own origin again, and the
registry checks the digest of the whole.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from modelseal.documents import parse_json_object
from modelseal.errors import Error
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.private import is_ours, make_private
from modelseal.oci.registry.client import Client
from modelseal.oci.registry.hosts import Target

_VERSION = 1
_LIMIT = 16 << 10
_OLD_SECONDS = 7 * 24 * 3600
_MOST = 10_000
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_WORTH_NOTING = 1 << 20


class Entry(Protocol):
    """The note about the upload of one blob."""

    def session(self, client: Client) -> Target | None:
        """Return the session that an earlier process has left, if there is one to be used."""
        ...

    def record(self, session: Target) -> None:
        """Note the session that is used from now on."""
        ...

    def forget(self) -> None:
        """Note that there is none any more."""
        ...


class _NoEntry:
    def session(self, client: Client) -> Target | None:  # noqa: ARG002 - as the protocol has it
        return None

    def record(self, session: Target) -> None:
        pass

    def forget(self) -> None:
        pass


def no_entry() -> Entry:
    """Return an entry that notes nothing."""
    return _NoEntry()


class UploadJournal:
    """The notes below one directory. No failure of it is one of the upload's."""

    def __init__(self, directory: Path) -> None:
        """Name the directory; it is made when something is noted."""
        self._directory = directory
        self._usable: bool | None = None

    @contextlib.contextmanager
    def entry(self, registry: str, repository: str, blob: Descriptor) -> Iterator[Entry]:
        """Lock the note about one blob; one that nobody else holds, or one that notes nothing."""
        file = -1 if blob.size < _WORTH_NOTING else self._locked(registry, repository, blob)
        if file < 0:
            yield no_entry()
            return
        try:
            about = {
                "version": _VERSION,
                "registry": registry,
                "repository": repository,
                "digest": str(blob.digest),
                "size": blob.size,
            }
            path = self._path(registry, repository, blob)
            entry = _FileEntry(file, path, about)
            try:
                yield entry
            finally:
                entry.leave()
        finally:
            os.close(file)

    def forget(self, registry: str, repository: str, blob: Descriptor) -> None:
        """Remove the note about a blob that is there: a run was killed right after it came."""
        if blob.size >= _WORTH_NOTING:
            with contextlib.suppress(OSError):
                self._path(registry, repository, blob).unlink(missing_ok=True)

    def _locked(self, registry: str, repository: str, blob: Descriptor) -> int:
        if self._usable is None:
            self._usable = make_private(self._directory)
            if self._usable:
                self._remove_old()
        if not self._usable:
            return -1
        path = self._path(registry, repository, blob)
        try:
            file = os.open(path, _FLAGS, 0o600)
        except OSError:
            return -1
        try:
            if is_ours(file):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Who held it before may have taken the name away.
                if os.path.samestat(os.fstat(file), path.lstat()):
                    return file
        except OSError:
            pass
        os.close(file)
        return -1

    def _path(self, registry: str, repository: str, blob: Descriptor) -> Path:
        name = f"{registry}/{repository}@{blob.digest}"
        return self._directory / f"{hashlib.sha256(name.encode()).hexdigest()}.json"

    def _remove_old(self) -> None:
        """Remove notes that no registry remembers either."""
        oldest = time.time() - _OLD_SECONDS
        with contextlib.suppress(OSError), os.scandir(self._directory) as found:
            for number, item in enumerate(found):
                if number >= _MOST or item.stat(follow_symlinks=False).st_mtime < oldest:
                    Path(item.path).unlink(missing_ok=True)


class _FileEntry:
    """A note in a file that we hold the lock of."""

    def __init__(self, file: int, path: Path, about: dict[str, object]) -> None:
        self._file = file
        self._path = path
        self._about = about
        self._noted = os.fstat(file).st_size > 0

    def session(self, client: Client) -> Target | None:
        try:
            value = parse_json_object(os.pread(self._file, _LIMIT, 0), "an upload's note")
            url = value.pop("session", None)
            if value != self._about or not isinstance(url, str):
                return None
            target = Target.parse(url, "the noted session")
        except (OSError, Error):
            return None
        return target if target.origin == client.origin else None

    def record(self, session: Target) -> None:
        about = {**self._about, "session": session.url}
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, 0)
            self._noted = os.pwrite(self._file, json.dumps(about).encode(), 0) > 0

    def forget(self) -> None:
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, 0)
            self._noted = False

    def leave(self) -> None:
        """Leave no empty file behind."""
        if not self._noted:
            with contextlib.suppress(OSError):
                self._path.unlink(missing_ok=True)
