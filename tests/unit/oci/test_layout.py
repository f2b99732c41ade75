# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What is particular to the OCI layout on disk; what all stores promise: tests/contract."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from modelseal.errors import StorageError
from modelseal.oci.content import BytesContent
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.layout import LayoutStore


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
