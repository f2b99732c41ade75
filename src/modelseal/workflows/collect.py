# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Collect: what is known about a build becomes claims to sign, facts to read and findings to mend.

Each kind of evidence has one collector. They ask nobody but the machine and the model directory,
and none of them signs.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

from modelseal.evidence.builder import Builder, builder_from_environment
from modelseal.evidence.environment.snapshot import Snapshot, take_snapshot
from modelseal.evidence.facts import Fact, Finding
from modelseal.evidence.lineage.described import Described, describe
from modelseal.evidence.lineage.places import NOWHERE, DataPlaces
from modelseal.evidence.locks.named import NamedLock, lock_of
from modelseal.evidence.source.working_tree import (
    NoWorkingTree,
    WorkingTree,
    read_working_tree,
)
from modelseal.modelpack.build import Profile
from modelseal.modelpack.digests import DigestCache
from modelseal.workflows.attest import Claim
from modelseal.workflows.package import Packaged
from modelseal.workflows.scan import Scanned


@dataclass(frozen=True, kw_only=True)
class Build:
    """What a collector may look at: a model directory, and the artifact that was made of it."""

    directory: Path
    made: Packaged
    profile: Profile
    repository: str
    """The registry's repository that it goes to; empty when it goes to a disk."""
    environment: Mapping[str, str]
    """Of the process."""
    started: datetime
    finished: datetime
    data: DataPlaces = NOWHERE
    """Where the data lie that the model learned from."""
    digests: DigestCache | None = None
    """Of files that need not be read again."""
    scanned: Scanned | None = None
    """The files, looked into; None when nobody has done so yet."""

    @property
    def builder(self) -> Builder:
        """Who runs this build."""
        return builder_from_environment(self.environment)

    @cached_property
    def tree(self) -> WorkingTree | NoWorkingTree:
        """What git says of the place that the model stands in, asked once for all collectors."""
        code = self.made.project.training.code
        commit = code.commit if code is not None else ""
        return read_working_tree(self.directory, self.environment, compared_with=commit)

    @cached_property
    def datasets(self) -> tuple[Described, ...]:
        """The data that the model learned from, described and compared once for all collectors.

        Raises:
            Error: as `describe` does.
        """
        made, digests = self.made, self.digests
        found = describe(self.directory, made.project, made.files, self.data, digests)
        if digests is not None and self.data != NOWHERE:
            digests.save()
        return found

    @cached_property
    def lock(self) -> NamedLock:
        """The lock file that the project names, read once for all collectors.

        Raises:
            StorageError: the disk refused.
        """
        return lock_of(self.directory, self.made.project)

    @cached_property
    def snapshot(self) -> Snapshot:
        """The environment that this process runs in, looked at once for all collectors."""
        return take_snapshot(self.environment)


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collector has found."""

    claims: tuple[Claim, ...] = ()
    facts: tuple[Fact, ...] = ()
    findings: tuple[Finding, ...] = ()


Collector = Callable[[Build], Collected]


def collect(build: Build, collectors: tuple[Collector, ...]) -> Collected:
    """Ask every collector; what they have found stands in their order.

    Raises:
        Error: a file that the project names cannot be read.
    """
    found = [collector(build) for collector in collectors]
    return Collected(
        claims=tuple(claim for part in found for claim in part.claims),
        facts=tuple(fact for part in found for fact in part.facts),
        findings=_each_once(finding for part in found for finding in part.findings),
    )


def _each_once(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Of two findings of one kind about one field keep the later: it knows more to write there."""
    kept = {
        (finding.id, finding.where) if finding.add else id(finding): finding for finding in findings
    }
    return tuple(kept.values())
