# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Lineage: what a model was made from, of a directory, or of what is attached to a published one.

What was verified, by whom the caller believes, is told apart from what is merely claimed.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from modelseal.attest.predicates.scai import assertions_of
from modelseal.attest.predicates.types import PROVENANCE, SCAI
from modelseal.attest.referrers import AttachedBundle, attached_bundles
from modelseal.errors import ContentError, NotFoundError, VerificationError
from modelseal.evidence.facts import Fact, Finding
from modelseal.evidence.lineage.claims import is_about_data
from modelseal.evidence.lineage.facts import TOPIC
from modelseal.evidence.lineage.places import NOWHERE, DataPlaces
from modelseal.evidence.lineage.runs import Run, read_run
from modelseal.modelpack.project_file import load_project
from modelseal.oci.descriptor import Digest
from modelseal.oci.store import ReadableStore
from modelseal.trust.bundle import parse_bundle
from modelseal.trust.dsse import parse_statement
from modelseal.workflows.choose import choose
from modelseal.workflows.explain_build import BuildExplanation
from modelseal.workflows.gather import gather
from modelseal.workflows.services import Clock
from modelseal.workflows.trust import Trust
from modelseal.workflows.verify import verify_model

_TYPES = (PROVENANCE, SCAI)


class Standing(StrEnum):
    """How a lineage is known."""

    BUILT = "built"
    """Here and now, from a directory; nobody signed it yet."""
    VERIFIED = "verified"
    """By somebody whom the caller believes."""
    CLAIMED = "claimed"
    """By whoever attached it; nothing was checked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """What a model was made from.

    Attributes:
        subject: the digest of its manifest.
        standing: how all of this is known.
        signers: who said so; of claims, nobody can be named.
        runs: the runs that made it, the latest of each invocation.
        attributes: what is said of its data (SCAI assertions).
        facts: about its data, if a directory was read.
        findings: what is missing or contradicts itself, if a directory was read.
    """

    subject: Digest
    standing: Standing
    signers: tuple[str, ...] = ()
    runs: tuple[Run, ...]
    attributes: tuple[Mapping[str, Any], ...] = ()
    facts: tuple[Fact, ...] = ()
    findings: tuple[Finding, ...] = ()


def data_places(directory: Path, texts: Sequence[str]) -> DataPlaces:
    """Read where data lie, for the datasets of a project.

    Raises:
        InvalidProjectError: the project cannot be read.
        UsageError: as `DataPlaces.parse` does.
    """
    if not texts:
        return NOWHERE
    datasets = load_project(directory).training.datasets
    return DataPlaces.parse(texts, [dataset.name for dataset in datasets])


def lineage_of_build(build: BuildExplanation) -> Lineage:
    """Return the lineage of a directory that was built in memory."""
    claims = build.collected.claims
    return Lineage(
        subject=build.made.subject.digest,
        standing=Standing.BUILT,
        runs=tuple(read_run(it.predicate) for it in claims if it.predicate_type == PROVENANCE),
        attributes=tuple(
            entry
            for it in claims
            if it.predicate_type == SCAI
            for entry in assertions_of(it.predicate)
            if is_about_data(entry["attribute"])
        ),
        facts=tuple(fact for fact in build.collected.facts if fact.topic == TOPIC),
        findings=tuple(
            finding for finding in build.collected.findings if "spec.training" in finding.where
        ),
    )


def lineage_of(
    name: str | Digest,
    trust: Trust | None,
    *,
    store: ReadableStore,
    clock: Clock,
    platform: str = "",
) -> Lineage:
    """Return the lineage of a published model.

    Args:
        name: a tag or a digest.
        trust: who has to have signed its provenance; None: whoever claims one.
        store: where it is.
        clock: tells the time.
        platform: which model of an index.

    Raises:
        NotVerifiedError, PolicyDeniedError: as `verify_model` does.
        NotFoundError: nobody claims a provenance.
        Error: as `choose` does.
    """
    if trust is None:
        subject = choose(name, store, platform).subject
        found = tuple(_claimed(subject.digest, attached_bundles(store, subject)))
        return _lineage(subject.digest, Standing.CLAIMED, found, ())
    chosen, verification = verify_model(name, trust, store=store, clock=clock, platform=platform)
    statements = verification.statements
    if verification.unread:  # enough for the policy, and not all that is asked for here
        about = verification.subject
        statements = gather(store, about, trust.verifiers, wanted=_TYPES).statements
    counted = sorted(
        (s for s in statements if s.predicate_type in _TYPES), key=lambda s: str(s.bundle)
    )
    return _lineage(
        chosen.subject.digest,
        Standing.VERIFIED,
        tuple((s.predicate_type, s.predicate) for s in counted),
        tuple(sorted({str(s.signer) for s in counted})),
    )


def _claimed(subject: Digest, bundles: Iterable[object]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield what bundles claim about a digest, unread where they cannot be read."""
    for bundle in bundles:
        if not isinstance(bundle, AttachedBundle):
            continue
        try:
            statement = parse_statement(parse_bundle(bundle.raw).envelope.payload)
        except VerificationError:
            continue
        named = any(it.get(subject.algorithm) == subject.encoded for it in statement.subjects)
        if named and statement.predicate_type in _TYPES:
            yield statement.predicate_type, statement.predicate


def _lineage(
    subject: Digest,
    standing: Standing,
    statements: Sequence[tuple[str, Mapping[str, Any]]],
    signers: tuple[str, ...],
) -> Lineage:
    runs: dict[str, Run] = {}
    for kind, predicate in statements:
        if kind == PROVENANCE:
            run = read_run(predicate)
            before = runs.get(run.invocation)
            if before is None or before.finished < run.finished:
                runs[run.invocation] = run
    if not runs:
        raise NotFoundError(
            f"nothing attached to {subject} says how it was made",
            hint="`modelseal publish` attaches a provenance; name whom you believe with --key",
        )
    return Lineage(
        subject=subject,
        standing=standing,
        signers=signers,
        runs=tuple(runs[key] for key in sorted(runs)),
        attributes=tuple(_attributes(statements)),
    )


def _attributes(
    statements: Sequence[tuple[str, Mapping[str, Any]]],
) -> Iterator[Mapping[str, Any]]:
    for kind, predicate in statements:
        if kind == SCAI:
            try:
                found = assertions_of(predicate)
            except ContentError:
                continue  # somebody signed something else under this name: it says nothing
            yield from (entry for entry in found if is_about_data(entry["attribute"]))
