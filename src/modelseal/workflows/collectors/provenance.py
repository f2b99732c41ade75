# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The provenance of a build (SLSA v1)."""

from collections.abc import Iterator
from urllib.parse import quote

from modelseal.attest.predicates.provenance import Provenance, ResourceDescriptor
from modelseal.attest.predicates.types import PROVENANCE
from modelseal.documents import canonical_json
from modelseal.evidence import builder as builders
from modelseal.evidence import declared
from modelseal.evidence.completeness import missing
from modelseal.evidence.environment import words as environment
from modelseal.evidence.facts import Fact, Finding
from modelseal.evidence.locks.descriptors import package_descriptors
from modelseal.evidence.materials import materials
from modelseal.evidence.source import words as source
from modelseal.evidence.source.working_tree import WorkingTree
from modelseal.modelpack.build import Profile
from modelseal.oci.descriptor import Digest
from modelseal.workflows.attest import Claim
from modelseal.workflows.collect import Build, Collected


def collect_provenance(build: Build) -> Collected:
    """Say who built the model, from what, with which parameters."""
    made, builder = build.made, build.builder
    provenance = Provenance(
        builder_id=builder.id,
        builder_version=build.snapshot.tools(),
        external_parameters=_parameters(build),
        internal_parameters=_internal(build),
        resolved_dependencies=(
            *materials(
                made.project,
                made.files,
                builder,
                build.datasets,
                build_image=build.snapshot.container.image,
            ),
            *_outside_of_the_artifact(build),
            *_locked(build),
        ),
        invocation_id=builder.invocation_id,
        started_on=build.started,
        finished_on=build.finished,
    )
    return Collected(
        claims=(Claim(PROVENANCE, provenance.to_json()),),
        facts=tuple(_facts(build)),
        findings=tuple(_findings(build)),
    )


def _facts(build: Build) -> Iterator[Fact]:
    made = build.made
    size = sum(layer.size for layer, _ in made.package.layers)
    yield from declared.facts(made.project, made.files, size, made.package.inputs)
    yield from source.facts(build.tree, made.project.training.code)
    yield from builders.facts(build.builder)
    yield from environment.facts(build.snapshot)


def _findings(build: Build) -> Iterator[Finding]:
    project = build.made.project
    yield from source.findings(build.tree, project.training.code, build.builder)
    yield from builders.findings(build.builder, build.environment)
    yield from environment.findings(build.snapshot, build.environment)
    yield from missing(project, build.tree)


def _locked(build: Build) -> tuple[ResourceDescriptor, ...]:
    """Return the packages that the lock names; the lock itself stands there as a file."""
    lock = build.lock.lock
    return package_descriptors(lock.packages) if lock is not None else ()


def _internal(build: Build) -> dict[str, object]:
    """Return what the build found by itself: nobody chose it, and verifiers need not compare it."""
    parameters: dict[str, object] = {
        "inputsDigest": str(build.made.package.inputs_digest),
        "environment": build.snapshot.parameter(),
    }
    if isinstance(build.tree, WorkingTree):
        parameters["workingTree"] = build.tree.to_json()
    if build.builder.details:
        parameters["ci"] = {"system": str(build.builder.system), **build.builder.details}
    return parameters


def _outside_of_the_artifact(build: Build) -> Iterator[ResourceDescriptor]:
    """Yield materials that are no packed file: the working tree, files left out, and the seeds."""
    tree, made = build.tree, build.made
    training = made.project.training
    if isinstance(tree, WorkingTree):
        at = f"@{tree.ref}" if tree.ref else ""
        yield ResourceDescriptor(
            name="working-tree",
            uri=f"git+{tree.remote}{at}" if tree.remote else "",
            digest={"gitCommit": tree.commit},
        )
    for kind, path in (
        ("hyperparameters", training.hyperparameters),
        ("lock", made.project.requirements.lock),
    ):
        if path and path not in made.files:
            algorithm, _, encoded = str(made.package.inputs[kind]).partition(":")
            yield ResourceDescriptor(
                name=path, uri=f"file:{quote(path)}", digest={algorithm: encoded}
            )
    if training.seeds:
        content = canonical_json(list(training.seeds))
        yield ResourceDescriptor(
            name="seeds",
            digest={"sha256": Digest.of(content).encoded},
            content=content,
            media_type="application/json",
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
