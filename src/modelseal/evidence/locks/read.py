# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Reading a lock file: which format it has is seen by what stands in it, not by its name alone."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from modelseal.documents import parse_toml, parse_yaml
from modelseal.errors import (
    ContentError,
    InvalidDocumentError,
    InvalidProjectError,
    LimitExceededError,
)
from modelseal.evidence.facts import Finding, Level
from modelseal.evidence.locks.conda import is_conda, read_conda
from modelseal.evidence.locks.entries import Lock, LockedPackage, LockFormat, Manager, Source
from modelseal.evidence.locks.poetry import is_poetry, read_poetry
from modelseal.evidence.locks.pylock import is_pylock, read_pylock
from modelseal.evidence.locks.requirements import (
    looks_like_requirements,
    parse_requirements_bytes,
    read_requirements,
)
from modelseal.evidence.locks.said import about
from modelseal.evidence.locks.tables import MAX_PACKAGES, Table
from modelseal.evidence.locks.uv import is_uv, read_uv
from modelseal.modelpack.plain_files import read_small
from modelseal.oci.descriptor import Digest

MAX_LOCK_BYTES = 8 << 20
"""Largest lock file that is read."""
MAX_YAML_LOCK_BYTES = 2 << 20
"""Largest lock file in YAML, which takes ten times as long to read."""

_KNOWN = ", ".join(LockFormat)
_UNKNOWN = f"name a lock file that is read: {_KNOWN} (with hashes)"


def read_lock(directory: Path, path: str) -> Lock:
    """Read the lock file at `path` below `directory`.

    Raises:
        InvalidDocumentError: it is in none of the formats, or broken.
        LimitExceededError: it is too large, or has too many packages.
        InvalidProjectError: it is not there, or not a plain file.
        StorageError: the disk refused.
    """
    raw = read_small(directory, path, limit=MAX_LOCK_BYTES)
    if raw is None:
        raise InvalidProjectError(f"there is no file {path} in {directory}")
    return parse_lock(raw, path)


def parse_lock(raw: bytes, path: str) -> Lock:
    """Read the bytes of a lock file; `path` names it. Raises as `read_lock` does."""
    lock = _parse(raw, path)
    packages = tuple(sorted(lock.packages, key=LockedPackage.to_order))
    if len(packages) > MAX_PACKAGES:
        raise LimitExceededError(f"{path} has more than {MAX_PACKAGES} packages")
    lock = replace(lock, packages=packages)
    return replace(lock, findings=(*lock.findings, *_pins(lock)))


def _parse(raw: bytes, path: str) -> Lock:
    digest = Digest.of(raw)
    if path.endswith((".yml", ".yaml")):
        return _yaml(raw, path, digest)
    text = parse_requirements_bytes(raw, path)
    if path.endswith((".txt", ".in")):
        return _requirements(text, path, digest)
    try:
        document = Table(parse_toml(raw, path, limit=MAX_LOCK_BYTES), path)
    except InvalidDocumentError as error:
        # `requirements.lock` and its like.
        if path.endswith(".toml") or not looks_like_requirements(text):
            raise _unknown(path, error) from error
        return _requirements(text, path, digest)
    return _toml(document, text, path, digest)


def _toml(document: Table, text: str, path: str, digest: Digest) -> Lock:
    on_edges = False
    if is_pylock(document):
        tool, python, packages, roots = read_pylock(document, text)
        form = LockFormat.PYLOCK
    elif is_poetry(document):
        python, packages, on_edges = read_poetry(document, text)
        tool, roots, form = "poetry", (), LockFormat.POETRY
    elif is_uv(document):
        python, packages, roots = read_uv(document, text)
        tool, form, on_edges = "uv", LockFormat.UV, bool(roots)
    elif not document.value:  # comments only
        return _requirements(text, path, digest)
    else:
        raise _unknown(path, None)
    return Lock(
        path=path,
        format=form,
        digest=digest,
        tool=tool,
        requires_python=python,
        packages=packages,
        roots=roots,
        markers_on_edges=on_edges,
    )


def _requirements(text: str, path: str, digest: Digest) -> Lock:
    tool, packages, findings = read_requirements(text, path)
    return Lock(
        path=path,
        format=LockFormat.REQUIREMENTS,
        digest=digest,
        tool=tool,
        packages=packages,
        findings=findings,
    )


def _yaml(raw: bytes, path: str, digest: Digest) -> Lock:
    document = parse_yaml(raw, path, limit=MAX_YAML_LOCK_BYTES)
    if not isinstance(document, dict) or not is_conda(document):
        raise _unknown(path, None)
    return Lock(
        path=path,
        format=LockFormat.CONDA,
        digest=digest,
        tool="conda-lock",
        packages=read_conda(Table(document, path), raw.decode()),
    )


def _unknown(path: str, error: ContentError | None) -> InvalidDocumentError:
    why = f": {error}" if error else ""
    return InvalidDocumentError(
        f"{path} is in no format of lock files that is read{why}", hint=_UNKNOWN
    )


def _pins(lock: Lock) -> Iterator[Finding]:
    """Say which entries are not pinned, not hashed, or there twice."""
    packages = lock.packages
    hint = f"`{lock.remedy}`"
    yield from about(
        lock.path,
        "lock-entry-not-pinned",
        "not pinned to one version: {}",
        _entries(package for package in packages if not package.pinned),
        hint=hint,
        level=Level.ERROR,
    )
    unhashed = [package for package in packages if not package.hashed]
    yield from about(
        lock.path,
        "lock-entry-without-hash",
        f"{len(unhashed)} of {len(packages)} packages lack a SHA-256 of some file: {{}}",
        _entries(unhashed),
        hint=hint,
    )
    yield from about(
        lock.path,
        "lock-contradicts-itself",
        "locked in two versions for the same environments: {}",
        _twice(packages),
        hint=hint,
        level=Level.ERROR,
    )
    yield from about(
        lock.path,
        "lock-marker-unread",
        "markers that PEP 508 does not know, so that nobody can tell where these are installed: {}",
        [
            (f"{package.name} ({package.marker[:60]})", package.line)
            for package in packages
            if not readable(package.marker)
        ],
        hint=hint,
        level=Level.ERROR,
    )
    if not packages:
        yield Finding(
            id="lock-is-empty",
            level=Level.WARNING,
            message=f"{lock.path} locks no package",
            where=lock.path,
            hint=hint,
        )


def readable(marker: str) -> bool:
    """Tell whether `packaging` understands a marker."""
    from packaging.markers import InvalidMarker, Marker

    try:
        return not marker or bool(str(Marker(marker)))
    except (InvalidMarker, RecursionError):
        return False


def _entries(packages: Iterable[LockedPackage]) -> list[tuple[str, int]]:
    return [(f"{package.name} {package.version}".strip(), package.line) for package in packages]


def _twice(packages: Sequence[LockedPackage]) -> list[tuple[str, int]]:
    seen: dict[tuple[Manager, str, str, str], LockedPackage] = {}
    found: list[tuple[str, int]] = []
    for package in packages:
        if package.source is Source.DIRECTORY:
            continue
        key = (package.manager, package.name, package.platform, package.marker)
        first = seen.setdefault(key, package)
        if first.version != package.version and first.version and package.version:
            found += _entries([first, package])
    return found
