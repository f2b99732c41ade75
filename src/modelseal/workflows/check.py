# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Check: whether the parts of a model fit each other, without making or storing anything.

The weights are not hashed: of each file the header is read.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelseal.evidence.compatibility.model import check_model
from modelseal.evidence.facts import Fact, Finding, Level
from modelseal.evidence.locks.installed import environment_at, named_environment
from modelseal.evidence.locks.named import lock_of
from modelseal.modelpack.detect import paths_in
from modelseal.modelpack.project import Project
from modelseal.modelpack.project_file import load_project
from modelseal.workflows.collectors.dependencies import dependency_evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedModel:
    """A model directory, and what the checks have found."""

    directory: Path
    project: Project
    facts: tuple[Fact, ...]
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        """Tell whether nothing contradicts itself."""
        return all(finding.level is not Level.ERROR for finding in self.findings)


def check(
    directory: Path, *, environment: Mapping[str, str], venv: Path | None = None
) -> CheckedModel:
    """Check dependencies and compatibility of the model in `directory`.

    Args:
        directory: the model directory, with a `modelseal.yaml`.
        environment: of the process; `VIRTUAL_ENV` names the environment that is compared.
        venv: the virtual environment that has to be what the lock says.

    Raises:
        InvalidProjectError: there is no `modelseal.yaml`, or it does not hold.
        UsageError: `venv` is no virtual environment.
        Error: the disk refused, or a limit was reached.
    """
    project = load_project(directory)
    named = lock_of(directory, project)
    compared = named_environment(environment) if venv is None else environment_at(venv)
    dependencies = dependency_evidence(directory, named, compared, of_lock=venv is not None)
    paths = paths_in(directory, project.files)
    checked = check_model(directory, paths, project, named.lock)
    return CheckedModel(
        directory=directory,
        project=project,
        facts=(*dependencies.facts, *checked.facts),
        findings=(*dependencies.findings, *checked.findings),
    )
