# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What `modelseal.yaml` does not say of how the model was made and of what it needs.

One finding a field, with the lines to add. What only a person can know is a placeholder in angle
brackets, which `modelseal.yaml` is not taken with: nobody signs an example by mistake.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from modelseal.evidence.facts import Finding, Level
from modelseal.evidence.source.remotes import public_remote
from modelseal.evidence.source.working_tree import NoWorkingTree, WorkingTree
from modelseal.modelpack.project import FILE_NAME, Project


@dataclass(frozen=True, slots=True)
class Field:
    """A field that ought to say something."""

    path: str
    known: bool
    what: str
    """Completes "it is not said …"."""
    value: str
    """What to write behind the field's name, or below it when it begins with a line break."""
    level: Level = Level.WARNING
    hint: str = ""


def missing(project: Project, tree: WorkingTree | NoWorkingTree) -> Iterator[Finding]:
    """Yield a finding for each field that says nothing.

    Args:
        project: what `modelseal.yaml` says.
        tree: what git says; it fills in what it knows.
    """
    yield from findings_of(
        (*_metadata(project, tree), *_training(project, tree), *_requirements(project))
    )


def findings_of(fields: Iterable[Field]) -> Iterator[Finding]:
    """Yield a finding for each field that says nothing."""
    for field in fields:
        if not field.known:
            yield Finding(
                id=f"missing-{_kebab(field.path.rpartition('.')[2])}",
                message=f"it is not said {field.what}",
                level=field.level,
                where=f"{FILE_NAME}: {field.path}",
                add=lines_to_add(field.path, field.value),
                hint=field.hint,
            )


def lines_to_add(path: str, value: str) -> str:
    """Return the YAML, from the top, that gives the field at `path` a value."""
    *above, name = path.split(".")
    lines = [f"{'  ' * depth}{key}:" for depth, key in enumerate(above)]
    indent = "  " * len(above)
    first, *below = value.split("\n")
    lines.append(f"{indent}{name}:{' ' if first else ''}{first}")
    return "\n".join([*lines, *(f"{indent}  {line}" for line in below)])


def _metadata(project: Project, tree: WorkingTree | NoWorkingTree) -> Iterator[Field]:
    remote = tree.remote if isinstance(tree, WorkingTree) else ""
    yield Field(
        "metadata.sourceURL",
        bool(project.metadata.source_url),
        "where the model's source is",
        json.dumps(remote or "<URL of the repository>"),
        Level.NOTE,
    )
    for name, value, what, example in (
        ("precision", project.precision, "in which element types the weights are", "float32"),
        ("paramSize", project.param_size, "how many parameters the model has", "6.7B"),
    ):
        placeholder = json.dumps(f"<for example {example}>")
        yield Field(f"spec.{name}", bool(value), what, placeholder, Level.NOTE)


def _training(project: Project, tree: WorkingTree | NoWorkingTree) -> Iterator[Field]:
    training = project.training
    yield Field(
        "spec.training.code",
        training.code is not None,
        "which code trained the model",
        _code(tree),
        hint=""
        if isinstance(tree, WorkingTree) and tree.clean
        else "commit the code first, then write down what git rev-parse HEAD says",
    )
    yield Field(
        "spec.training.baseModel",
        training.base_model is not None or training.from_scratch,
        "which model it was made from",
        '{reference: "<registry/repository@sha256:…>"}',
        hint="baseModel: none, if it was trained from nothing",
    )
    yield Field(
        "spec.training.seeds",
        bool(training.seeds) or training.unseeded,
        "with which seeds it was trained",
        '["<integer>"]',
        hint="seeds: none, if none was set",
    )


def _code(tree: WorkingTree | NoWorkingTree) -> str:
    repository, commit = "<URL of the repository>", "<whole commit id>"
    if isinstance(tree, WorkingTree):
        repository = public_remote(tree.remote) or repository
        # What is not committed is in no commit.
        commit = tree.commit if tree.clean else commit
    return f"{{repository: {json.dumps(repository)}, commit: {json.dumps(commit)}}}"


def _requirements(project: Project) -> Iterator[Field]:
    needs = project.requirements
    fields = (
        ("python", needs.python, "which versions of Python can load it", '"<for example >=3.11>"'),
        (
            "runtimes",
            needs.runtimes,
            "which libraries can run it",
            '\n- {name: "<for example onnxruntime>", version: "<for example >=1.17>"}',
        ),
        (
            "platforms",
            needs.platforms,
            "on which platforms it runs",
            '\n- {os: "<for example linux>", architecture: "<for example amd64>"}',
        ),
        (
            "accelerators",
            needs.accelerators,
            "which accelerators it needs",
            '\n- {type: "<cpu, cuda, rocm …>"}',
        ),
        ("memory", needs.memory, "how much memory it needs", '"<for example 2GiB>"'),
    )
    for name, value, what, line in fields:
        yield Field(f"spec.requirements.{name}", bool(value), what, line)
    yield Field(
        "spec.requirements.image",
        needs.image is not None,
        "which container image serves it",
        '"<registry/repository@sha256:…>"',
        Level.NOTE,
    )


def _kebab(name: str) -> str:
    return re.sub("([a-z])([A-Z])", r"\1-\2", name).lower()
