# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A run that made a model, read from its SLSA provenance: what went in, who ran it, when.

The provenance may be anybody's: whatever has another shape than expected is left out, and nothing
is put in its place.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from modelseal.errors import LimitExceededError

MAX_INPUTS: Final = 10_000
"""Most inputs of one run."""

DATASET: Final = "dataset"
BASE_MODEL: Final = "base-model"
CODE: Final = "code"
SOURCE: Final = "source"
WORKING_TREE: Final = "working-tree"
IMAGE: Final = "image"
BUILD_IMAGE: Final = "build-image"
SOURCES: Final = (CODE, SOURCE, WORKING_TREE)
"""The roles of code: what is declared, what a CI system checked out, what git says."""
_ROLES: Final = frozenset({BASE_MODEL, IMAGE, BUILD_IMAGE, *SOURCES})


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What a model was made from.

    Attributes:
        role: `dataset`, `base-model`, `code`, `source`, `working-tree`, `image`, `build-image`.
        name: of a dataset; else the role.
        uri: where it is.
        digest: algorithm and value, `sha256:…`; empty when none is known.
        said: what else is said of it: `version`, `license`, `personalData` …
    """

    role: str
    name: str
    uri: str = ""
    digest: str = ""
    said: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are set."""
        fields = {
            "role": self.role,
            "name": self.name,
            "uri": self.uri,
            "digest": self.digest,
            **self.said,
        }
        return {key: value for key, value in fields.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run: times as RFC 3339 has them, empty where they are not told."""

    model: str
    version: str
    repository: str
    """Where the model went; empty when that was no registry."""
    builder: str
    invocation: str
    started: str
    finished: str
    inputs: tuple[Input, ...]

    def to_json(self) -> dict[str, Any]:
        """Return all of it."""
        return {
            "model": self.model,
            "version": self.version,
            "repository": self.repository,
            "builder": self.builder,
            "invocationId": self.invocation,
            "startedOn": self.started,
            "finishedOn": self.finished,
            "inputs": [item.to_json() for item in self.inputs],
        }


def read_run(predicate: Mapping[str, Any]) -> Run:
    """Read an SLSA provenance v1.

    Raises:
        LimitExceededError: it names over `MAX_INPUTS` inputs.
    """
    definition = _mapping(predicate, "buildDefinition")
    details = _mapping(predicate, "runDetails")
    metadata = _mapping(details, "metadata")
    parameters = _mapping(definition, "externalParameters")
    model = _mapping(parameters, "model")
    return Run(
        model=_text(model, "name"),
        version=_text(model, "version"),
        repository=_text(parameters, "repository"),
        builder=_text(_mapping(details, "builder"), "id"),
        invocation=_text(metadata, "invocationId"),
        started=_text(metadata, "startedOn"),
        finished=_text(metadata, "finishedOn"),
        inputs=tuple(_inputs(definition)),
    )


def _inputs(definition: Mapping[str, Any]) -> Iterator[Input]:
    listed = definition.get("resolvedDependencies")
    count = 0
    for entry in listed if isinstance(listed, list) else ():
        if not isinstance(entry, dict):
            continue
        label = _text(entry, "name")
        role, _, name = label.partition(":")
        if not (role == DATASET and name) and label not in _ROLES:
            continue
        count += 1
        if count > MAX_INPUTS:
            raise LimitExceededError(f"the provenance names over {MAX_INPUTS} inputs")
        yield Input(
            role=role,
            name=name or role,
            uri=_text(entry, "uri"),
            digest=_digest(_mapping(entry, "digest")),
            said=_said(_mapping(entry, "annotations")),
        )


def _digest(digest: Mapping[str, Any]) -> str:
    for algorithm in ("sha256", "dirHash", "sha512", "gitCommit"):
        if value := _text(digest, algorithm):
            return f"{algorithm}:{value}"
    return ""


def _said(annotations: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key in ("version", "license", "personalData", "legalBasis", "usage", "croissant"):
        value = annotations.get(key)
        if isinstance(value, list):
            value = ", ".join(item for item in value if isinstance(item, str))
        if isinstance(value, str) and value:
            found[key] = value
    return found


def _mapping(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}


def _text(value: Mapping[str, Any], key: str) -> str:
    found = value.get(key)
    return found if isinstance(found, str) else ""
