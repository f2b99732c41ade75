# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The materials of a build: what `modelseal.yaml` says the model was made from, with digests.

They become the `resolvedDependencies` of an SLSA provenance. Digests of files come from the
bytes that are packed; everything else is what the project declares.
"""

from collections.abc import Iterator, Mapping
from urllib.parse import quote

from modelseal.attest.predicates.provenance import ResourceDescriptor
from modelseal.evidence.builder import Builder
from modelseal.modelpack.project import FILE_NAME, Dataset, Project
from modelseal.oci.descriptor import Digest
from modelseal.oci.reference import DigestReference


def materials(
    project: Project,
    files: Mapping[str, Digest],
    builder: Builder,
    *,
    build_image: DigestReference | None = None,
) -> tuple[ResourceDescriptor, ...]:
    """Return the materials, in a constant order.

    Args:
        project: the project file.
        files: the digest of every packed file, by its path.
        builder: what the CI system checked out.
        build_image: what the build runs in, if that is known.
    """
    return (
        *_sources(project, builder),
        *_base_model(project),
        *(_dataset(dataset, files) for dataset in project.training.datasets),
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


def _dataset(dataset: Dataset, files: Mapping[str, Digest]) -> ResourceDescriptor:
    digest = dataset.digest or files.get(dataset.croissant)
    said = {
        "version": dataset.version,
        "license": dataset.license,
        "personalData": dataset.personal_data,
        "croissant": dataset.croissant,
    }
    return ResourceDescriptor(
        name=f"dataset:{dataset.name}",
        uri=dataset.uri,
        digest={digest.algorithm: digest.encoded} if digest else {},
        annotations={key: value for key, value in said.items() if value},
    )


def _files(project: Project, files: Mapping[str, Digest]) -> Iterator[ResourceDescriptor]:
    named = {FILE_NAME, *(path for _, path in project.referenced_files())}
    for path in sorted(named & files.keys()):
        digest = files[path]
        yield ResourceDescriptor(
            name=path, uri=f"file:{quote(path)}", digest={digest.algorithm: digest.encoded}
        )
