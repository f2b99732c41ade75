# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What `modelseal.yaml` says: what a model is, what it was made from and what it needs.

Frozen values only; `project_file` reads them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum

from modelseal.modelpack.considerations import Considerations, Governance
from modelseal.modelpack.media_types import LayerKind
from modelseal.oci.descriptor import Digest
from modelseal.oci.reference import DigestReference

FILE_NAME = "modelseal.yaml"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What the model is called, and who stands behind it."""

    name: str
    version: str
    """A SemVer 2.0.0 version."""
    description: str = ""
    authors: tuple[str, ...] = ()
    licenses: tuple[str, ...] = ()
    """SPDX licence expressions."""
    vendor: str = ""
    source_url: str = ""


@dataclass(frozen=True, slots=True)
class FileRule:
    """One line of `spec.files`: files that match are packed as `kind`, or left out."""

    pattern: str
    kind: LayerKind | None
    """None: leave the file out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A library that can run the model, and its versions (PEP 440 specifiers)."""

    name: str
    version: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """An operating system and a processor, in the words of OCI (`linux`, `amd64`)."""

    os: str
    architecture: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """Hardware that the model runs on; the ones listed are alternatives."""

    type: str
    compute_capability: str = ""
    memory: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirements:
    """What the model needs to run."""

    python: str = ""
    lock: str = ""
    """Path of a lock file below the directory."""
    runtimes: tuple[Runtime, ...] = ()
    platforms: tuple[Platform, ...] = ()
    accelerators: tuple[Accelerator, ...] = ()
    memory: str = ""
    image: DigestReference | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """The commit that trained the model."""

    repository: str
    commit: str


class PersonalData(StrEnum):
    """What a dataset has of persons, in the senses of GDPR articles 4(1) and 9(1)."""

    NONE = "none"
    PERSONAL = "personal"
    SENSITIVE = "sensitive"


LEGAL_BASES = (
    "consent",
    "contract",
    "legal-obligation",
    "vital-interests",
    "public-task",
    "legitimate-interests",
)
"""GDPR article 6(1), (a) to (f); of another law a URL that names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Data that the model was trained on."""

    name: str
    version: str = ""
    digest: Digest | None = None
    """Of the one file that it is."""
    dir_hash: str = ""
    """Of the directory that it is: 64 hex digits (in-toto, DigestSet, `dirHash`)."""
    uri: str = ""
    """Where it is; `file:` and a path means below a directory that is told apart (`--data`)."""
    croissant: str = ""
    """Path of a Croissant description below the directory."""
    license: str = ""
    personal_data: PersonalData | None = None
    """None: nothing is declared, and nothing may be concluded."""
    legal_basis: str = ""
    """One of `LEGAL_BASES`, or a URL."""
    usage: tuple[str, ...] = ()
    """Terms of the Data Use Ontology: `DUO_0000042`."""
    governance: Governance = field(default_factory=Governance)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What the model was made from: the materials of its provenance."""

    code: Code | None = None
    base_model: DigestReference | None = None
    from_scratch: bool = False
    """Whether it is declared that there is no base model: `baseModel: none`."""
    datasets: tuple[Dataset, ...] = ()
    hyperparameters: str = ""
    """Path of a file below the directory."""
    seeds: tuple[int, ...] = ()
    unseeded: bool = False
    """Whether it is declared that no seed was set: `seeds: none`."""
    approach: str = ""
    """How the model learns, one of `considerations.APPROACHES`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """One input or output: its name, its element type, and its shape if known.

    A dimension is a number, or the name of a size that varies (`batch`).
    """

    name: str
    type: str = ""
    shape: tuple[int | str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What goes into the model and what comes out of it."""

    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """All of `modelseal.yaml`."""

    metadata: Metadata
    format: str
    task: str = ""
    """What it does: `image-classification`."""
    family: str = ""
    architecture: str = ""
    precision: str = ""
    param_size: str = ""
    """How many parameters, as ModelPack writes it: `6.7B`."""
    files: tuple[FileRule, ...] = ()
    requirements: Requirements = field(default_factory=Requirements)
    training: Training = field(default_factory=Training)
    evaluation: tuple[str, ...] = ()
    """Paths of evaluation results below the directory."""
    signature: Signature = field(default_factory=Signature)
    considerations: Considerations = field(default_factory=Considerations)

    def referenced_files(self) -> Iterator[tuple[str, str]]:
        """Yield the field and the path of every file that the project names."""
        if self.requirements.lock:
            yield "spec.requirements.lock", self.requirements.lock
        if self.training.hyperparameters:
            yield "spec.training.hyperparameters", self.training.hyperparameters
        for place, dataset in enumerate(self.training.datasets):
            if dataset.croissant:
                yield f"spec.training.datasets[{place}].croissant", dataset.croissant
        for place, path in enumerate(self.evaluation):
            yield f"spec.evaluation[{place}]", path
