# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A TUF repository on loopback, signed with python-tuf, that tests can age and roll back."""

import contextlib
import functools
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined] # documented so
from tuf.api.metadata import (  # type: ignore[attr-defined] # documented so
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

_ROLES = ("root", "timestamp", "snapshot", "targets")


class TufRepository:
    """A repository in a directory, served over HTTP."""

    def __init__(self, directory: Path, url: str) -> None:
        """Make version 1 of everything, without a target."""
        self.directory, self.url = directory, url
        self.asked: list[str] = []
        (directory / "targets").mkdir()
        self._signers = {role: CryptoSigner.generate_ed25519() for role in _ROLES}
        end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=30)
        self._root = Root(expires=end, consistent_snapshot=False)
        for role in _ROLES:
            self._root.add_key(self._signers[role].public_key, role)
        self._targets = Targets(expires=end)
        self._snapshot = Snapshot(expires=end)
        self._timestamp = Timestamp(expires=end)
        self.publish()

    @property
    def first_root(self) -> Path:
        """The root to hand over by a trusted way."""
        return self.directory / "1.root.json"

    def add(self, name: str, data: bytes) -> None:
        """Put a target there, and sign new metadata."""
        (self.directory / "targets" / name).write_bytes(data)
        self._targets.targets[name] = TargetFile.from_data(name, data, ["sha256"])
        for part in (self._targets, self._snapshot, self._timestamp):
            part.version += 1
        self.publish()

    def expire(self) -> None:
        """Sign a timestamp that has run out."""
        self._timestamp.version += 1
        self._timestamp.expires = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
        self.publish()

    def roll_back(self) -> None:
        """Show an older timestamp, well signed."""
        self._timestamp.version -= 1
        self.publish()

    def forge(self) -> None:
        """Sign the timestamp with a key that nobody named."""
        self._timestamp.version += 1
        self._signers["timestamp"] = CryptoSigner.generate_ed25519()
        self.publish()

    def publish(self) -> None:
        """Sign and write all metadata."""
        self._snapshot.meta["targets.json"] = MetaFile(self._targets.version)
        self._timestamp.snapshot_meta = MetaFile(self._snapshot.version)
        self._write(self._root, "root", f"{self._root.version}.root.json")
        self._write(self._targets, "targets", "targets.json")
        self._write(self._snapshot, "snapshot", "snapshot.json")
        self._write(self._timestamp, "timestamp", "timestamp.json")

    def _write(self, signed: Any, role: str, name: str) -> None:  # noqa: ANN401 - any of the roles
        metadata = Metadata(signed)
        metadata.sign(self._signers[role])
        metadata.to_file(str(self.directory / name))


@contextlib.contextmanager
def tuf_repository(directory: Path) -> Iterator[TufRepository]:
    """Serve a new repository that keeps its files in `directory`."""
    directory.mkdir()
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:  # noqa: A002, ARG002 - the base's
            asked.append(self.path)

    handler = functools.partial(Handler, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        repository = TufRepository(directory, f"http://127.0.0.1:{server.server_address[1]}")
        repository.asked = asked
        try:
            yield repository
        finally:
            server.shutdown()
