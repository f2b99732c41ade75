"""The profile `keyless-private` and logs beside keys: what the trusted root names, and no less."""

import base64
import copy
import datetime as dt
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.intoto import SUBJECT, statement
from tests.support.virtual_sigstore import ISSUER, Certified, VirtualSigstore
from tests.support.virtual_sigstore import SUBJECT as TRAINER

from modelseal.errors import UsageError, VerificationError
from modelseal.oci.descriptor import Digest
from modelseal.trust.bundle import parse_any_bundle, parse_bundle
from modelseal.trust.identity import Identity
from modelseal.trust.keyless_private import KeylessPrivate
from modelseal.trust.keys import generate_key
from modelseal.trust.proofs.root import Root, read_root
from modelseal.trust.signer import KeySigner
from modelseal.trust.trusted_root import parse_trusted_root
from modelseal.trust.verifier import KeyVerifier, PrivateVerifier, SigstoreVerifier

CASES = Path(__file__).parents[2] / "vectors" / "sigstore-conformance" / "bundle-verify"
SIGSTORE = VirtualSigstore()
ROOT: dict[str, Any] = json.loads(SIGSTORE.trusted_root())
SIGNER = Identity(ISSUER, TRAINER)
NOW = dt.datetime.now(dt.UTC)
BUNDLE = SIGSTORE.bundle(statement(), logged_at=NOW)
ALL = ("certificate-chain", "signed-certificate-timestamp", "identity", "transparency-log")


def root_without(*parts: str, of: dict[str, Any] = ROOT) -> Root:
    return read_root({key: value for key, value in of.items() if key not in parts}, "the root")


def verified(bundle: dict[str, Any], root: Root, *identities: Identity) -> tuple[str, ...]:
    verifier = PrivateVerifier(root, identities or (SIGNER,))
    found = verifier.verify(json.dumps(bundle).encode(), subject=SUBJECT)
    assert found.profile == "keyless-private"
    assert found.signer == SIGNER
    assert ("certificate-valid-now" in found.checks) is (found.signed_at is None)
    return found.checks


def refused(bundle: dict[str, Any], root: Root, *identities: Identity) -> str:
    with pytest.raises(VerificationError) as caught:
        verified(bundle, root, *identities)
    return caught.value.reason


def bare(certified: Certified | None = None) -> dict[str, Any]:
    """Return a bundle with a certificate and nothing else."""
    bundle = SIGSTORE.bundle(statement(), certified)
    del bundle["verificationMaterial"]["tlogEntries"]
    return bundle


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """Return the good bundle after `change` of its log entry."""
    bundle = copy.deepcopy(BUNDLE)
    change(bundle["verificationMaterial"]["tlogEntries"][0])
    return bundle


def test_all_that_the_root_names_is_checked_and_told() -> None:
    assert verified(BUNDLE, root_without()) == (*ALL, "log-time", "signature", "subject")


def test_what_the_root_does_not_name_is_not_claimed() -> None:
    assert "signed-certificate-timestamp" not in verified(BUNDLE, root_without("ctlogs"))
    checks = ("certificate-chain", "certificate-valid-now", "identity", "signature", "subject")
    assert verified(BUNDLE, root_without("ctlogs", "tlogs")) == checks
    assert verified(bare(Certified(with_sct=False)), root_without("ctlogs", "tlogs")) == checks


def test_a_bundle_cannot_leave_out_what_the_root_names() -> None:
    assert refused(bare(), root_without()) == "no-log-entry"
    unseen = SIGSTORE.bundle(statement(), Certified(with_sct=False))
    assert refused(unseen, root_without()) == "untrusted-ct-log"
    assert refused(unseen, root_without("tlogs")) == "untrusted-ct-log"


def test_without_any_time_the_certificate_has_to_be_valid_now() -> None:
    now = dt.datetime.now(dt.UTC)
    for minutes in (-30, 5):
        other = Certified(valid_from=now + dt.timedelta(minutes=minutes))
        assert refused(bare(other), root_without("ctlogs", "tlogs")) == "expired-certificate"


def test_the_certificate_has_to_be_valid_at_the_trusted_time() -> None:
    now = dt.datetime.now(dt.UTC)
    early = Certified(valid_from=now - dt.timedelta(minutes=30))
    late = SIGSTORE.bundle(statement(), early, logged_at=now)
    assert refused(late, root_without()) == "expired-certificate"
    in_time = SIGSTORE.bundle(statement(), early, logged_at=now - dt.timedelta(minutes=25))
    assert "log-time" in verified(in_time, root_without())


def test_a_time_without_the_logs_promise_counts_for_nothing() -> None:
    silent = changed(lambda entry: entry.pop("inclusionPromise"))
    assert "certificate-valid-now" in verified(silent, root_without())
    with_timestamps = {**ROOT, "timestampAuthorities": _rekor2_root()["timestampAuthorities"]}
    assert refused(silent, root_without(of=with_timestamps)) == "no-timestamp"
    assert "log-time" in verified(BUNDLE, root_without(of=with_timestamps))


def test_identities_are_exact() -> None:
    assert refused(BUNDLE, root_without(), Identity(ISSUER, "mallory@x")) == "other-identity"
    assert refused(BUNDLE, root_without(), Identity(f"{ISSUER}/", TRAINER)) == "other-issuer"
    for nobody in ((), (Identity("", TRAINER),), (Identity(ISSUER, ""),)):
        with pytest.raises(UsageError):
            PrivateVerifier(root_without(), nobody)


def test_another_sigstore_is_refused_by_name() -> None:
    other = read_root(json.loads(VirtualSigstore().trusted_root()), "the root")
    assert refused(BUNDLE, other) == "untrusted-root"
    # The certificate authority alone is ours: log and CT log are strangers.
    mixed = {**json.loads(VirtualSigstore().trusted_root())}
    mixed["certificateAuthorities"] = ROOT["certificateAuthorities"]
    assert refused(BUNDLE, root_without(of=mixed)) == "untrusted-log"
    assert refused(BUNDLE, root_without("tlogs", of=mixed)) == "untrusted-ct-log"


def test_b10_a_key_signed_bundle_never_passes_where_an_identity_was_asked() -> None:
    (raw,) = KeySigner(generate_key()).sign([statement()])
    assert refused(json.loads(raw), root_without("ctlogs", "tlogs")) == "key-signed-bundle"


def test_an_entry_of_a_log_that_nobody_trusts_proves_nothing() -> None:
    stranger = VirtualSigstore().bundle(statement())["verificationMaterial"]["tlogEntries"][0]
    both = copy.deepcopy(BUNDLE)
    both["verificationMaterial"]["tlogEntries"].append(stranger)
    assert "transparency-log" in verified(both, root_without())
    both["verificationMaterial"]["tlogEntries"] = [stranger]
    assert refused(both, root_without()) == "untrusted-log"


def test_every_entry_of_a_trusted_log_has_to_hold() -> None:
    other = SIGSTORE.bundle(statement())["verificationMaterial"]["tlogEntries"][0]
    other["logIndex"] = "1"
    both = copy.deepcopy(BUNDLE)
    both["verificationMaterial"]["tlogEntries"].append(other)
    assert refused(both, root_without()) == "bad-log-entry"
    both["verificationMaterial"]["tlogEntries"][1] = both["verificationMaterial"]["tlogEntries"][0]
    assert refused(both, root_without()) == "broken-bundle"


@pytest.mark.parametrize(
    ("part", "value", "reason"),
    [
        ("logIndex", "1", "bad-log-entry"),
        ("logId", {"keyId": "AAAA"}, "untrusted-log"),
        ("integratedTime", "1700000000", "bad-log-entry"),
        ("integratedTime", "99999999999999", "broken-bundle"),
        ("integratedTime", 5, "broken-bundle"),
        ("kindVersion", {"kind": "dsse", "version": "0.0.2"}, "unsupported-log-entry"),
        ("kindVersion", {"kind": "hashedrekord", "version": "0.0.1"}, "bad-log-entry"),
        ("kindVersion", {"kind": "hashedrekord", "version": "0.0.2"}, "bad-log-entry"),
        ("canonicalizedBody", base64.b64encode(b"{}").decode(), "bad-log-entry"),
        ("canonicalizedBody", base64.b64encode(b"{").decode(), "bad-log-entry"),
        ("inclusionProof", None, "broken-bundle"),
    ],
)
def test_an_entry_that_was_changed_is_refused(part: str, value: object, reason: str) -> None:
    bundle = changed(lambda entry: entry.update({part: value}))
    assert refused(bundle, root_without()) == reason


@pytest.mark.parametrize(
    ("part", "value", "reason"),
    [
        ("treeSize", "0", "bad-log-entry"),
        ("treeSize", "2", "bad-log-entry"),
        ("logIndex", "1", "bad-log-entry"),
        ("rootHash", base64.b64encode(bytes(32)).decode(), "bad-log-entry"),
        ("hashes", [base64.b64encode(bytes(32)).decode()], "bad-log-entry"),
        ("hashes", [base64.b64encode(bytes(32)).decode()] * 65, "broken-bundle"),
        ("checkpoint", {"envelope": ""}, "bad-log-entry"),
        ("checkpoint", {"envelope": "a\n1\nb\n"}, "bad-log-entry"),
        ("checkpoint", {}, "broken-bundle"),
    ],
)
def test_a_proof_that_was_changed_is_refused(part: str, value: object, reason: str) -> None:
    bundle = changed(lambda entry: entry["inclusionProof"].update({part: value}))
    assert refused(bundle, root_without()) == reason


def test_b8_a_checkpoint_that_another_name_signed_is_refused() -> None:
    def renamed(entry: dict[str, Any]) -> None:
        note = entry["inclusionProof"]["checkpoint"]["envelope"]
        entry["inclusionProof"]["checkpoint"]["envelope"] = note.replace("— rekor", "— other")

    assert refused(changed(renamed), root_without()) == "bad-log-entry"


@pytest.mark.parametrize("part", ["tlogs", "ctlogs", "certificateAuthorities"])
def test_who_was_not_in_use_at_that_time_is_not_believed(part: str) -> None:
    past = {"start": "2020-01-01T00:00:00Z", "end": "2020-12-31T00:00:00Z"}
    retired = copy.deepcopy(ROOT)
    for item in retired[part]:
        item.get("publicKey", item)["validFor"] = past
    reasons = {"tlogs": "untrusted-log", "ctlogs": "untrusted-ct-log"}
    expected = reasons.get(part, "expired-certificate")
    assert refused(BUNDLE, read_root(retired, "the root")) == expected


def test_a_certificate_of_another_kind_of_use_is_refused() -> None:
    def at(value: dict[str, Any], *path: str) -> dict[str, Any]:
        for step in path:
            value = value[step]
        return value

    bundle = copy.deepcopy(BUNDLE)
    authority = ROOT["certificateAuthorities"][0]["certChain"]["certificates"][0]["rawBytes"]
    at(bundle, "verificationMaterial", "certificate")["rawBytes"] = authority
    assert refused(bundle, root_without()) == "broken-bundle"


def test_certificates_above_the_signers_do_not_come_from_a_bundle() -> None:
    authority = ROOT["certificateAuthorities"][0]["certChain"]["certificates"][0]
    bundle = copy.deepcopy(BUNDLE)
    material = bundle["verificationMaterial"]
    chain = {"certificates": [material.pop("certificate"), authority]}
    material["x509CertificateChain"] = chain
    assert refused(bundle, root_without()) == "broken-bundle"
    bundle["mediaType"] = "application/vnd.dev.sigstore.bundle+json;version=0.2"
    assert refused(bundle, root_without()) == "broken-bundle"
    chain["certificates"].pop()
    assert "transparency-log" in verified(bundle, root_without())


def _rekor2_root() -> dict[str, Any]:
    case = CASES / "rekor2-timestamp-without-embedded-cert"
    value: dict[str, Any] = json.loads((case / "trusted_root.json").read_bytes())
    return value


CONFORMANCE = Identity(
    "https://token.actions.githubusercontent.com",
    "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/"
    "workflows/extremely-dangerous-oidc-beacon.yml@refs/heads/main",
)


def blob_checks(
    case: str, *without: str, now: dt.datetime | None = None, stamps: list[Any] | None = None
) -> tuple[str, ...]:
    """Verify a case of the suite that signs a blob, under its trusted root without some parts."""
    value = json.loads((CASES / case / "bundle.sigstore.json").read_bytes())
    if stamps is not None:
        value["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"] = stamps
    bundle = parse_any_bundle(json.dumps(value).encode())
    root = root_without(*without, of=json.loads((CASES / case / "trusted_root.json").read_bytes()))
    keyless = KeylessPrivate(
        root, frozenset({CONFORMANCE}), clock=lambda: now or dt.datetime.now(dt.UTC)
    )
    digest = Digest.of((CASES.parent / "a.txt").read_bytes())
    assert not hasattr(bundle, "envelope")
    return keyless.verify_blob(bundle, bytes.fromhex(digest.encoded)).checks


STAMPED = "rekor2-timestamp-without-embedded-cert"
STAMPED_AT = dt.datetime(2025, 8, 6, 19, 3, 51, tzinfo=dt.UTC)
AUTHORITY = "timestampAuthorities"


@pytest.mark.parametrize(
    ("without", "checks"),
    [
        ((), {*ALL, "timestamp", "signature"}),
        (("ctlogs",), {"certificate-chain", "identity", "transparency-log", "timestamp"}),
        (("tlogs",), {*ALL[:3], "timestamp", "signature"}),
        (("ctlogs", "tlogs"), {"certificate-chain", "identity", "timestamp", "signature"}),
        ((AUTHORITY,), {*ALL, "certificate-valid-now", "signature"}),
    ],
)
def test_each_part_of_a_real_root_is_checked_when_it_is_there(
    without: tuple[str, ...], checks: set[str]
) -> None:
    found = blob_checks(STAMPED, *without, now=STAMPED_AT)
    assert set(found) == checks | {"signature"}
    assert len(found) == len(set(found))


def test_without_timestamp_authorities_an_old_certificate_is_refused() -> None:
    with pytest.raises(VerificationError) as caught:
        blob_checks(STAMPED, AUTHORITY)
    assert caught.value.reason == "expired-certificate"


def test_of_several_timestamps_those_of_strangers_are_left_out() -> None:
    def stamps(case: str) -> list[Any]:
        value = json.loads((CASES / case / "bundle.sigstore.json").read_bytes())
        data = value["verificationMaterial"]["timestampVerificationData"]
        return list(data["rfc3161Timestamps"])

    own, other = stamps(STAMPED), stamps("rekor2-timestamp-with-expired-cert-chain")
    assert "timestamp" in blob_checks(STAMPED, stamps=other + own)
    for given, reason in ((other, "untrusted-timestamp"), ([], "no-timestamp")):
        with pytest.raises(VerificationError) as caught:
            blob_checks(STAMPED, stamps=given)
        assert caught.value.reason == reason
    with pytest.raises(VerificationError, match="twice"):
        blob_checks(STAMPED, stamps=own + own)


@pytest.mark.parametrize(
    "change",
    [
        lambda root: root.update(certificateAuthorities=[]),
        lambda root: root.update(tlogs={}),
        lambda root: root.update(tlogs=0),
        lambda root: root.update(timestamp_authorities=[]),
        lambda root: root["tlogs"].append(None),
        lambda root: root["tlogs"][0].update(logId={}),
        lambda root: root["tlogs"][0]["publicKey"].pop("validFor"),
        lambda root: root["tlogs"][0]["publicKey"].update(validFor={}),
        lambda root: root["tlogs"][0]["publicKey"].update(validFor={"start": "yesterday"}),
        lambda root: root["tlogs"][0]["publicKey"].update(keyDetails="PKIX_RSA_PSS_2048_SHA256"),
        lambda root: root["tlogs"][0]["publicKey"].update(rawBytes="AAAA"),
        lambda root: root["ctlogs"].extend(root["ctlogs"] * 200),
        lambda root: root["certificateAuthorities"][0].update(certChain={}),
        lambda root: root["certificateAuthorities"][0].pop("validFor"),
        lambda root: root.update(timestampAuthorities=root["certificateAuthorities"]),
    ],
)
def test_a_root_that_is_not_whole_is_refused(change: Callable[[dict[str, Any]], object]) -> None:
    broken = copy.deepcopy(ROOT)
    change(broken)
    with pytest.raises(UsageError, match="the root cannot be used"):
        read_root(broken, "the root")


def test_several_log_entries_are_taken_keylessly_when_each_of_them_holds() -> None:
    sigstore = SigstoreVerifier(parse_trusted_root(SIGSTORE.trusted_root(), "root"), {SIGNER})
    twice = copy.deepcopy(BUNDLE)
    entries = twice["verificationMaterial"]["tlogEntries"]
    entries.append(SIGSTORE.log_entry(twice, NOW - dt.timedelta(seconds=30)))
    found = sigstore.verify(json.dumps(twice).encode(), subject=SUBJECT)
    single = sigstore.verify(json.dumps(BUNDLE).encode(), subject=SUBJECT)
    assert found.signed_at is not None
    assert single.signed_at is not None
    assert found.signed_at < single.signed_at
    assert found.checks == single.checks
    entries[1]["inclusionPromise"] = entries[0]["inclusionPromise"]
    with pytest.raises(VerificationError):
        sigstore.verify(json.dumps(twice).encode(), subject=SUBJECT)


KEY = generate_key()
PUBLIC = KEY.public_key()


def key_bundle(*, logged: bool = True) -> dict[str, Any]:
    """Return a bundle that a key signed, with a log entry as cosign adds one."""
    (raw,) = KeySigner(KEY).sign([statement()])
    bundle: dict[str, Any] = json.loads(raw)
    if logged:
        entry = SIGSTORE.log_entry(bundle, dt.datetime.now(dt.UTC), PUBLIC.pem)
        bundle["verificationMaterial"]["tlogEntries"] = [entry]
    return bundle


def key_checks(bundle: dict[str, Any], root: Root | None) -> tuple[str, ...]:
    verifier = KeyVerifier([PUBLIC], root)
    return verifier.verify(json.dumps(bundle).encode(), subject=SUBJECT).checks


def test_a_log_entry_beside_a_key_is_claimed_only_when_it_was_checked() -> None:
    assert key_checks(key_bundle(), None) == ("signature", "key", "subject")
    assert key_checks(key_bundle(logged=False), root_without()) == ("signature", "key", "subject")
    logged = ("transparency-log", "log-time", "signature", "key", "subject")
    assert key_checks(key_bundle(), root_without()) == logged


def test_a_log_entry_beside_a_key_has_to_be_about_it() -> None:
    bundle = key_bundle()
    other = SIGSTORE.log_entry(bundle, dt.datetime.now(dt.UTC), generate_key().public_key().pem)
    bundle["verificationMaterial"]["tlogEntries"] = [other]
    with pytest.raises(VerificationError) as caught:
        key_checks(bundle, root_without())
    assert caught.value.reason == "bad-log-entry"


def test_a_certificate_never_passes_where_a_key_was_asked() -> None:
    with pytest.raises(VerificationError) as caught:
        key_checks(BUNDLE, root_without())
    assert caught.value.reason == "certificate-bundle"


def test_nothing_of_sigstore_is_imported_for_it() -> None:
    sources = Path(parse_bundle.__code__.co_filename).parent
    for path in (sources / "keyless_private.py", *(sources / "proofs").glob("*.py")):
        assert not re.search(r"^\s*(from|import) sigstore", path.read_text(), re.MULTILINE), path
