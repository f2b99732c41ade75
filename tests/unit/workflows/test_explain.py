"""What explain says of all that can be attached, and what it predicts of admission controllers."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from tests.support import company_ca
from tests.support.intoto import statement
from tests.support.model_factory import make_model
from tests.support.virtual_sigstore import ISSUER, SUBJECT, VirtualSigstore

from modelseal.attest.predicates.types import OMS, SIGNATURE
from modelseal.attest.referrers import BUNDLE, MAX_BUNDLE_BYTES, attach
from modelseal.errors import LimitExceededError
from modelseal.modelpack.build import Profile
from modelseal.oci.content import BytesContent
from modelseal.oci.descriptor import EMPTY_BYTES, EMPTY_DESCRIPTOR, Descriptor, Digest
from modelseal.oci.manifest import Index, Manifest
from modelseal.oci.memory import MemoryStore
from modelseal.oci.store import push_bytes
from modelseal.policy.document import parse_policy
from modelseal.trust.bundle_facts import Method
from modelseal.trust.company import Company
from modelseal.trust.company_signer import CertificateSigner
from modelseal.trust.identity import Identity
from modelseal.trust.keys import generate_key
from modelseal.trust.oms import OmsVerifier
from modelseal.trust.signer import KeySigner
from modelseal.trust.trusted_root import parse_trusted_root
from modelseal.trust.verifier import KeyVerifier, SigstoreVerifier
from modelseal.workflows.explain import Explained, Explanation, Kind, explain
from modelseal.workflows.explain_trust import NOBODY, Believed
from modelseal.workflows.oms_signing import sign_with_oms
from modelseal.workflows.package import push_directory
from modelseal.workflows.predict import predict
from modelseal.workflows.predictions import Prediction, Verdict
from modelseal.workflows.services import Services

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEY = generate_key()
SIGNER = KeySigner(KEY)
BY_KEY = Believed(
    words="the key",
    method=Method.KEY,
    verifiers=(KeyVerifier([KEY.public_key()]),),
    oms=(OmsVerifier(KeyVerifier([KEY.public_key()])),),
    key_algorithm="ecdsa-p256",
    options=("--key", "k.pub"),
)
SIGSTORE = VirtualSigstore()


class Unlisted(MemoryStore):
    """A store whose list of referrers lacks the hints, as older tools wrote it."""

    def referrers(self, subject: Descriptor) -> Iterator[Descriptor]:
        for entry in super().referrers(subject):
            yield Descriptor(entry.media_type, entry.digest, entry.size)


def keyless() -> Believed:
    root = parse_trusted_root(SIGSTORE.trusted_root(), "root")
    verifier = SigstoreVerifier(root, {Identity(ISSUER, SUBJECT)})
    return Believed(
        words=SUBJECT,
        method=Method.KEYLESS,
        verifiers=(verifier,),
        oms=(OmsVerifier(verifier),),
        private_root=True,
        options=("--certificate-identity", SUBJECT, "--certificate-oidc-issuer", ISSUER),
    )


def pushed(tmp_path: Path, store: MemoryStore | None = None, **how: Any) -> MemoryStore:  # noqa: ANN401
    store = store or MemoryStore()
    push_directory(make_model(tmp_path / "fraud"), "1", Services(store=store), {}, **how)
    return store


def hang(store: MemoryStore, kind: str = SIGNATURE, bundle: bytes = b"", name: str = "1") -> None:
    subject = store.resolve(name)
    predicate = {} if kind == SIGNATURE else {"ok": True}
    payload = statement(subject.digest, predicateType=kind, predicate=predicate)
    attach(store, subject, bundle or SIGNER.sign([payload])[0], kind, NOW)


def by_fulcio(store: MemoryStore, kind: str = SIGNATURE) -> dict[str, Any]:
    payload = statement(store.resolve("1").digest, predicateType=kind, predicate={})
    return SIGSTORE.bundle(payload)


def explained(store: MemoryStore, believed: Believed = BY_KEY, name: str = "1") -> Explanation:
    return explain(name, believed, store=store, clock=lambda: NOW)


def tools(found: Explanation) -> dict[str, Prediction]:
    return {item.tool: item for item in predict(found, "registry.example/fraud:1")}


def codes(item: Prediction) -> set[str]:
    return {reason.code for reason in item.reasons}


def one(found: Explanation, kind: Kind) -> Explained:
    (item,) = (item for item in found.items if item.kind is kind)
    return item


def test_everything_attached_is_named_and_only_what_was_verified_is_called_so(
    tmp_path: Path,
) -> None:
    store = pushed(tmp_path)
    sign_with_oms("1", SIGNER, Services(store=store))
    hang(store, "https://example.com/scan/v1")
    hang(store, SIGNATURE, b"no bundle")
    subject = store.resolve("1")
    store.push(EMPTY_DESCRIPTOR, BytesContent(EMPTY_BYTES))
    layer = push_bytes(store, b"a picture", "image/png")
    picture = Manifest.build(artifact_type="image/png", layers=[layer], subject=subject)
    store.push(picture.descriptor, BytesContent(picture.raw))
    for suffix in (".sig", ".att"):
        store.tag(subject, f"sha256-{subject.digest.encoded}{suffix}")
    found = explained(store)
    assert [item.kind for item in found.items] == [
        *(Kind.SIGNATURE, Kind.ATTESTATION, Kind.OMS),
        *(Kind.LEGACY, Kind.LEGACY, Kind.OTHER, Kind.BROKEN),
    ]
    assert one(found, Kind.SIGNATURE).statement is not None
    assert one(found, Kind.OMS).checks[-1] == "no-unsigned-files"
    assert one(found, Kind.OTHER).artifact_type == "image/png"
    refusal = one(found, Kind.BROKEN).refusal
    assert refusal is not None
    assert refusal.reason == "broken-bundle"


def test_nobody_named_means_nothing_verified(tmp_path: Path) -> None:
    store = pushed(tmp_path)
    hang(store)
    found = explained(store, NOBODY)
    item = one(found, Kind.SIGNATURE)
    assert item.statement is None
    assert item.refusal is None
    assert item.facts is not None
    assert "key with the hint" in item.facts.signer
    for told in tools(found).values():
        assert told.verdict is not Verdict.ACCEPTS
        assert told.command == ""


def test_a_claimed_time_is_read_and_a_verified_one_is_told(tmp_path: Path) -> None:
    store = pushed(tmp_path)
    hang(store, SIGNATURE, json.dumps(by_fulcio(store)).encode())
    item = one(explained(store, keyless()), Kind.SIGNATURE)
    assert item.facts is not None
    assert item.statement is not None
    assert item.facts.times == (item.statement.signed_at,)


def test_keyless_is_taken_by_all_who_look_at_manifests(tmp_path: Path) -> None:
    store = pushed(tmp_path)
    hang(store, SIGNATURE, json.dumps(by_fulcio(store)).encode())
    told = tools(explained(store, keyless()))
    assert {name: item.verdict for name, item in told.items()} == {
        "cosign": Verdict.ACCEPTS,
        "model_signing": Verdict.REFUSES,
        "kyverno": Verdict.ACCEPTS,
        "policy-controller": Verdict.ACCEPTS,
    }
    assert codes(told["kyverno"]) == {"kyverno-private-root", "image-volume"}
    assert codes(told["policy-controller"]) == {
        *("policy-controller-attestations", "policy-controller-private-root", "image-volume"),
    }
    assert SIGNATURE in told["policy-controller"].reasons[0].fix
    assert [told[name].tested for name in told] == [True, True, False, False]


def test_key_signed_is_refused_by_policy_controller_and_by_one_kyverno(tmp_path: Path) -> None:
    store = pushed(tmp_path)
    hang(store)
    told = tools(explained(store))
    assert told["cosign"].verdict is Verdict.ACCEPTS
    assert told["kyverno"].verdict is Verdict.DEPENDS
    assert {"kyverno-key-regression", "kyverno-no-log"} <= codes(told["kyverno"])
    assert told["policy-controller"].verdict is Verdict.REFUSES
    assert codes(told["policy-controller"]) == {"policy-controller-key"}


def test_a_companys_certificate_is_told_as_one(tmp_path: Path) -> None:
    ca = company_ca.make_root()
    certificate = ca.issue(serialization.load_der_public_key(KEY.public_key().der))  # type: ignore[arg-type] # an EC key
    company = Company((ca.certificate,), ())
    signer = CertificateSigner(KEY, certificate, company)
    store = pushed(tmp_path)
    sign_with_oms("1", signer, Services(store=store))
    verifier = signer.verifier()
    believed = Believed(
        words="the company",
        method=Method.CERTIFICATE,
        verifiers=(verifier,),
        oms=(OmsVerifier(verifier),),
        options=("--certificate-identity", company_ca.SUBJECT, "--ca-roots", "root.crt"),
    )
    found = explained(store, believed)
    assert one(found, Kind.SIGNATURE).statement is not None
    facts = one(found, Kind.OMS).facts
    assert facts is not None
    assert facts.method is Method.CHAIN
    assert company_ca.SUBJECT in facts.signer
    told = tools(found)
    assert told["cosign"].verdict is Verdict.DEPENDS
    assert "company-certificate" in codes(told["cosign"])
    assert told["model_signing"].verdict is Verdict.ACCEPTS
    assert "model_signing verify certificate DIR" in told["model_signing"].command


def test_more_referrers_than_kyverno_reads_are_told(tmp_path: Path) -> None:
    store = pushed(tmp_path)
    hang(store, SIGNATURE, json.dumps(by_fulcio(store)).encode())
    for number in range(49):
        hang(store, f"https://example.com/{number}/v1")
    told = tools(explained(store, keyless()))
    assert told["kyverno"].verdict is Verdict.ACCEPTS
    hang(store, "https://example.com/one-too-many/v1")
    told = tools(explained(store, keyless()))
    assert told["cosign"].verdict is Verdict.ACCEPTS
    assert told["kyverno"].verdict is Verdict.DEPENDS
    assert "kyverno-too-many-referrers" in codes(told["kyverno"])


def test_a_list_without_types_is_told(tmp_path: Path) -> None:
    store = pushed(tmp_path, Unlisted())
    hang(store, SIGNATURE, json.dumps(by_fulcio(store)).encode())
    told = tools(explained(store, keyless()))
    assert told["cosign"].verdict is Verdict.ACCEPTS
    assert told["kyverno"].verdict is Verdict.DEPENDS
    assert "fallback-index" in codes(told["kyverno"])


def test_an_old_log_entry_is_refused_by_new_sigstore_go_only(tmp_path: Path) -> None:
    store = pushed(tmp_path)
    bundle = by_fulcio(store)
    (entry,) = bundle["verificationMaterial"]["tlogEntries"]
    entry["kindVersion"] = {"kind": "dsse", "version": "0.0.2"}
    hang(store, SIGNATURE, json.dumps(bundle).encode())
    told = tools(explained(store, keyless()))
    for name in ("cosign", "kyverno"):
        assert told[name].verdict is Verdict.REFUSES
        assert "dsse-0.0.2" in codes(told[name])
    # sigstore-go 1.1.4 takes it, and nobody here can verify it.
    assert told["policy-controller"].verdict is Verdict.DEPENDS


def test_only_another_statement_is_no_signature_for_us_and_one_for_others(tmp_path: Path) -> None:
    store = pushed(tmp_path)
    hang(store, "https://example.com/scan-failed/v1")
    told = tools(explained(store))
    assert told["cosign"].verdict is Verdict.ACCEPTS
    for name in ("cosign", "kyverno"):
        assert "any-statement" in codes(told[name])


def test_files_in_archives_are_not_judged_by_the_manifest(tmp_path: Path) -> None:
    store = pushed(tmp_path, profile=Profile.IMAGE)
    other = pushed(tmp_path / "other")
    _, _, done = sign_with_oms("1", SIGNER, Services(store=other))
    hang(store, OMS, done.bundle)
    found = explained(store)
    refusal = one(found, Kind.OMS).refusal
    assert refusal is not None
    assert refusal.reason == "not-comparable"
    assert tools(found)["model_signing"].verdict is Verdict.DEPENDS


def test_an_index_is_explained_as_one(tmp_path: Path) -> None:
    store = pushed(tmp_path)
    hang(store)
    index = Index.build([store.resolve("1")])
    store.push(index.descriptor, BytesContent(index.raw))
    store.tag(index.descriptor, "all")
    found = explained(store, name="all")
    assert found.items == ()
    assert tools(found)["cosign"].verdict is Verdict.REFUSES
    hang(store, name="all")
    told = tools(explained(store, name="all"))
    assert told["cosign"].verdict is Verdict.ACCEPTS
    assert "index" in codes(told["cosign"])


def test_a_policy_says_what_it_would_decide(tmp_path: Path) -> None:
    pem = json.dumps(KEY.public_key().pem.decode())
    policy = parse_policy(
        f"apiVersion: modelseal.dev/v1\nkind: Policy\nmetadata: {{name: production}}\n"
        f"spec:\n  roles: {{builder: {{threshold: 1, identities: [{{publicKey: {pem}}}]}}}}\n"
        f"  rules: [{{use: signed, with: {{role: builder}}}}]\n".encode(),
        "policy.yaml",
    )
    believed = Believed(
        words="the policy", verifiers=BY_KEY.verifiers, oms=BY_KEY.oms, policy=policy
    )
    store = pushed(tmp_path)
    found = explained(store, believed)
    assert found.decision is not None
    assert not found.decision.allowed
    hang(store)
    found = explained(store, believed)
    assert found.decision is not None
    assert found.decision.allowed


@pytest.mark.parametrize("reference", ["oci:store:1", "registry.example/fraud:1"])
def test_a_layout_is_not_asked_by_those_who_ask_registries(reference: str, tmp_path: Path) -> None:
    store = pushed(tmp_path)
    hang(store)
    told = {item.tool: item for item in predict(explained(store, BY_KEY), reference)}
    in_layout = reference.startswith("oci:")
    assert told["cosign"].verdict is (Verdict.REFUSES if in_layout else Verdict.ACCEPTS)
    assert told["cosign"].copied is (Verdict.ACCEPTS if in_layout else None)
    assert ("layout" in codes(told["cosign"])) == in_layout
    assert "layout" not in codes(told["model_signing"])
    words = told["cosign"].command.split(" && ")
    assert words[-1].startswith("cosign verify ")
    assert "oci:" not in words[-1]
    assert words[:-1] == ["modelseal copy -r oci:store:1 REGISTRY/REPOSITORY:TAG"] * in_layout


def test_c15_bundles_that_are_too_many_bytes_are_not_fetched_first(tmp_path: Path) -> None:
    """What is counted is what the manifests say, before anything of that size is in memory."""
    store = pushed(tmp_path)
    subject = store.resolve("1")
    for number in range(5):
        absent = Descriptor(BUNDLE, Digest.of(b"%d" % number), MAX_BUNDLE_BYTES)
        manifest = Manifest.build(artifact_type=BUNDLE, layers=[absent], subject=subject)
        store.push(manifest.descriptor, BytesContent(manifest.raw))
    with pytest.raises(LimitExceededError, match="over 64 MiB"):
        explained(store)
