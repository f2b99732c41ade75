# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong between us and a registry, at every stage: over real HTTP, and then not any more.

Each case is held to the same: a fault that passes is survived by the run itself; one that stays
ends it with an error of ours; either way the next run finishes, byte for byte, nothing is left
behind but the journal, and no other host has seen a credential.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from tests.support.fake_registry import Answer, FakeRegistry, Fault, Recorded, digest_of
from tests.support.kills import contents
from tests.support.registry_store import Known

from modelseal.errors import Error
from modelseal.oci.reference import Repository
from modelseal.oci.registry.credentials import Credentials
from modelseal.oci.registry.options import RegistryOptions, RetryPolicy
from modelseal.workflows.package import push_directory
from modelseal.workflows.pull import pull
from modelseal.workflows.remembering import services_to_push
from modelseal.workflows.services import Services
from modelseal.workflows.wiring import Settings, cache_at, open_reading_store

NAME, TAG = "acme/fraud", "1.0.0"
USER, PASSWORD = "user", "pass-word"
SIZE = (1 << 20) + 77
FILES = {
    "modelseal.yaml": b"apiVersion: modelseal.dev/v1\nkind: Model\n"
    b"metadata: {name: fraud, version: 1.0.0, licenses: [MIT]}\nspec: {format: safetensors}\n",
    "model.safetensors": random.Random(5).randbytes(SIZE),
    "README.md": b"# Fraud\n",
}
BIG = r"/blobs/sha256:[0-9a-f]{64}$"
FOR_EVER = 1_000_000


@dataclass(frozen=True, slots=True)
class Scene:
    """A model, a registry, another host, and somebody who pushes and pulls."""

    home: Path
    registry: FakeRegistry
    elsewhere: FakeRegistry
    attempts: int = 2
    retries: list[float] = field(default_factory=list)

    @property
    def options(self) -> RegistryOptions:
        return RegistryOptions(
            credentials=Known({self.registry.host: Credentials(USER, PASSWORD)}),
            connect_timeout=2,
            read_timeout=0.3,
            slowest_read=0.3,
            commit_timeout=0.6,
            retry=RetryPolicy(attempts=self.attempts, sleep=self.retries.append),
        )

    @property
    def place(self) -> Repository:
        return Repository(self.registry.host, NAME)

    def push(self) -> None:
        environment = {"XDG_CACHE_HOME": str(self.home / "pushing")}
        services = services_to_push(self.place, self.options, environment)
        push_directory(self.home / "model", TAG, services, environment)

    def pull(self) -> None:
        cache = cache_at(self.home / "cache", {})
        store = open_reading_store(self.place, Settings(registry=self.options, cache=cache))
        services = Services(store=store, cache=cache)
        pull(TAG, self.home / "out", trust=None, services=services)

    def left_behind(self) -> set[str]:
        """Return the names of what is neither the model nor a journal nor whole."""
        out, cache = self.home / "out", self.home / "cache"
        found = {path.name for path in (self.home / "pushing" / "modelseal").rglob("*")}
        found -= {"uploads", "digests"}
        left = {name for name in found if not name.endswith(".json")}
        left |= {path.name for path in out.rglob("*") if path.name.startswith(".modelseal")}
        parts = {path.suffix for path in (cache / "parts").glob("*")}
        return left | (parts - {".part", ".journal"})

    def credentials_elsewhere(self) -> set[str]:
        return {request.authorization for request in self.elsewhere.requests} - {""}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    for name, data in FILES.items():
        path = tmp_path / "model" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    with (
        FakeRegistry(auth="bearer", username=USER, password=PASSWORD) as registry,
        FakeRegistry() as elsewhere,
    ):
        yield Scene(tmp_path, registry, elsewhere)


PASSING: dict[str, Fault] = {
    "dropped before an answer": Fault(drop=True),
    "500": Fault(status=500),
    "502": Fault(status=502),
    "503 with Retry-After": Fault(status=503, headers={"Retry-After": "1"}),
    "429 with Retry-After": Fault(status=429, headers={"Retry-After": "2"}),
    "a head that drips": Fault(drip=0.05),
    "an answer that is late": Fault(delay=1.0),
}
"""What may pass, and is tried again."""

SPOILT: dict[str, Fault] = {
    "cut short": Fault(cut_after=10),
    "corrupted": Fault(corrupt=True),
    "longer than announced": Fault(headers={"Content-Length": "5"}),
    "shorter than announced": Fault(headers={"Content-Length": "9000000"}, cut_after=FOR_EVER),
    "another digest": Fault(headers={"Docker-Content-Digest": f"sha256:{'0' * 64}"}),
    "no digest": Fault(headers={"Docker-Content-Digest": None}),
    "a body that drips": Fault(rate=40),
}
"""Answers that are not what they have to be."""

READING = {
    "the token": ("GET", r"^/token"),
    "the manifest": ("GET", rf"/manifests/{TAG}$"),
    "a blob": ("GET", BIG),
}
WRITING = {
    "the token": ("GET", r"^/token"),
    "whether a blob is there": ("HEAD", r"/blobs/"),
    "the start of an upload": ("POST", r"/uploads/"),
    "the blob": ("PUT", r"/uploads/"),
    "the manifest": ("PUT", r"/manifests/sha256:"),
    "the tag": ("PUT", rf"/manifests/{TAG}$"),
}


def finished(scene: Scene, run: Callable[[], None]) -> None:
    """Run without faults, and hold that all is as it has to be."""
    scene.registry.faults.clear()
    run()
    if run == scene.push:
        stored = {digest: data for (_, digest), data in scene.registry.blobs.items()}
        assert set(FILES.values()) <= set(stored.values())
        assert (NAME, TAG) in scene.registry.tags
        assert list((scene.home / "pushing" / "modelseal" / "uploads").glob("*")) == []
    else:
        assert contents(scene.home / "out") == FILES
        assert list((scene.home / "cache" / "parts").glob("*")) == []
    assert scene.left_behind() == set()
    assert scene.credentials_elsewhere() == set()


def attempted(scene: Scene, run: Callable[[], None]) -> bool:
    """Run; tell whether it came to its end. Whatever ends it is an error of ours."""
    error = None
    try:
        run()
    except Error as caught:
        error = caught
    if error is None:
        return True
    assert str(error)
    assert PASSWORD not in str(error) + error.hint
    assert scene.left_behind() == set()
    assert not (scene.home / "out").exists()
    return False


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("stage", READING)
def test_pulling_survives_what_passes_and_ends_cleanly_when_it_stays(
    scene: Scene, stage: str, fault: str
) -> None:
    scene.push()
    method, path = READING[stage]
    wrong = replace(PASSING[fault], method=method, path=path)
    scene.registry.faults = [replace(wrong, times=FOR_EVER)]
    assert not attempted(scene, scene.pull)
    scene.registry.faults = [replace(wrong, times=1)]
    scene.pull()
    finished_again(scene)


def finished_again(scene: Scene) -> None:
    """Hold what `finished` does for the files that are there now."""
    assert contents(scene.home / "out") == FILES
    assert scene.left_behind() == set()
    assert scene.credentials_elsewhere() == set()


@pytest.mark.parametrize("fault", PASSING)
@pytest.mark.parametrize("stage", WRITING)
def test_pushing_survives_what_passes_and_ends_cleanly_when_it_stays(
    scene: Scene, stage: str, fault: str
) -> None:
    method, path = WRITING[stage]
    wrong = replace(PASSING[fault], method=method, path=path)
    scene.registry.faults = [replace(wrong, times=FOR_EVER)]
    if not attempted(scene, scene.push):
        assert scene.registry.tags == {} or stage == "the tag"
    scene.retries.clear()
    scene.registry.faults = [replace(wrong, times=1)]
    scene.push()
    asked_for = PASSING[fault].headers.get("Retry-After")
    assert not asked_for or float(asked_for) in scene.retries
    finished(scene, scene.push)


@pytest.mark.parametrize("fault", SPOILT)
@pytest.mark.parametrize("stage", READING)
def test_what_is_spoilt_on_its_way_is_not_kept(scene: Scene, stage: str, fault: str) -> None:
    scene.push()
    method, path = READING[stage]
    scene.registry.faults = [replace(SPOILT[fault], method=method, path=path)]
    if attempted(scene, scene.pull):
        finished_again(scene)
    else:
        finished(scene, scene.pull)


@pytest.mark.parametrize("fault", SPOILT)
@pytest.mark.parametrize("stage", ["the start of an upload", "the blob", "the manifest", "the tag"])
def test_what_is_spoilt_about_a_push_is_made_up_for(scene: Scene, stage: str, fault: str) -> None:
    method, path = WRITING[stage]
    scene.registry.faults = [replace(SPOILT[fault], method=method, path=path)]
    done = attempted(scene, scene.push)
    if fault == "another digest" and stage != "the start of an upload":
        assert not done
    finished(scene, scene.push)


@pytest.mark.parametrize("cut", [0, 1, SIZE // 2, SIZE - 1])
@pytest.mark.parametrize("keeps", [True, False], ids=["kept", "lost"])
def test_a_body_that_breaks_off_at_any_byte_is_sent_to_its_end(
    scene: Scene, cut: int, *, keeps: bool
) -> None:
    scene.registry.ways = replace(scene.registry.ways, keeps_broken=keeps)
    wrong = Fault(method="PUT", path=r"/uploads/", cut_request=cut)
    scene.registry.faults = [replace(wrong, times=FOR_EVER)]
    # What is kept brings each attempt nearer to the end, unless it is nothing.
    assert not attempted(scene, scene.push) or (keeps and cut > 1)
    scene.registry.blobs.clear()
    scene.registry.faults = [replace(wrong, times=1)]
    scene.push()
    finished(scene, scene.push)


def test_an_upload_session_that_is_lost_each_time_ends_and_then_goes_on(scene: Scene) -> None:
    scene.registry.faults = [Fault(method="PUT", path=r"/uploads/", status=404)]
    assert not attempted(scene, scene.push)
    finished(scene, scene.push)


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data",
        "ftp://127.0.0.1/x",
        "/nowhere",
        "",
        "http://127.0.0.1:1/v2/",
    ],
)
def test_an_upload_that_is_to_go_somewhere_else_goes_nowhere(scene: Scene, location: str) -> None:
    scene.registry.faults = [Fault(method="POST", headers={"Location": location})]
    assert not attempted(scene, scene.push)
    finished(scene, scene.push)


def test_an_upload_at_a_host_of_the_registrys_choice_gets_bytes_and_no_credential(
    scene: Scene,
) -> None:
    def elsewhere(request: Recorded, answer: Answer) -> None:
        if request.method == "POST" and answer.status == 202:
            session = answer.headers["Docker-Upload-UUID"]
            scene.elsewhere.uploads[session] = b""
            answer.headers["Location"] = f"{scene.elsewhere.url}/v2/{NAME}/blobs/uploads/{session}"

    scene.registry.before_answer = elsewhere
    assert not attempted(scene, scene.push)  # what is stored there is not in the registry
    assert scene.elsewhere.asked("PUT")
    scene.registry.before_answer = lambda _request, _answer: None
    finished(scene, scene.push)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_blob_at_another_host_is_fetched_without_a_credential(scene: Scene, status: int) -> None:
    scene.push()
    scene.elsewhere.blobs = dict(scene.registry.blobs)

    def redirected(request: Recorded, answer: Answer) -> None:
        if request.method == "GET" and "/blobs/" in request.path:
            answer.status = status
            answer.headers["Location"] = f"{scene.elsewhere.url}{request.path}?X-Signature=abc"
            answer.body = b""

    scene.registry.before_answer = redirected
    scene.pull()
    assert len(scene.elsewhere.asked("GET", "/blobs/")) >= len(FILES)
    finished_again(scene)


@pytest.mark.parametrize("fault", [*PASSING, *SPOILT])
def test_what_goes_wrong_at_the_other_host_costs_no_more(scene: Scene, fault: str) -> None:
    scene.push()
    scene.elsewhere.blobs = dict(scene.registry.blobs)
    wrong = replace({**PASSING, **SPOILT}[fault], method="GET", path="/blobs/")
    scene.elsewhere.faults = [wrong]

    def redirected(request: Recorded, answer: Answer) -> None:
        if request.method == "GET" and "/blobs/" in request.path:
            answer.status, answer.body = 307, b""
            answer.headers["Location"] = f"{scene.elsewhere.url}{request.path}"

    scene.registry.before_answer = redirected
    if attempted(scene, scene.pull):
        finished_again(scene)
        return
    scene.elsewhere.faults = []
    finished(scene, scene.pull)


@pytest.mark.parametrize("after", range(2, 20, 3))
def test_tokens_that_are_taken_back_in_mid_transfer_are_renewed(scene: Scene, after: int) -> None:
    seen = 0

    def expire(request: Recorded, _answer: Answer) -> None:
        nonlocal seen
        if "/blobs/" not in request.path:
            return
        seen += 1
        if seen == after:
            scene.registry.tokens.clear()

    scene.registry.before_answer = expire
    scene.registry.faults = [Fault(method="PUT", path=r"/uploads/", cut_request=SIZE // 2, times=1)]
    scene.push()
    seen = 0
    scene.registry.faults = [Fault(method="GET", path=BIG, cut_after=SIZE // 3, times=1)]
    scene.pull()
    finished_again(scene)


def test_a_token_is_renewed_before_it_expires_in_mid_blob(scene: Scene) -> None:
    scene.push()
    scene.registry.token_life = 1  # second; used for three quarters of it
    digest = digest_of(FILES["model.safetensors"])
    scene.registry.faults = [
        Fault(method="GET", path=digest, cut_after=SIZE // 5, delay=0.28, times=4)
    ]
    scene.registry.requests.clear()
    refused: list[str] = []

    def watch(request: Recorded, answer: Answer) -> None:
        if answer.status == 401 and request.authorization:
            refused.append(request.path)

    scene.registry.before_answer = watch
    replace(scene, attempts=9).pull()
    assert refused == []
    assert len(scene.registry.asked("GET", "^/token")) > 1
    finished_again(scene)


def test_each_token_has_the_smallest_scope(scene: Scene) -> None:
    scene.push()
    assert set(scene.registry.tokens.values()) == {
        f"repository:{NAME}:pull,push",
        f"repository:{NAME}:pull",
    }
    scene.registry.tokens.clear()
    scene.pull()
    assert set(scene.registry.tokens.values()) == {f"repository:{NAME}:pull"}
