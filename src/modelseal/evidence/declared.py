# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What `modelseal.yaml` says of the model and its training, in words."""

from collections.abc import Iterator, Mapping
from typing import Any

from modelseal.evidence.facts import Basis, Fact
from modelseal.modelpack.project import Project
from modelseal.oci.descriptor import Digest


def facts(
    project: Project, files: Mapping[str, Digest], size: int, inputs: Mapping[str, Any]
) -> Iterator[Fact]:
    """Yield what a person wants to know first.

    Args:
        project: what `modelseal.yaml` says.
        files: the digest of every packed file, by its path.
        size: of all of them together, in bytes.
        inputs: all that the model was made from (`modelpack.build.inputs_of`).
    """
    metadata, training = project.metadata, project.training
    yield Fact("model", f"{metadata.name} {metadata.version}", Basis.DECLARED)
    count = f"{len(files)} file{'' if len(files) == 1 else 's'}"
    text = f"{count}, {size} bytes, each by the SHA-256 of its content"
    yield Fact("model", text, Basis.VERIFIED)
    for what, said in (
        ("what it does", metadata.description),
        ("licences", ", ".join(metadata.licenses)),
        ("authors", ", ".join(metadata.authors)),
        ("supplied by", metadata.vendor),
    ):
        if said:
            yield Fact("model", f"{what}: {said}", Basis.DECLARED)
    if training.base_model is not None:
        yield Fact("training", f"made from {training.base_model}", Basis.DECLARED)
    elif training.from_scratch:
        yield Fact("training", "made from no other model", Basis.DECLARED)
    if training.hyperparameters:
        digest = inputs.get("hyperparameters", "")
        text = f"hyper-parameters: {training.hyperparameters}, {digest}"
        yield Fact("training", text, Basis.VERIFIED)
    if training.seeds:
        yield Fact("training", f"seeds: {', '.join(map(str, training.seeds))}", Basis.DECLARED)
    elif training.unseeded:
        yield Fact("training", "no seed was set", Basis.DECLARED)
