# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A dataset: what `modelseal.yaml`, its Croissant file, and its bytes, if at hand, say of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from urllib.parse import quote

from modelseal.attest.predicates.provenance import ResourceDescriptor
from modelseal.errors import ContentError, InvalidProjectError, StorageError
from modelseal.evidence.lineage.croissant import MEDIA_TYPE, Croissant, FileObject
from modelseal.evidence.lineage.digests import DataDigest, dir_hash, hash_data
from modelseal.evidence.lineage.places import DataPlaces, local_path
from modelseal.evidence.lineage.reader import MAX_CROISSANT_BYTES, parse_croissant
from modelseal.modelpack.digests import DigestCache
from modelseal.modelpack.plain_files import read_small
from modelseal.modelpack.project import FILE_NAME, Dataset, Project
from modelseal.oci.descriptor import Digest


class State(StrEnum):
    """What the bytes say about a digest."""

    MATCHES = "matches"
    DIFFERS = "differs"
    UNDECLARED = "undeclared"
    """The data are at hand, and no digest is declared."""
    ABSENT = "absent"
    """A digest is declared, and the data are not at hand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One digest that is declared, or could be; `what` names the file or the dataset."""

    what: str
    state: State
    declared: str = ""
    found: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Described:
    """One dataset of the project.

    Attributes:
        place: which one, from 0.
        dataset: what `modelseal.yaml` says.
        croissant: what its Croissant file says; None when there is none, or it cannot be read.
        croissant_digest: of that file.
        unreadable: why it cannot be read; empty when it can.
        own: the dataset's own digest against the data.
        files: the digests of the Croissant file against the data.
        found: the digest of the data at hand.
    """

    place: int
    dataset: Dataset
    croissant: Croissant | None = None
    croissant_digest: Digest | None = None
    unreadable: str = ""
    own: Checked
    files: tuple[Checked, ...] = ()
    found: DataDigest | None = None

    @property
    def where(self) -> str:
        """The field of the project that it stands in."""
        return f"{FILE_NAME}: spec.training.datasets[{self.place}]"

    @property
    def refuted(self) -> bool:
        """Whether the bytes are not those that are declared: then nothing said of them holds."""
        return any(item.state is State.DIFFERS for item in (self.own, *self.files))

    def digest_set(self) -> dict[str, str]:
        """Return the digest of the data as in-toto writes it; empty when none is known."""
        if self.refuted:
            return {}
        if self.found is not None:
            return {self.found.algorithm: self.found.encoded}
        return declared_digest(self.dataset) or described_digest(self.croissant)

    def descriptor(self) -> ResourceDescriptor:
        """Return the dataset by name, place and digest."""
        return ResourceDescriptor(
            name=f"dataset:{self.dataset.name}", uri=self.dataset.uri, digest=self.digest_set()
        )

    def evidence(self) -> ResourceDescriptor | None:
        """Return the Croissant file by name and digest; None when there is none."""
        if self.croissant_digest is None:
            return None
        path, digest = self.dataset.croissant, self.croissant_digest
        return ResourceDescriptor(
            name=path,
            uri=f"file:{quote(path)}",
            digest={digest.algorithm: digest.encoded},
            media_type=MEDIA_TYPE,
        )


def describe(
    directory: Path,
    project: Project,
    files: Mapping[str, Digest],
    places: DataPlaces,
    known: DigestCache | None = None,
) -> tuple[Described, ...]:
    """Read the Croissant files of a project, and compare digests with the data at hand.

    Args:
        directory: the model directory.
        project: its project file.
        files: the digest of every packed file, by its path.
        places: where data lie.
        known: digests of files that need not be read again.

    Raises:
        InvalidProjectError: a file is no plain file, or changed since it was packed.
        LimitExceededError: a dataset has too many files.
        StorageError: the disk refused.
    """
    comparison = _Comparison(places, known)
    return tuple(
        comparison.of(_read(directory, place, dataset, files))
        for place, dataset in enumerate(project.training.datasets)
    )


def declared_digest(dataset: Dataset) -> dict[str, str]:
    """Return the digest that `modelseal.yaml` declares, as in-toto writes it."""
    if dataset.digest is not None:
        return {dataset.digest.algorithm: dataset.digest.encoded}
    return {"dirHash": dataset.dir_hash} if dataset.dir_hash else {}


def described_digest(croissant: Croissant | None) -> dict[str, str]:
    """Return the digest of data that a Croissant file describes whole.

    It does when it has the SHA-256 of every file that is in no other one, and no set of files
    lies outside of these. Of several files it is the `dirHash` of their paths.
    """
    if croissant is None:
        return {}
    top = [file for file in croissant.files if not file.contained_in]
    loose = any(not item.contained_in for item in croissant.file_sets)
    if not top or loose or not all(file.sha256 for file in top):
        return {}
    if len(top) == 1:
        return {"sha256": top[0].sha256}
    paths = [next(_paths(file), file.id) for file in top]
    if len(set(paths)) < len(paths):
        return {}
    try:
        return {"dirHash": dir_hash(zip(paths, (file.sha256 for file in top), strict=True))}
    except InvalidProjectError:
        return {}  # a name that no list of files can have


def _read(directory: Path, place: int, dataset: Dataset, files: Mapping[str, Digest]) -> Described:
    digest, told = next(iter(declared_digest(dataset).items()), ("", ""))
    declared = f"{digest}:{told}" if told else ""
    item = Described(
        place=place,
        dataset=dataset,
        own=Checked(what=dataset.name, state=State.ABSENT, declared=declared),
    )
    if not dataset.croissant:
        return item
    raw = read_small(directory, dataset.croissant, limit=MAX_CROISSANT_BYTES)
    packed = files.get(dataset.croissant)
    if raw is None or (packed is not None and Digest.of(raw) != packed):
        raise InvalidProjectError(
            f"{directory / dataset.croissant} changed while it was read",
            hint="wait until whatever writes there has finished, and try again",
        )
    item = replace(item, croissant_digest=Digest.of(raw))
    try:
        return replace(item, croissant=parse_croissant(raw, dataset.croissant))
    except ContentError as error:
        return replace(item, unreadable=str(error))


class _Comparison:
    """Compares digests with the data at hand; no file is hashed twice."""

    def __init__(self, places: DataPlaces, known: DigestCache | None) -> None:
        self._places, self._known = places, known
        self._hashed: dict[tuple[Path, str], DataDigest] = {}

    def of(self, item: Described) -> Described:
        files = () if item.croissant is None else item.croissant.files
        top = [file for file in files if not file.contained_in]
        data = self._places.of(item.dataset)
        if data is None and len(top) == 1:
            at_hand = self._places.file(item.dataset, *_paths(top[0]))
            data = at_hand[1] if at_hand else None
        item = replace(item, files=tuple(self._file(item.dataset, file) for file in top))
        if data is None:
            return item
        found = self._hash(data, item.own.declared)
        own = replace(item.own, found=str(found), state=_state(item.own.declared, str(found)))
        return replace(item, own=own, found=found)

    def _file(self, dataset: Dataset, file: FileObject) -> Checked:
        declared = f"sha256:{file.sha256}" if file.sha256 else ""
        at_hand = self._places.file(dataset, *_paths(file))
        if at_hand is None:
            return Checked(what=file.id, state=State.ABSENT, declared=declared)
        name, path = at_hand
        size = _size(path)
        if file.size is not None and file.size != size:
            said, seen = f"{file.size} bytes", f"{size} bytes"
            return Checked(what=name, state=State.DIFFERS, declared=said, found=seen)
        found = str(self._hash(path, declared))
        return Checked(what=name, state=_state(declared, found), declared=declared, found=found)

    def _hash(self, path: Path, declared: str) -> DataDigest:
        algorithm = "sha512" if declared.startswith("sha512:") else "sha256"
        key = (path, algorithm)
        if key not in self._hashed:
            self._hashed[key] = hash_data(path, self._known, algorithm=algorithm)
        return self._hashed[key]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise StorageError(f"cannot look at {path}: {error.strerror}") from error


def _state(declared: str, found: str) -> State:
    if not declared:
        return State.UNDECLARED
    return State.MATCHES if declared == found else State.DIFFERS


def _paths(file: FileObject) -> Iterator[str]:
    """Yield the paths at which a file is looked for: by its address, its id, its name."""
    yield from filter(None, map(local_path, (file.content_url, file.id, file.name)))
