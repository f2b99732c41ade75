# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A version of a model names one set of inputs, also when it stands under another tag."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.fake_registry import FakeRegistry
from tests.support.model_factory import make_model
from tests.support.registry_store import NAME, options_of

from modelseal.errors import ConflictError, NotFoundError
from modelseal.modelpack.build import Profile
from modelseal.oci.layout import LayoutStore
from modelseal.oci.memory import MemoryStore
from modelseal.oci.reference import Repository
from modelseal.oci.registry.store import RegistryStore
from modelseal.oci.store import Store
from modelseal.workflows.package import push_directory
from modelseal.workflows.services import Services


@pytest.fixture(params=["memory", "layout", "registry"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "registry":
        with FakeRegistry() as fake:
            yield RegistryStore(Repository(fake.host, NAME), options_of())
    elif request.param == "layout":
        yield LayoutStore(tmp_path / "layout")
    else:
        yield MemoryStore()


def push(store: Store, directory: Path, tag: str, profile: Profile = Profile.MODELPACK) -> None:
    push_directory(directory, tag, Services(store=store), {}, profile)


def other(tmp_path: Path, **values: str) -> Path:
    return make_model(tmp_path / "other", extra={"model.onnx": b"trained anew"}, **values)


@pytest.mark.parametrize("first", ["1.4.0", "v1.4.0", "latest"])
def test_a_version_stands_for_one_set_of_inputs_under_whatever_tag(
    tmp_path: Path, store: Store, first: str
) -> None:
    push(store, make_model(tmp_path / "m"), first)
    with pytest.raises(ConflictError, match=rf"{first} is version 1\.4\.0 already") as caught:
        push(store, other(tmp_path), "candidate")
    assert "modelseal diff REF DIR" in caught.value.hint
    with pytest.raises(NotFoundError):
        store.resolve("candidate")


def test_a_layout_is_looked_through_whole_and_a_registry_is_not(
    tmp_path: Path, store: Store
) -> None:
    push(store, make_model(tmp_path / "m"), "somewhere")
    if isinstance(store, RegistryStore):  # to look behind each of its tags would cost a request
        push(store, other(tmp_path), "candidate")
    else:
        with pytest.raises(ConflictError, match="somewhere is version"):
            push(store, other(tmp_path), "candidate")


def test_another_version_the_same_inputs_and_another_model_are_no_conflict(
    tmp_path: Path, store: Store
) -> None:
    directory = make_model(tmp_path / "m")
    push(store, directory, "1.4.0")
    push(store, directory, "latest")
    push(store, directory, "1.4.0-image", Profile.IMAGE)
    push(store, other(tmp_path, version="1.5.0"), "1.5.0")
    push(store, other(tmp_path, name="scores"), "scores-1.4.0")
