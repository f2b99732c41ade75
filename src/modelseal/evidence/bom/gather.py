# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""From a model directory to `ModelFacts`, and findings about the files that cannot be read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from modelseal.errors import ContentError, Error, InvalidProjectError
from modelseal.evidence.bom.facts import Data, Evaluation, Lock, ModelFacts, Text
from modelseal.evidence.bom.measure import measure
from modelseal.evidence.bom.metrics import MAX_EVALUATION_BYTES, read_evaluation
from modelseal.evidence.bom.packages import lock_of
from modelseal.evidence.bom.parameters import (
    MAX_HYPERPARAMETER_BYTES,
    looks_secret,
    read_hyperparameters,
)
from modelseal.evidence.facts import Basis, Finding, Level
from modelseal.evidence.lineage.compare import personal_data
from modelseal.evidence.lineage.described import Described
from modelseal.evidence.locks.entries import Lock as LockFile
from modelseal.modelpack.detect import read_transformers
from modelseal.modelpack.plain_files import read_small
from modelseal.modelpack.project import FILE_NAME, Project
from modelseal.oci.descriptor import Digest

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """What is known of the artifact that a directory became."""

    files: Mapping[str, Digest]
    """The digest of every packed file, by its path."""
    kinds: Mapping[str, str]
    subject: Digest | None = None
    """The manifest's digest, if there is a manifest."""
    repository: str = ""
    created: datetime | None = None


def gather(
    directory: Path,
    project: Project,
    artifact: Artifact,
    datasets: Sequence[Described] = (),
    lock: LockFile | None = None,
) -> tuple[ModelFacts, tuple[Finding, ...]]:
    """Read what the project names, and the headers of the weights.

    A file that cannot be understood is a finding. Values are taken only of files that are packed:
    what was left out of the artifact is not to be published by another way.

    Raises:
        InvalidProjectError: a file changed since it was hashed, or is gone.
        StorageError: the disk refused.
    """
    findings: list[Finding] = []
    reader = _Reader(directory, artifact.files, findings)
    family, architecture = _names(directory, project, artifact.files)
    facts = ModelFacts(
        project=project,
        subject=artifact.subject,
        repository=artifact.repository,
        files=artifact.files,
        data=tuple(map(_data, datasets)),
        kinds=artifact.kinds,
        created=artifact.created,
        family=family,
        architecture=architecture,
        measured=measure(directory, artifact.files, project.format),
        evaluations=tuple(_evaluations(reader, project)),
        hyperparameters=_hyperparameters(reader, project),
        lock=_lock(reader, lock),
    )
    return facts, tuple(findings)


def _data(item: Described) -> Data:
    digests = item.digest_set()
    return Data(
        dataset=item.dataset,
        digests=digests,
        basis=Basis.VERIFIED if digests and item.found is not None else Basis.DECLARED,
        personal=personal_data(item),
    )


@dataclass(frozen=True, slots=True)
class _Reader:
    directory: Path
    files: Mapping[str, Digest]
    findings: list[Finding]

    def read(self, path: str, where: str, limit: int, parse: Callable[[bytes, str], T]) -> T | None:
        """Return what a packed file says; what cannot be understood is told."""
        if not self.is_packed(path, where):
            return None
        try:
            raw = read_small(self.directory, path, limit=limit)
        except InvalidProjectError as error:
            self._tell("file-not-read", str(error), where, Level.WARNING, "")
            return None
        self.check(path, None if raw is None else Digest.of(raw))
        assert raw is not None
        try:
            return parse(raw, path)
        except ContentError as error:
            self._tell("file-not-read", str(error), where, Level.WARNING, error.hint)
            return None

    def is_packed(self, path: str, where: str) -> bool:
        """Return whether a file is in the artifact; that it is not is told."""
        if path in self.files:
            return True
        self._tell(
            "file-not-packed",
            f"{path} is not in the artifact, so nothing that it says is published",
            where,
            Level.NOTE,
            f"take it into the artifact: {FILE_NAME}, spec.files",
        )
        return False

    def check(self, path: str, digest: Digest | None) -> None:
        """Raise `InvalidProjectError` if a file is not what was packed."""
        if digest != self.files[path]:
            raise InvalidProjectError(
                f"{path} changed since it was hashed", hint="do it again when nobody writes there"
            )

    def _tell(self, name: str, message: str, where: str, level: Level, hint: str) -> None:
        self.findings.append(
            Finding(id=name, message=message, level=level, where=f"{FILE_NAME}: {where}", hint=hint)
        )


def _names(directory: Path, project: Project, files: Mapping[str, Digest]) -> tuple[Text, Text]:
    """Return family and architecture: declared, else what `config.json` lets one conclude."""
    try:
        found = read_transformers(directory, sorted(files))
        inferred = found.family, found.architecture
    except Error:
        inferred = "", ""
    declared = project.family, project.architecture
    family, architecture = (
        Text(value=said or guess, basis=Basis.DECLARED if said else Basis.INFERRED)
        for said, guess in zip(declared, inferred, strict=True)
    )
    return family, architecture


def _evaluations(reader: _Reader, project: Project) -> Iterator[Evaluation]:
    for place, path in enumerate(project.evaluation):
        where = f"spec.evaluation[{place}]"
        found = reader.read(path, where, MAX_EVALUATION_BYTES, read_evaluation)
        if found is None:
            continue
        yield found
        if not found.metrics:
            reader.findings.append(
                Finding(
                    id="evaluation-without-metrics",
                    message=f"no metric was found in {path}",
                    where=f"{FILE_NAME}: {where}",
                    hint='write {"metrics": {"accuracy": "0.97"}}; other shapes: docs/bom.md',
                )
            )


def _lock(reader: _Reader, lock: LockFile | None) -> Lock | None:
    if lock is None or not reader.is_packed(lock.path, "spec.requirements.lock"):
        return None
    reader.check(lock.path, lock.digest)
    return lock_of(lock)


def _hyperparameters(reader: _Reader, project: Project) -> dict[str, str]:
    path, where = project.training.hyperparameters, "spec.training.hyperparameters"
    if not path:
        return {}
    found = reader.read(path, where, MAX_HYPERPARAMETER_BYTES, read_hyperparameters) or {}
    secrets = [name for name in found if looks_secret(name)]
    if secrets:
        reader.findings.append(
            Finding(
                id="hyperparameter-looks-secret",
                message=f"{path} has values that are named like secrets: {', '.join(secrets)}",
                level=Level.ERROR,
                where=f"{FILE_NAME}: {where}",
                hint="a published file is public: take them out, and change what they open",
            )
        )
    return {name: value for name, value in found.items() if name not in secrets}
