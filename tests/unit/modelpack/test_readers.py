# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Models that others packed: where their files come from, and what is refused."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.archives import COMPRESS, END, gzipped, member, tar

from modelseal.errors import (
    ContentMismatchError,
    Error,
    InvalidDocumentError,
    LimitExceededError,
    UnsafePathError,
)
from modelseal.modelpack.media_types import LayerKind
from modelseal.modelpack.readers.families import Family, family_of, layers_of
from modelseal.modelpack.unpack import unpack
from modelseal.oci.content import BytesContent
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.manifest import Manifest
from modelseal.oci.memory import MemoryStore

KIT = "application/vnd.kitops.modelkit"
DOCKER = "application/vnd.docker.ai"
IMAGE = "application/vnd.oci.image.config.v1+json"
IMAGE_LAYER = "application/vnd.oci.image.layer.v1.tar"
FILEPATH = "org.cncf.model.filepath"
TITLE = "org.opencontainers.image.title"


@dataclass
class Packed:
    """An artifact as a test puts it together."""

    config_type: str
    artifact_type: str = ""
    config: Mapping[str, Any] = field(default_factory=dict)
    store: MemoryStore = field(default_factory=MemoryStore)
    layers: list[Descriptor] = field(default_factory=list)

    def add(self, media_type: str, data: bytes, **annotations: str) -> Digest:
        names = {"filepath": FILEPATH, "title": TITLE}
        known = {names.get(key, key.replace("_", ".")): item for key, item in annotations.items()}
        layer = Descriptor(media_type, Digest.of(data), len(data), known)
        self.store.push(layer, BytesContent(data))
        self.layers.append(layer)
        return layer.digest

    @property
    def manifest(self) -> Manifest:
        raw = json.dumps(self.config).encode()
        config = Descriptor.of(raw, self.config_type)
        self.store.push(config, BytesContent(raw))
        return Manifest.build(
            artifact_type=self.artifact_type or self.config_type, config=config, layers=self.layers
        )

    def unpack(self, directory: Path) -> dict[str, bytes]:
        files = unpack(self.store, self.manifest, directory)
        found = {
            path.relative_to(directory).as_posix(): path.read_bytes()
            for path in directory.rglob("*")
            if path.is_file()
        }
        assert sorted(found) == sorted(str(file.path) for file in files)
        assert {str(file.path): file.descriptor.digest for file in files} == {
            name: Digest.of(data) for name, data in found.items()
        }
        return found

    def refuse(self, directory: Path, error: type[Error], why: str) -> None:
        with pytest.raises(error, match=why):
            unpack(self.store, self.manifest, directory / "out")
        assert list(directory.iterdir()) == []


def modelkit(config: Mapping[str, Any] | None = None) -> Packed:
    return Packed(f"{KIT}.config.v1+json", f"{KIT}.manifest.v1+json", config or {})


@pytest.mark.parametrize("form", ["tar", "raw"])
@pytest.mark.parametrize("compression", ["", "+gzip", "+zstd"])
def test_a_modelkit_gives_its_files(tmp_path: Path, form: str, compression: str) -> None:
    compress = COMPRESS[compression]
    kit = modelkit()
    told = {}
    for kind, name in (("model", "w/model.gguf"), ("modelpart", "vocab.json"), ("docs", "R.md")):
        plain = tar({name: b"content"}) if form == "tar" else b"content"
        blob = compress(plain)
        digest = kit.add(f"{KIT}.{kind}.v1.{form}{compression}", blob, filepath=name)
        told[kind] = {"path": name, "digest": str(digest), "diffId": str(Digest.of(plain))}
        if form == "raw":  # three files of the same content are one blob
            kit.layers[-1] = Descriptor(
                kit.layers[-1].media_type, digest, len(blob), {FILEPATH: name}
            )
    kit.config = {
        "manifestVersion": "1.0.0",
        "model": {**told["model"], "parts": [told["modelpart"]]},
        "docs": [told["docs"]],
        "code": None,
    }
    assert family_of(kit.manifest) is Family.KITOPS
    assert kit.unpack(tmp_path) == dict.fromkeys(("w/model.gguf", "vocab.json", "R.md"), b"content")
    kinds = [layer.kind for layer in layers_of(kit.store, kit.manifest)]
    assert kinds == [LayerKind.WEIGHT, LayerKind.WEIGHT_CONFIG, LayerKind.DOC]


def test_an_old_modelkit_takes_its_directories_from_the_kitfile(tmp_path: Path) -> None:
    kit = modelkit(
        {
            "model": {"path": "./models/m.onnx"},
            "datasets": [{"path": "data/train.csv"}, {"path": "test.csv"}],
            "code": [{"path": "."}],
        }
    )
    kit.add(f"{KIT}.model.v1.tar+gzip", gzipped(tar({"m.onnx": b"m"})))
    kit.add(f"{KIT}.dataset.v1.tar+gzip", gzipped(tar({"train.csv": b"1"})))
    kit.add(f"{KIT}.dataset.v1.tar+gzip", gzipped(tar({"test.csv": b"2"})))
    kit.add(f"{KIT}.code.v1.tar+gzip", gzipped(tar({"run.py": b"3"})))
    assert kit.unpack(tmp_path) == {
        "models/m.onnx": b"m",
        "data/train.csv": b"1",
        "test.csv": b"2",
        "run.py": b"3",
    }


def test_a_modelkit_whose_weights_are_elsewhere_is_refused(tmp_path: Path) -> None:
    kit = modelkit({"model": {"path": "ghcr.io/acme/base:1.0"}, "code": [{"path": "a.py"}]})
    kit.add(f"{KIT}.code.v1.tar", tar({"a.py": b"x"}))
    kit.refuse(tmp_path, InvalidDocumentError, "weights are in another ModelKit")


@pytest.mark.parametrize(
    ("config", "error", "why"),
    [
        ({"code": [{"path": "../a"}]}, UnsafePathError, "leaves the directory"),
        ({"code": [{"path": 7}]}, InvalidDocumentError, "has no path"),
        ({"code": "x"}, InvalidDocumentError, "is not a list"),
        ({}, InvalidDocumentError, "has no entry for the layer"),
        (
            {"code": [{"path": "a", "digest": "sha256:" + "0" * 64}]},
            ContentMismatchError,
            "does not list the layer",
        ),
        ({"code": [{"path": "a", "digest": "x"}]}, InvalidDocumentError, "config, digest"),
    ],
)
def test_a_kitfile_that_does_not_fit_is_refused(
    tmp_path: Path, config: dict[str, Any], error: type[Error], why: str
) -> None:
    kit = modelkit(config)
    kit.add(f"{KIT}.code.v1.tar", tar({"a": b"x"}))
    kit.refuse(tmp_path, error, why)


def test_a_docker_model_without_names_gets_the_usual_ones(tmp_path: Path) -> None:
    model = Packed(f"{DOCKER}.model.config.v0.1+json")
    model.add(f"{DOCKER}.safetensors", b"1")
    model.add(f"{DOCKER}.safetensors", b"2")
    model.add(f"{DOCKER}.license", b"MIT")
    model.add(f"{DOCKER}.chat.template.jinja", b"{{ x }}")
    model.add(f"{DOCKER}.vllm.config.tar", tar({"config.json": b"{}"}), filepath="config.tar")
    assert family_of(model.manifest) is Family.DOCKER
    assert model.unpack(tmp_path) == {
        "model-00001-of-00002.safetensors": b"1",
        "model-00002-of-00002.safetensors": b"2",
        "LICENSE": b"MIT",
        "template.jinja": b"{{ x }}",
        "config.json": b"{}",
    }


def test_a_docker_model_with_names_keeps_them(tmp_path: Path) -> None:
    model = Packed(f"{DOCKER}.model.config.v0.2+json")
    model.add(f"{DOCKER}.gguf.v3", b"1", filepath="q4/weights.gguf")
    model.add(f"{DOCKER}.model.file", b"2", filepath="tokenizer/vocab.json")
    model.add(f"{DOCKER}.dir.tar", tar({"sub/x.json": b"3"}), filepath="sub.tar")
    assert model.unpack(tmp_path) == {
        "q4/weights.gguf": b"1",
        "tokenizer/vocab.json": b"2",
        "sub/x.json": b"3",
    }


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x"])
def test_a_docker_model_that_leaves_the_directory_writes_nothing(tmp_path: Path, name: str) -> None:
    model = Packed(f"{DOCKER}.model.config.v0.2+json")
    model.add(f"{DOCKER}.gguf.v3", b"1", filepath=name)
    model.refuse(tmp_path, UnsafePathError, "file name")


def image(*archives: bytes, media_type: str = IMAGE_LAYER) -> Packed:
    made = Packed(IMAGE)
    for archive in archives:
        made.add(media_type, archive)
    return made


BASE = (
    member(b"bin/", kind=b"5")
    + member(b"bin/busybox", b"elf")
    + member(b"bin/sh", kind=b"2", link=b"busybox")
    + member(b"dev/null", kind=b"3")
    + member(b"usr/share/man/File::Spec.3", b"not a name that we would write")
    + member(b"usr/.wh.old")
    + END
)


@pytest.mark.parametrize("compression", ["", "+gzip", "+zstd"])
def test_an_image_gives_what_stands_below_models(tmp_path: Path, compression: str) -> None:
    compress = COMPRESS[compression]
    plain = [BASE, tar({"models/m.onnx": b"m"}), tar({"./models/sub/v.json": b"v"})]
    model = image(*map(compress, plain), media_type=f"{IMAGE_LAYER}{compression}")
    model.config = {"rootfs": {"type": "layers", "diff_ids": [str(Digest.of(p)) for p in plain]}}
    assert family_of(model.manifest) is Family.IMAGE
    assert model.unpack(tmp_path) == {"m.onnx": b"m", "sub/v.json": b"v"}


def test_a_docker_image_is_an_image(tmp_path: Path) -> None:
    model = Packed("application/vnd.docker.container.image.v1+json")
    model.add("application/vnd.docker.image.rootfs.diff.tar.gzip", gzipped(tar({"models/a": b"a"})))
    assert model.unpack(tmp_path) == {"a": b"a"}


@pytest.mark.parametrize(
    "name", [b".wh.models", b"models/.wh.a", b"models/.wh..wh..opq", b".wh..wh..opq"]
)
def test_an_image_that_takes_files_away_again_is_refused(tmp_path: Path, name: bytes) -> None:
    model = image(tar({"models/a": b"a", "models/b": b"b"}), member(name) + END)
    model.refuse(tmp_path, UnsafePathError, "a layer removes")


def test_an_image_that_brings_a_file_twice_is_refused(tmp_path: Path) -> None:
    model = image(tar({"models/a": b"old"}), tar({"models/a": b"new"}))
    model.refuse(tmp_path, UnsafePathError, "stands there twice")


@pytest.mark.parametrize(
    ("archive", "why"),
    [
        (member(b"models", kind=b"2", link=b"/etc") + END, "is a symbolic link"),
        (member(b"models/a", kind=b"1", link=b"etc/shadow") + END, "is a hard link"),
        (member(b"models", b"x") + END, "empty part"),
        (member(b"/models/a", b"x") + END, "absolute"),
        (member(b"x/../models/a", b"x") + END, r"`\.\.`"),
        (member(b"././models/a", b"x") + END, "absolute"),
    ],
)
def test_tricks_around_the_directory_of_an_image_are_refused(
    tmp_path: Path, archive: bytes, why: str
) -> None:
    image(tar({"models/ok": b"ok"}), archive).refuse(tmp_path, UnsafePathError, why)


def test_an_image_without_a_model_is_said(tmp_path: Path) -> None:
    image(BASE).refuse(tmp_path, InvalidDocumentError, "the model has no files")


def test_an_image_whose_layers_are_elsewhere_is_refused(tmp_path: Path) -> None:
    model = image(tar({"models/a": b"a"}))
    content = json.loads(model.manifest.raw)
    content["layers"][0]["urls"] = ["https://elsewhere.example/blob"]
    manifest = Manifest.parse(json.dumps(content).encode())
    with pytest.raises(InvalidDocumentError, match="fetched from elsewhere"):
        unpack(model.store, manifest, tmp_path / "out")


def test_an_artifact_of_oras_gives_files_and_directories(tmp_path: Path) -> None:
    archive = tar({"data/train.csv": b"1", "data/sub/test.csv": b"2"})
    artifact = Packed("application/vnd.oci.empty.v1+json", "application/vnd.acme.model")
    # The media type that oras gives to files when it is told none: it is no archive.
    artifact.add(IMAGE_LAYER, b"weights", title="w/model.bin")
    artifact.add(
        "application/vnd.oci.image.layer.v1.tar+gzip",
        gzipped(archive),
        title="data",
        io_deis_oras_content_unpack="true",
        io_deis_oras_content_digest=str(Digest.of(archive)),
    )
    assert family_of(artifact.manifest) is Family.ARTIFACT
    assert artifact.unpack(tmp_path) == {
        "w/model.bin": b"weights",
        "data/train.csv": b"1",
        "data/sub/test.csv": b"2",
    }


@pytest.mark.parametrize(
    ("title", "archive", "error", "why"),
    [
        ("data", tar({"other/a": b"x"}), UnsafePathError, "outside of it"),
        ("data", tar({"data.evil/a": b"x"}), UnsafePathError, "outside of it"),
        ("../data", tar({"../data/a": b"x"}), UnsafePathError, "leaves the directory"),
        ("data", b"no archive", InvalidDocumentError, "no tar archive|cut off"),
    ],
)
def test_a_directory_of_oras_stays_below_its_title(
    tmp_path: Path, title: str, archive: bytes, error: type[Error], why: str
) -> None:
    artifact = Packed("application/vnd.oci.empty.v1+json", "application/vnd.acme.model")
    artifact.add(IMAGE_LAYER, gzipped(archive), title=title, io_deis_oras_content_unpack="true")
    artifact.refuse(tmp_path, error, why)


def test_a_directory_of_oras_with_another_digest_is_refused(tmp_path: Path) -> None:
    artifact = Packed("application/vnd.oci.empty.v1+json", "application/vnd.acme.model")
    artifact.add(
        IMAGE_LAYER,
        gzipped(tar({"data/a": b"x"})),
        title="data",
        io_deis_oras_content_unpack="true",
        io_deis_oras_content_digest=str(Digest.of(b"")),
    )
    artifact.refuse(tmp_path, ContentMismatchError, "without compression is")


def test_what_has_no_file_names_is_no_model(tmp_path: Path) -> None:
    bundle = Packed("application/vnd.oci.empty.v1+json", "application/vnd.dev.sigstore.bundle.v0.3")
    bundle.add("application/vnd.dev.sigstore.bundle.v0.3+json", b"{}")
    bundle.refuse(tmp_path, InvalidDocumentError, "not a model: its layers have no file names")


@pytest.mark.parametrize(
    ("config_type", "artifact_type"),
    [
        (f"{KIT}.config.v1+json", "application/vnd.acme"),
        ("application/vnd.acme.config", f"{KIT}.manifest.v1+json"),
        (f"{DOCKER}.model.config.v0.1+json", "application/vnd.acme"),
        (IMAGE, "application/vnd.cncf.model.manifest.v1+json"),
        ("application/vnd.cncf.model.config.v1+json", f"{KIT}.manifest.v1+json"),
        ("application/vnd.cnai.model.config.v1+json", "text/plain"),
    ],
)
def test_an_artifact_that_says_two_things_of_itself_is_refused(
    tmp_path: Path, config_type: str, artifact_type: str
) -> None:
    both = Packed(config_type, artifact_type)
    both.add(IMAGE_LAYER, tar({"models/a": b"a"}), title="a")
    both.refuse(tmp_path, InvalidDocumentError, "is a|config is")


@pytest.mark.parametrize(
    ("packed", "media_type"),
    [
        (Packed(f"{KIT}.config.v1+json", config={"code": [{"path": "a"}]}), f"{KIT}.x.v1.tar"),
        (Packed(f"{DOCKER}.model.config.v0.1+json"), f"{DOCKER}.unknown"),
        (Packed(f"{DOCKER}.model.config.v0.1+json"), "gguf.v3/x"),
        (Packed(IMAGE), "application/vnd.oci.image.layer.nondistributable.v1.tar"),
    ],
)
def test_a_layer_that_is_not_known_is_named(
    tmp_path: Path, packed: Packed, media_type: str
) -> None:
    packed.layers.clear()
    packed.add(media_type, b"x")
    packed.refuse(tmp_path, InvalidDocumentError, "not read here|no entry")


def test_a_config_that_is_too_large_is_not_fetched(tmp_path: Path) -> None:
    kit = modelkit({"code": "x" * (4 << 20)})
    kit.add(f"{KIT}.code.v1.tar", tar({"a": b"x"}))
    kit.refuse(tmp_path, LimitExceededError, "at most 4194304 are read")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["model", "code", "path", "parts", "digest", "diffId", "x"]), inner
        )
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["model", "code", "datasets", "docs"]), JSON))
def test_whatever_the_kitfile_says_it_ends_in_files_or_an_error(config: dict[str, Any]) -> None:
    kit = modelkit(config)
    kit.add(f"{KIT}.model.v1.tar", tar({"a": b"x"}))
    kit.add(f"{KIT}.code.v1.tar", tar({"b": b"x"}))
    try:
        layers: Sequence[object] = layers_of(kit.store, kit.manifest)
    except Error:
        return
    assert len(layers) == 2
