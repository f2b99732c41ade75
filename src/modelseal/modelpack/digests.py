# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Digests of files that were hashed before, so that what did not change is not read again.

A digest is known for a device, inode, size, and the times of the last change of content (mtime)
and of anything (ctime), in nanoseconds. It is kept only when both times were past the grain of
every clock and file system we know when the hashing began: a file that is written to within one
tick of the clock looks the same before and after. So it is with git's index ("racy git").

Whatever is wrong with the cache, it is as if it were empty. It is never a reason to believe in
content: a file whose digest comes from here is hashed while it is sent.
"""

import contextlib
import json
import os
import re
import secrets
import threading
import time
from pathlib import Path
from typing import Any

from modelseal.documents import parse_json_object
from modelseal.errors import Error
from modelseal.oci.content import FileIdentity
from modelseal.oci.descriptor import Digest
from modelseal.oci.private import make_private, read_private

_MOST = 50_000
"""Files that are remembered; those that were not seen for longest go first."""

GRAIN_NS = 2_000_000_000
"""Nanoseconds within which two changes may have one time: FAT's two seconds are the coarsest."""

_VERSION = 1
_LIMIT = 16 << 20
_NAME = "digests.json"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def settled(identity: FileIdentity, now_ns: int) -> bool:
    """Tell whether every change after `now_ns` will show in the file's identity.

    Args:
        identity: the file, as it is.
        now_ns: the time, in nanoseconds since the epoch.
    """
    return max(identity.mtime_ns, identity.ctime_ns) < now_ns - GRAIN_NS


class DigestCache:
    """The digests that are known, read from a file when first asked; safe for several threads."""

    def __init__(self, directory: Path) -> None:
        """Name the directory; it has to be ours alone, and is made when something is saved."""
        self._directory = directory
        self._lock = threading.Lock()
        self._known: dict[str, str] | None = None
        self._new: dict[str, str] = {}

    def get(self, identity: FileIdentity) -> Digest | None:
        """Return the digest of a file that did not change since it was hashed."""
        key = _key(identity)
        with self._lock:
            if self._known is None:
                self._known = self._read()
            encoded = self._new.get(key) or self._known.get(key)
            if encoded is None:
                return None
            self._new[key] = encoded  # seen now: it stays
        return Digest("sha256", encoded)

    def put(self, identity: FileIdentity, digest: Digest, hashed_from_ns: int) -> None:
        """Remember a digest, if every later change of the file will show.

        Args:
            identity: the file, before and after it was hashed.
            digest: SHA-256.
            hashed_from_ns: the time when the hashing began.
        """
        if digest.algorithm == "sha256" and settled(identity, hashed_from_ns):
            with self._lock:
                self._new[_key(identity)] = digest.encoded

    def save(self) -> None:
        """Write what is known, at once or not at all; a failure means that less is known later."""
        with self._lock:
            known = self._known if self._known is not None else {}
            if all(known.get(key) == value for key, value in self._new.items()):
                return
            # What others wrote meanwhile stays; what was seen now comes last, and stays longest.
            merged = {key: value for key, value in self._read().items() if key not in self._new}
            merged.update(self._new)
            kept = dict(list(merged.items())[-_MOST:])
            self._write(json.dumps({"version": _VERSION, "files": kept}).encode())
            self._known = kept

    def _read(self) -> dict[str, str]:
        if not make_private(self._directory):
            return {}
        raw = read_private(self._directory / _NAME, _LIMIT)
        try:
            value: dict[str, Any] = parse_json_object(raw or b"{}", "the digests")
        except Error:
            return {}
        files = value.get("files")
        if value.get("version") != _VERSION or not isinstance(files, dict):
            return {}
        if not all(isinstance(item, str) and _SHA256.fullmatch(item) for item in files.values()):
            return {}
        return files

    def _write(self, raw: bytes) -> None:
        if not make_private(self._directory):
            return
        new = self._directory / f".{_NAME}.{secrets.token_hex(8)}"
        try:
            file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(file, "wb") as opened:
                opened.write(raw)
            new.replace(self._directory / _NAME)
        except OSError:
            with contextlib.suppress(OSError):
                new.unlink()


def now_ns() -> int:
    """Return the time, in nanoseconds since the epoch."""
    return time.time_ns()


def _key(identity: FileIdentity) -> str:
    numbers = (
        identity.device,
        identity.inode,
        identity.size,
        identity.mtime_ns,
        identity.ctime_ns,
    )
    return ":".join(map(str, numbers))
