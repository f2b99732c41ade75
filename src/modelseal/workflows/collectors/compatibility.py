# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Whether the parts of a model fit each other."""

from modelseal.evidence.compatibility.model import check_model
from modelseal.modelpack.detect import paths_in
from modelseal.workflows.collect import Build, Collected


def collect_compatibility(build: Build) -> Collected:
    """Compare files, `modelseal.yaml` and lock; what is wrong with the lock is told elsewhere."""
    directory, project = build.directory, build.made.project
    checked = check_model(directory, paths_in(directory, project.files), project, build.lock.lock)
    return Collected(facts=tuple(checked.facts), findings=tuple(checked.findings))
