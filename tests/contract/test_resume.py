# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A process that ends in the middle of an upload, on each real registry: the next one goes on."""

import io
import multiprocessing
import os
import random
import sys
from pathlib import Path
from typing import BinaryIO, cast

from tests.support.registries import Registry

from modelseal.oci.content import BytesContent
from modelseal.oci.descriptor import OCTET_STREAM, Descriptor
from modelseal.oci.reference import Repository
from modelseal.oci.registry.store import RegistryStore
from modelseal.oci.registry.uploads import UploadJournal
from modelseal.oci.store import fetch_bytes

SIZE = 24 << 20
END = 16 << 20
DATA = random.Random(11).randbytes(SIZE)
BLOB = Descriptor.of(DATA, OCTET_STREAM)
KEEP_SESSIONS = {"distribution", "olareg"}
"""Registries that say how much of an upload they have, and take the rest."""


class _Fatal(io.RawIOBase):
    """Content that ends the process when it was read so far."""

    def __init__(self) -> None:
        self._inner = io.BytesIO(DATA)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # wider there
        if self._inner.tell() >= END:
            os.kill(os.getpid(), 9)
        return self._inner.readinto(buffer)


class Fatal:
    """Opens `_Fatal`."""

    def open(self) -> BinaryIO:
        return cast("BinaryIO", _Fatal())


class _Sent:
    """Counts what the standard library's HTTP client sends."""

    def __init__(self) -> None:
        self.bytes = 0
        self._installed = False

    def install(self) -> None:
        """Begin to count; a hook stays for the life of the process."""
        if not self._installed:
            sys.addaudithook(self._count)
            self._installed = True

    def _count(self, event: str, arguments: tuple[object, ...]) -> None:
        if event == "http.client.send":
            self.bytes += len(cast("bytes", arguments[1]))


_sent = _Sent()


def push_and_die(place: Repository, journal: Path) -> None:
    store = RegistryStore(place, journal=UploadJournal(journal))
    store.push(BLOB, Fatal())


def test_the_next_process_sends_what_is_missing(
    registry: Registry, repository: str, tmp_path: Path
) -> None:
    host, _, name = repository.partition("/")
    place = Repository(host, name)
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=push_and_die, args=(place, tmp_path / "journal"))
    process.start()
    process.join(60)
    assert process.exitcode == -9
    (note,) = (tmp_path / "journal").iterdir()
    assert str(BLOB.digest) in note.read_text()
    _sent.install()
    journal = UploadJournal(tmp_path / "journal")
    with RegistryStore(place, journal=journal) as store:
        before = _sent.bytes
        store.push(BLOB, BytesContent(DATA))
        sent = _sent.bytes - before
        assert fetch_bytes(store, BLOB, limit=SIZE) == DATA
    assert list((tmp_path / "journal").iterdir()) == []
    most = SIZE - END if registry.name in KEEP_SESSIONS else SIZE
    assert sent <= most + (5 << 20), f"{registry.name} was sent {sent} bytes again"
