# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Push: what is hashed is sent meanwhile; what did not change is neither read nor sent."""

import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.fake_registry import Answer, FakeRegistry, Fault, Recorded
from tests.support.model_factory import make_model
from tests.support.registry_store import NAME, options_of

from modelseal.errors import ConflictError, Error, UnavailableError, UsageError
from modelseal.modelpack import digests, plain_files
from modelseal.oci.descriptor import Digest
from modelseal.oci.events import BytesMoved, TransferFinished, TransferPlanned
from modelseal.oci.reference import LayoutDirectory, Repository
from modelseal.workflows.events import Event
from modelseal.workflows.package import push_directory
from modelseal.workflows.remembering import neighbours_of, services_to_push
from modelseal.workflows.services import Services


@pytest.fixture
def fake() -> Iterator[FakeRegistry]:
    with FakeRegistry() as registry:
        yield registry


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model whose files were all written long ago, as the clock says."""
    real = digests.now_ns
    monkeypatch.setattr(plain_files, "now_ns", lambda: real() + 10 * digests.GRAIN_NS)
    return make_model(tmp_path / "model")


def services(fake: FakeRegistry, tmp_path: Path, *, mount_from: str = "") -> Services:
    return services_to_push(
        Repository(fake.host, NAME),
        options_of(),
        {"XDG_CACHE_HOME": str(tmp_path / "cache")},
        mount_from=[f"{fake.host}/{mount_from}"] if mount_from else (),
    )


def push(directory: Path, services: Services, tag: str = "v1") -> Digest:
    return push_directory(directory, tag, services, {}).digest


def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write down which files of the model are read by the hasher."""
    seen: list[str] = []
    real = plain_files._hash

    def hashing(path: Path, *rest: object) -> Digest:
        seen.append(path.name)
        return real(path, *rest)  # type: ignore[arg-type] # handed on as they are

    monkeypatch.setattr(plain_files, "_hash", hashing)
    return seen


def test_pushed_again_no_file_is_read_and_none_is_sent(
    fake: FakeRegistry, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = push(directory, services(fake, tmp_path))
    seen = opened(monkeypatch)
    fake.requests.clear()
    for tag in ("v1", "v2"):
        assert push(directory, services(fake, tmp_path), tag) == first
    assert seen == []
    assert not fake.asked("POST")
    assert not fake.asked("GET", "/blobs/")


def test_one_changed_file_is_what_is_read_and_sent(
    fake: FakeRegistry, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    push(directory, services(fake, tmp_path))
    (directory / "model.safetensors").write_bytes(data := os.urandom(100_000))
    seen = opened(monkeypatch)
    fake.requests.clear()
    push(directory, services(fake, tmp_path), "v2")
    assert seen == ["model.safetensors"]
    assert sum(request.body_size for request in fake.requests) <= len(data) + (64 << 10)
    assert fake.blobs[NAME, str(Digest.of(data))] == data


def test_a_digest_that_is_remembered_is_not_believed_when_the_file_is_sent(
    fake: FakeRegistry, directory: Path, tmp_path: Path
) -> None:
    """Even if a change could not be seen, its bytes do not go under the old digest."""
    push(directory, services(fake, tmp_path))
    path = directory / "model.safetensors"
    before = path.stat()
    old = str(Digest.of(path.read_bytes()))
    path.write_bytes(os.urandom(before.st_size))
    cache = tmp_path / "cache" / "modelseal" / "digests" / "digests.json"
    was, now = (f":{s.st_mtime_ns}:{s.st_ctime_ns}" for s in (before, path.stat()))
    cache.write_text(cache.read_text().replace(was, now))
    fake.blobs.clear()
    with pytest.raises(Error, match="digest"):
        push(directory, services(fake, tmp_path), "v2")
    assert (NAME, old) not in fake.blobs
    assert (NAME, "v2") not in fake.tags


def test_a_file_that_changes_after_it_was_hashed_is_not_sent(
    fake: FakeRegistry, directory: Path, tmp_path: Path
) -> None:
    path = directory / "model.safetensors"
    data = path.read_bytes()

    def write_again(request: Recorded, _answer: Answer) -> None:
        if request.method == "HEAD" and str(Digest.of(data)) in request.path:
            path.write_bytes(os.urandom(len(data)))

    fake.before_answer = write_again
    with pytest.raises(Error, match=r"model\.safetensors changed after it was hashed"):
        push(directory, services(fake, tmp_path))
    assert (NAME, str(Digest.of(data))) not in fake.blobs
    assert not fake.tags
    fake.before_answer = lambda _request, _answer: None
    push(directory, services(fake, tmp_path))
    assert fake.tags


def test_files_go_while_others_are_hashed(
    fake: FakeRegistry, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last file is hashed only when the first is stored: or this would wait for ever."""
    stored = threading.Event()
    real = plain_files._hash

    def hashing(path: Path, *rest: object) -> Digest:
        if path.name == "README.md":
            assert stored.wait(20), "nothing was sent before all was hashed"
        return real(path, *rest)  # type: ignore[arg-type] # handed on as they are

    def note(request: Recorded, _answer: Answer) -> None:
        if request.method == "PUT":
            stored.set()

    monkeypatch.setattr(plain_files, "_hash", hashing)
    fake.before_answer = note
    push(directory, services(fake, tmp_path))
    last = [request.path for request in fake.asked("PUT")][-2:]
    assert all("/manifests/" in path for path in last), "the manifest and its tag come last"


def test_another_model_under_the_same_version_is_refused_before_a_byte_is_sent(
    fake: FakeRegistry, directory: Path, tmp_path: Path
) -> None:
    push(directory, services(fake, tmp_path))
    (directory / "model.safetensors").write_bytes(b"other")
    fake.requests.clear()
    with pytest.raises(ConflictError):
        push(directory, services(fake, tmp_path))
    assert not fake.asked("POST")


def test_a_registry_that_refuses_leaves_no_tag_and_no_thread(
    fake: FakeRegistry, directory: Path, tmp_path: Path
) -> None:
    fake.faults.append(Fault(method="POST", status=500))
    with pytest.raises(UnavailableError):
        push(directory, services(fake, tmp_path))
    assert not fake.tags
    left = [thread.name for thread in threading.enumerate()]
    assert not [name for name in left if name.startswith(("modelseal-push", "modelseal-hash"))]


def test_progress_adds_up(fake: FakeRegistry, directory: Path, tmp_path: Path) -> None:
    told: list[Event] = []
    to = services(fake, tmp_path)
    push(directory, Services(store=to.store, digests=to.digests, on_event=told.append))
    planned = [event for event in told if isinstance(event, TransferPlanned)]
    finished = [event for event in told if isinstance(event, TransferFinished)]
    moved = sum(event.count for event in told if isinstance(event, BytesMoved))
    assert sum(event.files for event in planned) == len(finished)
    assert sum(event.size for event in planned) == moved
    assert moved == sum(event.descriptor.size for event in finished)


def test_what_a_neighbour_has_is_taken_over(
    fake: FakeRegistry, directory: Path, tmp_path: Path
) -> None:
    push(directory, services(fake, tmp_path))
    there = {digest: data for (_, digest), data in fake.blobs.items()}
    fake.blobs = {("acme/other", digest): data for digest, data in there.items()}
    fake.tags.clear()
    fake.requests.clear()
    push(directory, services(fake, tmp_path, mount_from="acme/other"))
    assert {digest for name, digest in fake.blobs if name == NAME} == set(there)
    assert not fake.asked("PUT", "/blobs/")


@pytest.mark.parametrize("name", ["other.example.com/acme/model", "oci:store"])
def test_nothing_is_mounted_from_elsewhere(name: str) -> None:
    with pytest.raises(UsageError, match="mounted"):
        neighbours_of(Repository("registry.example.com", "acme/model"), [name])


def test_nothing_is_mounted_into_a_layout(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="mounted"):
        neighbours_of(LayoutDirectory(tmp_path), ["registry.example.com/acme/model"])
