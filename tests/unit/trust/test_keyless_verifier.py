import base64
import dataclasses
import datetime as dt
import json
import socket
from collections.abc import Callable
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.authorities import Authorities
from tests.support.intoto import OTHER_SUBJECT, PREDICATE_TYPE, SUBJECT, statement
from tests.support.virtual_sigstore import ISSUER, Certified, VirtualSigstore
from tests.support.virtual_sigstore import SUBJECT as TRAINER

from modelseal.errors import UsageError, VerificationError
from modelseal.oci.descriptor import Digest
from modelseal.trust.identity import Identity
from modelseal.trust.keys import generate_key
from modelseal.trust.signer import KeySigner
from modelseal.trust.trusted_root import parse_trusted_root
from modelseal.trust.verifier import SigstoreVerifier, read_unsafe

SIGSTORE = VirtualSigstore()
SIGNER = Identity(ISSUER, TRAINER)


def verifier(*identities: Identity, sigstore: VirtualSigstore = SIGSTORE) -> SigstoreVerifier:
    root = parse_trusted_root(sigstore.trusted_root(), "the trusted root")
    return SigstoreVerifier(root, identities or (SIGNER,))


VERIFIER = verifier()
BUNDLE = SIGSTORE.bundle(statement())
RAW = json.dumps(BUNDLE).encode()


def refused(
    bundle: dict[str, Any], by: SigstoreVerifier = VERIFIER, subject: Digest = SUBJECT
) -> str:
    with pytest.raises(VerificationError) as caught:
        by.verify(json.dumps(bundle).encode(), subject=subject)
    assert len(str(caught.value)) < 600
    return caught.value.reason


def changed(change: Callable[[dict[str, Any], dict[str, Any]], object]) -> dict[str, Any]:
    """Return a copy of the good bundle after `change(bundle, its log entry)`."""
    bundle: dict[str, Any] = json.loads(RAW)
    change(bundle, bundle["verificationMaterial"]["tlogEntries"][0])
    return bundle


def test_a_keyless_statement_is_verified() -> None:
    before = dt.datetime.now(dt.UTC) - dt.timedelta(minutes=5)
    verified = VERIFIER.verify(RAW, subject=SUBJECT)
    assert verified.signer == SIGNER
    assert verified.predicate_type == PREDICATE_TYPE
    assert verified.predicate == {"passed": True}
    assert verified.signed_at is not None
    assert before < verified.signed_at <= dt.datetime.now(dt.UTC)


def test_the_first_entry_of_a_log_is_read_as_cosign_writes_it() -> None:
    """Proto3's JSON leaves out what is zero or empty: index 0, and a proof without hashes."""

    def as_proto3(_: dict[str, Any], entry: dict[str, Any]) -> None:
        for values in (entry, entry["inclusionProof"]):
            for name in ("logIndex", "hashes"):
                if values.get(name) in ("0", []):
                    del values[name]

    bundle = changed(as_proto3)
    (entry,) = bundle["verificationMaterial"]["tlogEntries"]
    assert "logIndex" not in entry
    assert not {"logIndex", "hashes"} & set(entry["inclusionProof"])
    assert VERIFIER.verify(json.dumps(bundle).encode(), subject=SUBJECT).signer == SIGNER


def test_a_proof_without_hashes_holds_for_the_first_entry_only() -> None:
    def later(_: dict[str, Any], entry: dict[str, Any]) -> None:
        entry["logIndex"] = entry["inclusionProof"]["logIndex"] = "1"
        entry["inclusionProof"]["treeSize"] = "2"
        del entry["inclusionProof"]["hashes"]

    assert refused(changed(later)) == "bad-log-entry"


def test_f_only_checks_that_ran_are_told() -> None:
    assert VERIFIER.verify(RAW, subject=SUBJECT).checks == (
        "certificate-chain",
        "signed-certificate-timestamp",
        "identity",
        "transparency-log",
        "log-time",
        "signature",
        "subject",
    )


def test_what_the_certificate_says_of_the_workload_is_handed_on() -> None:
    certified = Certified(
        claims={15: "123456", 17: "7890", 11: "github-hosted", 20: "", 12: "u" * 300},
        extensions={4: b"train"},
    )
    bundle = SIGSTORE.bundle(statement(), certified)
    verified = VERIFIER.verify(json.dumps(bundle).encode(), subject=SUBJECT)
    assert verified.profile == "keyless"
    assert verified.claims == {
        "githubWorkflowName": "train",
        "runnerEnvironment": "github-hosted",
        "sourceRepositoryURI": "u" * 300,
        "sourceRepositoryIdentifier": "123456",
        "sourceRepositoryOwnerIdentifier": "7890",
    }


@pytest.mark.parametrize(
    "extensions",
    [
        {17: b"7890"},  # no DER
        {17: b"\x0c\x057890"},  # a wrong length
        {17: b"\x13\x047890"},  # another kind of string
        {17: b"\x0c\x02\xff\xff"},
        {4: b"\xff"},
        {4: b"x" * 4097},
    ],
)
def test_a_claim_that_is_no_text_is_refused(extensions: dict[int, bytes]) -> None:
    bundle = SIGSTORE.bundle(statement(), Certified(extensions=extensions))
    assert refused(bundle) == "broken-bundle"


def test_verifying_opens_no_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    def blocked(*_: object) -> None:
        raise AssertionError("a socket was used")

    monkeypatch.setattr(socket.socket, "connect", blocked)
    monkeypatch.setattr(socket, "getaddrinfo", blocked)
    assert verifier().verify(RAW, subject=SUBJECT).signer == SIGNER


def test_nobody_is_accepted_without_an_identity() -> None:
    root = parse_trusted_root(SIGSTORE.trusted_root(), "the trusted root")
    for identities in ((), (Identity("", TRAINER),), (Identity(ISSUER, ""),)):
        with pytest.raises(UsageError):
            SigstoreVerifier(root, identities)


@pytest.mark.parametrize(
    ("identity", "reason"),
    [
        (Identity(ISSUER, "mallory@acme.example"), "other-identity"),
        (Identity(ISSUER, TRAINER.upper()), "other-identity"),
        (Identity(ISSUER, TRAINER[:-1]), "other-identity"),
        (Identity(ISSUER, f"x{TRAINER}"), "other-identity"),
        (Identity(ISSUER, ".*"), "other-identity"),
        (Identity("https://other.example", TRAINER), "other-issuer"),
        (Identity(f"{ISSUER}/", TRAINER), "other-issuer"),
        (Identity("https://other.example", "mallory@acme.example"), "other-identity"),
    ],
)
def test_b9_issuer_and_subject_are_exact(identity: Identity, reason: str) -> None:
    assert refused(BUNDLE, verifier(identity)) == reason


def test_issuer_and_subject_have_to_be_of_one_identity() -> None:
    halves = verifier(Identity(ISSUER, "a@b.example"), Identity("https://x.example", TRAINER))
    assert refused(BUNDLE, halves) == "other-issuer"


def test_one_of_several_identities_is_enough() -> None:
    either = verifier(Identity(ISSUER, "a@b.example"), SIGNER)
    assert either.verify(RAW, subject=SUBJECT).signer == SIGNER


def test_a_bundle_about_another_digest_moved_here_is_refused() -> None:
    assert refused(BUNDLE, subject=OTHER_SUBJECT) == "wrong-subject"


def test_another_trusted_root_is_refused() -> None:
    assert refused(BUNDLE, verifier(sigstore=VirtualSigstore())) == "untrusted-root"


def test_b10_a_key_signed_bundle_never_passes_where_an_identity_was_asked() -> None:
    (bundle,) = KeySigner(generate_key()).sign([statement()])
    assert refused(json.loads(bundle)) == "key-signed-bundle"


def test_a_certificate_that_had_expired_when_used_is_refused() -> None:
    now = dt.datetime.now(dt.UTC)
    early = Certified(valid_from=now - dt.timedelta(minutes=30))
    bundle = SIGSTORE.bundle(statement(), early, logged_at=now)
    assert refused(bundle) == "expired-certificate"
    in_time = SIGSTORE.bundle(statement(), early, logged_at=now - dt.timedelta(minutes=25))
    verified = VERIFIER.verify(json.dumps(in_time).encode(), subject=SUBJECT)
    assert verified.signed_at == (now - dt.timedelta(minutes=25)).replace(microsecond=0)


def test_a_certificate_that_was_not_yet_valid_is_refused() -> None:
    late = Certified(valid_from=dt.datetime.now(dt.UTC) + dt.timedelta(minutes=5))
    assert refused(SIGSTORE.bundle(statement(), late)) == "expired-certificate"


def test_no_log_entry_is_refused() -> None:
    def forget(bundle: dict[str, Any], _: object) -> None:
        bundle["verificationMaterial"]["tlogEntries"] = []

    assert refused(changed(forget)) == "no-log-entry"


def test_two_log_entries_are_refused() -> None:
    def double(bundle: dict[str, Any], entry: object) -> None:
        bundle["verificationMaterial"]["tlogEntries"].append(entry)

    assert refused(changed(double)) == "broken-bundle"


def test_b8_the_logs_time_counts_only_with_its_promise() -> None:
    assert refused(changed(lambda _, entry: entry.pop("inclusionPromise"))) == "no-timestamp"
    assert refused(changed(lambda _, entry: entry.pop("integratedTime"))) == "no-timestamp"
    assert refused(changed(lambda _, entry: entry.update(integratedTime="0"))) == "no-timestamp"


def test_a_time_that_the_log_did_not_promise_is_refused() -> None:
    def later(_: object, entry: dict[str, Any]) -> None:
        entry["integratedTime"] = str(int(entry["integratedTime"]) + 1)

    assert refused(changed(later)) == "bad-log-entry"


def test_b8_a_log_entry_of_another_signature_is_refused() -> None:
    # GHSA-whqx-f9j3-ch6m: any entry of the log would do, if it were not tied to this signature.
    other = SIGSTORE.bundle(statement())["verificationMaterial"]["tlogEntries"]

    def swap(bundle: dict[str, Any], _: object) -> None:
        bundle["verificationMaterial"]["tlogEntries"] = other

    assert refused(changed(swap)) == "bad-log-entry"


def test_another_log_is_refused() -> None:
    rekor = ed25519.Ed25519PrivateKey.generate()
    other = VirtualSigstore(dataclasses.replace(SIGSTORE.authorities, rekor=rekor))
    assert refused(other.bundle(statement())) == "bad-log-entry"


def test_another_ct_log_is_refused() -> None:
    ct_log = ec.generate_private_key(ec.SECP256R1())
    other = VirtualSigstore(dataclasses.replace(SIGSTORE.authorities, ct_log=ct_log))
    assert refused(other.bundle(statement())) == "untrusted-ct-log"


def test_a_certificate_that_no_ct_log_saw_is_refused() -> None:
    assert refused(SIGSTORE.bundle(statement(), Certified(with_sct=False))) == "untrusted-ct-log"


def test_a_certificate_by_another_authority_of_the_same_name_is_refused() -> None:
    fulcio = Authorities.generate().fulcio
    other = VirtualSigstore(dataclasses.replace(SIGSTORE.authorities, fulcio=fulcio))
    assert refused(other.bundle(statement())) == "untrusted-root"


def test_a_log_entry_of_an_unknown_kind_is_named() -> None:
    def older(_: object, entry: dict[str, Any]) -> None:
        entry["kindVersion"] = {"kind": "intoto", "version": "0.0.2"}

    assert refused(changed(older)) == "unsupported-log-entry"


def test_a_time_of_an_unverified_timestamp_is_not_taken() -> None:
    # A timestamp authority that the root does not name: sigstore refuses it here.
    def add(bundle: dict[str, Any], _: object) -> None:
        bundle["verificationMaterial"]["timestampVerificationData"] = {
            "rfc3161Timestamps": [{"signedTimestamp": "MAA="}]
        }

    assert refused(changed(add)) in {"broken-bundle", "untrusted-timestamp"}


@pytest.mark.parametrize(
    "names",
    [
        (x509.RFC822Name(TRAINER), x509.RFC822Name("mallory@acme.example")),
        (x509.RFC822Name(TRAINER), x509.UniformResourceIdentifier("https://x.example")),
        (x509.DNSName("acme.example"),),
    ],
)
def test_a_certificate_names_exactly_one_subject(names: tuple[x509.GeneralName, ...]) -> None:
    bundle = SIGSTORE.bundle(statement(), Certified(names=names))
    assert refused(bundle) == "broken-bundle"


def test_a_uri_and_a_user_name_are_subjects_too() -> None:
    uri = "https://github.com/acme/fraud/.github/workflows/train.yml@refs/heads/main"
    oid = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.7")
    user = "trainer!acme"
    user_name = x509.OtherName(oid, b"\x0c" + bytes([len(user)]) + user.encode())
    for name, subject in ((x509.UniformResourceIdentifier(uri), uri), (user_name, user)):
        bundle = SIGSTORE.bundle(statement(), Certified(names=(name,)))
        identity = Identity(ISSUER, subject)
        raw = json.dumps(bundle).encode()
        assert verifier(identity).verify(raw, subject=SUBJECT).signer == identity
        assert refused(bundle) == "other-identity"


def test_either_issuer_extension_counts_and_two_have_to_agree() -> None:
    for one in (Certified(issuer_v1=""), Certified(issuer_v2="")):
        raw = json.dumps(SIGSTORE.bundle(statement(), one)).encode()
        assert VERIFIER.verify(raw, subject=SUBJECT).signer == SIGNER
    for two in (
        Certified(issuer_v1="https://other.example"),
        Certified(issuer_v2="https://other.example"),
        Certified(issuer_v1="", issuer_v2=""),
    ):
        assert refused(SIGSTORE.bundle(statement(), two)) == "broken-bundle"


def test_a_long_issuer_is_read() -> None:
    issuer = "https://issuer.example/" + "x" * 300
    bundle = SIGSTORE.bundle(statement(), Certified(issuer_v1="", issuer_v2=issuer))
    identity = Identity(issuer, TRAINER)
    raw = json.dumps(bundle).encode()
    assert verifier(identity).verify(raw, subject=SUBJECT).signer == identity


def test_another_payload_type_is_refused_although_it_is_signed() -> None:
    assert refused(SIGSTORE.bundle(statement(), payload_type="text/plain")) == "not-a-statement"


@pytest.mark.parametrize(
    "payload",
    [
        b"text",
        statement(_type="x"),
        statement(subject=[]),
        statement().replace(b'"predicate":', b'"predicateType": "https://x", "predicate":'),
    ],
)
def test_what_is_signed_but_no_statement_is_refused(payload: bytes) -> None:
    assert refused(SIGSTORE.bundle(payload)) == "not-a-statement"


def test_statements_as_cosign_writes_them_are_verified() -> None:
    # sigstore's own Statement class takes neither; the bytes that it verified are read here.
    bare = statement(
        subject=[{"digest": {"sha256": SUBJECT.encoded}, "annotations": {}}],
        predicateType="https://sigstore.dev/cosign/sign/v1",
        predicate={},
    )
    attested = statement(_type="https://in-toto.io/Statement/v0.1")
    for payload in (bare, attested):
        raw = json.dumps(SIGSTORE.bundle(payload)).encode()
        assert VERIFIER.verify(raw, subject=SUBJECT).subject == SUBJECT


def test_a_changed_statement_is_told_as_a_bad_signature() -> None:
    def replace(bundle: dict[str, Any], _: object) -> None:
        payload = base64.b64encode(statement(OTHER_SUBJECT)).decode()
        bundle["dsseEnvelope"]["payload"] = payload

    assert refused(changed(replace), subject=OTHER_SUBJECT) == "bad-signature"


def test_field_names_in_another_spelling_are_refused() -> None:
    # sigstore takes both spellings; two readers must not see two bundles.
    def rename(bundle: dict[str, Any], _: object) -> None:
        bundle["dsse_envelope"] = bundle.pop("dsseEnvelope")

    assert refused(changed(rename)) == "broken-bundle"


REGIONS: list[tuple[str, Callable[[dict[str, Any]], tuple[dict[str, Any], str]]]] = [
    ("payload", lambda b: (b["dsseEnvelope"], "payload")),
    ("signature", lambda b: (b["dsseEnvelope"]["signatures"][0], "sig")),
    ("certificate", lambda b: (b["verificationMaterial"]["certificate"], "rawBytes")),
    ("body", lambda b: (b["verificationMaterial"]["tlogEntries"][0], "canonicalizedBody")),
    (
        "promise",
        lambda b: (
            b["verificationMaterial"]["tlogEntries"][0]["inclusionPromise"],
            "signedEntryTimestamp",
        ),
    ),
    (
        "root",
        lambda b: (b["verificationMaterial"]["tlogEntries"][0]["inclusionProof"], "rootHash"),
    ),
]


@pytest.mark.parametrize("region", [region for _, region in REGIONS], ids=[n for n, _ in REGIONS])
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_each_region_of_a_bundle_is_covered(
    region: Callable[[dict[str, Any]], tuple[dict[str, Any], str]], data: st.DataObject
) -> None:
    bundle = json.loads(RAW)
    holder, key = region(bundle)
    content = bytearray(base64.b64decode(holder[key]))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    holder[key] = base64.b64encode(bytes(content)).decode()
    refused(bundle)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(RAW) - 1), st.integers(0, 255))
def test_no_changed_byte_changes_what_is_verified(place: int, byte: int) -> None:
    mutated = bytearray(RAW)
    mutated[place] = byte
    good = VERIFIER.verify(RAW, subject=SUBJECT)
    try:
        verified = VERIFIER.verify(bytes(mutated), subject=SUBJECT)
    except VerificationError:
        return
    # What nobody signs, such as the name beside a checkpoint's signature.
    assert dataclasses.replace(verified, bundle=good.bundle) == good


def test_what_a_keyless_bundle_claims_is_shown() -> None:
    claimed = read_unsafe(RAW)
    assert claimed.signer == f"{TRAINER} (issuer {ISSUER})"
    assert claimed.predicate_type == PREDICATE_TYPE
