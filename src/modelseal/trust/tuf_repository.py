# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Trust files out of a TUF repository: signed, numbered, expiring, and kept for later.

`tuf` does what the specification asks of a client: it goes from the first root that somebody
handed over to the newest, and refuses what is older than what it has seen, or has expired.
Source: The Update Framework specification 1.0, section 5. Import this module late: it brings `tuf`.
"""

import contextlib
import fcntl
import hashlib
import io
import os
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from tuf.api.exceptions import (
    BadVersionNumberError,
    DownloadError,
    ExpiredMetadataError,
    LengthOrHashMismatchError,
    RepositoryError,
)
from tuf.api.metadata import Metadata, Root, Targets  # type: ignore[attr-defined] # documented so
from tuf.ngclient.config import UpdaterConfig
from tuf.ngclient.updater import Updater

from modelseal.errors import (
    StorageError,
    UnavailableError,
    UsageError,
    VerificationError,
)
from modelseal.trust.trusted_root import PUBLIC_INSTANCE

MAX_TARGET_BYTES: Final = 4 << 20
"""Largest file, in bytes, that is taken out of a TUF repository."""

MAX_METADATA_BYTES: Final = 4 << 20
"""Largest metadata file of a TUF repository, in bytes."""

_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


@dataclass(frozen=True, slots=True)
class Repository:
    """A TUF repository.

    Attributes:
        url: where its metadata is; targets are below `targets/`.
        first_root: a `root.json` that came by a way that is trusted; None once it is known.
    """

    url: str
    first_root: Path | None = None

    @classmethod
    def parse(cls, text: str) -> "Repository":
        """Read `tuf+https://HOST/PATH[#ROOT.json]`. Raises `UsageError`."""
        url, _, root = text.removeprefix("tuf+").partition("#")
        parts = urllib.parse.urlsplit(url)
        private = parts.scheme == "https" or (
            parts.scheme == "http" and parts.hostname in _LOOPBACK
        )
        if not private or not parts.hostname or parts.username or parts.query:
            raise UsageError(
                f"not a TUF repository: {text[:200]!r}",
                hint="write tuf+https://HOST/PATH, and the first time tuf+https://…#ROOT.json",
                code="invalid-trust-file",
            )
        return cls(url.rstrip("/"), Path(root) if root else None)


class TufCache:
    """What TUF repositories said, below one directory of the user."""

    def __init__(self, directory: Path | None = None) -> None:
        """Name the directory; by default `modelseal/tuf` below the user's data."""
        data = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
        self._directory = directory or Path(data) / "modelseal" / "tuf"

    def fetch(self, repository: Repository, target: str) -> bytes:
        """Bring the repository's metadata up to date, and return a file of it.

        Raises:
            UsageError: the repository is not known, and no first root is named; or it has no
                such file.
            VerificationError: metadata does not verify, is older than what was seen, or expired.
            UnavailableError: it did not answer.
            StorageError: the cache cannot be written.
        """
        with self._locked(repository) as place, _told(repository):
            known = (place / "metadata" / "root.json").exists()
            first_root = repository.first_root
            if first_root is None and not known and repository == Repository.parse(PUBLIC_INSTANCE):
                first_root = shipped_root()
            if first_root is None and not known:
                raise UsageError(
                    f"the TUF repository {repository.url} is not known here yet",
                    hint=f"name its first root: tuf+{repository.url}#ROOT.json",
                    code="invalid-trust-file",
                )
            updater = Updater(
                metadata_dir=str(place / "metadata"),
                metadata_base_url=repository.url,
                target_dir=str(place / "targets"),
                target_base_url=f"{repository.url}/targets/",
                config=UpdaterConfig(targets_max_length=MAX_METADATA_BYTES),
                bootstrap=_read(first_root) if first_root else None,
            )
            updater.refresh()
            info = updater.get_targetinfo(target)
            if info is None:
                raise _no_target(repository, target)
            if info.length > MAX_TARGET_BYTES:
                raise UsageError(
                    f"{target} of {repository.url} is too large for a trust file",
                    code="invalid-trust-file",
                )
            path = updater.find_cached_target(info) or updater.download_target(info)
            return _read(Path(path))

    def cached(self, repository: Repository, target: str) -> tuple[bytes, datetime]:
        """Return a file as it was when the repository was last asked, and when that expires.

        Nothing is connected. Signatures and digests are checked again; that it may have expired
        is the price of not asking.

        Raises:
            UnavailableError: it was never asked for.
            VerificationError: the cache was changed.
        """
        place = self._place(repository)
        with _told(repository):
            try:
                root = Metadata[Root].from_bytes(_read(place / "metadata" / "root.json"))
                targets = Metadata[Targets].from_bytes(_read(place / "metadata" / "targets.json"))
                raw = _read(place / "targets" / urllib.parse.quote(target, ""))
            except FileNotFoundError as error:
                raise UnavailableError(
                    f"{target} of {repository.url} was never fetched, and --offline asks nobody",
                    hint="run once with the network, or give a file: --trusted-root FILE",
                    code="not-cached",
                ) from error
            root.signed.verify_delegate(Targets.type, targets.signed_bytes, targets.signatures)
            info = targets.signed.targets.get(target)
            if info is None:
                raise _no_target(repository, target)
            info.verify_length_and_hashes(io.BytesIO(raw))
            return raw, min(root.signed.expires, targets.signed.expires)

    def _place(self, repository: Repository) -> Path:
        return self._directory / hashlib.sha256(repository.url.encode()).hexdigest()[:32]

    @contextlib.contextmanager
    def _locked(self, repository: Repository) -> Iterator[Path]:
        """Let one process at a time change what is kept, as `tuf` needs it."""
        place = self._place(repository)
        try:
            (place / "metadata").mkdir(parents=True, exist_ok=True, mode=0o700)
            (place / "targets").mkdir(exist_ok=True, mode=0o700)
            handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise StorageError(f"cannot write {place}: {error.strerror}") from error
        try:
            with contextlib.suppress(OSError):  # not every network disk has locks
                fcntl.flock(handle, fcntl.LOCK_EX)
            yield place
        finally:
            os.close(handle)


def shipped_root() -> Path | None:
    """Return the first root of the public instance, as the installed `sigstore` has it."""
    import sigstore

    name = urllib.parse.quote(Repository.parse(PUBLIC_INSTANCE).url, "")
    path = Path(str(sigstore.__file__)).parent / "_store" / name / "root.json"
    return path if path.is_file() else None


def _read(path: Path) -> bytes:
    with path.open("rb") as stream:
        raw = stream.read(MAX_METADATA_BYTES + 1)
    if len(raw) > MAX_METADATA_BYTES:
        raise UsageError(f"{path} is too large for TUF metadata", code="invalid-trust-file")
    return raw


def _no_target(repository: Repository, target: str) -> UsageError:
    return UsageError(
        f"the TUF repository {repository.url} has no {target}",
        hint="it has to be a target of the repository, under this name",
        code="invalid-trust-file",
    )


@contextlib.contextmanager
def _told(repository: Repository) -> Iterator[None]:
    """Let only errors of ours out."""
    url = repository.url
    try:
        yield
    except ExpiredMetadataError as error:
        raise VerificationError(
            f"the metadata of {url} has expired: {_short(error)}",
            hint="whoever runs the repository has to sign it anew; --offline takes what was seen",
            code="expired-metadata",
        ) from error
    except BadVersionNumberError as error:
        raise VerificationError(
            f"{url} shows older metadata than it did before: {_short(error)}",
            hint="somebody may be rolling it back; ask whoever runs the repository",
            code="rolled-back-metadata",
        ) from error
    except DownloadError as error:
        raise UnavailableError(
            f"the TUF repository {url} did not answer as it must: {_short(error)}",
            hint="check the network; --offline takes what was seen last",
        ) from error
    except (RepositoryError, LengthOrHashMismatchError, ValueError) as error:
        raise VerificationError(
            f"the metadata of {url} does not verify: {_short(error)}",
            hint="is the first root the one of this repository?",
            code="untrusted-metadata",
        ) from error
    except FileNotFoundError as error:
        raise UsageError(
            f"cannot read {error.filename}", hint="name the root.json", code="invalid-trust-file"
        ) from error
    except OSError as error:
        raise StorageError(f"the cache of {url} cannot be used: {_short(error)}") from error


def _short(error: Exception) -> str:
    text = " ".join(str(error).split())[:200]
    return "".join(sign if sign.isprintable() else "?" for sign in text) or type(error).__name__
