# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What `explain` says that cosign and model_signing would do, and what they really do.

Each situation is made in a real registry without the referrers API; explain is asked, and then the
program, with the very command line that explain tells.
"""

import base64
import hashlib
import json
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support import peers
from tests.support.cli import Command
from tests.support.model_factory import make_model
from tests.support.registries import Registry, RegistryName
from tests.support.sigstore import PrivateSigstore

from modelseal.attest.predicates.oms import root_digest
from modelseal.attest.predicates.types import OMS, SIGNATURE
from modelseal.attest.referrers import attach
from modelseal.attest.statement import build_statement
from modelseal.documents import canonical_json
from modelseal.oci.content import BytesContent
from modelseal.oci.descriptor import INDEX, MANIFEST, Descriptor, Digest
from modelseal.oci.manifest import Index, Manifest
from modelseal.oci.reference import parse_repository
from modelseal.oci.referrer import fallback_tag
from modelseal.oci.registry.store import RegistryStore
from modelseal.oci.store import fetch_bytes, fetch_manifest, push_bytes
from modelseal.trust.bundle import build_key_bundle
from modelseal.trust.dsse import pae
from modelseal.trust.keys import Algorithm, PrivateKey, generate_key
from modelseal.trust.oidc import IdentityTokens
from modelseal.trust.oms_keys import oms_hint
from modelseal.trust.signer import KeySigner, SigstoreSigner
from modelseal.trust.trusted_root import load_trust_config
from modelseal.workflows.explain import explain
from modelseal.workflows.explain_trust import believed_by
from modelseal.workflows.package import push_directory
from modelseal.workflows.predict import predict
from modelseal.workflows.predictions import Prediction, Verdict
from modelseal.workflows.services import Services, system_clock
from modelseal.workflows.wiring import Settings

TRAINER = "trainer@acme.example"
SCAN = "https://example.com/scan-failed/v1"
ACCEPTS, REFUSES, DEPENDS = Verdict.ACCEPTS, Verdict.REFUSES, Verdict.DEPENDS
KEYLESS_SIGNED = (
    *(
        "keyless",
        "oms-keyless",
        "no-timestamp",
        "no-log-entry",
        "old-log-entry",
        "chain",
        "own-log",
    ),
)


@dataclass
class Bench:
    """A registry with one model, keys, and a Sigstore."""

    registry: Registry
    repository: str
    sigstore: PrivateSigstore
    home: Path
    store: RegistryStore
    base: Manifest
    keys: dict[str, PrivateKey]
    p384: ec.EllipticCurvePrivateKey
    keyless: dict[str, bytes] = field(default_factory=dict)

    def subject(self, name: str) -> Descriptor:
        """Push the model once more, with a digest of its own."""
        manifest = Manifest.build(
            artifact_type=self.base.artifact_type,
            config=self.base.config,
            layers=self.base.layers,
            annotations={**self.base.annotations, "dev.example.case": name},
        )
        self.store.push(manifest.descriptor, BytesContent(manifest.raw))
        return manifest.descriptor

    def payload(self, subject: Descriptor, kind: str = SIGNATURE) -> bytes:
        return build_statement(subject.digest, kind, {} if kind == SIGNATURE else {"ok": False})

    def oms(self, files: Mapping[str, str] | None = None, **how: Any) -> bytes:  # noqa: ANN401
        """Return an OMS statement about the model's files, or about others."""
        hash_type = how.setdefault("hash_type", "sha256")
        predicate = {
            "resources": [
                {"name": name, "algorithm": hash_type, "digest": digest}
                for name, digest in sorted((self.files() if files is None else files).items())
            ],
            "serialization": {"method": "files", "allow_symlinks": False, **how},
        }
        return build_statement(root_digest(predicate), OMS, predicate, name="fraud")

    def files(self) -> dict[str, str]:
        return {layer.name: layer.digest.encoded for layer in self.base.layers}

    def by_key(self, payload: bytes, key: str = "k") -> bytes:
        return KeySigner(self.keys[key]).sign([payload])[0]

    def by_p384(self, payload: bytes) -> bytes:
        signature = self.p384.sign(pae(payload), ec.ECDSA(hashes.SHA384()))
        return build_key_bundle(payload, signature, oms_hint(self.p384_pem()))

    def p384_pem(self) -> bytes:
        spki = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.p384.public_key().public_bytes(serialization.Encoding.PEM, spki)

    def hang(self, subject: Descriptor, bundle: bytes, kind: str = SIGNATURE) -> None:
        attach(self.store, subject, bundle, kind, datetime.now(UTC))

    def settings(self, believing: str) -> Settings:
        """Say whom to believe: a key by its name, `trainer`, `stranger`, or nobody."""
        if not believing:
            return Settings()
        if believing not in {"trainer", "stranger"}:
            return Settings(key=str(self.home / f"{believing}.pub"))  # as the command line has it
        return Settings(
            certificate_identity=TRAINER if believing == "trainer" else "other@acme.example",
            certificate_oidc_issuer=self.sigstore.issuer,
            trusted_root=self.sigstore.trusted_root,
        )

    def predicted(self, subject: Descriptor, believing: str) -> dict[str, Prediction]:
        believed = believed_by(self.settings(believing))
        found = explain(subject.digest, believed, store=self.store, clock=system_clock)
        reference = f"{self.repository}@{subject.digest}"
        return {item.tool: item for item in predict(found, reference)}


@pytest.fixture(scope="module")
def bench(
    serve_registry: Callable[[RegistryName], Registry],
    private_sigstore: PrivateSigstore,
    tmp_path_factory: pytest.TempPathFactory,
) -> Bench:
    home, registry = tmp_path_factory.mktemp("matrix"), serve_registry("distribution")
    repository = f"{registry.host}/explain/{home.name}"
    store = RegistryStore(parse_repository(repository))
    base = push_directory(make_model(home / "fraud"), "base", Services(store=store), {})
    keys = {
        "k": generate_key(),
        "other": generate_key(),
        "ed25519": generate_key(Algorithm.ED25519),
    }
    made = Bench(
        registry=registry,
        repository=repository,
        sigstore=private_sigstore,
        home=home,
        store=store,
        base=fetch_manifest(store, base),
        keys=keys,
        p384=ec.generate_private_key(ec.SECP384R1()),
    )
    for name, key in keys.items():
        (home / f"{name}.pub").write_bytes(key.public_key().pem)
    (home / "p384.pub").write_bytes(made.p384_pem())
    # One login and one upload side by side for all that is signed keylessly.
    trust = load_trust_config(private_sigstore.trusted_root, private_sigstore.signing_config)
    tokens = IdentityTokens(explicit=private_sigstore.token(TRAINER), environ={}, interactive=False)
    payloads = [made.payload(made.subject(name)) for name in KEYLESS_SIGNED]
    payloads[1] = made.oms()
    bundles = SigstoreSigner(trust, tokens).sign(payloads)
    made.keyless.update(zip(KEYLESS_SIGNED, bundles, strict=True))
    return made


def altered(bundle: bytes, alter: Callable[[dict[str, Any]], object]) -> bytes:
    value = json.loads(bundle)
    alter(value)
    return json.dumps(value).encode()


def only_signature(bench: Bench) -> Descriptor:
    subject = bench.subject("only-signature")
    bench.hang(subject, bench.by_key(bench.payload(subject)))
    return subject


def unsigned(bench: Bench) -> Descriptor:
    return bench.subject("unsigned")


def keyless(bench: Bench) -> Descriptor:
    subject = bench.subject("keyless")
    bench.hang(subject, bench.keyless["keyless"])
    return subject


def only_a_failed_scan(bench: Bench) -> Descriptor:
    subject = bench.subject("only-a-failed-scan")
    bench.hang(subject, bench.by_key(bench.payload(subject, SCAN)), SCAN)
    return subject


def only_oms(bench: Bench) -> Descriptor:
    subject = bench.subject("only-oms")
    bench.hang(subject, bench.by_key(bench.oms()), OMS)
    return subject


def signature_and_oms(bench: Bench) -> Descriptor:
    subject = bench.subject("signature-and-oms")
    bench.hang(subject, bench.by_key(bench.payload(subject)))
    bench.hang(subject, bench.by_key(bench.oms()), OMS)
    return subject


def moved_from_another_model(bench: Bench) -> Descriptor:
    subject = bench.subject("moved")
    bench.hang(subject, bench.by_key(bench.payload(bench.subject("elsewhere"))))
    return subject


def another_curve(bench: Bench) -> Descriptor:
    subject = bench.subject("p384")
    bench.hang(subject, bench.by_p384(bench.payload(subject)))
    return subject


def another_algorithm(bench: Bench) -> Descriptor:
    subject = bench.subject("ed25519")
    bench.hang(subject, bench.by_key(bench.payload(subject), "ed25519"))
    return subject


def changed(bench: Bench) -> Descriptor:
    subject = bench.subject("changed")
    signed = json.loads(bench.by_key(bench.payload(subject)))["dsseEnvelope"]
    signature = base64.b64decode(signed["signatures"][0]["sig"])
    payload = base64.b64decode(signed["payload"]) + b" "
    hint = bench.keys["k"].public_key().hint
    bench.hang(subject, build_key_bundle(payload, signature, hint))
    return subject


def cut_off(bench: Bench) -> Descriptor:
    subject = bench.subject("cut-off")
    bench.hang(subject, bench.by_key(bench.payload(subject))[:-20])
    return subject


def of_an_old_version(bench: Bench) -> Descriptor:
    subject = bench.subject("old-version")
    old = "application/vnd.dev.sigstore.bundle+json;version=0.2"
    bundle = altered(
        bench.by_key(bench.payload(subject)), lambda value: value.update(mediaType=old)
    )
    bench.hang(subject, bundle)
    return subject


def without_a_timestamp(bench: Bench) -> Descriptor:
    subject = bench.subject("no-timestamp")
    bundle = altered(
        bench.keyless["no-timestamp"],
        lambda value: value["verificationMaterial"].pop("timestampVerificationData"),
    )
    bench.hang(subject, bundle)
    return subject


def without_a_log_entry(bench: Bench) -> Descriptor:
    subject = bench.subject("no-log-entry")
    bundle = altered(
        bench.keyless["no-log-entry"],
        lambda value: value["verificationMaterial"].update(tlogEntries=[]),
    )
    bench.hang(subject, bundle)
    return subject


def with_an_old_log_entry(bench: Bench) -> Descriptor:
    """What cosign before 3.1 had Rekor v2 write: another body, and therefore another leaf."""
    subject = bench.subject("old-log-entry")
    bench.hang(subject, relogged(bench, bench.keyless["old-log-entry"], _old_body))
    return subject


def with_a_log_of_its_own(bench: Bench) -> Descriptor:
    """The same log, by the same hand, with the entry as it was: so it is the kind that counts."""
    subject = bench.subject("own-log")
    bench.hang(subject, relogged(bench, bench.keyless["own-log"], lambda body, _: body))
    return subject


def _old_body(body: dict[str, Any], payload: bytes) -> dict[str, Any]:
    spec = body["spec"]["hashedRekordV002"]
    digest = base64.b64encode(hashlib.sha256(payload).digest()).decode()
    dsse = {
        "payloadHash": {"algorithm": "SHA2_256", "digest": digest},
        "signatures": [spec["signature"]],
    }
    return {"apiVersion": "0.0.2", "kind": "dsse", "spec": {"dsseV002": dsse}}


def relogged(
    bench: Bench, bundle: bytes, change: Callable[[dict[str, Any], bytes], dict[str, Any]]
) -> bytes:
    """Return a bundle whose entry is the only one of a log that Rekor's own key vouches for."""
    value = json.loads(bundle)
    (entry,) = value["verificationMaterial"]["tlogEntries"]
    payload = base64.b64decode(value["dsseEnvelope"]["payload"])
    body = change(json.loads(base64.b64decode(entry["canonicalizedBody"])), payload)
    raw, origin = canonical_json(body), entry["inclusionProof"]["checkpoint"]["envelope"]
    origin = origin.partition("\n")[0]
    root = base64.b64encode(hashlib.sha256(b"\0" + raw).digest()).decode()
    note = f"{origin}\n1\n{root}\n"
    key = bench.sigstore.authorities.rekor
    public = key.public_key().public_bytes_raw()
    key_id = hashlib.sha256(f"{origin}\n".encode() + b"\x01" + public).digest()[:4]
    signature = base64.b64encode(key_id + key.sign(note.encode())).decode()
    entry.update(
        logIndex="0",
        kindVersion={"kind": body["kind"], "version": body["apiVersion"]},
        canonicalizedBody=base64.b64encode(raw).decode(),
        inclusionProof={
            "logIndex": "0",
            "rootHash": root,
            "treeSize": "1",
            "hashes": [],
            "checkpoint": {"envelope": f"{note}\n\N{EM DASH} {origin} {signature}\n"},
        },
    )
    return json.dumps(value).encode()


def with_a_chain(bench: Bench) -> Descriptor:
    def chained(value: dict[str, Any]) -> None:
        certificate = value["verificationMaterial"].pop("certificate")
        chain = {"certificates": [certificate]}
        value["verificationMaterial"]["x509CertificateChain"] = chain

    subject = bench.subject("chain")
    bench.hang(subject, altered(bench.keyless["chain"], chained))
    return subject


def listed_without_its_type(bench: Bench) -> Descriptor:
    subject = bench.subject("listed-without-type")
    bench.hang(subject, bench.by_key(bench.payload(subject)))
    tag = fallback_tag(subject.digest)
    index = json.loads(fetch_bytes(bench.store, bench.store.resolve(tag), limit=1 << 20))
    for entry in index["manifests"]:
        entry.pop("artifactType")
        entry.pop("annotations")
    raw = canonical_json(index)
    bench.store.push(Descriptor.of(raw, INDEX), BytesContent(raw))
    bench.store.tag(Descriptor.of(raw, INDEX), tag)
    return subject


def an_index(bench: Bench) -> Descriptor:
    index = Index.build([bench.subject("in-the-index")])
    bench.store.push(index.descriptor, BytesContent(index.raw))
    bench.hang(index.descriptor, bench.by_key(bench.payload(index.descriptor)))
    return index.descriptor


def in_a_signed_index(bench: Bench) -> Descriptor:
    an_index(bench)
    return bench.subject("in-the-index")


def only_a_legacy_signature(bench: Bench) -> Descriptor:
    """What `cosign sign` wrote before bundles: a tag, and the signature in an annotation."""
    subject = bench.subject("legacy")
    payload = canonical_json(
        {
            "critical": {
                "identity": {"docker-reference": ""},
                "image": {"docker-manifest-digest": str(subject.digest)},
                "type": "cosign container image signature",
            },
            "optional": None,
        }
    )
    kind = "application/vnd.dev.cosign.simplesigning.v1+json"
    layer = push_bytes(bench.store, payload, kind)
    signature = base64.b64encode(bench.keys["k"].sign(payload)).decode()
    annotations = {"dev.cosignproject.cosign/signature": signature}
    signed = Descriptor(kind, layer.digest, layer.size, annotations)
    config = push_bytes(bench.store, b"{}", "application/vnd.oci.image.config.v1+json")
    manifest = Manifest.build(artifact_type="", layers=[signed], config=config)
    bench.store.push(manifest.descriptor, BytesContent(manifest.raw))
    tag = f"sha256-{subject.digest.encoded}.sig"
    bench.store.tag(Descriptor(MANIFEST, manifest.descriptor.digest, len(manifest.raw)), tag)
    return subject


Situation = Callable[[Bench], Descriptor]
SITUATIONS: list[tuple[Situation, str, Verdict, str]] = [
    (unsigned, "k", REFUSES, "nothing-attached"),
    (only_signature, "k", ACCEPTS, "no-log"),
    (only_signature, "other", REFUSES, "other-key"),
    (only_signature, "trainer", REFUSES, "key-signed-bundle"),
    (keyless, "trainer", ACCEPTS, ""),
    (keyless, "stranger", REFUSES, "other-identity"),
    (keyless, "k", REFUSES, "certificate-bundle"),
    (only_a_failed_scan, "k", ACCEPTS, "any-statement"),
    (only_oms, "k", REFUSES, "about-files"),
    (signature_and_oms, "k", ACCEPTS, "no-log"),
    (moved_from_another_model, "k", REFUSES, "wrong-subject"),
    (another_curve, "p384", REFUSES, "key-algorithm"),
    (another_algorithm, "ed25519", ACCEPTS, "no-log"),
    (changed, "k", REFUSES, "bad-signature"),
    (cut_off, "k", REFUSES, "broken-bundle"),
    (of_an_old_version, "k", REFUSES, "old-bundle"),
    (without_a_timestamp, "trainer", REFUSES, "no-timestamp"),
    (without_a_log_entry, "trainer", REFUSES, "no-log-entry"),
    (with_an_old_log_entry, "trainer", REFUSES, "dsse-0.0.2"),
    (with_a_log_of_its_own, "trainer", ACCEPTS, ""),
    (listed_without_its_type, "k", ACCEPTS, "no-log"),
    (an_index, "k", ACCEPTS, "index"),
    (in_a_signed_index, "k", REFUSES, "nothing-attached"),
]


@pytest.mark.parametrize(
    ("situation", "believing", "verdict", "code"),
    SITUATIONS,
    ids=lambda part: getattr(part, "__name__", str(part) or "-"),
)
def test_cosign_does_what_explain_says(
    bench: Bench,
    cosign: Command,
    situation: Situation,
    believing: str,
    verdict: Verdict,
    code: str,
) -> None:
    subject = situation(bench)
    told = bench.predicted(subject, believing)["cosign"]
    assert told.verdict is verdict
    assert not code or code in {reason.code for reason in told.reasons}
    words = shlex.split(told.command)
    done = cosign(*words[1:], "--allow-http-registry")
    assert (done.returncode == 0) == (verdict is ACCEPTS), done


def test_a_chain_needs_the_flag_that_explain_names(bench: Bench, cosign: Command) -> None:
    told = bench.predicted(with_a_chain(bench), "trainer")["cosign"]
    assert told.verdict is REFUSES
    (reason,) = told.reasons
    assert "--allow-certificate-chain" in reason.text
    words = [*shlex.split(told.command)[1:], "--allow-http-registry"]
    assert cosign(*words).returncode != 0
    cosign(*words, "--allow-certificate-chain").check()


def test_a_legacy_signature_is_told_and_not_judged(bench: Bench, cosign: Command) -> None:
    told = bench.predicted(only_a_legacy_signature(bench), "k")["cosign"]
    assert told.verdict is DEPENDS
    assert [reason.code for reason in told.reasons] == ["legacy-signature"]
    words = [*shlex.split(told.command)[1:], "--insecure-ignore-tlog", "--allow-http-registry"]
    cosign(*words).check()  # it still reads them, when there is nothing else


def test_nobody_named_is_never_a_yes(bench: Bench) -> None:
    for situation in (only_signature, keyless, signature_and_oms):
        for told in bench.predicted(situation(bench), "").values():
            assert told.verdict is not ACCEPTS


# Runs many command lines in one process: starting model_signing takes two seconds.
_RUNNER = """
import json, sys
from model_signing._cli import main
codes = []
for arguments in json.loads(sys.argv[1]):
    try:
        main(arguments, standalone_mode=False)
        codes.append(0)
    except SystemExit as end:
        codes.append(end.code or 0)
print(json.dumps(codes))
"""


def test_model_signing_does_what_explain_says(bench: Bench) -> None:
    files, oms = bench.files(), bench.oms()
    less = {name: digest for name, digest in files.items() if name != "README.md"}
    other = {**files, "README.md": "0" * 64}
    whole = {f"{layer.name}:0:{layer.size}": layer.digest.encoded for layer in bench.base.layers}
    signed = json.loads(bench.by_key(oms))["dsseEnvelope"]
    hint = build_key_bundle(
        base64.b64decode(signed["payload"]),
        base64.b64decode(signed["signatures"][0]["sig"]),
        bench.keys["k"].public_key().hint,
    )
    signature = bench.by_key(bench.payload(bench.subject("no-oms")))
    parts = bench.by_key(bench.oms(whole, method="shards", shard_size=1 << 20))
    without = altered(
        bench.keyless["oms-keyless"],
        lambda value: value["verificationMaterial"].pop("timestampVerificationData"),
    )
    cases = [
        (bench.by_key(oms), "k", ACCEPTS, "pyopenssl"),
        (bench.by_key(oms), "other", REFUSES, "other-key"),
        (bench.by_p384(oms), "p384", ACCEPTS, "pyopenssl"),
        (hint, "k", REFUSES, "oms-hint"),
        (parts, "k", REFUSES, "oms-method"),
        (bench.by_key(bench.oms(less)), "k", REFUSES, "unsigned-file"),
        (bench.by_key(bench.oms(other)), "k", REFUSES, "changed-file"),
        (bench.by_key(bench.oms({**files, "gone": "0" * 64})), "k", REFUSES, "missing-file"),
        (signature, "k", REFUSES, "no-oms-signature"),
        (bench.keyless["oms-keyless"], "trainer", ACCEPTS, "pyopenssl"),
        (bench.keyless["oms-keyless"], "stranger", REFUSES, "other-identity"),
        (without, "trainer", REFUSES, "no-timestamp"),
    ]
    config = str(bench.sigstore.client_trust_config())
    commands = []
    for number, (bundle, believing, verdict, code) in enumerate(cases):
        subject = bench.subject("no-oms" if code == "no-oms-signature" else f"oms-{number}")
        bench.hang(subject, bundle, OMS)
        told = bench.predicted(subject, believing)["model_signing"]
        assert (told.verdict, code) == (verdict, told.reasons[0].code), (number, told)
        path = bench.home / f"{number}.sig"
        path.write_bytes(bundle)
        whom = ["key", "--public_key", str(bench.home / f"{believing}.pub")]
        if believing in {"trainer", "stranger"}:
            settings = bench.settings(believing)
            whom = ["sigstore", "--identity", settings.certificate_identity]
            whom += ["--identity_provider", bench.sigstore.issuer, "--trust_config", config]
        commands.append(["verify", *whom, "--signature", str(path), str(bench.home / "fraud")])
    python = Command(peers.model_signing().parent / "python", bench.home)
    done = python("-c", _RUNNER, json.dumps(commands)).check()
    codes = json.loads(done.stdout.splitlines()[-1])
    assert [code == 0 for code in codes] == [case[2] is ACCEPTS for case in cases], done


def test_the_model_of_these_tests_is_what_its_manifest_says(bench: Bench) -> None:
    for name, digest in bench.files().items():
        assert hashlib.sha256((bench.home / "fraud" / name).read_bytes()).hexdigest() == digest
    assert Digest.parse(f"sha256:{'0' * 64}") not in {layer.digest for layer in bench.base.layers}
