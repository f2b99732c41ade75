# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Predicates that are signed by digest: a document beside the model, and what counts as said."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from tests.support.registry_store import push_model

from modelseal.attest.predicates.reference import MAX_REFERENCED_BYTES
from modelseal.attest.predicates.types import REFERENCE, SIGNATURE
from modelseal.attest.statement import MAX_PREDICATE_BYTES
from modelseal.errors import (
    LimitExceededError,
    NotFoundError,
    UsageError,
)
from modelseal.oci.content import verifying
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.memory import MemoryStore
from modelseal.policy.document import parse_policy
from modelseal.trust.keys import generate_key
from modelseal.trust.signer import KeySigner
from modelseal.workflows.attest import (
    SIGNATURE_CLAIM,
    Claim,
    attest,
    claim_of,
    parse_claim,
    read_claim,
)
from modelseal.workflows.attested import claimed_document, verified_document
from modelseal.workflows.references import MAX_REFERENCED_TOTAL
from modelseal.workflows.services import Services
from modelseal.workflows.trust import trust_keys, trust_policy
from modelseal.workflows.verify import NotVerifiedError, Verification, verify

BOM = "https://cyclonedx.org/bom"
KEY = generate_key()


def clock() -> datetime:
    return datetime(2026, 1, 2, tzinfo=UTC)


class Counting(MemoryStore):
    """Tells which blobs were asked for, and may answer wrongly."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[Digest] = []
        self.answer: Callable[[Descriptor], AbstractContextManager[BinaryIO] | None] = (
            lambda _target: None
        )

    def fetch(self, target: Descriptor) -> AbstractContextManager[BinaryIO]:
        self.asked.append(target.digest)
        return self.answer(target) or super().fetch(target)


class Shelf:
    """A store with one model, and what was attested about it."""

    def __init__(self, directory: Path) -> None:
        self.store = Counting()
        self.subject = push_model(self.store).descriptor
        self.path = directory / "bom.json"
        self.path.write_text(json.dumps({"bomFormat": "CycloneDX", "components": [{"n": 1}]}))
        self.document = Digest.of(self.path.read_bytes())

    def attest(self, *claims: Claim, key: Any = KEY) -> None:  # noqa: ANN401 - a private key
        services = Services(store=self.store, clock=clock)
        attest(self.subject.digest, claims, KeySigner(key), services)

    def attest_by_digest(self, key: Any = KEY) -> None:  # noqa: ANN401 - a private key
        self.attest(read_claim(BOM, self.path, by_digest=True), key=key)

    def verify(self, kind: str = BOM) -> Verification:
        self.store.asked.clear()
        trust = trust_keys([KEY.public_key()], kind)
        return verify(self.subject.digest, trust, store=self.store, clock=clock)

    def refused(self, kind: str = BOM) -> NotVerifiedError:
        with pytest.raises(NotVerifiedError) as caught:
            self.verify(kind)
        return caught.value


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


def test_a_document_that_was_signed_by_digest_counts_as_what_it_is(shelf: Shelf) -> None:
    shelf.attest_by_digest()
    statements = {s.predicate_type: s for s in shelf.verify().statements}
    assert statements[BOM].predicate == json.loads(shelf.path.read_bytes())
    assert statements[BOM].checks[-1] == "document"
    assert statements[BOM].bundle == statements[REFERENCE].bundle
    assert "document" not in statements[REFERENCE].checks


def test_the_statement_itself_is_a_reference_and_nothing_else(shelf: Shelf) -> None:
    shelf.attest_by_digest()
    (entry,) = shelf.verify(REFERENCE).statements[0].predicate["references"]
    assert entry == {
        "digest": {"sha256": shelf.document.encoded},
        "mediaType": "application/vnd.cyclonedx+json",
        "downloadLocation": f"blobs/{shelf.document}",
        "annotations": {
            "dev.modelseal.predicate-type": BOM,
            "dev.modelseal.size": str(shelf.path.stat().st_size),
        },
    }


def test_a_document_that_nobody_asks_for_is_not_fetched(shelf: Shelf) -> None:
    shelf.attest_by_digest()
    shelf.attest(SIGNATURE_CLAIM)
    shelf.verify(SIGNATURE)
    assert shelf.document not in shelf.store.asked
    shelf.verify(BOM)
    assert shelf.document in shelf.store.asked


def test_a_document_that_a_stranger_names_is_not_fetched(shelf: Shelf) -> None:
    shelf.attest_by_digest(generate_key())
    shelf.refused()
    assert shelf.document not in shelf.store.asked


def test_a_policy_sees_the_document(shelf: Shelf) -> None:
    shelf.attest_by_digest()
    pem = KEY.public_key().pem.decode().replace("\n", "\n          ")
    text = f"""
apiVersion: modelseal.dev/v1
kind: Policy
metadata: {{name: bom}}
spec:
  roles:
    builder:
      identities:
      - publicKey: |
          {pem}
  rules:
  - {{use: attested, with: {{role: builder, predicateType: {BOM}}}}}
"""
    policy = parse_policy(text.encode(), "policy")
    trust = trust_policy(policy, lambda *_: pytest.fail("keyless"))
    assert verify(shelf.subject.digest, trust, store=shelf.store, clock=clock).decision.allowed


def test_a_document_that_is_gone_is_no_statement(shelf: Shelf) -> None:
    shelf.attest_by_digest()

    def gone(target: Descriptor) -> None:
        if target.digest == shelf.document:
            raise NotFoundError("gone")

    shelf.store.answer = gone
    error = shelf.refused()
    assert error.reason == "missing-document"
    assert str(shelf.document) in str(error)


def test_other_bytes_than_signed_are_no_statement(shelf: Shelf, tmp_path: Path) -> None:
    shelf.attest_by_digest()
    (tmp_path / "other").write_bytes(b" " * shelf.path.stat().st_size)

    def other(target: Descriptor) -> AbstractContextManager[BinaryIO] | None:
        if target.digest != shelf.document:
            return None
        return verifying((tmp_path / "other").open("rb"), target)

    shelf.store.answer = other
    assert shelf.refused().reason == "broken-document"


def reference(shelf: Shelf, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    annotations = {"dev.modelseal.predicate-type": BOM, "dev.modelseal.size": "10"}
    entry = {
        "digest": {"sha256": shelf.document.encoded},
        "mediaType": "application/json",
        "downloadLocation": "blobs/…",
        "annotations": annotations | changes.pop("annotations", {}),
    }
    return {"attester": {"id": "https://acme.example"}, "references": [entry | changes]}


def test_a_document_that_claims_to_be_huge_is_not_fetched(shelf: Shelf) -> None:
    size = str(MAX_REFERENCED_BYTES + 1)
    shelf.attest(Claim(REFERENCE, reference(shelf, annotations={"dev.modelseal.size": size})))
    assert shelf.refused().reason == "broken-document"
    assert shelf.document not in shelf.store.asked


def test_documents_have_a_limit_together(shelf: Shelf) -> None:
    size = str(MAX_REFERENCED_BYTES)
    for place in range(MAX_REFERENCED_TOTAL // MAX_REFERENCED_BYTES + 1):
        annotations = {"dev.modelseal.size": size, "place": str(place)}
        shelf.attest(Claim(REFERENCE, reference(shelf, annotations=annotations)))
    with pytest.raises(LimitExceededError, match="128 MiB"):
        shelf.verify()


@pytest.mark.parametrize(
    "changes",
    [
        {"annotations": {"dev.modelseal.predicate-type": SIGNATURE}},
        {"annotations": {"dev.modelseal.predicate-type": REFERENCE}},
        {"annotations": {"dev.modelseal.predicate-type": "bom"}},
        {"annotations": {"dev.modelseal.size": "many"}},
        {"annotations": {"dev.modelseal.size": "-1"}},
        {"annotations": {"dev.modelseal.size": None}},
        {"digest": {"sha1": "0" * 40}},
        {"digest": None},
        {"mediaType": "application/vnd.oci.image.manifest.v1+json"},
        {"mediaType": 7},
    ],
)
def test_a_reference_of_ours_that_is_broken_is_told(shelf: Shelf, changes: dict[str, Any]) -> None:
    shelf.attest(SIGNATURE_CLAIM, Claim(REFERENCE, reference(shelf, **changes)))
    (rejection,) = shelf.verify(SIGNATURE).rejections
    assert rejection.reason == "broken-reference"
    assert shelf.document not in shelf.store.asked


def test_a_reference_of_another_tool_is_only_that(shelf: Shelf) -> None:
    foreign = reference(shelf)
    foreign["references"] *= 2
    foreign["references"] = [
        {k: v for k, v in entry.items() if k != "annotations"} for entry in foreign["references"]
    ]
    shelf.attest(Claim(REFERENCE, foreign))
    assert shelf.verify(REFERENCE).rejections == ()
    assert shelf.refused(BOM).reason == "no-statement"


def test_a_signature_is_never_a_document(shelf: Shelf) -> None:
    for kind in (SIGNATURE, REFERENCE):
        with pytest.raises(UsageError):
            read_claim(kind, shelf.path)


def test_what_is_no_predicate_is_refused_before_anything_is_signed(tmp_path: Path) -> None:
    path = tmp_path / "p.json"
    for kind, text in ((BOM, "[]"), ("cyclonedx", "{}")):
        path.write_text(text)
        with pytest.raises(UsageError) as caught:
            parse_claim(f"{kind}={path}")
        assert caught.value.reason == "invalid-predicate"
    for text in ("cyclonedx", "cyclonedx=", ""):
        with pytest.raises(UsageError, match="TYPE=FILE"):
            parse_claim(text)


def test_what_is_gathered_and_too_large_is_signed_by_digest(shelf: Shelf) -> None:
    component = {"type": "library", "name": "x" * 1000}
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": [component] * 9000}
    small = {"bomFormat": "CycloneDX", "specVersion": "1.6"}
    assert claim_of(BOM, small).document == b""
    claim = claim_of(BOM, bom)
    assert len(claim.document) > MAX_PREDICATE_BYTES
    shelf.attest(claim)
    trust = trust_keys([KEY.public_key()], BOM)
    found = verified_document(shelf.subject.digest, BOM, trust, store=shelf.store, clock=clock)
    assert found.document == bom
    assert found.verified
    claimed = claimed_document(shelf.subject.digest, BOM, store=shelf.store)
    assert claimed.document == bom
    assert not claimed.verified
    assert claimed.bundle == found.bundle
    with pytest.raises(LimitExceededError, match="larger than 64 MiB"):
        claim_of(BOM, {"x": "x" * (64 << 20)})


def test_a_document_that_is_claimed_and_not_what_was_signed_is_not_shown(shelf: Shelf) -> None:
    shelf.attest_by_digest()
    wrong = b"x" * len(shelf.path.read_bytes())
    shelf.store.answer = lambda target: (
        verifying(BytesIO(wrong), target) if target.digest == shelf.document else None
    )
    with pytest.raises(NotFoundError, match=r"has no .* statement"):
        claimed_document(shelf.subject.digest, BOM, store=shelf.store)
