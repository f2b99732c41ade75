# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Explain a build: what would be attested about a model directory, before anything is stored."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelseal.evidence.lineage.places import NOWHERE, DataPlaces
from modelseal.modelpack.build import Profile
from modelseal.modelpack.digests import DigestCache
from modelseal.oci.events import discard
from modelseal.workflows.collect import Build, Collected, collect
from modelseal.workflows.collectors import ALL
from modelseal.workflows.events import EventSink
from modelseal.workflows.package import Packaged, package
from modelseal.workflows.services import Clock, system_clock


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildExplanation:
    """The artifact of a model directory, and all that is known about how it came to be."""

    directory: Path
    made: Packaged
    collected: Collected


def explain_build(
    directory: Path,
    *,
    environment: Mapping[str, str],
    on_event: EventSink = discard,
    profile: Profile = Profile.MODELPACK,
    digests: DigestCache | None = None,
    clock: Clock = system_clock,
    data: DataPlaces = NOWHERE,
) -> BuildExplanation:
    """Build the model in `directory` in memory, and collect what `publish` would attest.

    Args:
        directory: the model directory, with a `modelseal.yaml`.
        environment: of the process.
        on_event: told about progress.
        profile: what kind of artifact.
        digests: of files that need not be read again.
        clock: tells when the build began and ended.
        data: where the data lie that the model learned from; their digests are compared.

    Raises:
        Error: as `package` and `collect` do. Nothing is stored, in any case.
    """
    started = clock()
    made = package(directory, environment, on_event, profile=profile, digests=digests)
    build = Build(
        directory=directory,
        made=made,
        profile=profile,
        repository="",
        environment=environment,
        started=started,
        finished=clock(),
        data=data,
        digests=digests,
    )
    return BuildExplanation(directory=directory, made=made, collected=collect(build, ALL))
