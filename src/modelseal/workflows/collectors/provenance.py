# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The provenance of a build (SLSA v1)."""

from modelseal.attest.predicates.provenance import Provenance
from modelseal.attest.predicates.types import PROVENANCE
from modelseal.evidence.environment import words
from modelseal.evidence.materials import materials
from modelseal.modelpack.build import Profile
from modelseal.workflows.attest import Claim
from modelseal.workflows.collect import Build, Collected


def collect_provenance(build: Build) -> Collected:
    """Say who built the model, from what, with which parameters."""
    made, builder = build.made, build.builder
    provenance = Provenance(
        builder_id=builder.id,
        builder_version=build.snapshot.tools(),
        external_parameters=_parameters(build),
        internal_parameters={
            "inputsDigest": str(made.package.inputs_digest),
            "environment": build.snapshot.parameter(),
        },
        resolved_dependencies=materials(
            made.project, made.files, builder, build_image=build.snapshot.container.image
        ),
        invocation_id=builder.invocation_id,
        started_on=build.started,
        finished_on=build.finished,
    )
    return Collected(
        claims=(Claim(PROVENANCE, provenance.to_json()),),
        facts=tuple(words.facts(build.snapshot)),
        findings=tuple(words.findings(build.snapshot, build.environment)),
    )


def _parameters(build: Build) -> dict[str, object]:
    """Return what the caller of the build chose: a verifier compares these."""
    project, builder = build.made.project, build.builder
    metadata = project.metadata
    parameters: dict[str, object] = {
        "model": {"name": metadata.name, "version": metadata.version},
        "format": project.format,
    }
    if build.profile is not Profile.MODELPACK:
        parameters["profile"] = str(build.profile)
    if build.repository:
        parameters["repository"] = build.repository
    if builder.source_repository:
        parameters["source"] = {
            "repository": builder.source_repository,
            "ref": builder.source_ref,
        }
    training = project.training
    if training.seeds:
        parameters["seeds"] = [str(seed) for seed in training.seeds]
    return parameters
