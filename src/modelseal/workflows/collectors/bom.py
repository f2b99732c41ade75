# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The ML-BOM of a build (CycloneDX 1.6)."""

from modelseal.attest.predicates.types import CYCLONEDX
from modelseal.evidence.bom.cyclonedx import cyclonedx
from modelseal.evidence.bom.words import facts_told
from modelseal.version import __version__
from modelseal.workflows.attest import claim_of
from modelseal.workflows.bom import facts_of
from modelseal.workflows.collect import Build, Collected


def collect_bom(build: Build) -> Collected:
    """Say what the model is made of, and what whoever uses it ought to know."""
    facts, findings = facts_of(
        build.directory,
        build.made,
        build.repository,
        build.environment,
        datasets=build.datasets,
        lock=build.lock.lock,
    )
    return Collected(
        claims=(claim_of(CYCLONEDX, cyclonedx(facts, __version__)),),
        facts=tuple(facts_told(facts)),
        findings=findings,
    )
