# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""All checks of one model."""

from pathlib import Path

from modelseal.evidence.compatibility.checked import Checked
from modelseal.evidence.compatibility.gguf import check_gguf
from modelseal.evidence.compatibility.onnx import check_onnx
from modelseal.evidence.compatibility.requirements import check_requirements
from modelseal.evidence.compatibility.transformers import check_transformers
from modelseal.evidence.compatibility.weights import check_weights
from modelseal.evidence.locks.entries import Lock
from modelseal.evidence.locks.said import listed
from modelseal.modelpack.project import Project

_RUNS_CODE = (".pt", ".pth", ".bin", ".pkl", ".pickle", ".joblib", ".npy", ".npz", ".keras", ".h5")
_NOT_READ = (".tflite", ".pb", ".mlmodel", ".engine", ".mar")


def check_model(directory: Path, paths: list[str], project: Project, lock: Lock | None) -> Checked:
    """Check whether the parts of a model fit each other.

    Args:
        directory: the model directory.
        paths: its files, as `modelpack.detect.paths_in` gives them.
        project: what `modelseal.yaml` says.
        lock: the lock that it names, if it could be read.

    Raises:
        InvalidProjectError, StorageError: a file went away, or the disk refused.
    """
    checked, weights = check_weights(directory, paths, project)
    checked.add(
        (
            check_transformers(directory, paths, weights),
            check_onnx(directory, paths, project, lock),
            check_gguf(directory, paths, project),
            check_requirements(project, lock),
        )
    )
    for suffixes, why in (
        (_RUNS_CODE, "to read these formats can run code that is in them"),
        (_NOT_READ, "these formats are not read"),
    ):
        left = [path for path in paths if path.endswith(suffixes)]
        if left:
            checked.leave(listed(left[:20]), why, where=left[0])
    return checked
