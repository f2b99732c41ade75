# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
import io
import json
import os
import tarfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.model_factory import make_model

from modelseal.errors import ConflictError, ContentMismatchError, InvalidProjectError
from modelseal.modelpack.build import ModelPackage, Profile, build
from modelseal.modelpack.image import LAYER, TarContent, layers_of_image
from modelseal.modelpack.inventory import scan
from modelseal.modelpack.project_file import load_project
from modelseal.modelpack.readers.families import Family, family_of
from modelseal.modelpack.unpack import unpack
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.memory import MemoryStore
from modelseal.workflows.package import push_directory
from modelseal.workflows.services import Services

LONG = "deep/" * 20 + "x" * 120 + ".bin"
EXTRA = {"empty.txt": b"", "caf\u00e9.json": b"{}", LONG: b"long", "block.bin": bytes(512)}


def packed(directory: Path, created: datetime | None = None) -> ModelPackage:
    project = load_project(directory)
    inventory = scan(directory, project)
    return build(directory, project, inventory, created=created, profile=Profile.IMAGE)


def stored(package: ModelPackage) -> MemoryStore:
    store = MemoryStore()
    for descriptor, content in package.contents():
        store.push(descriptor, content)
    return store


def contents(directory: Path) -> Mapping[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def test_an_image_has_one_plain_archive_a_file_below_models(tmp_path: Path) -> None:
    directory = make_model(tmp_path / "model", extra=EXTRA)
    package = packed(directory)
    manifest = json.loads(package.manifest.raw)
    assert "artifactType" not in manifest
    assert manifest["config"]["mediaType"] == "application/vnd.oci.image.config.v1+json"
    assert {layer["mediaType"] for layer in manifest["layers"]} == {LAYER}
    config = json.loads(package.config)
    assert (config["os"], config["architecture"]) == ("linux", "amd64")
    digests = [layer["digest"] for layer in manifest["layers"]]
    assert config["rootfs"] == {"type": "layers", "diff_ids": digests}
    assert config["config"]["Labels"]["org.opencontainers.image.title"] == "fraud"
    names = []
    for _, content in package.layers:  # as another reader sees it
        with content.open() as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
            for member in archive:
                taken = archive.extractfile(member)
                assert taken is not None
                name = member.name.removeprefix("models/")
                names.append(name)
                assert taken.read() == (directory / name).read_bytes()
                assert (member.mode, member.mtime, member.uid, member.gid) == (0o644, 0, 0, 0)
    assert names == sorted(contents(directory))


def test_what_is_packed_as_an_image_comes_back_as_it_was(tmp_path: Path) -> None:
    directory = make_model(tmp_path / "model", extra=EXTRA)
    package = packed(directory)
    assert family_of(package.manifest) is Family.IMAGE
    files = unpack(stored(package), package.manifest, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(directory)
    assert {str(file.path): file.descriptor.digest for file in files} == package.files


def test_the_same_files_give_the_same_image(tmp_path: Path) -> None:
    one = make_model(tmp_path / "one", extra=EXTRA)
    before = os.umask(0o077)
    try:
        two = make_model(tmp_path / "two", extra=EXTRA)
    finally:
        os.umask(before)
    os.utime(two / "model.onnx", (1, 1))
    assert packed(one).descriptor == packed(two).descriptor
    assert packed(one, datetime(2026, 1, 1, tzinfo=UTC)).descriptor != packed(one).descriptor


def test_both_profiles_have_the_same_inputs(tmp_path: Path) -> None:
    directory = make_model(tmp_path / "model")
    project = load_project(directory)
    modelpack = build(directory, project, scan(directory, project))
    assert modelpack.inputs_digest == packed(directory).inputs_digest
    assert modelpack.files == packed(directory).files


def test_a_file_that_changes_before_it_is_archived_is_noticed(tmp_path: Path) -> None:
    directory = make_model(tmp_path / "model")
    inventory = scan(directory, load_project(directory))
    changed = inventory.files[0].location
    changed.write_bytes(bytes(len(changed.read_bytes())))
    with pytest.raises(InvalidProjectError, match="changed while it was read"):
        layers_of_image(inventory.files)
    changed.unlink()
    with pytest.raises(InvalidProjectError, match="changed while it was read"):
        layers_of_image(inventory.files)


@pytest.mark.parametrize("data", [b"", b"shorter", b"longer than before", b"BYTES!"])
def test_a_file_that_changes_while_it_is_sent_is_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"bytes!")
    content = TarContent(path, "a", 6)
    with content.open() as stream:
        descriptor = Descriptor.of(stream.read(), LAYER)
    path.write_bytes(data)
    with pytest.raises(ContentMismatchError):
        MemoryStore().push(descriptor, content)


def test_one_tag_does_not_change_from_one_profile_to_the_other(tmp_path: Path) -> None:
    directory = make_model(tmp_path / "model")
    services = Services(store=MemoryStore())
    push_directory(directory, "1.4.0", services, {})
    with pytest.raises(ConflictError, match=r"already, as a application/vnd\.cncf") as caught:
        push_directory(directory, "1.4.0", services, {}, Profile.IMAGE)
    assert "1.4.0-image" in caught.value.hint
    push_directory(directory, "1.4.0-image", services, {}, Profile.IMAGE)


@given(st.binary(max_size=1500), st.integers(0, 4000), st.integers(1, 700))
def test_an_archive_reads_the_same_from_everywhere(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, start: int, step: int
) -> None:
    path = tmp_path_factory.mktemp("f") / "a"
    path.write_bytes(data)
    content = TarContent(path, "a", len(data))
    with content.open() as stream:
        whole = stream.read()
        assert len(whole) == content.length
        stream.seek(start)
        parts = iter(lambda: stream.read(step), b"")
        assert b"".join(parts) == whole[start:]
        assert stream.seek(-10, io.SEEK_END) == len(whole) - 10
        assert stream.read() == whole[-10:]
