# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Any input that changes gives another `inputsDigest`, and nothing else does."""

import typing
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path

from hypothesis import assume, given
from hypothesis import strategies as st

from modelseal.documents import canonical_json
from modelseal.modelpack.build import inputs_of
from modelseal.modelpack.inventory import Inventory, SourceFile
from modelseal.modelpack.media_types import LayerKind
from modelseal.modelpack.project import (
    Code,
    Dataset,
    Metadata,
    PersonalData,
    Project,
    Requirements,
    Training,
)
from modelseal.oci.descriptor import Digest
from modelseal.oci.reference import DigestReference, Repository

# Every field of modelseal.yaml is one or the other: whoever adds one says which.
INPUTS = {
    "training.code.repository",
    "training.code.commit",
    "training.base_model",
    "training.datasets.name",
    "training.datasets.version",
    "training.datasets.digest",
    "training.datasets.dir_hash",
    "training.datasets.croissant",  # by the file's digest
    "training.hyperparameters",  # by the file's digest
    "training.seeds",
    "requirements.lock",  # by the file's digest
    "requirements.image",
}
NO_INPUTS = {
    # What the model is called, and what is said about it.
    *(f"metadata.{name}" for name in ("name", "version", "description", "authors", "licenses")),
    *("metadata.vendor", "metadata.source_url"),
    *("format", "family", "architecture", "precision", "param_size"),
    *(f"signature.{side}.{name}" for side in ("inputs", "outputs") for name in ("name", "type")),
    *("signature.inputs.shape", "signature.outputs.shape", "evaluation"),
    *("training.datasets.uri", "training.datasets.license", "training.datasets.personal_data"),
    *("training.datasets.legal_basis", "training.datasets.usage", "training.datasets.governance"),
    *("task", "training.approach", "considerations"),
    # Declared to be none: as little an input as what is not said.
    *("training.from_scratch", "training.unseeded"),
    # Which files are packed: the files themselves are inputs.
    *("files.pattern", "files.kind"),
    # Where it may run: what it did run in is the lock and the image.
    *("requirements.python", "requirements.memory"),
    *("requirements.runtimes.name", "requirements.runtimes.version"),
    *("requirements.platforms.os", "requirements.platforms.architecture"),
    *("requirements.accelerators.type", "requirements.accelerators.memory"),
    "requirements.accelerators.compute_capability",
}


def leaves(kind: object, prefix: str = "") -> Iterator[str]:
    for name, hint in typing.get_type_hints(kind).items():
        inner = [part for part in (hint, *typing.get_args(hint)) if _is_ours(part)]
        if inner:
            yield from leaves(inner[0], f"{prefix}{name}.")
        else:
            yield prefix + name


def _is_ours(kind: object) -> bool:
    return is_dataclass(kind) and getattr(kind, "__module__", "") == Project.__module__


def test_every_field_of_the_project_is_known_to_be_an_input_or_none() -> None:
    assert set(leaves(Project)) == INPUTS | NO_INPUTS
    assert not INPUTS & NO_INPUTS


_DIGESTS = st.binary(min_size=32, max_size=32).map(lambda raw: Digest("sha256", raw.hex()))
_WORDS = st.text("abcd", min_size=1, max_size=3)
_MAYBE = st.one_of(st.just(""), _WORDS)
_REFERENCES = st.builds(
    DigestReference, st.builds(Repository, st.just("r.example"), _WORDS), _DIGESTS
)
_DATASETS = st.builds(
    Dataset,
    name=_WORDS,
    version=_MAYBE,
    digest=st.none() | _DIGESTS,
    croissant=st.sampled_from(["", "data.json"]),
    uri=_MAYBE,
    license=_MAYBE,
    personal_data=st.none() | st.sampled_from(PersonalData),
    dir_hash=st.sampled_from(["", "a" * 64, "b" * 64]),
)
_TRAININGS = st.builds(
    Training,
    code=st.none() | st.builds(Code, repository=_WORDS, commit=_WORDS),
    base_model=st.none() | _REFERENCES,
    datasets=st.lists(_DATASETS, max_size=2).map(tuple),
    hyperparameters=st.sampled_from(["", "params.yaml"]),
    seeds=st.lists(st.integers(0, 9), max_size=2).map(tuple),
)
_PROJECTS = st.builds(
    Project,
    metadata=st.builds(Metadata, name=_WORDS, version=_WORDS, description=_MAYBE),
    format=_WORDS,
    requirements=st.builds(
        Requirements,
        lock=st.sampled_from(["", "req.lock"]),
        image=st.none() | _REFERENCES,
        python=_MAYBE,
    ),
    training=_TRAININGS,
)
_NAMED = ("data.json", "params.yaml", "req.lock")
_FILES = st.dictionaries(_WORDS, _DIGESTS, max_size=2)
_CONTENTS = st.fixed_dictionaries(dict.fromkeys(_NAMED, _DIGESTS))


def inputs_digest(project: Project, files: dict[str, Digest]) -> Digest:
    listed = tuple(
        SourceFile(
            path=path,
            kind=LayerKind.WEIGHT,
            guessed=False,
            size=1,
            digest=digest,
            location=Path(path),
        )
        for path, digest in files.items()
    )
    inputs = inputs_of(Path("/nowhere"), project, Inventory(listed, ()))
    return Digest.of(canonical_json(inputs))


def inputs_by_field(project: Project, files: dict[str, Digest]) -> tuple[object, ...]:
    """Say in another way what the inputs are."""
    training, requirements = project.training, project.requirements
    datasets = [
        (d.name, d.version, d.digest, d.dir_hash, files[d.croissant] if d.croissant else None)
        for d in training.datasets
    ]
    return (
        sorted(files.items()),
        training.code,
        training.base_model,
        sorted(datasets, key=repr),  # in which order they stand there does not matter
        files[training.hyperparameters] if training.hyperparameters else None,
        training.seeds,
        files[requirements.lock] if requirements.lock else None,
        requirements.image,
    )


@given(_PROJECTS, _FILES, _CONTENTS, st.data())
def test_equal_inputs_and_no_others_have_the_same_digest(
    project: Project, files: dict[str, Digest], named: dict[str, Digest], data: st.DataObject
) -> None:
    files = {**files, **named}
    other, other_files = data.draw(_PROJECTS), dict(files)
    # Most fields stay as they are, so that one that is forgotten would show.
    training = {field.name: getattr(project.training, field.name) for field in fields(Training)}
    name = data.draw(st.sampled_from(sorted(training)))
    training[name] = getattr(other.training, name)
    changed = replace(other, training=Training(**training))
    if data.draw(st.booleans()):
        changed = replace(changed, requirements=project.requirements)
    if data.draw(st.booleans()):
        other_files[data.draw(st.sampled_from(sorted(files)))] = data.draw(_DIGESTS)
    before, after = inputs_by_field(project, files), inputs_by_field(changed, other_files)
    same = inputs_digest(project, files) == inputs_digest(changed, other_files)
    assert same == (before == after)


@given(_PROJECTS, _CONTENTS, st.sampled_from(_NAMED), _DIGESTS)
def test_another_byte_in_any_file_is_another_input(
    project: Project, named: dict[str, Digest], path: str, digest: Digest
) -> None:
    assume(named[path] != digest)
    assert inputs_digest(project, named) != inputs_digest(project, {**named, path: digest})
