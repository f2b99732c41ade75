# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Load: a verified path for serving code, kept by digest between runs.

The steps are those of docs/loading.md, in its order and numbering.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from modelseal.errors import ContentMismatchError, StorageError
from modelseal.modelpack.readers.families import layers_of
from modelseal.modelpack.unpack import ModelFile, files_of
from modelseal.oci.content import CHUNK, open_plain, verifying
from modelseal.oci.descriptor import Digest
from modelseal.workflows.pull import pull
from modelseal.workflows.services import Services
from modelseal.workflows.trust import Trust
from modelseal.workflows.verify import verify_model


def load(
    name: str | Digest, cache: Path, *, trust: Trust, services: Services, platform: str = ""
) -> Path:
    """Return a directory with the files of the model that `name` points at, verified now.

    The signature is verified on every call; files that were pulled before are hashed again, so
    that a changed disk is noticed.

    Raises:
        NotVerifiedError, PolicyDeniedError: it is not signed by whom it has to be.
        ContentMismatchError: a file in the cache was changed; nothing is returned.
        Error: as `pull` does.
    """
    # (1) Verify first; from here on only the digest counts.
    chosen, _ = verify_model(
        name, trust, store=services.store, clock=services.clock, platform=platform
    )
    digest = chosen.subject.digest
    directory = cache / f"{digest.algorithm}-{digest.encoded}"

    # (2) What was not pulled before is pulled, by that digest, beside its place; it gets its name
    #     when it is whole. A lock lets one of several workers do it, and the others wait.
    layers = layers_of(services.store, chosen.manifest)
    if not _is_there(directory):  # a cache that is whole may stand on a read-only disk
        with _locked(cache, directory.name):
            if not _is_there(directory):
                _pull_whole(digest, directory, services)
                return directory

    # (3) What was is hashed again, and nothing may stand beside it. What an archive holds is read
    #     from the store again: only its bytes hang on the digest that was verified.
    files = files_of(services.store, layers)
    for file in files:
        _check_file(directory, file)
    _check_nothing_else(directory, {file.path.as_posix() for file in files})
    return directory


def _is_there(directory: Path) -> bool:
    try:
        return directory.exists()
    except OSError as error:
        raise StorageError(f"cannot read {directory}: {error.strerror}") from error


def _pull_whole(digest: Digest, directory: Path, services: Services) -> None:
    beside = directory.with_name(f".{directory.name}.partial")
    shutil.rmtree(beside, ignore_errors=True)  # of a run that was killed
    try:
        pull(digest, beside, trust=None, services=services)
        beside.rename(directory)
    except OSError as error:
        raise StorageError(f"cannot write {directory}: {error.strerror}") from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)


@contextmanager
def _locked(cache: Path, name: str) -> Iterator[None]:
    """Keep other threads and processes from the same model; the lock goes with its holder."""
    try:
        cache.mkdir(parents=True, exist_ok=True)
        handle = os.open(cache / f".{name}.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise StorageError(f"cannot write to {cache}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def default_cache(environment: Mapping[str, str]) -> Path:
    """Return where loaded models are kept: below `XDG_CACHE_HOME`, else `~/.cache`."""
    home = environment.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "modelseal" / "models"


def _check_file(directory: Path, file: ModelFile) -> None:
    path = directory / file.path
    if path.is_symlink() or path.resolve() != directory.resolve() / file.path:
        raise _changed(path, "is a link")
    try:
        source = open_plain(path, flags=os.O_NOFOLLOW)
        with verifying(source, file.descriptor) as stream:
            while stream.read(CHUNK):
                pass
    except FileNotFoundError as error:
        raise _changed(path, "is gone") from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    except ContentMismatchError as error:
        raise _changed(path, "was changed") from error


def _check_nothing_else(directory: Path, expected: set[str]) -> None:
    # A stray file is code that a careless loader would import.
    for path in directory.rglob("*"):
        name = path.relative_to(directory).as_posix()
        if (path.is_symlink() or not path.is_dir()) and name not in expected:
            raise _changed(path, "does not belong to the model")


def _changed(path: Path, how: str) -> ContentMismatchError:
    return ContentMismatchError(
        f"the cached file {path} {how} since it was pulled",
        hint=f"find out who writes there, remove {path.parent}, and load again",
    )
