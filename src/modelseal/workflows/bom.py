# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Bills of materials and model cards of a model directory."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from modelseal.attest.predicates.types import CYCLONEDX, SPDX
from modelseal.errors import StorageError, UsageError
from modelseal.evidence.bom.card import card
from modelseal.evidence.bom.cyclonedx import cyclonedx
from modelseal.evidence.bom.facts import ModelFacts
from modelseal.evidence.bom.gather import Artifact, gather
from modelseal.evidence.bom.missing import missing
from modelseal.evidence.bom.spdx import spdx_document
from modelseal.evidence.facts import Finding
from modelseal.evidence.lineage.described import Described, describe
from modelseal.evidence.lineage.places import NOWHERE
from modelseal.evidence.locks.entries import Lock
from modelseal.evidence.locks.named import lock_of
from modelseal.modelpack import media_types
from modelseal.modelpack.config import source_date
from modelseal.modelpack.digests import DigestCache
from modelseal.oci.descriptor import Digest
from modelseal.oci.events import discard
from modelseal.version import __version__
from modelseal.workflows.events import EventSink
from modelseal.workflows.package import Packaged, package
from modelseal.workflows.services import Clock, system_clock


def facts_of(
    directory: Path,
    made: Packaged,
    repository: str,
    environment: Mapping[str, str],
    *,
    datasets: Sequence[Described] | None = None,
    lock: Lock | None = None,
) -> tuple[ModelFacts, tuple[Finding, ...]]:
    """Return all that is known about a model and its artifact, and what is missing.

    Args:
        directory: the model directory.
        made: the artifact.
        repository: the registry's that it goes to; empty when it goes to a disk.
        environment: of the process.
        datasets: as they were compared with the data at hand; None: with none.
        lock: the lock file that the project names, if it could be read.

    Raises:
        InvalidProjectError: a file changed since it was hashed.
        StorageError: the disk refused.
    """
    artifact = Artifact(
        files=made.files,
        kinds=_kinds(made),
        subject=made.subject.digest,
        repository=repository,
        created=source_date(environment),
    )
    if datasets is None:
        datasets = describe(directory, made.project, made.files, NOWHERE)
    facts, findings = gather(directory, made.project, artifact, datasets, lock)
    return facts, (*findings, *missing(facts))


def _kinds(made: Packaged) -> dict[str, str]:
    """Return what each file is for, as the layers say; an image's layers do not."""
    kinds = {}
    for layer in made.package.manifest.layers:
        kind = media_types.kind_of_raw_layer(layer.media_type)
        if kind is not None:
            kinds[layer.annotations[media_types.FILEPATH]] = str(kind)
    return kinds


class BomFormat(StrEnum):
    """In which words a bill of materials is written."""

    CYCLONEDX = "cyclonedx"
    SPDX = "spdx"

    @property
    def predicate_type(self) -> str:
        """What it is attested as."""
        return CYCLONEDX if self is BomFormat.CYCLONEDX else SPDX


@dataclass(frozen=True, slots=True, kw_only=True)
class BomOfDirectory:
    """A bill of materials, and what it does not say."""

    subject: Digest
    document: Mapping[str, Any]
    findings: tuple[Finding, ...]


def bom_of_directory(
    directory: Path,
    kind: BomFormat,
    *,
    environment: Mapping[str, str],
    on_event: EventSink = discard,
    digests: DigestCache | None = None,
    clock: Clock = system_clock,
) -> BomOfDirectory:
    """Build the model in `directory` in memory, and say what it is made of. Nothing is stored.

    Raises:
        UsageError: SPDX is asked for, and its extra is not installed.
        Error: as `package` and `facts_of` do.
    """
    made = package(directory, environment, on_event, digests=digests)
    facts, findings = _alone(directory, made, environment)
    document = (
        cyclonedx(facts, __version__)
        if kind is BomFormat.CYCLONEDX
        else spdx_document(facts, __version__, clock())
    )
    return BomOfDirectory(subject=made.subject.digest, document=document, findings=findings)


def _alone(
    directory: Path, made: Packaged, environment: Mapping[str, str]
) -> tuple[ModelFacts, tuple[Finding, ...]]:
    """Return the facts with what no other collector has told beside them: about the lock."""
    named = lock_of(directory, made.project)
    facts, findings = facts_of(directory, made, "", environment, lock=named.lock)
    return facts, (*named.findings, *findings)


def card_of_directory(
    directory: Path,
    *,
    environment: Mapping[str, str],
    on_event: EventSink = discard,
    digests: DigestCache | None = None,
) -> tuple[str, tuple[Finding, ...]]:
    """Render the model card of the model in `directory`. Raises as `bom_of_directory` does."""
    made = package(directory, environment, on_event, digests=digests)
    facts, findings = _alone(directory, made, environment)
    return card(facts), findings


def check_place(path: Path | None, *, force: bool) -> None:
    """See, before long work begins, that a document can be written to `path`, if there is one.

    Raises:
        UsageError: something is there already and `force` is not given, or there is no directory.
    """
    if path is None:
        return
    if not force and (path.exists() or path.is_symlink()):
        raise UsageError(
            f"{path} is there already", hint="say --force to replace it, or choose another name"
        )
    if not path.parent.is_dir():
        raise UsageError(f"there is no directory {path.parent} to write {path.name} to")


def write_document(path: Path, raw: bytes, *, force: bool) -> None:
    """Write a document to a file, whole or not at all.

    Raises:
        UsageError: as `check_place` does.
        StorageError: the disk refused.
    """
    check_place(path, force=force)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.unfinished")
    try:
        unfinished.write_bytes(raw)
        if force:
            unfinished.replace(path)
        else:
            _name(unfinished, path)
    except FileExistsError as error:
        raise UsageError(f"{path} is there already", hint="say --force to replace it") from error
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _name(unfinished: Path, path: Path) -> None:
    """Give a file its name. Unlike a rename, a link never takes the place of another file."""
    try:
        os.link(unfinished, path)
    except FileExistsError:
        raise
    except OSError:  # a disk without links
        if path.exists() or path.is_symlink():
            raise FileExistsError from None
        unfinished.replace(path)
