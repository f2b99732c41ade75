# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Rotate: what an old key signed about a repository's releases, a new key signs as well.

The steps are those of docs/rotation.md, in its order and numbering.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modelseal.attest.predicates.key_rotation import (
    KEY_ROTATION,
    build_key_rotation,
    rotated_payloads,
)
from modelseal.attest.predicates.types import OMS, OWN_PREFIX
from modelseal.attest.referrers import AttachedBundle, attach, attached_bundles
from modelseal.attest.statement import build_statement
from modelseal.errors import LimitExceededError, UsageError, VerificationError
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.manifest import Index
from modelseal.oci.store import ReadableStore
from modelseal.trust.bundle import parse_bundle
from modelseal.trust.dsse import parse_statement
from modelseal.trust.identity import KeyIdentity, VerifiedStatement
from modelseal.trust.signer import Signer
from modelseal.trust.verifier import KeyVerifier
from modelseal.workflows.choose import document_of
from modelseal.workflows.events import StepFinished, StepStarted
from modelseal.workflows.services import Services

if TYPE_CHECKING:
    from modelseal.trust.keys import PublicKey

MAX_RELEASES = 10_000
"""Most manifests that one run looks at."""

_RESIGNED_OWN = frozenset({f"{OWN_PREFIX}eval-result/v0.1"})
_LONGEST_REASON = 500
_VSA = "https://slsa.dev/verification_summary/v1"


@dataclass(frozen=True, slots=True)
class SignedStatement:
    """A statement that a key signed: its type, and its bytes as they were signed."""

    predicate_type: str
    payload: bytes

    @property
    def digest(self) -> Digest:
        """The SHA-256 of the signed bytes."""
        return Digest.of(self.payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A manifest, and what there is to sign anew about it.

    Attributes:
        subject: The manifest or the index.
        tags: The tags that lead to it; none for what only an index lists.
        signed_before: What the old key signed and may be signed anew; empty: no release of its.
        missing: Those of them that the new key has not signed.
        left_alone: What the old key signed and is not signed anew: it binds a person or a moment,
            or is about files.
        recorded: Whether a record of the new key names all of them.
    """

    subject: Descriptor
    tags: tuple[str, ...]
    signed_before: tuple[SignedStatement, ...]
    missing: tuple[SignedStatement, ...]
    left_alone: tuple[SignedStatement, ...]
    recorded: bool

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return not self.missing and (self.recorded or not self.signed_before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """What was done, or would be: `referrers` of what was attached, the record last."""

    release: Release
    referrers: tuple[Digest, ...]


def check_reason(reason: str) -> None:
    """Refuse a reason that is no short line. Raises `UsageError`."""
    if len(reason) > _LONGEST_REASON or not (reason.isprintable()):
        raise UsageError(f"--reason takes one line of at most {_LONGEST_REASON} characters")


def plan_rotation(
    store: ReadableStore, old: "PublicKey", new: "PublicKey", tags: Sequence[str] = ()
) -> tuple[Release, ...]:
    """Look at what the tags lead to, and say what there is to do. Nothing is written.

    Args:
        store: the repository.
        old: whose signatures have to hold.
        new: who shall have signed the same.
        tags: only these; all when empty.

    Raises:
        UsageError: both keys are the same.
        LimitExceededError: it has more than `MAX_RELEASES` releases.
        NotFoundError, ContentError, UnavailableError: it cannot be told.
    """
    if old == new:
        raise UsageError(
            "the old and the new key are the same",
            hint="`modelseal key generate --output K` makes a new one",
        )
    # (1) Resolve: every tag once, and what an index lists. From here on only digests count.
    subjects = release_subjects(store, tags)

    # (2) Verify with each key apart. Only what verifies with the old key is ever signed anew.
    return tuple(_plan(store, subject, names, old, new) for subject, names in subjects)


def rotate(
    releases: Sequence[Release], old: "PublicKey", signer: Signer, reason: str, services: Services
) -> Iterator[Rotated]:
    """Sign what is missing with `signer`, and record it; one release after the other.

    Whoever stops and starts again goes on where it ended: what is there is not signed twice.

    Raises:
        SigningError, UnavailableError, AccessDeniedError, ConflictError: from then on nothing more
            is written; what was attached stays.
    """
    new = signer.identity
    assert isinstance(new, KeyIdentity)  # a key signs, and is known before
    for release in releases:
        if release.done:
            yield Rotated(release=release, referrers=())
            continue
        name = ", ".join(release.tags) or str(release.subject.digest)
        services.on_event(StepStarted("rotate", name))

        # (3) Sign the same bytes, and attach them. The old signatures stay.
        attached = _attach(release.subject, release.missing, signer, services)

        # (4) Record last: a record never names what is not there.
        predicate = build_key_rotation(
            old.identity.fingerprint,
            new.fingerprint,
            [(one.predicate_type, one.digest) for one in release.signed_before],
            reason,
            services.clock(),
        )
        payload = build_statement(release.subject.digest, KEY_ROTATION, predicate)
        record = SignedStatement(KEY_ROTATION, payload)
        attached += _attach(release.subject, [record], signer, services)
        services.on_event(StepFinished("rotate", f"{name}: {len(release.missing)} signed anew"))
        yield Rotated(release=release, referrers=tuple(attached))


def release_subjects(
    store: ReadableStore, tags: Sequence[str]
) -> list[tuple[Descriptor, tuple[str, ...]]]:
    """Return what the tags lead to, with their names, and what an index among them lists.

    Raises:
        LimitExceededError: there are more than `MAX_RELEASES`.
        NotFoundError, ContentError, UnavailableError.
    """
    names: dict[Digest, list[str]] = {}
    found: dict[Digest, Descriptor] = {}
    for tag in tags or store.tags():
        subject = store.resolve(tag)
        names.setdefault(subject.digest, []).append(tag)
        if subject.digest in found:
            continue
        found[subject.digest] = subject
        document = document_of(store, subject)
        for child in document.manifests if isinstance(document, Index) else ():
            plain = Descriptor(child.media_type, child.digest, child.size)
            found.setdefault(child.digest, plain)
        if len(found) > MAX_RELEASES:
            raise LimitExceededError(
                f"there are more than {MAX_RELEASES} releases",
                hint="name some of them with --tag, and run it again",
            )
    return [(subject, tuple(names.get(digest, ()))) for digest, subject in found.items()]


def _plan(
    store: ReadableStore,
    subject: Descriptor,
    tags: tuple[str, ...],
    old: "PublicKey",
    new: "PublicKey",
) -> Release:
    before: dict[Digest, SignedStatement] = {}
    alone: dict[Digest, SignedStatement] = {}
    after: set[Digest] = set()
    recorded: set[str] = set()
    old_verifier, new_verifier = KeyVerifier([old]), KeyVerifier([new])
    for bundle in attached_bundles(store, subject):
        if not isinstance(bundle, AttachedBundle):
            continue
        if verified := _verified(new_verifier, bundle, subject):
            after.add(_signed(bundle, verified).digest)
            if verified.predicate_type == KEY_ROTATION:
                recorded |= rotated_payloads(
                    verified.predicate, old.identity.fingerprint, new.identity.fingerprint
                )
        elif verified := _verified(old_verifier, bundle, subject):
            signed = _signed(bundle, verified)
            kept = before if _may_be_signed_anew(signed.predicate_type) else alone
            kept[signed.digest] = signed
        elif signed_files := _about_files(old_verifier, bundle, subject):
            alone[signed_files.digest] = signed_files
    return Release(
        subject=subject,
        tags=tags,
        signed_before=tuple(before.values()),
        missing=tuple(one for digest, one in before.items() if digest not in after),
        left_alone=tuple(alone.values()),
        recorded={digest.encoded for digest in before} <= recorded,
    )


def _may_be_signed_anew(predicate_type: str) -> bool:
    """Tell whether a statement is about the model, and not about a person's or a moment's word.

    An approval that two keys of one person sign would count twice; a state of a channel has its
    place in a chain; a verdict is of its time.
    """
    own = predicate_type.startswith(OWN_PREFIX) and predicate_type not in _RESIGNED_OWN
    return not own and predicate_type != _VSA


def _verified(
    verifier: KeyVerifier, bundle: AttachedBundle, subject: Descriptor
) -> VerifiedStatement | None:
    try:
        return verifier.verify(bundle.raw, subject=subject.digest)
    except VerificationError:
        return None


def _about_files(
    verifier: KeyVerifier, bundle: AttachedBundle, subject: Descriptor
) -> SignedStatement | None:
    """Return an OMS statement by this key: it is about files, so `sign --oms` makes it anew."""
    try:
        verifier.verify(bundle.raw, subject=subject.digest)
    except VerificationError as error:
        if error.reason != "wrong-subject":
            return None
        payload = parse_bundle(bundle.raw).envelope.payload
        kind = parse_statement(payload).predicate_type
        return SignedStatement(kind, payload) if kind == OMS else None
    return None


def _signed(bundle: AttachedBundle, verified: VerifiedStatement) -> SignedStatement:
    """Return the bytes that were verified; `verified` is the proof that they were."""
    return SignedStatement(verified.predicate_type, parse_bundle(bundle.raw).envelope.payload)


def _attach(
    subject: Descriptor, statements: Sequence[SignedStatement], signer: Signer, services: Services
) -> list[Digest]:
    bundles = signer.sign([one.payload for one in statements])
    attached = []
    for one, bundle in zip(statements, bundles, strict=True):
        signer.verifier().verify(bundle, subject=subject.digest)
        referrer = attach(services.store, subject, bundle, one.predicate_type, services.clock())
        attached.append(referrer.digest)
    return attached
