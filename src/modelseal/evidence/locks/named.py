# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The lock file that `modelseal.yaml` names, or why there is none to look at."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from modelseal.errors import ContentError, InvalidProjectError
from modelseal.evidence.facts import Finding, Level
from modelseal.evidence.locks.entries import Lock
from modelseal.evidence.locks.read import read_lock
from modelseal.modelpack.detect import LOCK_NAMES, paths_in
from modelseal.modelpack.project import FILE_NAME, Project


@dataclass(frozen=True, slots=True)
class NamedLock:
    """A lock that was read, or findings that say why it was not."""

    lock: Lock | None
    findings: tuple[Finding, ...] = ()
    """None about what stands in the lock: those are the lock's own."""


def lock_of(directory: Path, project: Project) -> NamedLock:
    """Read the lock that the project names.

    Raises:
        StorageError: the disk refused.
    """
    path = project.requirements.lock
    if not path:
        return NamedLock(None, tuple(_missing(directory)))
    try:
        return NamedLock(read_lock(directory, path))
    except (ContentError, InvalidProjectError) as error:
        broken = Finding(
            id="lock-unreadable",
            level=Level.ERROR,
            message=str(error),
            where=path,
            hint=error.hint,
        )
        return NamedLock(None, (broken,))


def _missing(directory: Path) -> Iterator[Finding]:
    there = [path for path in paths_in(directory) if path.rpartition("/")[2] in LOCK_NAMES]
    lock = there[0] if there else LOCK_NAMES[0]
    yield Finding(
        id="missing-lock",
        message="it is not said which packages, in which versions, the model needs to run",
        where=f"{FILE_NAME}: spec.requirements.lock",
        add=f"spec:\n  requirements:\n    lock: {lock}",
        hint=f"{lock} is there already"
        if there
        else "`uv pip compile --generate-hashes --output-file requirements.lock requirements.in` "
        "makes one",
    )
