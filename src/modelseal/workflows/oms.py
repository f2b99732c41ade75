# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""OMS signatures: made from a manifest alone, verified against a manifest or a directory.

A raw layer is a file as it is, so its digest is the file's: neither to sign nor to verify in a
store is a byte of a weight read. The steps are those of docs/oms.md.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modelseal.attest.predicates.oms import (
    SHA256,
    OmsPredicate,
    is_below,
    parse_predicate,
)
from modelseal.attest.referrers import AttachedBundle, attached_bundles
from modelseal.errors import UnsafePathError, VerificationError
from modelseal.modelpack._extract import file_of
from modelseal.modelpack.paths import check_paths
from modelseal.modelpack.readers.families import layers_of
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.manifest import Manifest
from modelseal.oci.store import ContentReader, ReadableStore, fetch_bytes
from modelseal.trust.bundle import MAX_BUNDLE_BYTES, parse_bundle
from modelseal.trust.identity import VerifiedStatement
from modelseal.trust.oms import OmsVerifier, is_oms
from modelseal.workflows.choose import choose
from modelseal.workflows.files import read_file
from modelseal.workflows.oms_files import Comparison, Hidden, compare_layers, compare_tree

FILE_NAME = "model.sig"
"""What an OMS signature is called beside a model, or in it (section 9)."""

CHECK_ROOT = "root-digest"
"""The root digest is that of the listed files."""
CHECK_LAYERS = "layer-digests"
"""Each listed file is a layer of the manifest with that digest."""
CHECK_FILES = "file-digests"
"""Each listed file was read and has that digest."""
CHECK_NO_OTHERS = "no-unsigned-files"
"""There is no file that is not signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OmsOptions:
    """What a caller takes besides what was signed.

    Attributes:
        ignore_unsigned_files: files that are there and not signed are no reason to refuse.
        ignored: paths that are not looked at, besides those that the signature leaves out.
        allow_symlinks: follow links in a directory, if the signer did so, too.
    """

    ignore_unsigned_files: bool = False
    ignored: tuple[str, ...] = ()
    allow_symlinks: bool = False


STRICT = OmsOptions()


@dataclass(frozen=True, slots=True, kw_only=True)
class OmsVerification:
    """An OMS signature that holds for the files of a model.

    Attributes:
        target: the manifest, or the directory.
        source: where the signature is: a referrer, a file, or a file in the model.
        bundle: the signature, byte for byte.
        statement: who signed; its `subject` is the root digest.
        predicate: the files.
        unsigned: files that are there and not signed, if that was allowed.
        checks: what was checked about signature and files, and only that.
    """

    target: Descriptor | Path
    source: str
    bundle: bytes
    statement: VerifiedStatement
    predicate: OmsPredicate
    unsigned: tuple[str, ...]
    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OmsCandidate:
    """A signature that may hold; `itself` is its own path, when it is a file of the model."""

    source: str
    raw: bytes
    itself: str = ""


def verify_artifact(
    name: str | Digest,
    verifier: OmsVerifier,
    store: ReadableStore,
    *,
    signature: Path | None = None,
    platform: str = "",
    options: OmsOptions = STRICT,
) -> OmsVerification:
    """Verify an OMS signature of the model that `name` points at, without its files' bytes.

    The signature is `signature`; without it one that is attached; without those `model.sig`
    among the model's files.

    Raises:
        VerificationError: `no-oms-signature`, or the reason why the nearest one does not hold.
        NotFoundError, ContentError, UnavailableError: it cannot be told.
    """
    # (1) Resolve once, and take the files from the manifest.
    chosen = choose(name, store, platform)
    layers = files_of_model(store, chosen.manifest)

    # (2) Find the signature: the one that was named, attached ones, or the one in the model.
    candidates = _candidates(store, chosen.subject, layers, signature)

    def judged(candidate: OmsCandidate) -> OmsVerification:
        return verify_candidate(candidate, verifier, chosen.subject, layers, options)

    return _first_that_holds(candidates, judged, str(chosen.subject.digest))


def verify_candidate(
    candidate: OmsCandidate,
    verifier: OmsVerifier,
    subject: Descriptor,
    layers: Mapping[str, Descriptor],
    options: OmsOptions = STRICT,
) -> OmsVerification:
    """Verify one OMS signature against the layers of a manifest. Raises `VerificationError`."""
    # (3) Verify who signed, and read the list strictly.
    signed = _signed(candidate.source, candidate.raw, verifier)

    # (4) Compare the list with the layers.
    hidden = _hidden(signed.predicate, options, candidate.itself)
    found = compare_layers(signed.predicate, layers, hidden)
    return _checked(found, options, CHECK_LAYERS, subject, signed)


def verify_directory(
    top: Path,
    verifier: OmsVerifier,
    *,
    signature: Path | None = None,
    options: OmsOptions = STRICT,
) -> OmsVerification:
    """Verify an OMS signature of the files below `top` (or of one file), reading what is signed.

    Raises:
        VerificationError: `no-oms-signature`, or the reason why it does not hold.
        InvalidProjectError, LimitExceededError, StorageError: a link, a device, too many files.
    """
    path = signature or _beside(top)
    single = "" if top.is_dir() else top.name
    signed = _signed(str(path), read_signature(path), verifier, single)
    predicate = signed.predicate
    if predicate.allow_symlinks and not options.allow_symlinks:
        raise VerificationError(
            f"{signed.statement.signer} followed symbolic links, which are not followed here",
            hint="say --allow-symlinks if they may be followed here, too",
            code="signed-with-links",
        )
    hidden = _hidden(predicate, options, _below(top, path))
    found = compare_tree(predicate, top, hidden, follow_links=predicate.allow_symlinks)
    return _checked(found, options, CHECK_FILES, top, signed)


def read_signature(path: Path) -> bytes:
    """Read an OMS signature from a file that the caller named. Raises as `read_file` does."""
    return read_file(path, "signature", limit=MAX_BUNDLE_BYTES)


@dataclass(frozen=True, slots=True)
class _Signed:
    source: str
    raw: bytes
    statement: VerifiedStatement
    predicate: OmsPredicate


def _signed(source: str, raw: bytes, verifier: OmsVerifier, single: str = "") -> _Signed:
    """Return who signed, and the list of files, read strictly; `single` names a lone file."""
    statement = verifier.verify(raw)
    predicate = parse_predicate(statement.predicate, statement.subject)
    if single and {resource.path for resource in predicate.resources} == {"."}:
        # model_signing 1.1.1 calls a model of one file so; the specification by its name (6.1.2).
        named = tuple(replace(resource, path=single) for resource in predicate.resources)
        predicate = replace(predicate, resources=named)
    try:
        check_paths(sorted({resource.path for resource in predicate.resources}))
    except UnsafePathError as error:
        raise VerificationError(
            f"the OMS signature lists what no model may have: {error}",
            hint=error.hint,
            code="unsafe-signed-path",
        ) from error
    return _Signed(source, raw, statement, predicate)


def _hidden(predicate: OmsPredicate, options: OmsOptions, itself: str) -> Hidden:
    def hidden(path: str) -> bool:
        return path == itself or predicate.ignores(path) or is_below(path, options.ignored)

    return hidden


def _checked(
    found: Comparison,
    options: OmsOptions,
    check: str,
    target: Descriptor | Path,
    signed: _Signed,
) -> OmsVerification:
    found.check(ignore_unsigned=options.ignore_unsigned_files)
    others = () if options.ignore_unsigned_files else (CHECK_NO_OTHERS,)
    return OmsVerification(
        target=target,
        source=signed.source,
        bundle=signed.raw,
        statement=signed.statement,
        predicate=signed.predicate,
        unsigned=found.unsigned,
        checks=(*signed.statement.checks, CHECK_ROOT, check, *others),
    )


def files_of_model(reader: ContentReader, manifest: Manifest) -> dict[str, Descriptor]:
    """Return the layers of a model that are its files, by their paths: nothing is fetched."""
    found = {}
    for layer in layers_of(reader, manifest):
        file = file_of(layer)
        if file is None or file.descriptor.digest.algorithm != SHA256:
            raise VerificationError(
                f"the layer {layer.descriptor.name!r} is an archive, or compressed: its digest is "
                "not that of its files",
                hint="pull the model, and verify the directory: modelseal verify DIR --oms; "
                "`modelseal push` with the default profile packs a file a layer",
                code="not-comparable",
            )
        found[file.path.as_posix()] = file.descriptor
    return found


def _candidates(
    store: ReadableStore,
    subject: Descriptor,
    layers: Mapping[str, Descriptor],
    signature: Path | None,
) -> list[OmsCandidate]:
    if signature is not None:
        return [OmsCandidate(str(signature), read_signature(signature))]
    attached = [
        OmsCandidate(f"referrer {item.referrer}", item.raw)
        for item in attached_bundles(store, subject)
        if isinstance(item, AttachedBundle) and claims_oms(item.raw)
    ]
    if attached or FILE_NAME not in layers:
        return attached
    raw = fetch_bytes(store, layers[FILE_NAME], limit=MAX_BUNDLE_BYTES)
    return [OmsCandidate(f"{FILE_NAME} in the model", raw, FILE_NAME)]


def claims_oms(bundle: bytes) -> bool:
    """Tell whether a bundle calls itself an OMS signature; nothing of it is checked."""
    try:
        return is_oms(parse_bundle(bundle).envelope.payload)
    except VerificationError:
        return False


def _beside(top: Path) -> Path:
    path = top / FILE_NAME if top.is_dir() else top.parent / FILE_NAME
    if not path.is_file():
        raise _no_signature(str(top), f"name it with --signature FILE; {path} is not there")
    return path


def _below(top: Path, signature: Path) -> str:
    """Return the path of the signature below `top`; empty when it is elsewhere."""
    try:
        return signature.resolve().relative_to(top.resolve()).as_posix()
    except ValueError:
        return ""


def _no_signature(where: str, hint: str) -> VerificationError:
    return VerificationError(f"{where} has no OMS signature", hint=hint, code="no-oms-signature")


def _first_that_holds(
    candidates: Sequence[OmsCandidate],
    judged: Callable[[OmsCandidate], OmsVerification],
    where: str,
) -> OmsVerification:
    errors: list[VerificationError] = []
    for candidate in candidates:
        try:
            return judged(candidate)
        except VerificationError as error:
            errors.append(error)
    if not errors:
        raise _no_signature(where, "`modelseal sign REF --oms` makes one, from the manifest alone")
    # A signature by somebody who is believed says more than one by a stranger.
    told = next((error for error in errors if error.reason not in _BY_OTHERS), errors[0])
    if len(errors) == 1:
        raise told
    raise VerificationError(
        f"none of {len(errors)} OMS signatures holds: {told}", hint=told.hint, code=told.reason
    ) from told


_BY_OTHERS = frozenset(
    {"other-key", "other-identity", "other-issuer", "certificate-bundle", "key-signed-bundle"}
)
