# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
from tests.support.model_factory import make_model

from modelseal.cli.render import comparison
from modelseal.modelpack.build import Profile
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.memory import MemoryStore
from modelseal.trust.keys import generate_key
from modelseal.trust.signer import KeySigner
from modelseal.workflows.attest import SIGNATURE_CLAIM, attest
from modelseal.workflows.diff import Comparison, Side, diff
from modelseal.workflows.package import push_directory
from modelseal.workflows.services import Services


class NoWeights(MemoryStore):
    """Refuses to give any layer of a model."""

    @contextmanager
    def fetch(self, target: Descriptor) -> Iterator[BinaryIO]:
        assert "v1.raw" not in target.media_type, "a layer was fetched"
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
