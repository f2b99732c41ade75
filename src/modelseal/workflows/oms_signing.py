# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""OMS signatures, made from a manifest alone: a raw layer's digest is its file's.

The steps are those of docs/oms.md. No byte of a weight is read.
"""

from pathlib import Path
from typing import Protocol, runtime_checkable

from modelseal.attest.predicates.oms import build_predicate, root_digest
from modelseal.attest.predicates.types import OMS
from modelseal.errors import StorageError, UsageError
from modelseal.modelpack.media_types import TITLE
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.manifest import Manifest
from modelseal.oci.store import ContentReader, fetch_manifest
from modelseal.trust.oms import OmsVerifier
from modelseal.trust.signer import Signer
from modelseal.workflows.attest import SIGNATURE_CLAIM, Attached, Claim, attest_manifest
from modelseal.workflows.oms import OmsVerification, files_of_model, verify_artifact
from modelseal.workflows.services import Services


def oms_claim(reader: ContentReader, manifest: Manifest) -> Claim:
    """Return the claim that lists the files of a model, from its manifest alone.

    Raises:
        VerificationError: `not-comparable`: a layer is an archive, whose files no digest tells.
        InvalidDocumentError, UnsafePathError: it is no model.
    """
    files = {path: layer.digest for path, layer in files_of_model(reader, manifest).items()}
    predicate = build_predicate(files)
    name = manifest.annotations.get(TITLE) or "model"
    return Claim(OMS, predicate, subject=root_digest(predicate), subject_name=name)


@runtime_checkable
class OmsSigner(Protocol):
    """A signer with a key, which may be of a kind that OMS does not take."""

    def check_oms(self) -> None:
        """See that OMS takes the key. Raises `SigningError`."""
        ...


def check_signer(signer: Signer) -> None:
    """See, before long work begins, that the signer can make an OMS signature.

    Raises:
        SigningError: it has a key of another kind.
    """
    if isinstance(signer, OmsSigner):
        signer.check_oms()


def sign_with_oms(
    name: str | Digest, signer: Signer, services: Services
) -> tuple[Descriptor, tuple[Attached, ...], OmsVerification]:
    """Sign what `name` points at and its files, with one login, and verify what is stored.

    Raises:
        VerificationError: `not-comparable`, before anything is signed.
        InvalidDocumentError: it is an index: it has no files of its own.
        Error: as `attest_manifest` does.
    """
    check_signer(signer)
    subject = services.store.resolve(name)
    claim = oms_claim(services.store, fetch_manifest(services.store, subject))
    attached = attest_manifest(subject, [SIGNATURE_CLAIM, claim], signer, services)
    verified = verify_artifact(subject.digest, OmsVerifier(signer.verifier()), services.store)
    return subject, attached, verified


def write_signature(path: Path, bundle: bytes) -> None:
    """Write an OMS signature to a new file. Raises as `check_new` does, and `StorageError`."""
    check_new(path)
    try:
        with path.open("xb") as file:
            file.write(bundle)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error


def check_new(path: Path) -> None:
    """See, before long work begins, that a signature can be written to `path`.

    Raises:
        UsageError: something is there already, or the directory is not there.
    """
    if path.exists() or path.is_symlink():
        raise UsageError(
            f"{path} is there already, and a signature is never written over another",
            hint="remove it, or choose another name",
        )
    if not path.parent.is_dir():
        raise UsageError(f"there is no directory {path.parent} to write {path.name} to")
