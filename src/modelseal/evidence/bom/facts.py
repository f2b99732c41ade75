# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""All that a bill of materials or a model card says, before it is written in any format.

Frozen values only; `gather` makes them. Everything that `modelseal.yaml` says is in `project`, and
is declared; beside it stands what was computed from bytes, and what was concluded.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from modelseal.evidence.facts import Basis
from modelseal.modelpack.project import Dataset, PersonalData, Project, Signature
from modelseal.oci.descriptor import Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number that an evaluation measured, as decimal text with the digits of the file."""

    name: str
    value: str
    slice: str = ""
    """The part of the data that it was measured on; empty for all of it."""
    lower: str = ""
    """The confidence interval's lower bound."""
    upper: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What one evaluation file says."""

    path: str
    digest: Digest
    dataset: str = ""
    """What was measured on."""
    metrics: tuple[Metric, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What the headers of the weights say: computed from the bytes that are packed."""

    format: str = ""
    """Of the files that were read."""
    parameters: int = 0
    precision: str = ""
    """Element types, the most frequent first, as ModelPack writes them."""
    signature: Signature | None = None
    """Of the one ONNX graph."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A text, and how it is known; an empty one is not known."""

    value: str = ""
    basis: Basis = Basis.DECLARED


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """A dataset: what is declared of it, without what its bytes or its description contradict."""

    dataset: Dataset
    digests: Mapping[str, str] = field(default_factory=dict)
    """As in-toto writes them: `sha256`, `dirHash`."""
    basis: Basis = Basis.DECLARED
    """Of the digests: verified when the data were at hand."""
    personal: PersonalData | None = None

    @property
    def hashes(self) -> tuple[Digest, ...]:
        """The digests of a file; a directory has none that every format knows."""
        return tuple(
            Digest(name, value)
            for name, value in sorted(self.digests.items())
            if name in {"sha256", "sha512"}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package that the lock pins."""

    purl: str
    name: str
    version: str
    hashes: tuple[Digest, ...] = ()
    needs: tuple[str, ...] = ()
    """The purls of the packages that it needs, when the lock tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """The lock file, and what it pins."""

    path: str
    packages: tuple[Package, ...] = ()
    roots: tuple[str, ...] = ()
    """The purls that nothing else in the lock needs, or all of them when it tells no edges."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFacts:
    """What is known about a model."""

    project: Project
    subject: Digest | None
    """The manifest's digest; None where there is no manifest yet: a model card stands in it."""
    repository: str
    """The registry's repository; empty when it is on a disk, and where is nobody's business."""
    files: Mapping[str, Digest]
    """The digest of every packed file, by its path."""
    data: tuple[Data, ...] = ()
    kinds: Mapping[str, str] = field(default_factory=dict)
    """`weight`, `doc`, `code` … of each file."""
    created: datetime | None = None
    """`SOURCE_DATE_EPOCH`; None when it is not set."""
    family: Text = Text()
    architecture: Text = Text()
    measured: Measured = Measured()
    evaluations: tuple[Evaluation, ...] = ()
    hyperparameters: Mapping[str, str] = field(default_factory=dict)
    lock: Lock | None = None

    @property
    def signature(self) -> tuple[Signature, Basis]:
        """What goes in and comes out. What is declared counts as verified if the graph has it."""
        declared, measured = self.project.signature, self.measured.signature
        if not declared.inputs and not declared.outputs and measured is not None:
            return measured, Basis.VERIFIED
        same = measured is not None and _shapes(declared) == _shapes(measured)
        return declared, Basis.VERIFIED if same else Basis.DECLARED

    @property
    def format(self) -> Text:
        """The declared format; verified if the files of that format could be read."""
        declared = self.project.format
        read = declared == self.measured.format
        return Text(value=declared, basis=Basis.VERIFIED if read else Basis.DECLARED)

    @property
    def precision(self) -> Text:
        """The measured element types, else the declared ones."""
        declared, measured = self.project.precision, self.measured.precision
        return Text(
            value=measured or declared, basis=Basis.VERIFIED if measured else Basis.DECLARED
        )


def _shapes(signature: Signature) -> list[list[tuple[str, str, list[int | None] | None]]]:
    """Return what two signatures can be compared by: what a size that varies is called is free."""
    return [
        [
            (
                item.name,
                item.type,
                None
                if item.shape is None
                else [size if isinstance(size, int) else None for size in item.shape],
            )
            for item in tensors
        ]
        for tensors in (signature.inputs, signature.outputs)
    ]
