# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Repairing lists of referrers: what others broke, and what must not be broken by it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from tests.support.fake_registry import INDEX, Answer, FakeRegistry, Fault, Recorded
from tests.support.registry_store import NAME, push_model, store_at

from modelseal.errors import (
    ConflictError,
    InvalidReferenceError,
    LimitExceededError,
    UnavailableError,
)
from modelseal.oci.descriptor import MANIFEST, Descriptor, Digest
from modelseal.oci.referrer import fallback_tag
from modelseal.oci.registry.store import RegistryStore
from modelseal.oci.repair import Action, Change, Repair


class Stage:
    """A registry without the referrers API, a subject, and two statements about it."""

    def __init__(self, fake: FakeRegistry) -> None:
        self.fake = fake
        writer = store_at(fake.host)
        self.subject = push_model(writer).descriptor
        self.first = push_model(writer, b"first", subject=self.subject).descriptor
        self.second = push_model(writer, b"second", subject=self.subject).descriptor
        self.right = self.entries()
        fake.requests.clear()

    @property
    def tag(self) -> str:
        return fallback_tag(self.subject.digest)

    def store(self) -> RegistryStore:
        return store_at(self.fake.host)

    def entries(self) -> list[dict[str, Any]]:
        digest = self.fake.tags[NAME, self.tag]
        listed: list[dict[str, Any]] = json.loads(self.fake.manifests[NAME, digest].raw)[
            "manifests"
        ]
        return listed

    def write(self, entries: list[object]) -> None:
        self.fake.put_referrers(NAME, str(self.subject.digest), entries)

    def repair(self, *digests: Digest, dry_run: bool = False) -> Repair:
        return self.store().repair_referrers(self.subject, digests, dry_run=dry_run)


@pytest.fixture
def stage() -> Any:  # noqa: ANN401 - an iterator of it
    with FakeRegistry(referrers_api=False) as fake:
        yield Stage(fake)


def test_a_list_that_is_right_is_not_written(stage: Stage) -> None:
    done = stage.repair()
    assert done.changes == ()
    assert not done.written
    assert not stage.fake.asked("PUT")


LOSSY: dict[str, Callable[[dict[str, Any]], object]] = {
    "artifactType, annotations missing": lambda e: {
        k: v for k, v in e.items() if k not in {"artifactType", "annotations"}
    },
    "annotations missing": lambda e: {k: v for k, v in e.items() if k != "annotations"},
    "artifactType not as in the manifest": lambda e: (
        e | {"artifactType": "application/vnd.oci.empty.v1+json"}
    ),
    "size not as in the manifest": lambda e: e | {"size": 1},
    "mediaType not as in the manifest": lambda e: e | {"mediaType": "text/plain"},
    "annotations not as in the manifest": lambda e: e | {"annotations": [1]},
    "size missing": lambda e: {k: v for k, v in e.items() if k != "size"},
}


@pytest.mark.parametrize("problem", LOSSY)
def test_an_entry_says_again_what_its_manifest_says(stage: Stage, problem: str) -> None:
    first, second = stage.right
    stage.write([LOSSY[problem](first), second])
    done = stage.repair()
    assert done.changes == (Change(Action.CORRECTED, first["digest"], problem),)
    assert done.written
    assert stage.entries() == [first, second]


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (None, "it names no manifest"),
        (7, "it names no manifest"),
        ({}, "it names no manifest"),
        ({"digest": "sha256:zz"}, "it names no manifest"),
        ({"digest": ["sha256"]}, "it names no manifest"),
    ],
)
def test_an_entry_that_names_nothing_goes(stage: Stage, entry: object, problem: str) -> None:
    stage.write([entry, *stage.right])
    (change,) = stage.repair().changes
    assert (change.action, change.problem) == (Action.REMOVED, problem)
    assert stage.entries() == stage.right


def test_what_is_gone_or_twice_or_about_something_else_goes(stage: Stage) -> None:
    other = push_model(stage.store(), b"another subject")
    about_other = push_model(stage.store(), b"about it", subject=other.descriptor).descriptor
    gone = Descriptor(MANIFEST, Digest.of(b"gone"), 10).to_json()
    first, second = stage.right
    stage.write([first, gone, first, about_other.to_json(), other.descriptor.to_json(), second])
    problems = {c.referrer: (c.action, c.problem) for c in stage.repair().changes}
    assert problems == {
        gone["digest"]: (Action.REMOVED, "the manifest is gone"),
        first["digest"]: (Action.REMOVED, "it stands there twice"),
        str(about_other.digest): (Action.REMOVED, "the manifest is not about this subject"),
        str(other.descriptor.digest): (Action.REMOVED, "the manifest is not about this subject"),
    }
    assert stage.entries() == stage.right


def test_what_is_lost_is_found_by_its_digest(stage: Stage) -> None:
    stage.write([stage.right[1]])
    assert stage.repair().changes == ()  # nothing names it, so nobody knows of it
    done = stage.repair(stage.first.digest)
    assert done.changes == (Change(Action.ADDED, str(stage.first.digest), "it was not listed"),)
    assert stage.entries() == [stage.right[1], stage.right[0]]


def test_what_is_lost_is_found_by_a_tag(stage: Stage) -> None:
    stage.write([])
    stage.fake.tags[NAME, "sha256-abc.att"] = str(stage.first.digest)
    stage.fake.tags[NAME, "1.4.0"] = str(stage.subject.digest)
    done = stage.repair()
    assert [change.referrer for change in done.changes] == [str(stage.first.digest)]
    assert (done.scanned, done.unscanned) == (2, 0)
    assert stage.entries() == [stage.right[0]]


def test_a_list_that_is_not_there_is_made(stage: Stage) -> None:
    del stage.fake.tags[NAME, stage.tag]
    stage.repair(stage.first.digest, stage.second.digest)
    assert stage.entries() == stage.right


@pytest.mark.parametrize("raw", [b"", b"not json", b"{}", b'{"manifests":[],"layers":[]}'])
def test_a_list_that_is_none_is_made_anew(stage: Stage, raw: bytes) -> None:
    stage.fake.put_manifest(NAME, raw, INDEX, tag=stage.tag)
    done = stage.repair(stage.first.digest)
    assert [change.action for change in done.changes] == [Action.REMOVED, Action.ADDED]
    assert stage.entries() == [stage.right[0]]


def test_a_dry_run_writes_nothing(stage: Stage) -> None:
    stage.write([])
    done = stage.repair(stage.first.digest, dry_run=True)
    assert len(done.changes) == 1
    assert not done.written
    assert stage.entries() == []
    assert not stage.fake.asked("PUT")


def test_what_an_entry_says_besides_stays(stage: Stage) -> None:
    first, second = stage.right
    stage.write([first | {"annotations": {}, "platform": {"os": "linux"}}, second])
    stage.repair()
    assert stage.entries() == [first | {"platform": {"os": "linux"}}, second]


def test_a_digest_of_something_else_is_refused(stage: Stage) -> None:
    other = push_model(stage.store(), b"another").descriptor
    for digest in (other.digest, Digest.of(b"nothing")):
        with pytest.raises(InvalidReferenceError, match="belongs into no list"):
            stage.repair(digest)
    assert not stage.fake.asked("PUT", stage.tag)


def test_a_manifest_that_cannot_be_had_just_now_loses_no_entry(stage: Stage) -> None:
    path = f"/manifests/{stage.first.digest}"
    for status in (403, 503):
        stage.fake.faults[:] = [Fault(path=path, status=status)]
        with pytest.raises(UnavailableError):
            stage.repair()
    stage.fake.faults.clear()
    assert stage.entries() == stage.right


def test_what_others_add_meanwhile_stays(stage: Stage) -> None:
    late = push_model(stage.store(), b"late", subject=stage.subject).descriptor
    (added,) = [entry for entry in stage.entries() if entry["digest"] == str(late.digest)]
    first, second = stage.right
    lossy = {k: v for k, v in first.items() if k != "annotations"}
    stage.write([lossy, second])
    reads = iter(range(100))

    def add(request: Recorded, _answer: Answer) -> None:
        if request.method == "GET" and request.path.endswith(stage.tag) and next(reads) == 0:
            stage.write([lossy, second, added])

    stage.fake.before_answer = add
    stage.repair()
    assert stage.entries() == [first, second, added]


def test_an_entry_that_is_overwritten_right_after_comes_back(stage: Stage) -> None:
    first, second = stage.right
    stage.write([second])
    left = [2]

    def overwrite(request: Recorded, _answer: Answer) -> None:
        if request.method == "PUT" and request.path.endswith(stage.tag) and left[0]:
            left[0] -= 1
            stage.write([second])

    stage.fake.before_answer = overwrite
    stage.repair(stage.first.digest)
    assert stage.entries() == [second, first]


def test_a_writer_that_never_stops_is_a_conflict(stage: Stage) -> None:
    def overwrite(request: Recorded, _answer: Answer) -> None:
        if request.method == "PUT" and request.path.endswith(stage.tag):
            stage.write([])

    stage.fake.before_answer = overwrite
    stage.write([])
    with pytest.raises(ConflictError, match="keep overwriting"):
        stage.repair(stage.first.digest)


def test_more_entries_than_are_looked_at_are_an_error(stage: Stage) -> None:
    stage.write([{"digest": str(Digest.of(b"%d" % n))} for n in range(1001)])
    with pytest.raises(LimitExceededError, match="1001 entries; at most 1000"):
        stage.repair()


def test_with_the_api_what_is_not_listed_is_pushed_again() -> None:
    with FakeRegistry() as fake:
        stage_store = store_at(fake.host)
        subject = push_model(stage_store).descriptor
        fake.referrers_api = fake.oci_subject = False
        lost = push_model(store_at(fake.host), b"first", subject=subject).descriptor
        fake.referrers_api = fake.oci_subject = True
        fake.faults.append(
            Fault(
                path="/referrers/",
                status=200,
                body=b'{"manifests":[]}',
                headers={"Content-Type": INDEX},
            )
        )
        done = store_at(fake.host).repair_referrers(subject)
        assert done.has_api
        assert done.changes == (
            Change(Action.RELISTED, str(lost.digest), "the registry does not list it"),
        )
        assert fake.asked("PUT", f"/manifests/{lost.digest}$")
