# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Explain: all that hangs on a manifest, what each is, who signed it, and why it counts or not.

Nothing is decided here. What was verified, by whom the caller believes, is told apart from what is
merely claimed. `predictions` tells what other tools would make of it.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from enum import StrEnum
from threading import Lock

from modelseal.attest.predicates.types import OMS, PROVENANCE, SHORT_NAMES, SIGNATURE
from modelseal.attest.referrers import (
    BUNDLE_PREFIX,
    DOCUMENT,
    EVIDENCE,
    MAX_BUNDLE_BYTES,
    MAX_TOTAL_BYTES,
)
from modelseal.errors import (
    ContentError,
    Error,
    InvalidDocumentError,
    LimitExceededError,
    NotFoundError,
    UnsafePathError,
    VerificationError,
)
from modelseal.oci.descriptor import INDEX_TYPES, Descriptor, Digest
from modelseal.oci.manifest import MAX_MANIFEST_BYTES, Index, Manifest
from modelseal.oci.referrer import fallback_tag
from modelseal.oci.store import ReadableStore, fetch_bytes, fetch_manifest
from modelseal.policy.decision import Decision
from modelseal.policy.evaluate import evaluate
from modelseal.policy.evidence import Evidence
from modelseal.trust.bundle import MAX_BUNDLE_BYTES as MAX_SIGNATURE_BYTES
from modelseal.trust.bundle_facts import BundleFacts, read_facts
from modelseal.trust.identity import VerifiedStatement
from modelseal.workflows.choose import document_of
from modelseal.workflows.explain_trust import Believed
from modelseal.workflows.gather import ANOTHER_KIND
from modelseal.workflows.oms import (
    FILE_NAME,
    OmsCandidate,
    OmsVerification,
    files_of_model,
    verify_candidate,
)
from modelseal.workflows.services import Clock

_WORKERS = 8
_LEGACY = {".sig": "signature", ".att": "attestation", ".sbom": "SBOM"}


class Kind(StrEnum):
    """What something attached is."""

    SIGNATURE = "signature"
    ATTESTATION = "attestation"
    OMS = "oms"
    LEGACY = "legacy"
    OTHER = "other"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """One thing that is attached.

    Attributes:
        place: where it is: `referrer sha256:…`, `tag sha256-….sig`, `model.sig in the model`.
        kind: what it is.
        title: the same in a sentence.
        listed: the entry that lists it, with its hints; None when no list does.
        artifact_type: what its own manifest says that it is.
        facts: what its bundle claims; None when it holds none that can be read.
        statement: what was verified; None when it was not, or nobody asked.
        checks: what was checked.
        refusal: why it does not count; None when it does, or nobody asked.
        raw: the bundle; empty when there is none.
    """

    place: str
    kind: Kind
    title: str
    listed: Descriptor | None = None
    artifact_type: str = ""
    facts: BundleFacts | None = None
    statement: VerifiedStatement | None = None
    checks: tuple[str, ...] = ()
    refusal: VerificationError | None = None
    oms: OmsVerification | None = None
    raw: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """A manifest or an index, and all that is attached to it.

    Attributes:
        subject: what the statements have to be about.
        document: the manifest or index itself.
        believed: whom the caller believes.
        items: all that is attached, signatures first.
        has_fallback: whether a fallback tag lists its referrers.
        comparable: why the files cannot be compared with an OMS signature; empty when they can.
        decision: of the policy, when one was given.
    """

    subject: Descriptor
    document: Manifest | Index
    believed: Believed
    items: tuple[Explained, ...]
    has_fallback: bool
    comparable: str
    decision: Decision | None


def explain(
    name: str | Digest, believed: Believed, *, store: ReadableStore, clock: Clock
) -> Explanation:
    """Explain what `name` points at.

    Raises:
        NotFoundError: there is nothing under that name.
        LimitExceededError, UnavailableError: it cannot be told.
    """
    subject = store.resolve(name)
    document = document_of(store, subject)
    layers, why_not = _layers(store, document)
    found = [
        *_referrers(store, subject),
        *_inner_signature(store, layers),
        *_legacy(store, subject),
    ]
    items = [_judged(item, subject, layers, why_not, believed) for item in found]
    items.sort(key=lambda item: (list(Kind).index(item.kind), item.place))
    statements = tuple(item.statement for item in items if item.statement and item.kind != Kind.OMS)
    decision = None
    if believed.policy is not None:
        decision = evaluate(believed.policy, Evidence(subject.digest, statements), clock())
    return Explanation(
        subject=subject,
        document=document,
        believed=believed,
        items=tuple(items),
        has_fallback=_resolved(store, fallback_tag(subject.digest)) is not None,
        comparable=why_not,
        decision=decision,
    )


def _layers(
    store: ReadableStore, document: Manifest | Index
) -> tuple[Mapping[str, Descriptor], str]:
    if isinstance(document, Index):
        return {}, "it is an index: OMS signatures are about the files of one model"
    try:
        return files_of_model(store, document), ""
    except (VerificationError, InvalidDocumentError, UnsafePathError) as error:
        return {}, str(error)


def _referrers(store: ReadableStore, subject: Descriptor) -> Iterator[Explained]:
    entries = sorted(store.referrers(subject), key=lambda entry: entry.digest)
    budget = _Budget(subject.digest)
    with ThreadPoolExecutor(_WORKERS) as pool:
        yield from pool.map(lambda entry: _referrer(store, entry, subject.digest, budget), entries)


class _Budget:
    """The bytes of bundles that are read about one manifest, counted before they are fetched."""

    def __init__(self, subject: Digest) -> None:
        self._subject = subject
        self._left = MAX_TOTAL_BYTES
        self._lock = Lock()

    def take(self, size: int) -> None:
        """Take so many bytes. Raises `LimitExceededError`."""
        with self._lock:
            self._left -= size
            if self._left < 0:
                raise LimitExceededError(
                    f"the bundles about {self._subject} have over {MAX_TOTAL_BYTES >> 20} MiB"
                )


def _referrer(
    store: ReadableStore, entry: Descriptor, subject: Digest, budget: _Budget
) -> Explained:
    place = f"referrer {entry.digest}"
    if entry.media_type in INDEX_TYPES:
        title = "an index that refers to it; nothing of it is read"
        return Explained(place=place, kind=Kind.OTHER, title=title, listed=entry)
    try:
        if entry.size > MAX_MANIFEST_BYTES:
            raise LimitExceededError("its manifest is larger than 4 MiB")
        manifest = fetch_manifest(store, entry)
        bundles = [item for item in manifest.layers if item.media_type.startswith(BUNDLE_PREFIX)]
        if not bundles:
            return _other(place, entry, manifest.artifact_type)
        if len(manifest.layers) != 1:
            raise InvalidDocumentError("it has more layers than the one bundle")
    except (ContentError, NotFoundError) as error:
        return _unreadable(place, entry, error)
    budget.take(min(bundles[0].size, MAX_BUNDLE_BYTES))
    try:
        raw = fetch_bytes(store, bundles[0], limit=MAX_BUNDLE_BYTES)
    except (ContentError, NotFoundError) as error:
        return _unreadable(place, entry, error)
    return _bundle(place, raw, subject, listed=entry, artifact_type=manifest.artifact_type)


def _unreadable(place: str, entry: Descriptor, error: Error) -> Explained:
    refusal = VerificationError(
        str(error), hint="attach it again, or delete it", code="unreadable-referrer"
    )
    title = "a referrer that cannot be read"
    return Explained(place=place, kind=Kind.BROKEN, title=title, listed=entry, refusal=refusal)


_UNSIGNED = {
    DOCUMENT: "a predicate that a statement names by its digest; unsigned itself",
    EVIDENCE: "evidence that a statement names by its digest; unsigned itself",
}


def _other(place: str, entry: Descriptor, artifact_type: str) -> Explained:
    return Explained(
        place=place,
        kind=Kind.OTHER,
        title=_UNSIGNED.get(
            artifact_type, "a referrer of another kind, which signs nothing that is read here"
        ),
        listed=entry,
        artifact_type=artifact_type,
    )


def _bundle(
    place: str,
    raw: bytes,
    subject: Digest,
    *,
    listed: Descriptor | None = None,
    artifact_type: str = "",
) -> Explained:
    try:
        facts = read_facts(raw, subject)
    except VerificationError as error:
        return Explained(
            place=place,
            kind=Kind.BROKEN,
            title="a bundle that cannot be read",
            listed=listed,
            artifact_type=artifact_type,
            refusal=error,
            raw=raw,
        )
    kind, title = _named(facts.predicate_type)
    return Explained(
        place=place,
        kind=kind,
        title=title,
        listed=listed,
        artifact_type=artifact_type,
        facts=facts,
        raw=raw,
    )


def _named(predicate_type: str) -> tuple[Kind, str]:
    if predicate_type == SIGNATURE:
        return Kind.SIGNATURE, "a signature of the manifest, as cosign and modelseal make it"
    if predicate_type == OMS:
        return Kind.OMS, "an OMS signature of the files (OpenSSF Model Signing)"
    return Kind.ATTESTATION, _MEANINGS.get(predicate_type, "a statement about the manifest")


_MEANINGS = {
    PROVENANCE: "a statement of how it was built (SLSA provenance)",
    SHORT_NAMES["slsaprovenance02"]: "a statement of how it was built (SLSA provenance v0.2)",
    SHORT_NAMES["vsa"]: "a policy's verdict (SLSA verification summary)",
    SHORT_NAMES["cyclonedx"]: "a statement of what is in it (CycloneDX)",
    SHORT_NAMES["spdx"]: "a statement of what is in it (SPDX)",
    SHORT_NAMES["spdx3"]: "a statement of what is in it (SPDX)",
    SHORT_NAMES["openvex"]: "a statement of which vulnerabilities apply (OpenVEX)",
    SHORT_NAMES["vuln"]: "a statement of which vulnerabilities were found",
    SHORT_NAMES["scai"]: "a statement of what it is like (SCAI)",
    SHORT_NAMES["test-result"]: "a statement of which tests passed",
}


def _inner_signature(store: ReadableStore, layers: Mapping[str, Descriptor]) -> Iterator[Explained]:
    layer = layers.get(FILE_NAME)
    if layer is None or layer.size > MAX_SIGNATURE_BYTES:
        return
    raw = fetch_bytes(store, layer, limit=MAX_SIGNATURE_BYTES)
    item = _bundle(f"{FILE_NAME} in the model", raw, layer.digest)
    if item.kind is Kind.OMS:
        yield item


def _legacy(store: ReadableStore, subject: Descriptor) -> Iterator[Explained]:
    base = f"{subject.digest.algorithm}-{subject.digest.encoded}"
    for suffix, what in _LEGACY.items():
        if _resolved(store, base + suffix) is not None:
            yield Explained(
                place=f"tag {base}{suffix}",
                kind=Kind.LEGACY,
                title=f"a {what} in cosign's form from before bundles; it is not read here",
            )


def _resolved(store: ReadableStore, tag: str) -> Descriptor | None:
    try:
        return store.resolve(tag)
    except (NotFoundError, ContentError):
        return None


def _judged(
    item: Explained,
    subject: Descriptor,
    layers: Mapping[str, Descriptor],
    why_not: str,
    believed: Believed,
) -> Explained:
    """Verify what can be verified, by whom the caller believes."""
    if item.facts is None or not believed.verifiers:
        return item
    if item.kind is Kind.OMS:
        return _judged_files(item, subject, layers, why_not, believed)
    errors = []
    for verifier in believed.verifiers:
        try:
            statement = verifier.verify(item.raw, subject=subject.digest)
        except VerificationError as error:
            errors.append(error)
        else:
            return replace(item, statement=statement, checks=statement.checks)
    return _with_refusal(item, errors)


def _judged_files(
    item: Explained,
    subject: Descriptor,
    layers: Mapping[str, Descriptor],
    why_not: str,
    believed: Believed,
) -> Explained:
    if why_not:
        error = VerificationError(why_not, hint=_COMPARE, code="not-comparable")
        return _with_refusal(item, [error])
    if not believed.oms:
        error = VerificationError(
            f"OMS takes ECDSA keys only, and {believed.words} is {believed.key_algorithm}",
            hint="name the key, or the identity, that signed the files",
            code="other-key",
        )
        return _with_refusal(item, [error])
    errors = []
    itself = FILE_NAME if item.listed is None else ""
    candidate = OmsCandidate(item.place, item.raw, itself)
    for verifier in believed.oms:
        try:
            found = verify_candidate(candidate, verifier, subject, layers)
        except VerificationError as error:
            errors.append(error)
        else:
            return replace(item, statement=found.statement, checks=found.checks, oms=found)
    return _with_refusal(item, errors)


_COMPARE = "pull the model, and verify the directory: modelseal verify DIR --oms"


def _with_refusal(item: Explained, errors: list[VerificationError]) -> Explained:
    # The verifier that is made for this kind of bundle says the most.
    told = next((error for error in errors if error.reason not in ANOTHER_KIND), errors[0])
    return replace(item, refusal=told)
