"""What is read of many statements: no more than the question needs, and what it needs always."""

import dataclasses
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import BinaryIO

import pytest
from tests.support.intoto import statement

from modelseal.attest.predicates.types import PROVENANCE, SIGNATURE
from modelseal.attest.referrers import BATCH, PREDICATE_TYPE_ANNOTATION, attach
from modelseal.cli.render import as_json, text
from modelseal.oci.content import BytesContent
from modelseal.oci.descriptor import EMPTY_BYTES, EMPTY_DESCRIPTOR, Descriptor
from modelseal.oci.manifest import Manifest
from modelseal.oci.memory import MemoryStore
from modelseal.policy.decision import Finding
from modelseal.policy.document import Policy
from modelseal.policy.evaluate import asked_types, is_positive
from modelseal.trust.identity import KeyIdentity
from modelseal.trust.keys import PrivateKey, generate_key
from modelseal.trust.signer import KeySigner
from modelseal.workflows.attest import Claim
from modelseal.workflows.attest import attest as attest_claims
from modelseal.workflows.services import Services
from modelseal.workflows.trust import Trust, trust_keys
from modelseal.workflows.verify import NotVerifiedError, Verification, verify

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KEY, OTHER = generate_key(), generate_key()
SCAN = "https://example.com/scan/v1"
MANY = 200


class CountingStore(MemoryStore):
    """Counts what is fetched; may hide what a listing says, as ggcr's fallback index does."""

    def __init__(self, *, silent: bool = False) -> None:
        super().__init__()
        self.fetched = 0
        self.silent = silent
        self.lie = ""

    def fetch(self, target: Descriptor) -> AbstractContextManager[BinaryIO]:
        self.fetched += 1
        return super().fetch(target)

    def referrers(self, subject: Descriptor) -> Iterator[Descriptor]:
        for one in super().referrers(subject):
            said = {PREDICATE_TYPE_ANNOTATION: self.lie}
            if self.silent or self.lie:
                one = dataclasses.replace(one, annotations={} if self.silent else said)  # noqa: PLW2901
            yield one


def model(store: MemoryStore) -> Descriptor:
    store.push(EMPTY_DESCRIPTOR, BytesContent(EMPTY_BYTES))
    manifest = Manifest.build(artifact_type="application/x", layers=[EMPTY_DESCRIPTOR])
    store.push(manifest.descriptor, BytesContent(manifest.raw))
    store.tag(manifest.descriptor, "1")
    return manifest.descriptor


def add(
    store: MemoryStore, subject: Descriptor, kind: str, n: int, *, says: str | None = None
) -> None:
    predicate = {} if kind == SIGNATURE else {"n": n}
    payload = statement(subject.digest, predicateType=kind, predicate=predicate, n=n)
    (bundle,) = KeySigner(KEY).sign([payload])
    attach(store, subject, bundle, kind if says is None else says, NOW)


def checked(store: CountingStore, kind: str = SIGNATURE, key: PrivateKey = KEY) -> Verification:
    store.fetched = 0
    return verify("1", trust_keys([key.public_key()], kind), store=store, clock=lambda: NOW)


@pytest.mark.parametrize("silent", [False, True])
def test_among_two_hundred_statements_the_signature_is_found_soon(*, silent: bool) -> None:
    store = CountingStore(silent=silent)
    subject = model(store)
    for n in range(MANY - 1):
        add(store, subject, SCAN, n)
    add(store, subject, SIGNATURE, 0)
    done = checked(store)
    assert [s.predicate_type for s in done.statements if s.predicate_type == SIGNATURE]
    # The model's manifest; every manifest when the listing says nothing; few bundles.
    assert store.fetched <= (MANY + 3 if silent else 3)
    assert done.unread >= MANY - 2 * BATCH


def test_of_two_hundred_signatures_a_few_are_enough() -> None:
    store = CountingStore()
    subject = model(store)
    for n in range(MANY):
        add(store, subject, SIGNATURE, n)
    done = checked(store)
    assert len(done.statements) == BATCH
    assert done.unread == MANY - BATCH
    assert store.fetched <= 1 + 2 * BATCH


def test_whatever_a_listing_says_a_signature_is_found() -> None:
    """A listing is written by whoever may push; what is read is decided by the manifests."""
    store = CountingStore()
    subject = model(store)
    for n in range(MANY - 1):
        add(store, subject, SCAN, n, says=SIGNATURE if n % 2 else SCAN)
    add(store, subject, SIGNATURE, 0)
    store.lie = PROVENANCE
    done = checked(store)
    assert done.decision.allowed
    assert any(s.predicate_type == SIGNATURE for s in done.statements)


@pytest.mark.parametrize("silent", [False, True])
def test_a_refusal_reads_what_may_be_asked_for_and_tells_what_it_left(*, silent: bool) -> None:
    store = CountingStore(silent=silent)
    subject = model(store)
    for n in range(MANY - 2):
        add(store, subject, SCAN, n)
    add(store, subject, SIGNATURE, 0)
    add(store, subject, SCAN, MANY, says="")  # who says nothing is read
    with pytest.raises(NotVerifiedError) as caught:
        checked(store, key=OTHER)
    found = caught.value.verification
    assert caught.value.reason == "other-key"
    assert len(found.statements) + len(found.rejections) + found.unread == MANY
    assert found.unread == MANY - 2
    assert store.fetched <= MANY + 4
    told = "\n".join(text.error_details(caught.value))
    assert f"not looked at: {found.unread}" in told
    assert as_json.error(caught.value)["unread"] == found.unread


def test_what_only_other_statements_say_is_told_without_reading_them() -> None:
    store = CountingStore()
    subject = model(store)
    for n in range(MANY):
        add(store, subject, SCAN, n)
    with pytest.raises(NotVerifiedError, match=f"only .not verified. {SCAN}$") as caught:
        checked(store)
    assert caught.value.reason == "no-signature"
    assert store.fetched <= MANY + 1


def test_a_statement_under_another_name_is_as_good_as_not_there() -> None:
    """It costs its author an answer, and nobody a wrong one: nothing is allowed by its absence."""
    store = CountingStore()
    subject = model(store)
    for n in range(MANY):
        add(store, subject, SCAN, n)
    add(store, subject, SIGNATURE, 0, says=PROVENANCE)
    with pytest.raises(NotVerifiedError):
        checked(store)


def test_what_is_signed_by_digest_is_found_among_many() -> None:
    store = CountingStore()
    subject = model(store)
    for n in range(MANY):
        add(store, subject, SIGNATURE, n)
    claim = Claim(SCAN, {"n": 1}, document=b'{"n": 1}')
    attest_claims("1", [claim], KeySigner(KEY), Services(store=store, clock=lambda: NOW))
    done = checked(store, SCAN)
    assert [s.predicate for s in done.statements if s.predicate_type == SCAN] == [{"n": 1}]
    assert store.fetched <= MANY + 10


def test_a_policy_that_could_be_told_no_has_read_them_all() -> None:
    class Unknown:
        id = "unknown"

        def run(self, *_: object) -> Iterator[Finding]:
            yield from ()

    store = CountingStore()
    subject = model(store)
    for n in range(40):
        add(store, subject, SCAN, n)
    add(store, subject, SIGNATURE, 0)
    trust = trust_keys([KEY.public_key()])
    policy = Policy("p", (*trust.policy.checks, Unknown()))
    found = verify("1", Trust(trust.verifiers, policy), store=store, clock=lambda: NOW)
    assert len(found.statements) == 41
    assert found.unread == 0


def test_few_statements_are_all_read() -> None:
    store = CountingStore()
    subject = model(store)
    add(store, subject, SIGNATURE, 0)
    for n in range(BATCH - 1):
        add(store, subject, SCAN, n)
    done = checked(store)
    assert len(done.statements) == BATCH
    assert done.unread == 0


def test_only_known_rules_end_the_reading_early() -> None:
    class Unknown:
        id = "unknown"

        def run(self, *_: object) -> Iterator[Finding]:
            yield from ()

    (known,) = trust_keys([KEY.public_key()]).policy.checks
    assert is_positive(Policy("p", (known,)))
    assert asked_types(Policy("p", (known,))) == {SIGNATURE}
    assert not is_positive(Policy("p", (known, Unknown())))
    assert isinstance(KEY.public_key().identity, KeyIdentity)
    assert PREDICATE_TYPE_ANNOTATION.startswith("dev.sigstore")
