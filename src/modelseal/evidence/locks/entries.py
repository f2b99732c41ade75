# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a lock file says, whichever tool wrote it: packages, their files, and what needs what."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote, urlsplit, urlunsplit

from modelseal.evidence.facts import Finding
from modelseal.oci.descriptor import Digest

STRONG_HASHES = ("sha256", "sha384", "sha512")
"""What pip takes for a hash (pip, "Secure installs"); MD5 and SHA-1 are none."""

_HEX_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128, "md5": 32, "sha1": 40}
_SECRET_QUERY = re.compile(r"token|secret|passw|sig|key|auth|credential", re.IGNORECASE)


class LockFormat(StrEnum):
    """Which tool's format a lock file has."""

    REQUIREMENTS = "requirements.txt"
    UV = "uv.lock"
    PYLOCK = "pylock.toml"
    POETRY = "poetry.lock"
    CONDA = "conda-lock.yml"


class Manager(StrEnum):
    """Who installs a package."""

    PYPI = "pypi"
    CONDA = "conda"


class Source(StrEnum):
    """Where a package comes from."""

    INDEX = "index"
    """A package index or channel, by name and version."""
    URL = "url"
    """One archive."""
    VCS = "vcs"
    """A commit of a repository."""
    DIRECTORY = "directory"
    """A directory beside the lock file: the project itself, as a rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedFile:
    """One archive that may be installed: a wheel, an sdist, a conda package."""

    name: str = ""
    """Name of the file; empty where the lock has hashes only."""
    digests: Mapping[str, str] = field(default_factory=dict)
    """Algorithm to lower-case hex digits."""
    url: str = ""
    """Without credentials."""

    @property
    def strong(self) -> bool:
        """Tell whether a hash binds its content."""
        return any(name in STRONG_HASHES for name in self.digests)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """That a package needs another one."""

    name: str
    """Normalised as PEP 503 has it; as it stands for conda."""
    version: str = ""
    """The version that the lock names, where it names one."""
    marker: str = ""
    extras: tuple[str, ...] = ()
    extra: str = ""
    """The extra of the package, or its group, that needs it; empty: the package itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedPackage:
    """One entry of a lock file."""

    name: str
    """Normalised as PEP 503 has it; as it stands for conda."""
    version: str = ""
    """Empty when it is not pinned."""
    manager: Manager = Manager.PYPI
    files: tuple[LockedFile, ...] = ()
    source: Source = Source.INDEX
    location: str = ""
    """Address of the index, archive, repository or directory; without credentials."""
    commit: str = ""
    marker: str = ""
    """When it is installed, as PEP 508 has it; empty: always."""
    requires_python: str = ""
    requires: tuple[Edge, ...] = ()
    extras: tuple[str, ...] = ()
    platform: str = ""
    """Of conda: `linux-64`."""
    optional: bool = False
    """Only some group or extra asks for it."""
    line: int = 0
    """Where it stands in the lock file, from 1; 0 when that is not known."""

    @property
    def pinned(self) -> bool:
        """Tell whether it can be one version only."""
        if self.source is Source.VCS:
            return bool(self.commit)
        return bool(self.version) or self.source is not Source.INDEX

    @property
    def hashed(self) -> bool:
        """Tell whether every file of it has a hash that binds its content; a commit is one."""
        match self.source:
            case Source.VCS:
                return bool(self.commit)
            case Source.DIRECTORY:
                return False
            case _:
                return bool(self.files) and all(file.strong for file in self.files)

    @property
    def digests(self) -> tuple[str, ...]:
        """The hashes of all files, `sha256:…`, sorted, each once."""
        found = {f"{name}:{digits}" for file in self.files for name, digits in file.digests.items()}
        return tuple(sorted(found))

    @property
    def purl(self) -> str:
        """The package URL (purl-spec, types `pypi` and `conda`)."""
        version = f"@{quote(self.version, safe='')}" if self.version else ""
        qualifiers = {
            "subdir": self.platform if self.manager is Manager.CONDA else "",
            "vcs_url": f"git+{self.location}@{self.commit}" if self.commit else "",
            "download_url": self.location if self.source is Source.URL else "",
        }
        told = "&".join(
            f"{key}={quote(value, safe=':/')}" for key, value in qualifiers.items() if value
        )
        return f"pkg:{self.manager}/{quote(self.name)}{version}{'?' if told else ''}{told}"

    def to_order(self) -> tuple[str, ...]:
        """Return what entries are sorted by."""
        return (self.name, self.version, self.platform, self.marker, self.location)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lock:
    """A lock file that was read."""

    path: str
    """Below the model directory."""
    format: LockFormat
    digest: Digest
    """Of its bytes."""
    tool: str = ""
    """What wrote it, as far as it says."""
    requires_python: str = ""
    packages: tuple[LockedPackage, ...] = ()
    """Sorted by name and version, without the project itself."""
    roots: tuple[LockedPackage, ...] = ()
    """The project itself, and what it needs; empty where the format does not say."""
    markers_on_edges: bool = False
    """Where a package is installed is decided by who needs it, and not by the package's marker."""
    findings: tuple[Finding, ...] = ()

    @property
    def remedy(self) -> str:
        """The command that makes such a lock anew, with hashes."""
        if self.format is LockFormat.REQUIREMENTS:
            if "pip-compile" in self.tool:
                return f"pip-compile --generate-hashes --output-file {self.path} requirements.in"
            return f"uv pip compile --generate-hashes --output-file {self.path} requirements.in"
        if self.format is LockFormat.PYLOCK:
            export = f"uv export --format pylock.toml --output-file {self.path}"
            return f"pip lock --output {self.path} ." if self.tool == "pip" else export
        return {
            LockFormat.UV: "uv lock",
            LockFormat.POETRY: "poetry lock",
            LockFormat.CONDA: "conda-lock lock",
        }[self.format]


def parse_hash(text: str) -> tuple[str, str] | None:
    """Read `sha256:…`; None when that is no hash."""
    name, _, digits = text.strip().partition(":")
    name, digits = name.lower(), digits.lower()
    if len(digits) != _HEX_DIGITS.get(name, 0) or not re.fullmatch(r"[0-9a-f]+", digits):
        return None
    return name, digits


def without_credentials(url: str) -> tuple[str, bool]:
    """Return a URL without user, password and secret query; and whether there were any."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", "@" in url
    host = parts.netloc.rpartition("@")[2]
    # `git@` is the name of an account that everybody uses.
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    secret = (
        bool(password) or (bool(user) and user != "git") or bool(_SECRET_QUERY.search(parts.query))
    )
    query = "" if _SECRET_QUERY.search(parts.query) else parts.query
    return urlunsplit((parts.scheme, host, parts.path, query, "")), secret


def file_name(url: str) -> str:
    """Return the last part of a URL's path."""
    from urllib.parse import unquote

    return unquote(url.partition("#")[0].partition("?")[0].rpartition("/")[2])
