# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
from tests.support.model_factory import make_model, project_text

from modelseal.cli.render import comparison
from modelseal.evidence.versions import Step
from modelseal.modelpack.build import Profile
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.memory import MemoryStore
from modelseal.trust.keys import generate_key
from modelseal.trust.signer import KeySigner
from modelseal.workflows.attest import SIGNATURE_CLAIM, attest
from modelseal.workflows.diff import Comparison, Side, diff
from modelseal.workflows.local import side_of_directory
from modelseal.workflows.package import push_directory
from modelseal.workflows.services import Services


class NoWeights(MemoryStore):
    """Refuses to give the weights of a model."""

    @contextmanager
    def fetch(self, target: Descriptor) -> Iterator[BinaryIO]:
        assert "weight.v1.raw" not in target.media_type, "weights were fetched"
        assert not target.media_type.endswith(".tar"), "a layer was fetched"
        with super().fetch(target) as stream:
            yield stream


@pytest.fixture
def services() -> Services:
    return Services(store=NoWeights())


def compare(services: Services, left: str, right: str) -> Comparison:
    return diff(Side(store=services.store, name=left), Side(store=services.store, name=right))


def test_a_model_is_equal_to_itself(tmp_path: Path, services: Services) -> None:
    push_directory(make_model(tmp_path / "m"), "1.4.0", services, {})
    found = compare(services, "1.4.0", "1.4.0")
    assert found.equal
    assert (found.files, found.config, found.statements) == ((), (), ())
    assert list(comparison.as_text(found))[-1] == "equal"


def test_files_and_fields_that_differ_are_told_without_fetching_them(
    tmp_path: Path, services: Services
) -> None:
    push_directory(make_model(tmp_path / "a", extra={"old.txt": b"old"}), "a", services, {})
    changed = {"params.yaml": b"epochs: 4\n", "new.txt": b"new"}
    push_directory(make_model(tmp_path / "b", version="1.5.0", extra=changed), "b", services, {})
    found = compare(services, "a", "b")
    assert not found.equal
    files = {change.name: (change.left, change.right) for change in found.files}
    assert files["new.txt"] == ("", str(Digest.of(b"new")))
    assert files["old.txt"] == (str(Digest.of(b"old")), "")
    assert files["params.yaml"][1] == str(Digest.of(b"epochs: 4\n"))
    assert set(files) == {"new.txt", "old.txt", "params.yaml", "modelseal.yaml"}
    config = {change.name: (change.left, change.right) for change in found.config}
    assert config["descriptor.version"] == ('"1.4.0"', '"1.5.0"')
    assert not any("diffIds" in name for name in config)
    told = "\n".join(comparison.as_text(found))
    assert "  old.txt\n    - sha256:" in told
    answer = comparison.as_json(found, "oci:x:a", "oci:x:b")
    assert answer["equal"] is False
    assert {"name": "new.txt", "left": None, "right": str(Digest.of(b"new"))} in answer[
        "changedFiles"
    ]


def test_claims_about_the_same_manifest_differ_between_stores(
    tmp_path: Path, services: Services
) -> None:
    directory = make_model(tmp_path / "m")
    other = Services(store=MemoryStore())
    for one in (services, other):
        push_directory(directory, "1.4.0", one, {})
    attest("1.4.0", [SIGNATURE_CLAIM], KeySigner(generate_key()), services)
    found = diff(Side(store=services.store, name="1.4.0"), Side(store=other.store, name="1.4.0"))
    assert found.left == found.right
    assert not found.equal
    (change,) = found.statements
    assert change.name.startswith("https://sigstore.dev/cosign/sign/v1")
    assert (change.left, change.right) == ("1", "")
    assert any("not verified" in line for line in comparison.as_text(found))


def test_an_archive_is_compared_as_a_whole(tmp_path: Path, services: Services) -> None:
    directory = make_model(tmp_path / "m")
    push_directory(directory, "a", services, {})
    push_directory(directory, "b", services, {}, Profile.IMAGE)
    found = compare(services, "a", "b")
    names = {change.name for change in found.files}
    assert "model.onnx" in names
    assert "layer 0 (archive)" in names
    assert ("packed as", "modelpack", "image") in {
        (change.name, change.left, change.right) for change in found.config
    }


def test_the_step_that_the_changes_ask_for_is_told_with_the_reasons(
    tmp_path: Path, services: Services
) -> None:
    push_directory(make_model(tmp_path / "a"), "a", services, {})
    text = project_text(version="1.4.1").replace("[batch, 3]", "[batch, 4]")
    changed = {"model.onnx": b"other", "README.md": b"other"}
    push_directory(make_model(tmp_path / "b", project=text, extra=changed), "b", services, {})
    advice = compare(services, "a", "b").advice
    assert (advice.step, advice.taken, advice.fits) == (Step.MAJOR, "patch", False)
    assert advice.note == "take at least 2.0.0"
    assert [(reason.step, reason.text) for reason in advice.reasons] == [
        (Step.MAJOR, "the output scores was float32[batch, 3] and is float32[batch, 4]"),
        (Step.MINOR, "other weights: model.onnx"),
        (Step.PATCH, "other documents: README.md"),
    ]
    told = "\n".join(comparison.as_text(compare(services, "a", "b")))
    assert "taken: patch, which does not fit: take at least 2.0.0" in told
    answer = comparison.as_json(compare(services, "a", "b"), "a", "b")["version"]
    assert (answer["advised"], answer["taken"], answer["fits"]) == ("major", "patch", False)


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("config.json", b'{"id2label": {"0": "ok", "1": "fraud"}}'),
        ("config.json", b'{"architectures": ["Other"], "model_type": "linear"}'),
        ("labels.txt", b"ok\nfraud\n"),
    ],
)
def test_other_labels_and_another_architecture_are_a_major_change(
    tmp_path: Path, services: Services, path: str, data: bytes
) -> None:
    push_directory(make_model(tmp_path / "a"), "a", services, {})
    other = make_model(tmp_path / "b", version="1.5.0", extra={path: data})
    push_directory(other, "b", services, {})
    assert compare(services, "a", "b").advice.step is Step.MAJOR


def test_a_model_without_a_project_file_is_compared_as_far_as_it_goes(
    tmp_path: Path, services: Services
) -> None:
    left = tmp_path / "m"
    push_directory(make_model(left), "a", services, {})
    push_directory(left, "b", services, {}, Profile.IMAGE)
    advice = compare(services, "a", "b").advice
    assert advice.gaps == (
        "without a modelseal.yaml on both sides nothing tells whether the interface differs",
    )


def test_a_directory_is_compared_as_it_would_be_published(
    tmp_path: Path, services: Services
) -> None:
    directory = make_model(tmp_path / "m")
    push_directory(directory, "1.4.0", services, {})
    attest("1.4.0", [SIGNATURE_CLAIM], KeySigner(generate_key()), services)
    home = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    published = Side(store=services.store, name="1.4.0")
    assert diff(published, side_of_directory(directory, home)).equal
    (directory / "model.onnx").write_bytes(b"trained anew")
    found = diff(published, side_of_directory(directory, home))
    assert [change.name for change in found.files] == ["model.onnx"]
    assert (found.advice.step, found.advice.fits) == (Step.MINOR, False)
    assert found.advice.note == "one version stands for two models; take at least 1.5.0"
