# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Evidence about a machine: attached, read back, and refused when anything of it is not whole."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.model_factory import make_model
from tests.support.tpm_quotes import SoftTpm

from modelseal.attest.predicates.environment import (
    TPM2_QUOTE_VERIFIED,
    EnvironmentClaim,
    build_report,
)
from modelseal.attest.predicates.provenance import ResourceDescriptor
from modelseal.attest.predicates.types import SCAI
from modelseal.attest.referrers import attach_evidence
from modelseal.errors import LimitExceededError, UsageError, VerificationError
from modelseal.evidence.tpm2_tools import parse_selection
from modelseal.oci.content import BytesContent
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.memory import MemoryStore
from modelseal.trust.environment import Quote, nonce_for
from modelseal.trust.keys import generate_key
from modelseal.trust.signer import KeySigner
from modelseal.trust.tpm.ak import TrustedAks
from modelseal.trust.tpm.evidence import MEDIA_TYPE
from modelseal.trust.tpm.quote import verify_quote
from modelseal.workflows.attest import Claim, attest_manifest
from modelseal.workflows.environment import attest_quote, parse_expected, verify_environment
from modelseal.workflows.environment_evidence import MAX_ENVIRONMENTS
from modelseal.workflows.package import push_directory
from modelseal.workflows.services import Services, system_clock
from modelseal.workflows.trust import trust_keys

KEY = generate_key()
TPM = SoftTpm()
KEYS = TrustedAks(names=frozenset({TPM.name()}))
SIGNER = KeySigner(KEY)


@pytest.fixture
def services(tmp_path: Path) -> Services:
    services = Services(store=MemoryStore())
    push_directory(make_model(tmp_path / "m"), "1.4.0", services, {})
    return services


def quote(subject: Digest, tpm: SoftTpm = TPM) -> tuple[bytes, Quote]:
    raw = tpm.but(nonce=nonce_for(subject)).document()
    return raw, verify_quote(raw, subject)


def verified(services: Services) -> int:
    found = verify_environment(
        "1.4.0",
        trust_keys([KEY.public_key()], SCAI),
        KEYS,
        {},
        store=services.store,
        clock=system_clock,
    )
    return len(found.quotes)


def refused(services: Services) -> str:
    with pytest.raises(VerificationError) as caught:
        verified(services)
    return caught.value.reason


def test_what_is_attached_verifies(services: Services) -> None:
    done = attest_quote("1.4.0", quote, SIGNER, services)
    assert done.evidence.media_type == MEDIA_TYPE
    assert verified(services) == 1
    attest_quote("1.4.0", quote, SIGNER, services)
    assert verified(services) == 2


def said(
    services: Services,
    raw: bytes,
    *,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
    stored: bytes | None = None,
) -> None:
    """Attach a statement about evidence, as somebody believed who is wrong might."""
    subject = services.store.resolve("1.4.0")
    conditions = verify_quote(raw, subject.digest).conditions()
    if stored is None:
        attach_evidence(services.store, subject, raw, MEDIA_TYPE, services.clock())
    claim = EnvironmentClaim(TPM2_QUOTE_VERIFIED, conditions, Descriptor.of(raw, MEDIA_TYPE))
    report = build_report(claim, ResourceDescriptor(name="x", uri="https://x.example"))
    change(report["attributes"][0])
    attest_manifest(subject, [Claim(SCAI, report)], SIGNER, services)


def own(services: Services) -> bytes:
    return quote(services.store.resolve("1.4.0").digest)[0]


def other_nonce(entry: dict[str, Any]) -> None:
    entry["conditions"] = {**entry["conditions"], "nonce": "00" * 32}


def other_values(entry: dict[str, Any]) -> None:
    entry["conditions"] = {**entry["conditions"], "pcrs": {"sha256": {"7": "00" * 32}}}


def no_conditions(entry: dict[str, Any]) -> None:
    del entry["conditions"]


def no_evidence(entry: dict[str, Any]) -> None:
    del entry["evidence"]


def no_size(entry: dict[str, Any]) -> None:
    entry["evidence"]["annotations"] = {}


def another_attribute(entry: dict[str, Any]) -> None:
    entry["attribute"] = "SECURE_BOOT"


def other_size(entry: dict[str, Any]) -> None:
    entry["evidence"]["annotations"] = {"dev.modelseal.size": "70000"}


CHANGES = [
    (other_nonce, "other-conditions"),
    (other_values, "other-conditions"),
    (no_conditions, "broken-quote"),
    (no_evidence, "broken-quote"),
    (no_size, "broken-quote"),
    (other_size, "limit-exceeded"),
    (another_attribute, "no-quote"),
]


@pytest.mark.parametrize(("change", "reason"), CHANGES)
def test_a_statement_that_does_not_fit_its_evidence_is_refused(
    services: Services, change: Callable[[dict[str, Any]], None], reason: str
) -> None:
    said(services, own(services), change=change)
    assert refused(services) == reason


def test_evidence_that_is_gone_or_another_is_refused(services: Services) -> None:
    raw = own(services)
    said(services, raw, stored=b"")
    assert refused(services) == "missing-evidence"
    # The store hands out other bytes of the same size under the digest.
    digest = Digest.of(raw)
    other = bytearray(raw)
    other[100] ^= 1
    assert isinstance(services.store, MemoryStore)
    services.store.push(Descriptor.of(raw, MEDIA_TYPE), BytesContent(raw))
    services.store._content[digest] = bytes(other)
    assert refused(services) == "content-mismatch"


def test_there_is_a_limit_of_evidence(services: Services) -> None:
    raw = own(services)
    subject = services.store.resolve("1.4.0")
    conditions = verify_quote(raw, subject.digest).conditions()
    claim = EnvironmentClaim(TPM2_QUOTE_VERIFIED, conditions, Descriptor.of(raw, MEDIA_TYPE))
    report = build_report(claim, ResourceDescriptor(name="x", uri="https://x.example"))
    report["attributes"] *= MAX_ENVIRONMENTS + 1
    attest_manifest(subject, [Claim(SCAI, report)], SIGNER, services)
    with pytest.raises(LimitExceededError, match="evidence of over 16 environments"):
        verified(services)


@pytest.mark.parametrize("text", ["", "7=00", "sha256:7=00", f"sha1:7={'00' * 20}", "sha256:24="])
def test_a_value_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no value of a PCR"):
        parse_expected([text])


def test_values_are_read_and_no_pcr_twice() -> None:
    value = "AB" * 32
    texts = [f"sha256:7={value}", f"sha384:7={'00' * 48}", f"sha256:23={'00' * 32}"]
    found = parse_expected(texts)
    assert found == {"sha256": {7: "ab" * 32, 23: "00" * 32}, "sha384": {7: "00" * 48}}
    with pytest.raises(UsageError, match="stands there already"):
        parse_expected([texts[0], texts[0]])


def test_a_selection_of_pcrs_is_read() -> None:
    assert parse_selection("sha256:7,0,7") == {"sha256": (0, 7)}
    assert parse_selection("sha256:0+sha384:1") == {"sha256": (0,), "sha384": (1,)}


@pytest.mark.parametrize("text", ["", "7", "sha1:7", "sha256:", "sha256:24", "sha256:0+sha256:1"])
def test_a_selection_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="selects no PCRs"):
        parse_selection(text)
