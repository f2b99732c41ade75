# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Publish, verify, pull and load on a store in memory, with a key: order is a safety property."""

import io
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

import pytest
from tests.support.model_factory import ATTESTED, make_model

from modelseal.attest.predicates.types import PROVENANCE, SIGNATURE
from modelseal.attest.referrers import attach
from modelseal.errors import (
    ConflictError,
    ContentMismatchError,
    Error,
    NotFoundError,
    StorageError,
    UnavailableError,
    UsageError,
)
from modelseal.oci.content import Content, verifying
from modelseal.oci.descriptor import EMPTY_DESCRIPTOR, Descriptor, Digest
from modelseal.oci.events import discard
from modelseal.oci.manifest import Manifest
from modelseal.oci.memory import MemoryStore
from modelseal.oci.store import fetch_bytes, fetch_manifest
from modelseal.policy.document import parse_policy
from modelseal.trust.events import SigningSink
from modelseal.trust.identity import Identity, Profile
from modelseal.trust.keys import generate_key
from modelseal.trust.signer import KeySigner
from modelseal.trust.verifier import KeyVerifier, Verifier
from modelseal.workflows.attest import SIGNATURE_CLAIM, Claim, attest
from modelseal.workflows.events import Event, StepFinished
from modelseal.workflows.load import load
from modelseal.workflows.package import push_directory
from modelseal.workflows.publish import Publication, publish
from modelseal.workflows.pull import pull
from modelseal.workflows.services import Services
from modelseal.workflows.trust import Trust, trust_keys, trust_policy
from modelseal.workflows.verify import NotVerifiedError, PolicyDeniedError, verify

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
KEY = generate_key()
OTHER_KEY = generate_key()
TRUST = trust_keys([KEY.public_key()])


def clock() -> datetime:
    return NOW


def services(store: MemoryStore, told: list[Event] | None = None) -> Services:
    return Services(store=store, clock=clock, on_event=(told if told is not None else []).append)


def published(directory: Path, store: MemoryStore, told: list[Event] | None = None) -> Publication:
    return publish(
        directory,
        "1.4.0",
        signer=KeySigner(KEY),
        services=services(store, told),
        environment={},
    )


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


def test_what_is_published_is_signed_attested_and_tagged(model: Path) -> None:
    store = MemoryStore()
    done = published(model, store)
    assert store.resolve("1.4.0") == done.subject
    assert [item.predicate_type for item in done.attached] == list(ATTESTED)
    verification = verify("1.4.0", TRUST, store=store, clock=clock)
    assert {s.predicate_type for s in verification.statements} == set(ATTESTED)


def test_the_provenance_names_the_materials(model: Path) -> None:
    store = MemoryStore()
    published(model, store)
    verification = verify("1.4.0", TRUST, store=store, clock=clock)
    (provenance,) = [s for s in verification.statements if s.predicate_type == PROVENANCE]
    definition = provenance.predicate["buildDefinition"]
    named = {item["name"]: item for item in definition["resolvedDependencies"]}
    assert "modelseal.yaml" in named
    assert named["code"]["uri"].startswith("git+https://")
    assert len(named["code"]["digest"]["gitCommit"]) == 40
    assert isinstance(verification.manifest, Manifest)
    files = {layer.name: str(layer.digest) for layer in verification.manifest.layers}
    assert files["params.yaml"] == f"sha256:{named['params.yaml']['digest']['sha256']}"
    assert provenance.predicate["runDetails"]["metadata"]["startedOn"] == "2026-01-02T03:04:05Z"


class _Interrupted(KeySigner):
    """A signer whose service goes away."""

    def sign(
        self,
        payloads: Sequence[bytes],  # noqa: ARG002
        on_event: SigningSink = discard,  # noqa: ARG002
    ) -> list[bytes]:
        raise UnavailableError("the log is gone")


def test_a_publish_that_breaks_leaves_the_old_release_up(model: Path) -> None:
    store = MemoryStore()
    old = published(model, store)
    make_model(model.parent / "next", version="1.5.0")
    with pytest.raises(UnavailableError):
        publish(
            model.parent / "next",
            "1.4.0",
            signer=_Interrupted(KEY),
            services=services(store),
            environment={},
        )
    assert store.resolve("1.4.0") == old.subject


def test_the_tag_is_the_last_thing_that_happens(model: Path) -> None:
    told: list[Event] = []
    published(model, MemoryStore(), told)
    steps = [event.step for event in told if isinstance(event, StepFinished)]
    attached = ["attach"] * len(ATTESTED)
    assert steps == ["scan", "build", "push", "sign", *attached, "verify", "tag"]


def test_the_same_version_from_other_inputs_is_refused(model: Path) -> None:
    store = MemoryStore()
    old = published(model, store)
    (model / "params.yaml").write_text("learning_rate: 0.9\n")
    with pytest.raises(ConflictError, match=r"version 1\.4\.0 already"):
        published(model, store)
    assert store.resolve("1.4.0") == old.subject


def test_publishing_the_same_again_changes_nothing_but_adds_statements(model: Path) -> None:
    store = MemoryStore()
    assert published(model, store).subject == published(model, store).subject


def test_another_version_may_take_a_moving_tag(tmp_path: Path) -> None:
    store = MemoryStore()
    first = published(make_model(tmp_path / "a"), store)
    second = published(make_model(tmp_path / "b", version="1.5.0"), store)
    assert store.resolve("1.4.0") == second.subject != first.subject


class _MovingTag(MemoryStore):
    """A store where somebody else moves the tag right after it was looked up."""

    moved_to: Descriptor | None = None

    def resolve(self, name: str | Digest) -> Descriptor:
        found = super().resolve(name)
        if self.moved_to is not None and isinstance(name, str):
            super().tag(self.moved_to, name)
        return found


def test_a1_a_tag_that_moves_between_the_steps_changes_nothing(model: Path, tmp_path: Path) -> None:
    store = _MovingTag()
    signed = published(model, store).subject
    evil = push_directory(
        make_model(tmp_path / "evil", version="6.6.6"), "evil", services(store), {}
    )
    store.moved_to = evil
    done = pull("1.4.0", tmp_path / "out", trust=TRUST, services=services(store))
    assert done.subject == signed
    assert "1.4.0" in (tmp_path / "out" / "modelseal.yaml").read_text()
    with pytest.raises(NotVerifiedError) as error:
        verify("1.4.0", TRUST, store=store, clock=clock)
    assert error.value.reason == "unsigned"


def test_publish_notices_that_somebody_else_took_the_tag(model: Path, tmp_path: Path) -> None:
    class Raced(MemoryStore):
        evil: Descriptor | None = None

        def tag(self, target: Descriptor, tag: str) -> None:
            super().tag(self.evil or target, tag)

    store = Raced()
    evil = make_model(tmp_path / "evil", version="6.6.6")
    store.evil = push_directory(evil, "x", services(store), {})
    with pytest.raises(ConflictError, match="moved meanwhile"):
        published(model, store)


def unsigned(model: Path) -> tuple[MemoryStore, Descriptor]:
    store = MemoryStore()
    return store, push_directory(model, "1.4.0", services(store), {})


def test_an_unsigned_model_is_refused_before_a_byte_is_written(model: Path, tmp_path: Path) -> None:
    store, _ = unsigned(model)
    with pytest.raises(NotVerifiedError) as error:
        pull("1.4.0", tmp_path / "out", trust=TRUST, services=services(store))
    assert error.value.reason == "unsigned"
    assert not (tmp_path / "out").exists()


def test_b7_a_statement_of_another_kind_is_no_signature(model: Path) -> None:
    store, _ = unsigned(model)
    scan = Claim("https://example.com/scan-failed/v1", {"result": "FAILED"})
    attest("1.4.0", [scan], KeySigner(KEY), services(store))
    with pytest.raises(NotVerifiedError) as error:
        verify("1.4.0", TRUST, store=store, clock=clock)
    assert error.value.reason == "no-signature"
    assert "scan-failed" in str(error.value)
    asked = trust_keys([KEY.public_key()], "https://example.com/scan-failed/v1")
    assert verify("1.4.0", asked, store=store, clock=clock).decision.allowed


def test_a_signature_by_another_key_is_refused_and_named(model: Path) -> None:
    store, _ = unsigned(model)
    attest("1.4.0", [SIGNATURE_CLAIM], KeySigner(OTHER_KEY), services(store))
    with pytest.raises(NotVerifiedError) as error:
        verify("1.4.0", TRUST, store=store, clock=clock)
    assert error.value.reason == "other-key"
    assert error.value.hint


def test_a_bundle_that_was_moved_here_from_another_model_is_refused(
    model: Path, tmp_path: Path
) -> None:
    store, subject = unsigned(model)
    other = push_directory(make_model(tmp_path / "b", version="2.0.0"), "2", services(store), {})
    _, (attached,) = attest(other.digest, [SIGNATURE_CLAIM], KeySigner(KEY), services(store))
    layer = fetch_manifest(store, store.resolve(attached.referrer)).layers[0]
    attach(store, subject, fetch_bytes(store, layer, limit=1 << 20), SIGNATURE, NOW)
    with pytest.raises(NotVerifiedError) as error:
        verify("1.4.0", TRUST, store=store, clock=clock)
    assert error.value.reason == "wrong-subject"


def test_junk_beside_a_good_signature_does_not_hide_it(model: Path) -> None:
    store = MemoryStore()
    subject = published(model, store).subject
    for number in range(40):
        attach(store, subject, b'{"junk": %d}' % number, SIGNATURE, NOW)
    verification = verify("1.4.0", TRUST, store=store, clock=clock)
    assert len(verification.rejections) + verification.unread >= 40
    assert {rejection.reason for rejection in verification.rejections} == {"broken-bundle"}


def test_what_is_not_there_is_not_signed() -> None:
    with pytest.raises(NotFoundError):
        attest("1.4.0", [SIGNATURE_CLAIM], KeySigner(KEY), services(MemoryStore()))


def test_a_policy_denies_with_every_finding(model: Path) -> None:
    store, _ = unsigned(model)
    pem = KEY.public_key().pem.decode().replace("\n", "\n            ")
    policy = parse_policy(
        f"""
apiVersion: modelseal.dev/v1
kind: Policy
metadata: {{name: production}}
spec:
  roles:
    builder:
      identities:
        - publicKey: |
            {pem}
  rules:
    - {{use: signed, with: {{role: builder}}}}
    - {{use: provenance, with: {{role: builder}}}}
""".encode(),
        "production.yaml",
    )
    trust = trust_policy(policy, _no_keyless)
    with pytest.raises(PolicyDeniedError) as error:
        verify("1.4.0", trust, store=store, clock=clock)
    findings = error.value.verification.decision.findings
    assert [finding.rule for finding in findings] == ["signed", "provenance"]
    published(model, store)
    assert verify("1.4.0", trust, store=store, clock=clock).decision.allowed


def _no_keyless(identities: frozenset[Identity], profile: Profile) -> Verifier:
    raise AssertionError(identities, profile)


class _Hiding(MemoryStore):
    """A store that does not answer when it is asked for referrers."""

    def referrers(self, subject: Descriptor) -> Iterator[Descriptor]:
        raise UnavailableError(f"no answer about {subject.digest}")


def test_b11_referrers_that_cannot_be_listed_are_not_taken_for_absent(model: Path) -> None:
    store = _Hiding()
    push_directory(model, "1.4.0", services(store), {})
    with pytest.raises(UnavailableError):
        verify("1.4.0", TRUST, store=store, clock=clock)


def test_d18_load_gives_a_verified_path_and_notices_a_changed_disk(
    model: Path, tmp_path: Path
) -> None:
    store = MemoryStore()
    published(model, store)
    cache = tmp_path / "cache"

    def loaded(trust: Trust = TRUST) -> Path:
        return load("1.4.0", cache, trust=trust, services=services(store))

    path = loaded()
    assert (path / "model.safetensors").read_bytes() == (model / "model.safetensors").read_bytes()
    assert loaded() == path
    with pytest.raises(NotVerifiedError):
        loaded(trust_keys([OTHER_KEY.public_key()]))
    weights = path / "model.safetensors"
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(ContentMismatchError, match="was changed"):
        loaded()
    weights.unlink()
    with pytest.raises(ContentMismatchError, match="is gone"):
        loaded()
    weights.symlink_to(model / "model.safetensors")
    with pytest.raises(ContentMismatchError, match="is a link"):
        loaded()
    weights.unlink()
    weights.write_bytes(good)
    (path / "sitecustomize.py").write_text("boom")
    with pytest.raises(ContentMismatchError, match="does not belong"):
        loaded()


def test_workers_that_load_at_once_pull_once_and_a_killed_pull_is_no_obstacle(
    model: Path, tmp_path: Path
) -> None:
    store = MemoryStore()
    digest = published(model, store).subject.digest
    cache = tmp_path / "cache"
    left_over = cache / f".sha256-{digest.encoded}.partial"
    left_over.mkdir(parents=True)
    (left_over / "model.safetensors").write_bytes(b"half")

    def loaded(_: int) -> Path:
        return load("1.4.0", cache, trust=TRUST, services=services(store))

    for _ in range(5):
        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(loaded, range(8)))) == 1
        assert [path.name for path in cache.iterdir() if path.is_dir()] == [
            f"sha256-{digest.encoded}"
        ]
        shutil.rmtree(cache)


def test_a_pipe_in_the_cache_stalls_no_load(model: Path, tmp_path: Path) -> None:
    store = MemoryStore()
    published(model, store)
    path = load("1.4.0", tmp_path / "cache", trust=TRUST, services=services(store))
    (path / "config.json").unlink()
    os.mkfifo(path / "config.json")
    with ThreadPoolExecutor(1) as pool:
        loading = pool.submit(
            load, "1.4.0", tmp_path / "cache", trust=TRUST, services=services(store)
        )
        try:
            with pytest.raises(StorageError, match="plain file"):
                loading.result(timeout=10)
        finally:
            # Whoever waits for the other end of the pipe is let go.
            os.close(os.open(path / "config.json", os.O_RDWR))


def test_a_cache_that_no_disk_takes_is_an_error_of_ours(model: Path, tmp_path: Path) -> None:
    store = MemoryStore()
    published(model, store)
    with pytest.raises(StorageError):
        load("1.4.0", tmp_path / ("a" * 300), trust=TRUST, services=services(store))


def test_a_cache_that_is_whole_is_loaded_without_a_lock(model: Path, tmp_path: Path) -> None:
    # It may stand on a read-only disk, as in an image that is baked with its model.
    store = MemoryStore()
    published(model, store)
    cache = tmp_path / "cache"
    path = load("1.4.0", cache, trust=TRUST, services=services(store))
    (lock,) = cache.glob("*.lock")
    lock.unlink()
    assert load("1.4.0", cache, trust=TRUST, services=services(store)) == path
    assert not lock.exists()


class _Corrupting(MemoryStore):
    """A store that changes one byte of every large blob; the stream has to notice."""

    def fetch(self, target: Descriptor) -> AbstractContextManager[BinaryIO]:
        if not target.is_manifest and target.size > 100 and target != EMPTY_DESCRIPTOR:
            data = bytearray(self._content[target.digest])
            data[0] ^= 1
            return verifying(io.BytesIO(bytes(data)), target)
        return super().fetch(target)


def test_a_changed_blob_never_gets_a_name(model: Path, tmp_path: Path) -> None:
    store = _Corrupting()
    push_directory(model, "1.4.0", services(store), {})
    with pytest.raises(ContentMismatchError):
        pull("1.4.0", tmp_path / "out", trust=None, services=services(store))
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


def test_a_file_that_changes_while_it_is_pushed_is_refused(model: Path) -> None:
    digest = Digest.of((model / "model.safetensors").read_bytes())

    class Slow(MemoryStore):
        def push(self, expected: Descriptor, content: Content) -> None:
            if expected.digest == digest:  # it is hashed by now; earlier it would be another file
                (model / "model.safetensors").write_bytes(b"something else entirely")
            super().push(expected, content)

    store = Slow()
    with pytest.raises(Error):
        push_directory(model, "1.4.0", services(store), {})
    with pytest.raises(NotFoundError):
        store.resolve("1.4.0")


def test_a_key_that_nobody_named_believes_nobody() -> None:
    with pytest.raises(UsageError):
        KeyVerifier([])
