# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The Python API against a real registry and a real Sigstore, and on a layout with a key."""

from pathlib import Path

import pytest
from tests.support.model_factory import make_model
from tests.support.sigstore import PrivateSigstore

import modelseal
from modelseal.errors import InvalidReferenceError, UsageError, VerificationError
from modelseal.trust.keys import generate_key, write_key_pair


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


def test_publish_verify_pull_and_load_keylessly(
    repository: str, private_sigstore: PrivateSigstore, model: Path, tmp_path: Path
) -> None:
    reference = f"{repository}:1.4.0"
    done = modelseal.publish(
        model,
        reference,
        identity_token=str(private_sigstore.token_file("trainer@acme.example")),
        trusted_root=private_sigstore.trusted_root,
        signing_config=private_sigstore.signing_config,
    )

    def who(subject: str) -> modelseal.Believe:
        return modelseal.Believe(
            certificate_identity=subject,
            certificate_oidc_issuer=private_sigstore.issuer,
            trusted_root=private_sigstore.trusted_root,
        )

    trainer, other = who("trainer@acme.example"), who("other@acme.example")
    verified = modelseal.verify(reference, trainer)
    assert verified.subject == done.subject
    pulled = modelseal.pull(reference, tmp_path / "out", trainer)
    assert pulled.verification is not None
    loaded = modelseal.load(reference, trainer, cache=tmp_path / "cache")
    assert (loaded / "model.onnx").read_bytes() == (model / "model.onnx").read_bytes()
    for call in (
        lambda: modelseal.verify(reference, other),
        lambda: modelseal.pull(reference, tmp_path / "never", other),
        lambda: modelseal.load(reference, other, cache=tmp_path / "cache"),
    ):
        with pytest.raises(VerificationError) as error:
            call()
        assert error.value.reason == "other-identity"
    assert not (tmp_path / "never").exists()


def test_a_layout_and_a_key_need_nothing_else(model: Path, tmp_path: Path) -> None:
    pair = write_key_pair(generate_key(), tmp_path / "k", lambda: "correct horse")
    reference = f"oci:{tmp_path}/store:1.4.0"
    modelseal.publish(model, reference, key=pair.private, passphrase="correct horse")
    who = modelseal.Believe(key=pair.public)
    path = modelseal.load(reference, who, cache=tmp_path / "cache")
    assert path.name == f"sha256-{modelseal.verify(reference, who).subject.digest.encoded}"


def test_oms_signatures_are_made_and_verified(model: Path, tmp_path: Path) -> None:
    pair = write_key_pair(generate_key(), tmp_path / "k", lambda: "correct horse")
    other = write_key_pair(generate_key(), tmp_path / "other", lambda: "correct horse")
    reference = f"oci:{tmp_path}/store:1.4.0"
    done = modelseal.publish(
        model, reference, key=pair.private, passphrase="correct horse", oms=True
    )
    assert done.oms is not None
    signature = tmp_path / "fraud.sig"
    signature.write_bytes(done.oms.bundle)
    who = modelseal.Believe(key=pair.public)
    held = modelseal.verify_oms(reference, who)
    assert "layer-digests" in held.checks
    assert held.bundle == done.oms.bundle
    assert "file-digests" in modelseal.verify_oms(model, who, signature=signature).checks

    with pytest.raises(VerificationError) as error:
        modelseal.verify_oms(reference, modelseal.Believe(key=other.public))
    assert error.value.reason == "other-key"
    (model / "notes.txt").write_text("not signed")
    with pytest.raises(VerificationError, match=r"not signed: 'notes\.txt'"):
        modelseal.verify_oms(model, who, signature=signature)
    modelseal.verify_oms(model, who, signature=signature, ignore_paths=["notes.txt"])
    (model / "README.md").write_text("changed")
    with pytest.raises(VerificationError) as error:
        modelseal.verify_oms(model, who, signature=signature)
    assert error.value.reason == "changed-file"
    with pytest.raises(UsageError, match="nobody is named"):
        modelseal.verify_oms(reference, modelseal.Believe())
    with pytest.raises(InvalidReferenceError):
        modelseal.verify_oms(tmp_path / "gone", who)


def test_nobody_named_means_nobody_believed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nobody is named"):
        modelseal.load(f"oci:{tmp_path}/store:1", modelseal.Believe())
