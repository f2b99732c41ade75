"""OMS signatures against a manifest and against a directory, on a store in memory."""

import base64
import hashlib
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tests.support.model_factory import make_model

from modelseal.attest.predicates.oms import root_digest
from modelseal.attest.predicates.types import OMS, SIGNATURE
from modelseal.attest.referrers import attach
from modelseal.documents import canonical_json
from modelseal.errors import InvalidProjectError, SigningError, UsageError, VerificationError
from modelseal.modelpack.build import Profile
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.memory import MemoryStore
from modelseal.oci.store import fetch_bytes, fetch_manifest
from modelseal.trust.bundle import build_key_bundle, parse_bundle
from modelseal.trust.dsse import pae
from modelseal.trust.keys import Algorithm, generate_key
from modelseal.trust.oms import OmsKeyVerifier, OmsVerifier
from modelseal.trust.oms_chain import OmsChainVerifier
from modelseal.trust.oms_keys import oms_hint, parse_oms_key
from modelseal.trust.signer import KeySigner
from modelseal.trust.verifier import KeyVerifier
from modelseal.workflows.oms import OmsOptions, OmsVerification, verify_artifact, verify_directory
from modelseal.workflows.oms_signing import check_new, sign_with_oms, write_signature
from modelseal.workflows.package import push_directory
from modelseal.workflows.publish import publish
from modelseal.workflows.services import Services
from modelseal.workflows.trust import trust_keys
from modelseal.workflows.verify import verify

NOW = datetime(2026, 6, 1, tzinfo=UTC)
KEY = generate_key()
SIGNER = KeySigner(KEY)
BY_KEY = OmsVerifier(OmsKeyVerifier([parse_oms_key(KEY.public_key().pem, "k.pub")]))
WEIGHTS = ("model.safetensors", "model.onnx")


class Weightless(MemoryStore):
    """A store that cannot give what is in a weight file."""

    def fetch(self, target: Descriptor) -> AbstractContextManager[BinaryIO]:
        assert "model.weight.v1" not in target.media_type, f"{target.name} was read"
        return super().fetch(target)


def pushed(tmp_path: Path, extra: Mapping[str, bytes] = {}, **how: Any) -> MemoryStore:  # noqa: ANN401
    store = Weightless()
    push_directory(
        make_model(tmp_path / "fraud", extra=extra), "1", Services(store=store), {}, **how
    )
    return store


def signed(tmp_path: Path) -> tuple[MemoryStore, OmsVerification]:
    store = pushed(tmp_path)
    _, attached, done = sign_with_oms("1", SIGNER, Services(store=store))
    assert [item.predicate_type for item in attached] == [SIGNATURE, OMS]
    return store, done


def payload(files: Mapping[str, str], **how: Any) -> bytes:  # noqa: ANN401 - any JSON
    algorithm = how.setdefault("hash_type", "sha256")
    predicate = {
        "resources": [
            {"name": name, "algorithm": algorithm, "digest": digest}
            for name, digest in sorted(files.items())
        ],
        "serialization": {"method": "files", "allow_symlinks": False, **how},
    }
    return canonical_json(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"name": "m", "digest": {"sha256": root_digest(predicate).encoded}}],
            "predicateType": OMS,
            "predicate": predicate,
        }
    )


def signature(path: Path, files: Mapping[str, str], **how: Any) -> Path:  # noqa: ANN401 - any JSON
    path.write_bytes(SIGNER.sign([payload(files, **how)])[0])
    return path


def digests(directory: Path, algorithm: str = "sha256") -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): hashlib.new(
            algorithm, path.read_bytes()
        ).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }


def refused(call: Any, *arguments: Any, **how: Any) -> str:  # noqa: ANN401 - any call
    with pytest.raises(VerificationError) as caught:
        call(*arguments, **how)
    assert caught.value.hint
    return caught.value.reason


def test_signing_and_verifying_read_no_weight(tmp_path: Path) -> None:
    store, done = signed(tmp_path)
    again = verify_artifact("1", BY_KEY, store)
    assert again.bundle == done.bundle
    assert again.checks == (
        *("signature", "key", "subject", "root-digest", "layer-digests", "no-unsigned-files"),
    )
    listed = {resource.path: resource.digest for resource in again.predicate.resources}
    assert listed == digests(tmp_path / "fraud")


def test_publish_makes_it_in_the_same_run_and_verifies_it(tmp_path: Path) -> None:
    store = Weightless()
    model = make_model(tmp_path / "fraud")
    done = publish(
        model, "1", signer=SIGNER, services=Services(store=store), environment={}, oms=True
    )
    assert done.oms is not None
    assert [item.predicate_type for item in done.attached][-1] == OMS
    (told,) = done.verification.rejections
    assert told.reason == "about-files"


def test_an_oms_signature_is_no_signature_of_the_manifest(tmp_path: Path) -> None:
    store, done = signed(tmp_path)
    bare = pushed(tmp_path / "again")
    attach(bare, bare.resolve("1"), done.bundle, OMS, NOW)
    trust = trust_keys([KEY.public_key()])
    reason = refused(verify, "1", trust, store=bare, clock=lambda: NOW)
    assert reason == "no-signature"
    assert verify("1", trust, store=store, clock=lambda: NOW).statements


def test_a_key_that_oms_does_not_take_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    signer, store = KeySigner(generate_key(Algorithm.ED25519)), MemoryStore()
    model = make_model(tmp_path / "fraud")
    with pytest.raises(SigningError, match="ed25519"):
        publish(model, "1", signer=signer, services=Services(store=store), environment={}, oms=True)
    assert list(store.tags()) == []
    with pytest.raises(SigningError, match="ed25519"):
        signer.sign([payload({"a": "0" * 64})])


def test_cosigns_hint_would_be_refused_by_model_signing_and_is_not_written(tmp_path: Path) -> None:
    _, done = signed(tmp_path)
    assert oms_hint(KEY.public_key().pem).encode() in done.bundle
    assert KEY.public_key().hint.encode() not in done.bundle


def test_the_signature_of_another_model_is_refused(tmp_path: Path) -> None:
    _, done = signed(tmp_path)
    other = pushed(tmp_path / "other", {"model.onnx": b"other"})
    attach(other, other.resolve("1"), done.bundle, OMS, NOW)
    assert refused(verify_artifact, "1", BY_KEY, other) == "changed-file"


def test_the_signature_of_another_key_is_refused(tmp_path: Path) -> None:
    store, done = signed(tmp_path)
    other = parse_oms_key(generate_key().public_key().pem, "other.pub")
    by_other = OmsVerifier(OmsKeyVerifier([other]))
    assert refused(verify_artifact, "1", by_other, store) == "other-key"
    envelope = parse_bundle(done.bundle).envelope
    hint = oms_hint(KEY.public_key().pem)
    changed = build_key_bundle(envelope.payload + b" ", envelope.signature, hint)
    assert refused(BY_KEY.verify, changed) == "bad-signature"


def test_one_that_holds_is_enough_beside_those_of_strangers(tmp_path: Path) -> None:
    store, _ = signed(tmp_path)
    stranger = KeySigner(generate_key())
    bundles = stranger.sign([payload(digests(tmp_path / "fraud")), payload({"x": "0" * 64})])
    for bundle in bundles:
        attach(store, store.resolve("1"), bundle, OMS, NOW)
    verify_artifact("1", BY_KEY, store)
    nobody = OmsVerifier(KeyVerifier([generate_key().public_key()]))
    with pytest.raises(VerificationError, match="none of 3 OMS signatures holds"):
        verify_artifact("1", nobody, store)


def test_nothing_attached_is_told(tmp_path: Path) -> None:
    assert refused(verify_artifact, "1", BY_KEY, pushed(tmp_path)) == "no-oms-signature"


def test_a_signature_inside_the_model_counts_and_need_not_sign_itself(tmp_path: Path) -> None:
    model = make_model(tmp_path / "fraud")
    signature(tmp_path / "s", digests(model))
    (model / "model.sig").write_bytes((tmp_path / "s").read_bytes())
    store = Weightless()
    push_directory(model, "1", Services(store=store), {})
    done = verify_artifact("1", BY_KEY, store)
    assert done.source == "model.sig in the model"
    assert verify_directory(model, BY_KEY).statement.subject == done.statement.subject


def test_archives_cannot_be_signed_nor_verified_without_reading(tmp_path: Path) -> None:
    store = pushed(tmp_path, profile=Profile.IMAGE)
    assert refused(sign_with_oms, "1", SIGNER, Services(store=store)) == "not-comparable"
    assert refused(verify_artifact, "1", BY_KEY, store) == "not-comparable"
    assert list(store.referrers(store.resolve("1"))) == []


def test_files_that_are_not_signed_are_refused_unless_asked(tmp_path: Path) -> None:
    store, model = pushed(tmp_path), tmp_path / "fraud"
    files = digests(model)
    del files["modelseal.yaml"], files["eval/results.json"]
    path = signature(tmp_path / "s", files)
    assert refused(verify_artifact, "1", BY_KEY, store, signature=path) == "unsigned-file"
    assert refused(verify_directory, model, BY_KEY, signature=path) == "unsigned-file"
    ignored = OmsOptions(ignored=("modelseal.yaml", "eval"))
    for done in (
        verify_artifact("1", BY_KEY, store, signature=path, options=ignored),
        verify_directory(model, BY_KEY, signature=path, options=ignored),
    ):
        assert done.unsigned == ()
        assert "no-unsigned-files" in done.checks
    lenient = OmsOptions(ignore_unsigned_files=True)
    for done in (
        verify_artifact("1", BY_KEY, store, signature=path, options=lenient),
        verify_directory(model, BY_KEY, signature=path, options=lenient),
    ):
        assert done.unsigned == ("eval/results.json", "modelseal.yaml")
        assert "no-unsigned-files" not in done.checks


def test_what_the_signer_left_out_may_be_there_and_what_is_signed_may_not_hide(
    tmp_path: Path,
) -> None:
    model = make_model(tmp_path / "fraud", extra={".gitattributes": b"x", "cache/c": b"y"})
    path = signature(tmp_path / "s", digests(model), ignore_paths=["cache"])
    verify_directory(model, BY_KEY, signature=path)
    (model / "cache" / "new").write_text("of no interest")
    (model / "sub").mkdir()
    (model / "sub" / ".gitattributes").write_text("only the one at the top is left out")
    assert refused(verify_directory, model, BY_KEY, signature=path) == "unsigned-file"
    (model / "sub" / ".gitattributes").unlink()
    verify_directory(model, BY_KEY, signature=path)
    (model / "cache" / "c").write_text("signed, and changed")
    assert refused(verify_directory, model, BY_KEY, signature=path) == "changed-file"
    (model / "cache" / "c").unlink()
    assert refused(verify_directory, model, BY_KEY, signature=path) == "missing-file"


@pytest.mark.parametrize(
    "names",
    [("../up",), ("/abs",), ("a//b",), ("a/./b",), ("A", "a"), ("a", "a/b"), ("a\x00",), ("d/",)],
    ids=str,
)
def test_signed_names_that_no_model_may_have_are_refused(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    path = signature(tmp_path / "s", dict.fromkeys(names, "0" * 64))
    (tmp_path / "m").mkdir()
    assert refused(verify_directory, tmp_path / "m", BY_KEY, signature=path) == "unsafe-signed-path"


def parts(model: Path, size: int) -> dict[str, str]:
    found = {}
    for path in (item for item in model.rglob("*") if item.is_file()):
        data, name = path.read_bytes(), path.relative_to(model).as_posix()
        for start in range(0, len(data), size):
            part = data[start : start + size]
            digest = hashlib.sha256(part).hexdigest()
            found[f"{name}:{start}:{start + len(part)}"] = digest
    return found


def test_parts_of_files_are_verified_in_a_directory(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m", extra={"empty.py": b""})
    how = {"method": "shards", "shard_size": 64}
    path = signature(tmp_path / "s", parts(model, 64), **how)
    done = verify_directory(model, BY_KEY, signature=path)
    assert done.unsigned == ()
    weights = model / "model.onnx"
    whole = weights.read_bytes()
    for data in (whole + b"!", whole[:-1], b"!" + whole[1:], whole[64:]):
        weights.write_bytes(data)
        assert refused(verify_directory, model, BY_KEY, signature=path) == "changed-file"
    weights.write_bytes(whole)
    lacking = parts(model, 64)
    del lacking["model.onnx:64:128"]
    gap = signature(tmp_path / "gap", lacking, **how)
    assert refused(verify_directory, model, BY_KEY, signature=gap) == "changed-file"


def test_parts_compare_with_layers_when_a_part_is_a_whole_file(tmp_path: Path) -> None:
    store, model = pushed(tmp_path), tmp_path / "fraud"
    whole = signature(tmp_path / "w", parts(model, 1 << 20), method="shards", shard_size=1 << 20)
    verify_artifact("1", BY_KEY, store, signature=whole)
    small = signature(tmp_path / "p", parts(model, 64), method="shards", shard_size=64)
    assert refused(verify_artifact, "1", BY_KEY, store, signature=small) == "not-comparable"


def test_blake2b_is_computed_and_blake3_refused_with_the_reason(tmp_path: Path) -> None:
    store, model = pushed(tmp_path), tmp_path / "fraud"
    path = signature(tmp_path / "b2", digests(model, "blake2b"), hash_type="blake2b")
    verify_directory(model, BY_KEY, signature=path)
    assert refused(verify_artifact, "1", BY_KEY, store, signature=path) == "not-comparable"
    path = signature(tmp_path / "b3", digests(model), hash_type="blake3")
    assert refused(verify_directory, model, BY_KEY, signature=path) == "not-comparable"


def test_links_are_followed_only_when_signer_and_verifier_want_it(tmp_path: Path) -> None:
    model = tmp_path / "m"
    model.mkdir()
    (tmp_path / "blob").write_bytes(b"weights")
    (model / "w").symlink_to(tmp_path / "blob")
    files = {"w": hashlib.sha256(b"weights").hexdigest()}
    strict = signature(tmp_path / "s", files)
    with pytest.raises(InvalidProjectError, match="symbolic link"):
        verify_directory(model, BY_KEY, signature=strict, options=OmsOptions(allow_symlinks=True))
    path = signature(tmp_path / "links", files, allow_symlinks=True)
    assert refused(verify_directory, model, BY_KEY, signature=path) == "signed-with-links"
    follow = OmsOptions(allow_symlinks=True)
    verify_directory(model, BY_KEY, signature=path, options=follow)
    (model / "up").symlink_to(model, target_is_directory=True)
    with pytest.raises(Exception, match="too deep"):
        verify_directory(model, BY_KEY, signature=path, options=follow)


def test_one_file_is_a_model_under_its_name_and_under_that_of_model_signing(tmp_path: Path) -> None:
    file = tmp_path / "m.gguf"
    file.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    for name in ("m.gguf", "."):
        path = signature(tmp_path / "s", {name: digest})
        verify_directory(file, BY_KEY, signature=path)
    (tmp_path / "model.sig").write_bytes(path.read_bytes())
    verify_directory(file, BY_KEY)


def test_a_signature_is_never_written_over_another(tmp_path: Path) -> None:
    path = tmp_path / "model.sig"
    write_signature(path, b"{}")
    for wrong in (path, tmp_path / "none" / "model.sig"):
        with pytest.raises(UsageError):
            check_new(wrong)
    assert path.read_bytes() == b"{}"


CURVES: dict[Any, Any] = {
    ec.SECP256R1: hashes.SHA256,
    ec.SECP384R1: hashes.SHA384,
    ec.SECP521R1: hashes.SHA512,
}


@pytest.mark.parametrize("curve", CURVES, ids=lambda curve: curve.name)
def test_keys_on_the_three_curves_are_taken_with_their_own_hash(curve: Any) -> None:  # noqa: ANN401
    key = ec.generate_private_key(curve())
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    data = payload({"a": "0" * 64})
    verifier = OmsVerifier(OmsKeyVerifier([parse_oms_key(pem, "k.pub")]))
    bundle = build_key_bundle(data, key.sign(pae(data), ec.ECDSA(CURVES[curve]())), oms_hint(pem))
    verifier.verify(bundle)
    # The hash is the key's, not the signer's choice.
    for other in set(CURVES.values()) - {CURVES[curve]}:
        wrong = build_key_bundle(data, key.sign(pae(data), ec.ECDSA(other())), oms_hint(pem))
        assert refused(verifier.verify, wrong) == "bad-signature"


class Company:
    """A certificate authority of one's own, with an intermediate one."""

    def __init__(self) -> None:
        self.root_key, self.middle_key, self.key = (
            ec.generate_private_key(ec.SECP256R1()) for _ in range(3)
        )
        self.root = self.issue("root", self.root_key.public_key(), self.root_key, "root", ca=True)
        self.middle = self.issue(
            "middle", self.middle_key.public_key(), self.root_key, "root", ca=True
        )
        self.leaf = self.issue("leaf", self.key.public_key(), self.middle_key, "middle")

    @staticmethod
    def issue(
        name: str,
        key: Any,  # noqa: ANN401 - any public key
        by: ec.EllipticCurvePrivateKey,
        issuer: str,
        *,
        ca: bool = False,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING,
    ) -> x509.Certificate:
        def named(text: str) -> x509.Name:
            return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

        builder = (
            x509.CertificateBuilder()
            .subject_name(named(name))
            .issuer_name(named(issuer))
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - timedelta(days=1))
            .not_valid_after(NOW + timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if not ca:
            builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        return builder.sign(by, hashes.SHA256())

    def bundle(self, *chain: x509.Certificate) -> bytes:
        data = payload({"a": "0" * 64})
        value = {
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "x509CertificateChain": {
                    "certificates": [
                        {"rawBytes": b64(item.public_bytes(Encoding.DER))} for item in chain
                    ]
                },
                "tlogEntries": [],
            },
            "dsseEnvelope": {
                "payload": b64(data),
                "payloadType": "application/vnd.in-toto+json",
                "signatures": [{"sig": b64(self.key.sign(pae(data), ec.ECDSA(hashes.SHA256())))}],
            },
        }
        return canonical_json(value)

    def verifier(self, *anchors: x509.Certificate, now: datetime = NOW) -> OmsVerifier:
        return OmsVerifier(OmsChainVerifier(anchors, lambda: now))


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def test_a_certificate_authority_vouches_through_an_intermediate_one() -> None:
    company = Company()
    bundle = company.bundle(company.leaf, company.middle)
    for anchor in (company.root, company.middle):
        done = company.verifier(anchor).verify(bundle)
        assert done.checks == ("signature", "own-certificate-chain", "subject")


def test_chains_that_do_not_hold_are_refused() -> None:
    company, other = Company(), Company()
    good = company.bundle(company.leaf, company.middle)
    verifier = company.verifier(company.root)
    assert refused(other.verifier(other.root).verify, good) == "untrusted-root"
    assert refused(verifier.verify, company.bundle(company.leaf)) == "untrusted-root"
    late = company.verifier(company.root, now=NOW + timedelta(days=60))
    assert refused(late.verify, good) == "expired-certificate"
    # Whoever has a certificate for signing cannot make others with it.
    forged = company.issue("x", other.key.public_key(), company.key, "leaf")
    chain = other.bundle(forged, company.leaf, company.middle)
    assert refused(verifier.verify, chain) == "untrusted-root"
    server = company.issue(
        *("leaf", company.key.public_key(), company.middle_key, "middle"),
        usage=ExtendedKeyUsageOID.SERVER_AUTH,
    )
    assert refused(verifier.verify, company.bundle(server, company.middle)) == "untrusted-root"
    # Somebody else's certificate beside one's own signature.
    assert refused(verifier.verify, other.bundle(company.leaf, company.middle)) == "bad-signature"


def test_the_store_of_these_tests_refuses_to_read_weights(tmp_path: Path) -> None:
    store = pushed(tmp_path)
    weights = [
        layer
        for layer in fetch_manifest(store, store.resolve("1")).layers
        if layer.annotations["org.cncf.model.filepath"] in WEIGHTS
    ]
    assert len(weights) == len(WEIGHTS)
    with pytest.raises(AssertionError, match="was read"):
        fetch_bytes(store, weights[0], limit=1 << 20)
