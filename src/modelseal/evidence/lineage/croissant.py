# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a Croissant file says about a dataset: frozen values; `reader` reads them.

Source: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html, and the RAI vocabulary
1.0. A Croissant file says what its author says: nothing in it is verified by being read.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

MEDIA_TYPE: Final = "application/ld+json"
PERSONAL: Final = "personalSensitiveInformation"
"""The word of the RAI vocabulary for what there is about persons."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraint:
    """A condition of an ODRL rule: `left operator right`."""

    left: str
    operator: str
    right: str

    def to_json(self) -> dict[str, str]:
        """Return the fields that are set, in ODRL's words."""
        said = {"leftOperand": self.left, "operator": self.operator, "rightOperand": self.right}
        return {key: value for key, value in said.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A term of use: what is permitted, prohibited, or a duty.

    Attributes:
        kind: `permission`, `prohibition` or `obligation`.
        action: a term: `DUO_0000042`, `odrl:use`.
        name: the same for people.
        constraints: conditions that all have to hold.
    """

    kind: str
    action: str
    name: str = ""
    constraints: tuple[Constraint, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What may be done with the data (`usageInfo`): terms, and documents for people to read."""

    rules: tuple[Rule, ...] = ()
    documents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """Something that data was derived from (`prov:Entity`)."""

    id: str = ""
    label: str = ""
    location: str = ""

    def __str__(self) -> str:
        name = self.label or self.id or self.location
        return f"{name} ({self.location})" if self.location not in {"", name} else name


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """What generated some data (`prov:Activity`): its label, and when it ended if that is told."""

    label: str
    ended: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """PROV-O about a dataset or a file: labels and identifiers, as the file has them."""

    derived_from: tuple[Entity, ...] = ()
    generated_by: tuple[Activity, ...] = ()
    attributed_to: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FileObject:
    """One file of a dataset.

    Attributes:
        id: its `@id`.
        name: its name, if another.
        content_url: where its bytes are: a URL, or a path beside the description.
        content_size: as written: `134.6 KB`.
        size: in bytes; None when it is not told exactly.
        encoding_formats: media types.
        sha256: hex digits; empty when there are none that hold.
        md5: the same, for people only: it proves nothing.
        contained_in: `@id`s of the archives that it is taken from.
        origin: where it came from.
    """

    id: str
    name: str = ""
    content_url: str = ""
    content_size: str = ""
    size: int | None = None
    encoding_formats: tuple[str, ...] = ()
    sha256: str = ""
    md5: str = ""
    contained_in: tuple[str, ...] = ()
    origin: Origin = field(default_factory=Origin)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSet:
    """Files of a dataset that patterns name."""

    id: str
    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()
    contained_in: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordSet:
    """A table of the dataset, and how many fields it has."""

    name: str
    fields: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Croissant:
    """A dataset, as its Croissant file describes it."""

    conforms_to: str
    """The version of the format: `1.1`."""
    name: str
    version: str = ""
    description: str = ""
    licenses: tuple[str, ...] = ()
    url: str = ""
    creators: tuple[str, ...] = ()
    date_published: str = ""
    live: bool = False
    """Whether its data changes without a new version."""
    files: tuple[FileObject, ...] = ()
    file_sets: tuple[FileSet, ...] = ()
    record_sets: tuple[RecordSet, ...] = ()
    origin: Origin = field(default_factory=Origin)
    usage: Usage = field(default_factory=Usage)
    rai: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Words of the RAI vocabulary, without the prefix, and what they say."""
    problems: tuple[str, ...] = ()
    """What the specification asks for and is not there, or not as it has to be."""
