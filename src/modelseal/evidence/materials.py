# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The materials of a build: what `modelseal.yaml` says the model was made from, with digests.

They become the `resolvedDependencies` of an SLSA provenance. Digests of files come from the
bytes that are packed, those of data from the data if these are at hand; everything else is what the
project declares.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from modelseal.attest.predicates.provenance import ResourceDescriptor
from modelseal.evidence.builder import Builder
from modelseal.evidence.lineage.compare import personal_data, usage_rules
from modelseal.evidence.lineage.described import Described
from modelseal.modelpack.project import FILE_NAME, Project
from modelseal.oci.descriptor import Digest
from modelseal.oci.reference import DigestReference


def materials(
    project: Project,
    files: Mapping[str, Digest],
    builder: Builder,
    datasets: Sequence[Described],
    *,
    build_image: DigestReference | None = None,
) -> tuple[ResourceDescriptor, ...]:
    """Return the materials, in a constant order.

    Args:
        project: the project file.
        files: the digest of every packed file, by its path.
        builder: what the CI system checked out.
        datasets: the project's datasets, with what their Croissant files and bytes say.
        build_image: what the build runs in, if that is known.
    """
    return (
        *_sources(project, builder),
        *_base_model(project),
        *map(_dataset, datasets),
        *_files(project, files),
        *_image(project),
        *((_oci("build-image", build_image),) if build_image else ()),
    )


def _sources(project: Project, builder: Builder) -> Iterator[ResourceDescriptor]:
    code = project.training.code
    if code is not None:
        yield ResourceDescriptor(
            name="code",
            uri=_git(code.repository),
            digest={"gitCommit": code.commit},
        )
    if builder.source_repository:
        ref = f"@{builder.source_ref}" if builder.source_ref else ""
        commit = {"gitCommit": builder.source_commit} if builder.source_commit else {}
        yield ResourceDescriptor(
            name="source", uri=f"{_git(builder.source_repository)}{ref}", digest=commit
        )


def _git(repository: str) -> str:
    return repository if repository.startswith("git+") else f"git+{repository}"


def _base_model(project: Project) -> Iterator[ResourceDescriptor]:
    if project.training.base_model is not None:
        yield _oci("base-model", project.training.base_model)


def _image(project: Project) -> Iterator[ResourceDescriptor]:
    if project.requirements.image is not None:
        yield _oci("image", project.requirements.image)


def _oci(name: str, reference: DigestReference) -> ResourceDescriptor:
    digest = {reference.digest.algorithm: reference.digest.encoded}
    return ResourceDescriptor(name=name, uri=f"oci://{reference}", digest=digest)


def _dataset(item: Described) -> ResourceDescriptor:
    dataset = item.dataset
    said: dict[str, Any] = {
        "version": dataset.version,
        "license": dataset.license,
        "personalData": str(personal_data(item) or ""),
        "legalBasis": dataset.legal_basis,
        "usage": sorted({rule.action for rule in usage_rules(item) if rule.kind == "permission"}),
        "croissant": dataset.croissant,
    }
    return replace(
        item.descriptor(), annotations={key: value for key, value in said.items() if value}
    )


def _files(project: Project, files: Mapping[str, Digest]) -> Iterator[ResourceDescriptor]:
    named = {FILE_NAME, *(path for _, path in project.referenced_files())}
    for path in sorted(named & files.keys()):
        digest = files[path]
        yield ResourceDescriptor(
            name=path, uri=f"file:{quote(path)}", digest={digest.algorithm: digest.encoded}
        )
