# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Archives by strangers: what is read, and what is refused before anything has a name."""

import io
import json
import tarfile
import tracemalloc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.archives import COMPRESS, END, gzipped, member, pax, tar, zstd_compressed

from modelseal.errors import (
    ContentMismatchError,
    Error,
    InvalidDocumentError,
    LimitExceededError,
    StorageError,
    UnsafePathError,
)
from modelseal.modelpack import _extract, media_types
from modelseal.modelpack._extract import Budget
from modelseal.modelpack.decompress import FREE_EXPANSION
from modelseal.modelpack.media_types import LayerKind
from modelseal.modelpack.readers.families import layers_of
from modelseal.modelpack.tar import MemberType, TarReader
from modelseal.modelpack.unpack import files_of, unpack
from modelseal.oci.content import BytesContent, verifying
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.manifest import Manifest
from modelseal.oci.memory import MemoryStore

FILES = {"a.bin": b"first" * 300, "deep/er/b.bin": b"", "deep/c.bin": bytes(512)}


def stored(
    *blobs: bytes,
    encoding: str = "tar",
    old: bool = False,
    diff_ids: list[str] | None = None,
    names: Mapping[int, str] | None = None,
) -> tuple[MemoryStore, Manifest]:
    """A ModelPack artifact with these layers, as they are."""
    who = "cnai" if old else "cncf"
    store = MemoryStore()
    layers = []
    for place, blob in enumerate(blobs):
        annotations = {f"org.{who}.model.filepath": names[place]} if names else {}
        digest = Digest.of(blob)
        layer = Descriptor(
            f"application/vnd.{who}.model.weight.v1.{encoding}", digest, len(blob), annotations
        )
        store.push(layer, BytesContent(blob))
        layers.append(layer)
    content: dict[str, object] = {"descriptor": {}, "config": {}}
    if diff_ids is not None:
        content["modelfs"] = {"type": "layers", "diffIds": diff_ids}
    raw = json.dumps(content).encode()
    config = Descriptor.of(raw, f"application/vnd.{who}.model.config.v1+json")
    store.push(config, BytesContent(raw))
    manifest = Manifest.build(
        artifact_type=f"application/vnd.{who}.model.manifest.v1+json", config=config, layers=layers
    )
    return store, manifest


def written(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def refuse(
    tmp_path: Path, blob: bytes, error: type[Error], why: str, encoding: str = "tar"
) -> None:
    """Unpacking raises, and leaves nothing behind."""
    store, manifest = stored(blob, encoding=encoding)
    with pytest.raises(error, match=why):
        unpack(store, manifest, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("old", [False, True], ids=["cncf", "cnai"])
@pytest.mark.parametrize("compressed", COMPRESS)
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_come_out_of_every_kind_of_archive(
    tmp_path: Path, form: int, compressed: str, *, old: bool
) -> None:
    long = "x" * 60 + "/" + "y" * 90 + ".bin"
    archive = tar({**FILES, long: b"long"}, form=form)
    blob = COMPRESS[compressed](archive)
    store, manifest = stored(
        blob, encoding=f"tar{compressed}", old=old, diff_ids=[str(Digest.of(archive))]
    )
    files = unpack(store, manifest, tmp_path / "out")
    assert written(tmp_path / "out") == {**FILES, long: b"long"}
    assert {str(file.path): file.descriptor.digest for file in files} == {
        name: Digest.of(data) for name, data in {**FILES, long: b"long"}.items()
    }
    assert {file.layer for file in files} == set(manifest.layers)
    assert files == files_of(store, layers_of(store, manifest))
    assert (tmp_path / "out" / "a.bin").stat().st_mode == 0o100644


@pytest.mark.parametrize("old", [False, True], ids=["cncf", "cnai"])
@pytest.mark.parametrize("kind", LayerKind)
@pytest.mark.parametrize("encoding", ["raw", "tar", "tar+gzip", "tar+zstd"])
def test_all_twenty_encodings_are_read(
    tmp_path: Path, encoding: str, kind: LayerKind, *, old: bool
) -> None:
    who = "cnai" if old else "cncf"
    archive = b"content" if encoding == "raw" else tar({"a.bin": b"content"})
    blob = COMPRESS[encoding.removeprefix("raw").removeprefix("tar")](archive)
    layer = Descriptor(
        f"application/vnd.{who}.model.{kind}.v1.{encoding}",
        Digest.of(blob),
        len(blob),
        {f"org.{who}.model.filepath": "a.bin"},
    )
    store, empty = stored(old=old)
    store.push(layer, BytesContent(blob))
    manifest = Manifest.build(
        artifact_type=empty.artifact_type, config=empty.config, layers=[layer]
    )
    (file,) = unpack(store, manifest, tmp_path / "out")
    assert (str(file.path), file.kind) == ("a.bin", kind)
    assert (tmp_path / "out" / "a.bin").read_bytes() == b"content"


def test_pieces_of_compressed_content_are_one_content(tmp_path: Path) -> None:
    archive = tar(FILES)
    for encoding, compress in (("tar+gzip", gzipped), ("tar+zstd", zstd_compressed)):
        pieces = compress(archive[:700]) + compress(b"") + compress(archive[700:])
        if encoding == "tar+zstd":  # a skippable frame (RFC 8878, 3.1.2), as zstd:chunked has it
            pieces += b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
        store, manifest = stored(pieces, encoding=encoding)
        unpack(store, manifest, tmp_path / encoding)
        assert written(tmp_path / encoding) == FILES


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (b"1", "a hard link"),
        (b"2", "a symbolic link"),
        (b"3", "a character device"),
        (b"4", "a block device"),
        (b"6", "a named pipe"),
    ],
)
def test_d16_links_and_devices_are_refused(tmp_path: Path, kind: bytes, what: str) -> None:
    blob = member(b"good", b"x") + member(b"bad", kind=kind, link=b"/etc/passwd") + END
    refuse(tmp_path, blob, UnsafePathError, f"'bad' in an archive is {what}")


@pytest.mark.parametrize(
    "name",
    [
        b"../escaped",
        b"a/../../escaped",
        b"/escaped",
        b"./../escaped",
        b".//escaped",
        b"././escaped",
        b"a//b",
        b"a/./b",
        b"C:\\escaped",
        b"a\\..\\b",
        b"nul",
        b"a\x1b[2J",
        b"cafe\xcc\x81",
        b"",
    ],
)
def test_a_member_that_leaves_the_directory_writes_nothing(tmp_path: Path, name: bytes) -> None:
    refuse(tmp_path, member(name, b"x") + END, UnsafePathError, "name")
    # The same name by the two ways to write long ones.
    refuse(tmp_path, pax((b"path", name)) + member(b"a", b"x") + END, UnsafePathError, "name")
    long = member(b"././@LongLink", name + b"\0", kind=b"L", magic=b"ustar  \0")
    refuse(tmp_path, long + member(b"a", b"x") + END, UnsafePathError, "name")


def test_a_name_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    refuse(tmp_path, member(b"\xff", b"x") + END, InvalidDocumentError, "not UTF-8")


def test_one_leading_dot_is_no_trick(tmp_path: Path) -> None:
    blob = member(b"./", kind=b"5") + member(b"./d/", kind=b"5") + member(b"./d/a", b"x") + END
    store, manifest = stored(blob)
    unpack(store, manifest, tmp_path / "out")
    assert written(tmp_path / "out") == {"d/a": b"x"}


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ("a", "a", "stands there twice"),
        ("Model", "model", "differ only in case"),
        ("a", "a/b", "file and a directory"),
    ],
)
def test_names_that_meet_across_layers_write_nothing(
    tmp_path: Path, first: str, second: str, why: str
) -> None:
    store, manifest = stored(tar({first: b"1"}), tar({second: b"2"}))
    with pytest.raises(UnsafePathError, match=why):
        unpack(store, manifest, tmp_path / "out")
    with pytest.raises(UnsafePathError, match=why):
        files_of(store, layers_of(store, manifest))
    assert list(tmp_path.iterdir()) == []


BROKEN = {
    "no archive": (b"x" * 1024, "is no tar archive"),
    "nothing": (b"", "is cut off"),
    "no end": (member(b"a", b"x"), "is cut off"),
    "cut off in a header": (member(b"a", b"x")[:100], "is cut off"),
    "cut off in the content": (member(b"a", bytes(2000))[:1500], "is cut off"),
    "garbage after the end": (member(b"a", b"x") + END + b"garbage", "goes on after its end"),
    "a second archive": (member(b"a") + END + member(b"b") + END, "goes on after its end"),
    "a wrong checksum": (member(b"a", checksum=1) + END, "wrong checksum"),
    "an old archive": (member(b"a", magic=bytes(8)) + END, "is no tar archive"),
    "a broken number": (member(b"a", size=b"12345678x00\0") + END, "broken number"),
    "a huge number": (member(b"a", size=b"\x80" + b"\xff" * 11) + END, "impossible size"),
    "a negative number": (member(b"a", size=b"\xff" * 12) + END, "broken number"),
    "a sparse file": (member(b"a", kind=b"S", magic=b"ustar  \0") + END, "type b'S'"),
    "a sparse file in pax": (
        pax((b"GNU.sparse.major", b"1"), (b"GNU.sparse.minor", b"0")) + member(b"a") + END,
        "sparse file",
    ),
    "a long link": (member(b"x", b"y", kind=b"K") + END, "type b'K'"),
    "an unknown type": (member(b"a", kind=b"V") + END, "type b'V'"),
    "a file called as a directory": (member(b"a/", b"x") + END, "a directory's name"),
    "a directory with a size": (member(b"a/", b"x", kind=b"5") + END, "gives a size"),
    "a link with a size": (member(b"a", b"x", kind=b"2") + END, "gives a size"),
    "two extended headers": (
        pax((b"path", b"a")) + pax((b"path", b"b")) + member(b"c") + END,
        "two extended headers",
    ),
    "two ways to name": (
        pax((b"path", b"a"))
        + member(b"././@LongLink", b"b\0", kind=b"L", magic=b"ustar  \0")
        + member(b"c")
        + END,
        "two names",
    ),
    "a keyword twice": (
        pax((b"path", b"a"), (b"path", b"b")) + member(b"c") + END,
        "twice in one header",
    ),
    "a name for all": (pax((b"path", b"a"), kind=b"g") + member(b"c") + END, "for all members"),
    "a size for all": (pax((b"size", b"1"), kind=b"g") + member(b"c") + END, "for all members"),
    "a character set": (
        pax((b"hdrcharset", b"BINARY")) + member(b"c") + END,
        "a character set of their own",
    ),
    "a broken size": (pax((b"size", b"-1")) + member(b"c") + END, "impossible size"),
    "a broken record": (member(b"x", b"99 path=a\n", kind=b"x") + member(b"c") + END, "broken ext"),
    "a record without end": (member(b"x", b"8 path=a", kind=b"x") + member(b"c") + END, "broken"),
    "an extended header last": (pax((b"path", b"a")) + END, "ends after an extended header"),
}


@pytest.mark.parametrize(("blob", "why"), BROKEN.values(), ids=BROKEN)
def test_what_is_odd_in_an_archive_is_refused(tmp_path: Path, blob: bytes, why: str) -> None:
    refuse(tmp_path, blob, InvalidDocumentError, why)


def test_an_extended_size_counts_for_the_content_too(tmp_path: Path) -> None:
    # TARmageddon (CVE-2025-62518): a reader that takes the other size sees a hidden archive.
    hidden = member(b"hidden", b"evil")
    inner = hidden.ljust(1024, b"\0")
    blob = pax((b"size", b"%d" % len(inner)))
    blob += member(b"outer", b"", size=b"%011o\0" % 0) + inner + END
    store, manifest = stored(blob)
    unpack(store, manifest, tmp_path / "out")
    assert written(tmp_path / "out") == {"outer": inner}


def test_a_large_extended_header_is_not_read_into_memory(tmp_path: Path) -> None:
    blob = pax((b"comment", b"x" * 70_000)) + member(b"a") + END
    refuse(tmp_path, blob, LimitExceededError, "extended header of")


def test_a_header_of_thousands_of_keywords_costs_no_time(tmp_path: Path) -> None:
    records = [(b"%x" % number, b"") for number in range(8_000)]
    blob = pax(*records) + member(b"a.bin", b"data") + END
    store, manifest = stored(blob)
    with pytest.raises(LimitExceededError, match="keywords"):
        unpack(store, manifest, tmp_path / "out")


@pytest.mark.parametrize(
    ("encoding", "piece"),
    [
        ("tar+gzip", gzipped(b"")),
        ("tar+zstd", zstd_compressed(b"")),
        ("tar+zstd", b"\x50\x2a\x4d\x18\0\0\0\0"),  # RFC 8878, 3.1.2: a frame to be skipped
    ],
)
def test_a_layer_of_nothing_but_empty_pieces_costs_no_time(
    tmp_path: Path, encoding: str, piece: bytes
) -> None:
    store, manifest = stored(piece * 20_000, encoding=encoding)
    with pytest.raises(LimitExceededError, match="pieces"):
        unpack(store, manifest, tmp_path / "out")


def test_harmless_keywords_are_ignored(tmp_path: Path) -> None:
    blob = pax((b"comment", b"0" * 40), kind=b"g")
    blob += pax((b"mtime", b"1.5"), (b"SCHILY.xattr.user.x", b"y")) + member(b"a", b"x") + END
    store, manifest = stored(blob)
    unpack(store, manifest, tmp_path / "out")
    assert written(tmp_path / "out") == {"a": b"x"}


@pytest.mark.parametrize("compressed", ["+gzip", "+zstd"])
def test_d17_a_bomb_stops_while_it_grows(tmp_path: Path, compressed: str) -> None:
    size = FREE_EXPANSION + (4 << 20)
    archive = member(b"bomb", size=b"%011o\0" % size) + bytes(size) + END
    blob = COMPRESS[compressed](archive)
    assert len(blob) < size / 400
    tracemalloc.start()
    try:
        refuse(tmp_path, blob, LimitExceededError, "200 times as large", f"tar{compressed}")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20


@pytest.mark.parametrize("compressed", ["+gzip", "+zstd"])
@pytest.mark.parametrize("cut", [0, 1, 10, -1, -9])
def test_compressed_content_that_is_cut_off_is_refused(
    tmp_path: Path, compressed: str, cut: int
) -> None:
    blob = COMPRESS[compressed](tar(FILES))[:cut]
    why = "is empty" if cut == 0 else "is cut off"
    refuse(tmp_path, blob, InvalidDocumentError, why, f"tar{compressed}")


@pytest.mark.parametrize("compressed", ["+gzip", "+zstd"])
@pytest.mark.parametrize("garbage", [b"garbage", bytes(64)])
def test_garbage_after_compressed_content_is_refused(
    tmp_path: Path, compressed: str, garbage: bytes
) -> None:
    blob = COMPRESS[compressed](tar(FILES)) + garbage
    refuse(tmp_path, blob, InvalidDocumentError, "not the compressed content", f"tar{compressed}")


def test_content_in_another_compression_is_refused(tmp_path: Path) -> None:
    refuse(tmp_path, gzipped(tar(FILES)), InvalidDocumentError, "not the compr", "tar+zstd")
    refuse(tmp_path, tar(FILES), InvalidDocumentError, "not the compressed", "tar+gzip")


def test_d17_a_frame_that_needs_too_much_memory_is_refused(tmp_path: Path) -> None:
    blob = zstd_compressed(tar(FILES), window_log=27)
    refuse(tmp_path, blob, LimitExceededError, "memory to be read", "tar+zstd")


@pytest.mark.parametrize("compressed", ["+gzip", "+zstd"])
def test_a_wrong_diff_id_is_refused(tmp_path: Path, compressed: str) -> None:
    blob = COMPRESS[compressed](tar(FILES))
    # What some writers put there: the digest of the compressed layer.
    store, manifest = stored(blob, encoding=f"tar{compressed}", diff_ids=[str(Digest.of(blob))])
    with pytest.raises(ContentMismatchError, match="without compression is"):
        unpack(store, manifest, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("diff_ids", [[], ["sha256:zz"], ["sha256:" + "0" * 64] * 2])
def test_diff_ids_that_do_not_fit_the_layers_are_refused(diff_ids: list[str]) -> None:
    store, manifest = stored(gzipped(tar(FILES)), encoding="tar+gzip", diff_ids=diff_ids)
    with pytest.raises(InvalidDocumentError, match="the model's config"):
        layers_of(store, manifest)


def test_without_compression_a_diff_id_is_the_layers_digest() -> None:
    plain, small = tar(FILES), gzipped(b"")
    store, manifest = stored(plain, diff_ids=[])
    layers_of(store, manifest)  # nothing is compressed: the config is not even asked
    layers = (
        manifest.layers[0],
        Descriptor("application/vnd.cncf.model.doc.v1.tar+gzip", Digest.of(small), len(small)),
    )
    other = {"modelfs": {"diffIds": [str(Digest.of(b"x")), str(Digest.of(b""))]}}
    raw = json.dumps(other).encode()
    config = Descriptor.of(raw, media_types.CONFIG)
    store.push(config, BytesContent(raw))
    mixed = Manifest.build(artifact_type=media_types.ARTIFACT_TYPE, config=config, layers=layers)
    with pytest.raises(ContentMismatchError, match="is not compressed and has the digest"):
        layers_of(store, mixed)


class Changed:
    """A store whose layers have other bytes than their digests."""

    def __init__(self, store: MemoryStore, data: bytes, *, checked: bool) -> None:
        self.store = store
        self.data = data
        self.checked = checked

    @contextmanager
    def fetch(self, target: Descriptor) -> Iterator[BinaryIO]:
        if target.media_type == media_types.CONFIG:
            with self.store.fetch(target) as stream:
                yield stream
        else:
            with io.BytesIO(self.data) as stream:
                yield verifying(stream, target) if self.checked else stream


@pytest.mark.parametrize("compressed", COMPRESS)
def test_an_archive_with_another_digest_writes_nothing(tmp_path: Path, compressed: str) -> None:
    good = COMPRESS[compressed](tar({"a": b"good"}))
    evil = COMPRESS[compressed](tar({"a": b"evil"}))
    store, manifest = stored(good, encoding=f"tar{compressed}")
    if len(evil) == len(good):
        with pytest.raises(ContentMismatchError, match="another digest"):
            unpack(Changed(store, evil, checked=True), manifest, tmp_path / "out")
    with pytest.raises(ContentMismatchError):
        unpack(Changed(store, good + bytes(512), checked=False), manifest, tmp_path / "out")
    with pytest.raises(ContentMismatchError):
        unpack(Changed(store, evil + b"\0", checked=True), manifest, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_more_files_than_the_limit_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_extract, "MAX_FILES", 3)
    store, manifest = stored(tar({"a": b"", "b": b""}), tar({"c": b"", "d": b""}))
    with pytest.raises(LimitExceededError, match="more than 3 files"):
        unpack(store, manifest, tmp_path / "out")
    monkeypatch.setattr(_extract, "MAX_MEMBERS", 2)
    with pytest.raises(LimitExceededError, match="more than 2 members"):
        unpack(store, manifest, tmp_path / "out")


def test_archives_stop_where_the_disk_ends() -> None:
    budget = Budget(10)
    budget.spend(10)
    with pytest.raises(StorageError, match="more than the disk has room for"):
        budget.spend(1)


def test_an_archive_does_not_grow_in_memory(tmp_path: Path) -> None:
    size = 48 << 20
    blob = member(b"weights", size=b"%011o\0" % size) + bytes(size) + END
    store, manifest = stored(blob)
    tracemalloc.start()
    try:
        unpack(store, manifest, tmp_path / "out")
        assert tracemalloc.get_traced_memory()[1] < 12 << 20
    finally:
        tracemalloc.stop()


@settings(max_examples=150)
@given(
    st.dictionaries(
        st.text(alphabet="abc/.\u00e9", min_size=1, max_size=120), st.binary(max_size=1500)
    ),
    st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
)
def test_the_reader_sees_what_the_standard_library_wrote(
    files: dict[str, bytes], form: int
) -> None:
    files = {name: data for name, data in files.items() if not name.endswith("/")}
    try:
        blob = tar(files, form=form)
    except ValueError:  # a name too long for the oldest form
        return
    seen: dict[str, bytes] = {}
    reader = TarReader(io.BytesIO(blob), "it")
    for found in reader:
        if found.type is MemberType.FILE:
            seen[found.name] = b"".join(reader.chunks())
    assert seen == files


@settings(max_examples=200)
@given(st.data())
def test_no_changed_byte_of_an_archive_ends_in_a_traceback_or_outside(data: st.DataObject) -> None:
    blob = bytearray(pax((b"path", b"d/a")) + member(b"a", b"content") + member(b"b") + END)
    for _ in range(data.draw(st.integers(1, 3))):
        blob[data.draw(st.integers(0, len(blob) - 1))] = data.draw(st.integers(0, 255))
    store, manifest = stored(bytes(blob))
    try:
        files = files_of(store, layers_of(store, manifest))
    except Error:
        return
    for file in files:
        assert ".." not in file.path.parts
        assert not file.path.is_absolute()


@settings(max_examples=150)
@given(st.binary(max_size=300), st.sampled_from(["tar", "tar+gzip", "tar+zstd"]))
def test_no_bytes_at_all_end_in_a_traceback(data: bytes, encoding: str) -> None:
    store, manifest = stored(data, encoding=encoding)
    with pytest.raises(Error):
        files_of(store, layers_of(store, manifest))
