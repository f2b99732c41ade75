# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
import fcntl
import io
import json
import os
import re
import resource
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.model_factory import make_model

from modelseal.errors import (
    ConflictError,
    ContentMismatchError,
    Error,
    InvalidDocumentError,
    NotFoundError,
    StorageError,
    UnsafePathError,
)
from modelseal.modelpack import media_types
from modelseal.modelpack.build import ModelPackage, build
from modelseal.modelpack.inventory import scan
from modelseal.modelpack.media_types import LayerKind
from modelseal.modelpack.project_file import load_project
from modelseal.modelpack.readers.families import layers_of
from modelseal.modelpack.unpack import ModelFile, files_of, unpack
from modelseal.oci.content import BytesContent, verifying
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.manifest import Manifest
from modelseal.oci.memory import MemoryStore

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

on_linux = pytest.mark.skipif(not Path("/proc/self").exists(), reason="looks into /proc")

WEIGHT = media_types.raw_layer(LayerKind.WEIGHT)


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def packed(directory: Path) -> tuple[MemoryStore, ModelPackage]:
    project = load_project(directory)
    package = build(directory, project, scan(directory, project))
    store = MemoryStore()
    for descriptor, content in package.contents():
        store.push(descriptor, content)
    return store, package


def layer(
    data: bytes, name: str | None, *, title: str | None = None, media_type: str = WEIGHT
) -> Descriptor:
    annotations = {media_types.FILEPATH: name, media_types.TITLE: title}
    return Descriptor(
        media_type,
        Digest.of(data),
        len(data),
        {key: value for key, value in annotations.items() if value is not None},
    )


def manifest_of(
    *layers: Descriptor,
    artifact_type: str = media_types.ARTIFACT_TYPE,
    config_type: str = media_types.CONFIG,
) -> Manifest:
    config = Descriptor.of(b"{}", config_type)
    return Manifest.build(artifact_type=artifact_type, config=config, layers=layers)


class Blobs:
    """Hands out what it was given, right or wrong: a store that checks nothing."""

    def __init__(self, blobs: Mapping[Digest, bytes]) -> None:
        self.blobs = blobs

    @contextmanager
    def fetch(self, target: Descriptor) -> Iterator[BinaryIO]:
        if target.digest not in self.blobs:
            raise NotFoundError(f"{target.digest} is not here")
        with io.BytesIO(self.blobs[target.digest]) as stream:
            yield stream


def two_files() -> tuple[MemoryStore, Manifest]:
    store = MemoryStore()
    layers = [layer(b"first", "a/first.bin"), layer(b"second", "b/second.bin")]
    store.push(layers[0], BytesContent(b"first"))
    store.push(layers[1], BytesContent(b"second"))
    return store, manifest_of(*layers)


def test_the_files_come_back_as_they_were(tmp_path: Path) -> None:
    directory = make_model(
        tmp_path / "model",
        extra={"empty.txt": b"", "copy.bin": b"same", "deep/er/copy.bin": b"same"},
    )
    store, package = packed(directory)
    files = unpack(store, package.manifest, tmp_path / "not" / "there" / "yet")
    assert contents(tmp_path / "not" / "there" / "yet") == contents(directory)
    assert [str(file.path) for file in files] == sorted(contents(directory))
    assert files == files_of(store, layers_of(store, package.manifest))
    assert {str(file.path): file.kind for file in files}["model.onnx"] is LayerKind.WEIGHT


def test_what_was_unpacked_builds_to_the_same_digest(tmp_path: Path) -> None:
    store, package = packed(make_model(tmp_path / "model"))
    unpack(store, package.manifest, tmp_path / "out")
    assert packed(tmp_path / "out")[1].descriptor == package.descriptor


def test_d16_modes_are_ours_whatever_the_umask_and_the_manifest_say(tmp_path: Path) -> None:
    wild = json.dumps({"mode": 0o4777, "uid": 0, "gid": 0, "typeflag": 2, "mtime": "1999"})
    blob = layer(b"x", "sub/x.bin")
    blob = Descriptor(
        WEIGHT, blob.digest, blob.size, {**blob.annotations, media_types.FILE_METADATA: wild}
    )
    before = os.umask(0o077)
    try:
        unpack(Blobs({blob.digest: b"x"}), manifest_of(blob), tmp_path / "out")
    finally:
        os.umask(before)
    written = tmp_path / "out" / "sub" / "x.bin"
    assert written.stat().st_mode == 0o100644
    assert not written.is_symlink()


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../escaped", "leaves the directory"),
        ("sub/../../escaped", "leaves the directory"),
        ("/tmp/escaped", "absolute"),
        ("C:\\escaped", "the character"),
        ("a\\..\\escaped", "the character"),
        ("./a", "empty part"),
        ("NUL", "device on Windows"),
        ("a\x1b[2J", "U\\+001B"),
        ("cafe\u0301", "NFC"),
        ("", "empty part"),
    ],
)
def test_a_name_that_leaves_the_directory_writes_nothing(
    tmp_path: Path, name: str, why: str
) -> None:
    blob = layer(b"x", name)
    with pytest.raises(UnsafePathError, match=why):
        unpack(Blobs({blob.digest: b"x"}), manifest_of(blob), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["a", "a"], "stands there twice"),
        (["Model", "model"], "differ only in case"),
        (["Data/x", "data/y"], "differ only in case"),
        (["a", "a/b"], "file and a directory"),
        (["a/b", "a"], "file and a directory"),
    ],
)
def test_d16_names_that_meet_write_nothing(tmp_path: Path, names: list[str], why: str) -> None:
    layers = [layer(name.encode(), name) for name in names]
    reader = Blobs({blob.digest: name.encode() for blob, name in zip(layers, names, strict=True)})
    with pytest.raises(UnsafePathError, match=why):
        unpack(reader, manifest_of(*layers), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_the_title_is_the_name_when_there_is_no_filepath() -> None:
    (file,) = layers_of(Blobs({}), manifest_of(layer(b"x", None, title="x.bin")))
    assert str(file.path) == "x.bin"


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (manifest_of(), "has no files"),
        (manifest_of(layer(b"x", None)), "has no file name"),
        (manifest_of(layer(b"x", "a", title="b")), "has two names: 'a' and 'b'"),
        (manifest_of(layer(b"x", "a"), artifact_type="text/plain"), "is a 'text/plain', not a mod"),
        (manifest_of(layer(b"x", "a"), config_type="text/plain"), "config is a text/plain"),
        *(
            (manifest_of(layer(b"x", "a", media_type=kind)), f"is a {re.escape(kind)}, which is")
            for kind in (
                "application/vnd.cncf.model.weight.v1.raw+gzip",
                "application/vnd.cncf.model.weights.v1.raw",
                "application/vnd.cncf.model.weight.v1.raw.evil",
                "application/vnd.oci.image.layer.v1.tar",
            )
        ),
    ],
)
def test_what_is_not_such_a_model_is_said(manifest: Manifest, message: str) -> None:
    with pytest.raises(InvalidDocumentError, match=message):
        layers_of(Blobs({}), manifest)


def test_a3_a_layer_from_elsewhere_is_refused() -> None:
    content = json.loads(manifest_of(layer(b"x", "a")).raw)
    content["layers"][0]["urls"] = ["http://169.254.169.254/latest/meta-data"]
    with pytest.raises(InvalidDocumentError, match=r"fetched from elsewhere \(urls\)"):
        layers_of(Blobs({}), Manifest.parse(json.dumps(content).encode()))


def test_a_directory_that_is_not_empty_is_left_alone(tmp_path: Path) -> None:
    store, manifest = two_files()
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(ConflictError, match="is not empty"):
        unpack(store, manifest, tmp_path)
    assert contents(tmp_path) == {"mine.txt": b"mine"}


def test_a_hidden_file_makes_a_directory_not_empty(tmp_path: Path) -> None:
    store, manifest = two_files()
    (tmp_path / ".mine").write_text("mine")
    with pytest.raises(ConflictError, match="is not empty"):
        unpack(store, manifest, tmp_path)


def test_an_output_that_is_a_file_is_left_alone(tmp_path: Path) -> None:
    store, manifest = two_files()
    (tmp_path / "out").write_text("mine")
    with pytest.raises(ConflictError, match="is not a directory"):
        unpack(store, manifest, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_the_output_itself_may_be_a_link(tmp_path: Path) -> None:
    store, manifest = two_files()
    (tmp_path / "volume").mkdir()
    (tmp_path / "models").symlink_to("volume")
    unpack(store, manifest, tmp_path / "models")
    assert contents(tmp_path / "volume") == {"a/first.bin": b"first", "b/second.bin": b"second"}


def test_overwriting_replaces_the_same_names_and_leaves_the_rest(tmp_path: Path) -> None:
    store, manifest = two_files()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "first.bin").write_text("old")
    (tmp_path / "mine.txt").write_text("mine")
    unpack(store, manifest, tmp_path, overwrite=True)
    assert contents(tmp_path) == {
        "a/first.bin": b"first",
        "b/second.bin": b"second",
        "mine.txt": b"mine",
    }
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "mine.txt"}


def test_overwriting_that_fails_puts_back_what_was_there(tmp_path: Path) -> None:
    store, manifest = two_files()
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "first.bin").write_text("old")
    (tmp_path / "b" / "second.bin").mkdir(parents=True)
    with pytest.raises(ConflictError, match=r"second\.bin is there already"):
        unpack(store, manifest, tmp_path, overwrite=True)
    assert contents(tmp_path) == {"a/first.bin": b"old"}
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


@pytest.mark.parametrize("data", [b"", b"secon", b"second and more", b"SECOND"])
def test_a3_a_layer_of_another_content_leaves_nothing_behind(tmp_path: Path, data: bytes) -> None:
    class Checked(Blobs):
        @contextmanager
        def fetch(self, target: Descriptor) -> Iterator[BinaryIO]:
            with super().fetch(target) as stream, verifying(stream, target) as checked:
                yield checked

    first = layer(b"first", "first.bin")
    second = layer(b"second", "second.bin", title="second.bin")
    reader = Checked({first.digest: b"first", second.digest: data})
    with pytest.raises(ContentMismatchError, match=r"second\.bin"):
        unpack(reader, manifest_of(first, second), tmp_path / "out" / "deep")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("data", [b"", b"secon", b"second and more"])
def test_a_store_that_checks_nothing_does_not_get_another_size_through(
    tmp_path: Path, data: bytes
) -> None:
    blob = layer(b"second", "second.bin")
    with pytest.raises(ContentMismatchError, match=r"second\.bin: .* another size"):
        unpack(Blobs({blob.digest: data}), manifest_of(blob), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_layer_leaves_nothing_behind(tmp_path: Path) -> None:
    first, second = layer(b"first", "first.bin"), layer(b"second", "second.bin")
    with pytest.raises(NotFoundError):
        unpack(Blobs({first.digest: b"first"}), manifest_of(first, second), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_d18_no_file_has_its_name_before_all_were_right(tmp_path: Path) -> None:
    store, manifest = two_files()
    seen: list[dict[str, bytes]] = []
    out = tmp_path / "out"

    def look(_: ModelFile) -> None:
        seen.append({name: data for name, data in contents(out).items() if name[0] != "."})

    unpack(store, manifest, out, on_file=look)
    assert seen == [{}, {}]
    assert len(contents(out)) == 2


def test_an_interrupt_leaves_nothing_behind(tmp_path: Path) -> None:
    store, manifest = two_files()

    def interrupt(_: ModelFile) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(store, manifest, tmp_path / "out", on_file=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_does_not_wait_for_the_rest_of_a_layer(tmp_path: Path) -> None:
    stopped = threading.Event()

    class Endless(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: "WriteableBuffer", /) -> int:
            return 0 if stopped.wait(0.001) else min(1 << 14, len(memoryview(buffer)))

    class Slow(Blobs):
        @contextmanager
        def fetch(self, target: Descriptor) -> Iterator[BinaryIO]:
            if target.digest in self.blobs:
                with super().fetch(target) as stream:
                    yield stream
            else:
                yield io.BufferedReader(Endless(), 1 << 14)

    def interrupt(_: ModelFile) -> None:
        raise KeyboardInterrupt

    first = layer(b"first", "first.bin")
    endless = Descriptor(WEIGHT, Digest.of(b"other"), 1 << 28, {media_types.TITLE: "big.bin"})
    timer = threading.Timer(20, stopped.set)
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            unpack(
                Slow({first.digest: b"first"}),
                manifest_of(first, endless),
                tmp_path / "out",
                on_file=interrupt,
            )
        assert not stopped.is_set()
    finally:
        timer.cancel()
    assert list(tmp_path.iterdir()) == []


def test_d16_a_link_planted_as_a_directory_leads_nowhere(tmp_path: Path) -> None:
    store, manifest = two_files()
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()

    def plant(_: ModelFile) -> None:
        if not (out / "b").is_symlink():
            (out / "b").symlink_to(elsewhere)

    with pytest.raises(UnsafePathError, match="b is a link or a file, not a directory"):
        unpack(store, manifest, out, on_file=plant)
    assert list(elsewhere.iterdir()) == []
    assert [path.name for path in out.iterdir()] == ["b"]  # only what was planted


def test_a_link_planted_under_a_final_name_is_not_written_through(tmp_path: Path) -> None:
    store, manifest = two_files()
    out, target = tmp_path / "out", tmp_path / "target"
    target.write_text("mine")

    def plant(_: ModelFile) -> None:
        (out / "b").mkdir(exist_ok=True)
        if not (out / "b" / "second.bin").is_symlink():
            (out / "b" / "second.bin").symlink_to(target)

    with pytest.raises(ConflictError, match=r"second\.bin is there already"):
        unpack(store, manifest, out, on_file=plant)
    assert target.read_text() == "mine"
    assert not (out / "a").exists()


def test_overwriting_replaces_a_link_and_not_its_target(tmp_path: Path) -> None:
    store, manifest = two_files()
    out, target = tmp_path / "out", tmp_path / "target"
    target.write_text("mine")
    (out / "a").mkdir(parents=True)
    (out / "a" / "first.bin").symlink_to(target)
    unpack(store, manifest, out, overwrite=True)
    assert target.read_text() == "mine"
    assert not (out / "a" / "first.bin").is_symlink()
    assert (out / "a" / "first.bin").read_bytes() == b"first"


def test_overwriting_does_not_go_through_a_linked_directory(tmp_path: Path) -> None:
    store, manifest = two_files()
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (out / "a").symlink_to(elsewhere)
    with pytest.raises(UnsafePathError, match="a is a link or a file"):
        unpack(store, manifest, out, overwrite=True)
    assert list(elsewhere.iterdir()) == []


def test_what_a_killed_run_left_behind_is_removed(tmp_path: Path) -> None:
    store, manifest = two_files()
    left = tmp_path / ".modelseal-0123456789abcdef.partial"
    left.mkdir()
    (left / "0").write_bytes(b"half")
    unpack(store, manifest, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b"}


def test_what_another_run_is_writing_is_not_removed(tmp_path: Path) -> None:
    store, manifest = two_files()
    left = tmp_path / ".modelseal-0123456789abcdef.partial"
    left.mkdir()
    held = os.open(left, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ConflictError, match="another process is writing"):
            unpack(store, manifest, tmp_path)
    finally:
        os.close(held)
    assert [path.name for path in tmp_path.iterdir()] == [left.name]


def test_a_leftover_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    store, manifest = two_files()
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    out.mkdir()
    elsewhere.mkdir()
    (elsewhere / "mine").write_text("mine")
    (out / ".modelseal-0123456789abcdef.partial").symlink_to(elsewhere)
    with pytest.raises(StorageError):
        unpack(store, manifest, out)
    assert (elsewhere / "mine").read_text() == "mine"


def test_a_model_that_does_not_fit_is_said_before_a_byte_is_fetched(tmp_path: Path) -> None:
    blob = Descriptor(WEIGHT, Digest.of(b"x"), 1 << 49, {media_types.TITLE: "huge.bin"})
    with pytest.raises(StorageError, match=r"has room for .* bytes, and the model has 56294"):
        unpack(Blobs({}), manifest_of(blob), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_stops_taking_bytes_is_named_and_left_clean(tmp_path: Path) -> None:
    blob = layer(bytes(1 << 20), "weights.bin")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 16, before[1]))
    try:
        with pytest.raises(StorageError, match=r"cannot write .*weights\.bin: File too large"):
            unpack(Blobs({blob.digest: bytes(1 << 20)}), manifest_of(blob), tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


@on_linux
def test_a_directory_that_cannot_be_made_is_named() -> None:
    store, manifest = two_files()
    with pytest.raises(StorageError, match=r"/proc/modelseal"):
        unpack(store, manifest, Path("/proc/modelseal"))


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@on_linux
def test_no_file_stays_open(tmp_path: Path) -> None:
    store, manifest = two_files()
    before = open_files()
    unpack(store, manifest, tmp_path / "out")
    with pytest.raises(ConflictError):
        unpack(store, manifest, tmp_path / "out")
    with pytest.raises(NotFoundError):
        unpack(Blobs({}), manifest, tmp_path / "other")
    assert open_files() == before


@given(
    st.lists(
        st.text(alphabet=st.sampled_from("ab./\\\0A:\u0301"), max_size=8), min_size=1, max_size=5
    )
)
def test_whatever_the_names_are_nothing_is_written_outside(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    top = tmp_path_factory.mktemp("top")
    layers = [layer(b"x", name) for name in names]
    try:
        unpack(Blobs({Digest.of(b"x"): b"x"}), manifest_of(*layers), top / "a" / "b" / "out")
    except Error:
        assert list(top.iterdir()) == []
    else:
        assert sorted(contents(top / "a" / "b" / "out")) == sorted(names)
        assert {path.relative_to(top).parts[0] for path in top.rglob("*")} == {"a"}
