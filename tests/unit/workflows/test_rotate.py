# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Rotation of keys: only what the old key signed, byte for byte, once, and recorded."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from modelseal.attest.predicates.key_rotation import KEY_ROTATION, rotated_payloads
from modelseal.attest.predicates.types import OMS, SIGNATURE
from modelseal.attest.referrers import AttachedBundle, attach, attached_bundles
from modelseal.errors import NotFoundError, UnavailableError, UsageError
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.manifest import Index, Manifest
from modelseal.oci.memory import MemoryStore
from modelseal.oci.store import push_bytes
from modelseal.trust.bundle import parse_bundle
from modelseal.trust.keys import PrivateKey, generate_key
from modelseal.trust.signer import KeySigner
from modelseal.trust.verifier import KeyVerifier
from modelseal.workflows.attest import SIGNATURE_CLAIM, Claim, attest
from modelseal.workflows.key_use import KeyUse, key_uses
from modelseal.workflows.rotate import (
    Release,
    Rotated,
    SignedStatement,
    check_reason,
    plan_rotation,
    rotate,
)
from modelseal.workflows.services import Services

OLD, NEW, OTHER = (generate_key() for _ in range(3))
METRICS = Claim("https://modelseal.dev/attestation/eval-result/v0.1", {"accuracy": "0.9"})
APPROVAL = Claim("https://modelseal.dev/attestation/approval/v0.1", {"for": "prod"})
VSA = Claim("https://slsa.dev/verification_summary/v1", {"verificationResult": "PASSED"})


def services(store: MemoryStore) -> Services:
    return Services(store=store, clock=lambda: datetime(2026, 1, 2, tzinfo=UTC))


def model(store: MemoryStore, tag: str, *, key: PrivateKey = OLD) -> Descriptor:
    config = push_bytes(store, tag.encode(), "application/vnd.cncf.model.config.v1+json")
    manifest = Manifest.build(artifact_type="application/x", config=config, layers=[])
    pushed = push_bytes(store, manifest.raw, manifest.media_type)
    store.tag(pushed, tag)
    attest(pushed.digest, [SIGNATURE_CLAIM, METRICS], KeySigner(key), services(store))
    return pushed


def run(store: MemoryStore, tags: Sequence[str] = ()) -> list[Rotated]:
    releases = plan_rotation(store, OLD.public_key(), NEW.public_key(), tags)
    return list(rotate(releases, OLD.public_key(), KeySigner(NEW), "yearly", services(store)))


def payloads(store: MemoryStore, subject: Descriptor, key: PrivateKey) -> dict[str, bytes]:
    """Return what verifies with a key: predicate types and the signed bytes."""
    found = {}
    for bundle in attached_bundles(store, subject):
        assert isinstance(bundle, AttachedBundle)
        try:
            verified = KeyVerifier([key.public_key()]).verify(bundle.raw, subject=subject.digest)
        except Exception:  # noqa: BLE001 - by another key
            continue
        found[verified.predicate_type] = parse_bundle(bundle.raw).envelope.payload
    return found


def referrers(store: MemoryStore, subject: Descriptor) -> int:
    return len(list(store.referrers(subject)))


def test_the_new_key_signs_the_same_bytes_and_the_old_signatures_stay() -> None:
    store = MemoryStore()
    subject = model(store, "1.0")
    before = payloads(store, subject, OLD)
    (done,) = run(store)
    after = payloads(store, subject, NEW)
    record = json.loads(after.pop(KEY_ROTATION))
    assert after == before == payloads(store, subject, OLD)
    assert len(done.referrers) == 3
    assert record["predicate"] == {
        "oldKey": {"fingerprint": OLD.public_key().identity.fingerprint},
        "newKey": {"fingerprint": NEW.public_key().identity.fingerprint},
        "reason": "yearly",
        "rotatedAt": "2026-01-02T00:00:00Z",
        "statements": [
            {
                "predicateType": kind,
                "payload": {"sha256": SignedStatement(kind, before[kind]).digest.encoded},
            }
            for kind in sorted(before)
        ],
    }


def test_a_second_run_does_nothing() -> None:
    store = MemoryStore()
    subject = model(store, "1.0")
    run(store)
    there = referrers(store, subject)
    (again,) = run(store)
    assert again.referrers == ()
    assert again.release.done
    assert referrers(store, subject) == there


class Failing(MemoryStore):
    """Fails to store the manifest number `at`, once."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = -1
        self.at = at

    def push(self, expected: Descriptor, content: object) -> None:
        if expected.media_type.endswith("manifest.v1+json") and self.left >= 0:
            self.left -= 1
            if self.left < 0:
                raise UnavailableError("the registry went away")
        super().push(expected, content)  # type: ignore[arg-type] # as it came


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 5])
def test_a_run_that_was_interrupted_goes_on_where_it_ended(at: int) -> None:
    store = Failing(at)
    subjects = [model(store, tag) for tag in ("1.0", "2.0")]
    store.left = at
    with pytest.raises(UnavailableError):
        run(store)
    run(store)
    for subject in subjects:
        assert len(payloads(store, subject, NEW)) == 3
        assert referrers(store, subject) == 5  # two by each key, and one record


def test_nothing_is_signed_that_did_not_verify_with_the_old_key() -> None:
    store = MemoryStore()
    theirs = model(store, "theirs", key=OTHER)
    mine = model(store, "mine")
    for bundle in attached_bundles(store, mine):  # by the old key, and about something else
        assert isinstance(bundle, AttachedBundle)
        attach(store, theirs, bundle.raw, SIGNATURE, datetime(2026, 1, 2, tzinfo=UTC))
    done = {one.release.tags: one for one in run(store)}
    assert done["theirs",].referrers == ()
    assert not done["theirs",].release.signed_before
    assert payloads(store, theirs, NEW) == {}


def test_what_binds_a_person_or_a_moment_is_left_alone() -> None:
    store = MemoryStore()
    subject = model(store, "1.0")
    oms = Claim(OMS, {"resources": []})
    attest(subject.digest, [APPROVAL, VSA], KeySigner(OLD), services(store))
    other = model(store, "2.0")
    attest(other.digest, [oms], KeySigner(OLD), services(store))
    about_files = next(
        bundle.raw
        for bundle in attached_bundles(store, other)
        if isinstance(bundle, AttachedBundle) and _kind(bundle.raw) == OMS
    )
    attach(store, subject, about_files, OMS, datetime(2026, 1, 2, tzinfo=UTC))
    done = {one.release.tags: one.release for one in run(store)}
    kinds = {one.predicate_type for one in done["1.0",].left_alone}
    assert kinds == {APPROVAL.predicate_type, VSA.predicate_type, OMS}
    assert payloads(store, subject, NEW).keys() == {SIGNATURE, METRICS.predicate_type, KEY_ROTATION}


def _kind(raw: bytes) -> str:
    return str(json.loads(parse_bundle(raw).envelope.payload)["predicateType"])


def test_tags_choose_and_what_no_tag_leads_to_is_left_alone() -> None:
    store = MemoryStore()
    first, second = model(store, "1.0"), model(store, "2.0")
    store.tag(second, "stable")
    (done,) = run(store, ["1.0"])
    assert done.release.subject == first
    assert payloads(store, second, NEW) == {}
    tags = [release.tags for release in plan_rotation(store, OLD.public_key(), NEW.public_key())]
    assert tags == [("1.0",), ("2.0", "stable")]
    with pytest.raises(NotFoundError):
        run(store, ["3.0"])


def test_what_an_index_lists_is_signed_anew_too() -> None:
    store = MemoryStore()
    child = model(store, "1.0")
    index = Index.build([child])
    root = push_bytes(store, index.raw, index.media_type)
    store.tag(root, "1.0")
    attest(root.digest, [SIGNATURE_CLAIM], KeySigner(OLD), services(store))
    done: dict[Descriptor, Release] = {one.release.subject: one.release for one in run(store)}
    assert done[root].tags == ("1.0",)
    assert done[child].tags == ()
    assert SIGNATURE in payloads(store, root, NEW)
    assert SIGNATURE in payloads(store, child, NEW)


def test_a_record_of_other_keys_or_by_another_key_is_no_record() -> None:
    store = MemoryStore()
    subject = model(store, "1.0")
    attest(subject.digest, [SIGNATURE_CLAIM, METRICS], KeySigner(NEW), services(store))
    old, new = (key.public_key().identity.fingerprint for key in (OLD, NEW))
    statements = [
        {"payload": {"sha256": SignedStatement("", payload).digest.encoded}}
        for payload in payloads(store, subject, OLD).values()
    ]
    predicate = {
        "oldKey": {"fingerprint": old},
        "newKey": {"fingerprint": new},
        "statements": statements,
    }
    claim = Claim(KEY_ROTATION, predicate)
    attest(subject.digest, [claim], KeySigner(OTHER), services(store))
    swapped = Claim(KEY_ROTATION, predicate | {"oldKey": {"fingerprint": new}})
    attest(subject.digest, [swapped], KeySigner(NEW), services(store))
    (release,) = plan_rotation(store, OLD.public_key(), NEW.public_key())
    assert not release.missing
    assert not release.recorded
    run(store)
    (release,) = plan_rotation(store, OLD.public_key(), NEW.public_key())
    assert release.done


@pytest.mark.parametrize(
    "predicate", [{}, {"statements": 1}, {"statements": [1, {}, {"payload": []}]}]
)
def test_a_record_that_is_nonsense_names_nothing(predicate: dict[str, object]) -> None:
    keys: dict[str, object] = {"oldKey": {"fingerprint": "a"}, "newKey": {"fingerprint": "b"}}
    assert rotated_payloads(keys | predicate, "a", "b") == frozenset()


def test_one_key_is_not_rotated_to_itself_and_a_reason_is_one_line() -> None:
    with pytest.raises(UsageError, match="the same"):
        plan_rotation(MemoryStore(), OLD.public_key(), OLD.public_key())
    for reason in ("two\nlines", "x" * 501):
        with pytest.raises(UsageError, match="one line"):
            check_reason(reason)


def test_uses_of_keys_are_verified_or_called_claimed() -> None:
    store = MemoryStore()
    model(store, "1.0")
    model(store, "2.0", key=OTHER)
    old, other = (key.public_key().identity.fingerprint for key in (OLD, OTHER))
    uses = set(key_uses(store, [OLD.public_key()]))
    for kind in (SIGNATURE, METRICS.predicate_type):
        mine = KeyUse(key=old, verified=True, release="1.0", predicate_type=kind)
        theirs = KeyUse(key=other, verified=False, release="2.0", predicate_type=kind)
        assert {mine, theirs} <= uses
    assert len(uses) == 4
    assert not any(use.verified for use in key_uses(store, []))
