# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What is particular to the OCI layout on disk; what all stores promise: tests/contract."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelseal.errors import ContentMismatchError, LimitExceededError, NotFoundError, StorageError
from modelseal.oci.content import BytesContent, FileContent
from modelseal.oci.descriptor import EMPTY_BYTES, EMPTY_DESCRIPTOR, Descriptor, Digest
from modelseal.oci.layout import LayoutStore
from modelseal.oci.manifest import Manifest
from modelseal.oci.store import push_bytes


def test_threads_that_push_into_a_new_layout_at_once_do_not_refuse_each_other(
    tmp_path: Path,
) -> None:
    for round_ in range(30):
        store = LayoutStore(tmp_path / f"store-{round_}")
        together = threading.Barrier(4)

        def push(
            data: bytes, store: LayoutStore = store, start: threading.Barrier = together
        ) -> None:
            start.wait()
            store.push(Descriptor.of(data, "application/octet-stream"), BytesContent(data))

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(push, (b"a", b"b", b"c", b"d")))


def test_what_another_writer_has_not_finished_is_no_foreign_file(tmp_path: Path) -> None:
    (tmp_path / ".ingest-abc").write_bytes(b"half of an oci-layout file")
    LayoutStore(tmp_path).push(Descriptor.of(b"x", "text/plain"), BytesContent(b"x"))
    assert (tmp_path / "oci-layout").is_file()


def test_a_directory_with_other_files_is_not_made_a_layout(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(StorageError, match=r"thesis\.tex"):
        LayoutStore(tmp_path).push(Descriptor.of(b"x", "text/plain"), BytesContent(b"x"))
    assert not (tmp_path / "oci-layout").exists()


BLOB = Descriptor.of(b"weights", "application/octet-stream")


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """A layout with one manifest, tagged 1, and its blobs."""
    store = LayoutStore(tmp_path / "layout")
    store.push(EMPTY_DESCRIPTOR, BytesContent(EMPTY_BYTES))
    manifest = Manifest.build(
        artifact_type="application/x", layers=[push_bytes(store, b"weights", BLOB.media_type)]
    )
    store.push(manifest.descriptor, BytesContent(manifest.raw))
    store.tag(manifest.descriptor, "1")
    return tmp_path / "layout"


@pytest.fixture
def in_time() -> Iterator[None]:
    """Fail what waits for ever."""

    def stop(*_: object) -> None:
        raise AssertionError("it waits for ever")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def blob_path(layout: Path, digest: Digest) -> Path:
    return layout / "blobs" / digest.algorithm / digest.encoded


@pytest.mark.usefixtures("in_time")
def test_a_pipe_under_the_name_of_a_blob_stalls_nobody(layout: Path) -> None:
    path = blob_path(layout, BLOB.digest)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(StorageError, match="plain file"):
        LayoutStore(layout).fetch(BLOB)


@pytest.mark.usefixtures("in_time")
def test_a_pipe_under_the_name_of_the_index_stalls_nobody(layout: Path) -> None:
    (layout / "index.json").unlink()
    os.mkfifo(layout / "index.json")
    with pytest.raises(StorageError, match="plain file"):
        LayoutStore(layout).resolve("1")


@pytest.mark.usefixtures("in_time")
def test_a_pipe_in_place_of_a_file_that_is_pushed_stalls_nobody(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "weights.bin")
    with pytest.raises(StorageError, match="plain file"):
        LayoutStore(tmp_path / "layout").push(BLOB, FileContent(tmp_path / "weights.bin"))


def test_a_pipe_or_directory_is_no_empty_blob_that_is_there_already(layout: Path) -> None:
    empty = Descriptor.of(b"", "application/octet-stream")
    os.mkfifo(blob_path(layout, empty.digest))
    assert not LayoutStore(layout).exists(empty)
    LayoutStore(layout).push(empty, BytesContent(b""))
    with LayoutStore(layout).fetch(empty) as stream:
        assert stream.read() == b""


def test_a_link_among_the_blobs_is_read_only_as_what_its_digest_says(layout: Path) -> None:
    # Others link blobs into a cache; what they point at is checked like any bytes.
    secret = layout.parent / "secret"
    secret.write_bytes(b"secrets")
    path = blob_path(layout, BLOB.digest)
    path.unlink()
    path.symlink_to(secret)
    with LayoutStore(layout).fetch(BLOB) as stream, pytest.raises(ContentMismatchError):
        stream.read()


def test_an_endless_index_is_not_read_to_its_end(layout: Path) -> None:
    index = (layout / "index.json").read_bytes()
    (layout / "index.json").write_bytes(index + b" " * (64 << 20))
    with pytest.raises(LimitExceededError):
        LayoutStore(layout).resolve("1")


def test_a_path_that_no_disk_takes_is_an_error_of_ours(tmp_path: Path) -> None:
    store = LayoutStore(tmp_path / ("a" * 300))
    with pytest.raises(StorageError):
        list(store.tags())
    with pytest.raises(StorageError):
        store.resolve("1")
    with pytest.raises(StorageError):
        store.push(BLOB, BytesContent(b"weights"))


def test_an_index_that_lists_a_blob_as_a_manifest_is_not_believed(layout: Path) -> None:
    index = json.loads((layout / "index.json").read_bytes())
    index["manifests"][0] |= {"digest": str(BLOB.digest)}
    (layout / "index.json").write_text(json.dumps(index))
    with pytest.raises(ContentMismatchError):
        LayoutStore(layout).resolve("1")
    with pytest.raises(NotFoundError):
        LayoutStore(layout).resolve(Digest.of(b"something else"))
