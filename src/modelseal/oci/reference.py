# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""References: names of content in a registry or in an OCI layout on disk.

Grammar: distribution-spec v1.1, "Pulling manifests" (`<name>`, `<reference>`); a layout is
written `oci:PATH[:tag]` or `oci:PATH@digest`. Parsing is strict and own code: `oras.container`
takes upper case, `..`, URLs and any text as a digest.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from modelseal.errors import InvalidReferenceError
from modelseal.oci.descriptor import Digest

DEFAULT_LAYOUT_TAG = "latest"

_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_NAME = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_HOST_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_REGISTRY = re.compile(
    rf"(?:{_HOST_LABEL}(?:\.{_HOST_LABEL})*|\[[0-9a-fA-F:]+\])(?::[0-9]{{1,5}})?"
)
_MAX_NAME = 255
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository in a registry: `ghcr.io` and `acme/fraud`."""

    registry: str
    name: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.name}"


@dataclass(frozen=True, slots=True)
class LayoutDirectory:
    """An OCI image layout on disk; it is one repository."""

    path: Path

    def __str__(self) -> str:
        return f"oci:{self.path}"


Location: TypeAlias = Repository | LayoutDirectory


@dataclass(frozen=True, slots=True)
class TagReference:
    """A movable name. What it points at may change between two reads."""

    location: Location
    tag: str

    def __str__(self) -> str:
        return f"{self.location}:{self.tag}"


@dataclass(frozen=True, slots=True)
class DigestReference:
    """A fixed name. Signing, verifying and promoting take only this one."""

    location: Location
    digest: Digest

    def __str__(self) -> str:
        return f"{self.location}@{self.digest}"


Reference: TypeAlias = TagReference | DigestReference


def parse_reference(text: str) -> Reference:
    """Read `registry/repository:tag`, `…@digest`, `oci:PATH[:tag]` or `oci:PATH@digest`.

    A digest wins over a tag beside it. There is no default registry, and no default tag but for
    a layout.

    Raises:
        InvalidReferenceError: with the part that is wrong, and what to write.
    """
    if text.startswith("oci:"):
        return _parse_layout(text)
    _refuse_url(text)
    rest, at, digest = text.partition("@")
    name, tag = _split_tag(rest)
    repository = parse_repository(name)
    if at:
        return DigestReference(repository, Digest.parse(digest))
    if not tag:
        raise InvalidReferenceError(
            f"{text!r} names no tag and no digest", hint=f"write {text}:<tag> or {text}@sha256:…"
        )
    return TagReference(repository, check_tag(tag))


def parse_location(text: str) -> Location:
    """Read a reference's place: `registry/repository` or `oci:PATH`; a tag or digest is refused.

    Raises:
        InvalidReferenceError.
    """
    layout = text.startswith("oci:")
    if not layout:
        _refuse_url(text)
    if not layout and "@" in text and "@sha" not in text:
        # What stands before an @ may be a password: it is not repeated.
        raise InvalidReferenceError(
            f"a repository has no @ in its name: …@{text.rpartition('@')[2]}",
            hint="write registry/repository; credentials come from `modelseal login`",
        )
    if "@sha" in text or _split_tag(text.removeprefix("oci:"))[1]:
        raise InvalidReferenceError(
            f"{text!r} names content, not a repository", hint="leave out the tag and the digest"
        )
    if layout:
        return LayoutDirectory(_layout_path(text.removeprefix("oci:"), text))
    return parse_repository(text)


def parse_repository(text: str) -> Repository:
    """Read `registry/repository`. Raises `InvalidReferenceError`."""
    registry, slash, name = text.partition("/")
    if not slash or not ({".", ":"} & set(registry) or registry == "localhost"):
        raise InvalidReferenceError(
            f"{text!r} names no registry",
            hint=f"write ghcr.io/{text}, or oci:{text} for an OCI layout on disk",
        )
    port = registry.rpartition(":")[2] if registry[-1:].isdigit() and ":" in registry else "1"
    if not _REGISTRY.fullmatch(registry) or not 0 < int(port) <= _MAX_PORT:
        raise InvalidReferenceError(f"not a registry: {registry!r}", hint="write host or host:port")
    if len(name) > _MAX_NAME or not _NAME.fullmatch(name):
        raise InvalidReferenceError(
            f"not a repository name: {name!r}",
            hint="lower-case letters, digits and single . _ - between them, parts joined by /",
        )
    return Repository(registry, name)


def check_tag(tag: str) -> str:
    """Return `tag`, which is well-formed. Raises `InvalidReferenceError`."""
    if not _TAG.fullmatch(tag):
        raise InvalidReferenceError(
            f"not a tag: {tag!r}", hint="letters, digits, . _ - and at most 128 of them"
        )
    return tag


def _refuse_url(text: str) -> None:
    scheme, found, rest = text.partition("://")
    if found:
        host, slash, path = rest.partition("/")
        place = host.rpartition("@")[2] + slash + path  # a password may stand before the host
        raise InvalidReferenceError(
            f"a reference is not a URL: {f'{scheme}://{place}'!r}",
            hint=f"write {place or 'registry/repository:tag'}",
        )


def _split_tag(text: str) -> tuple[str, str]:
    head, colon, tail = text.rpartition(":")
    return (head, tail) if colon and "/" not in tail else (text, "")


def _parse_layout(text: str) -> Reference:
    rest = text.removeprefix("oci:")
    head, at, digest = rest.rpartition("@sha")
    if at:
        return DigestReference(
            LayoutDirectory(_layout_path(head, text)), Digest.parse("sha" + digest)
        )
    path, tag = _split_tag(rest)
    if not tag:
        return TagReference(LayoutDirectory(_layout_path(rest, text)), DEFAULT_LAYOUT_TAG)
    return TagReference(LayoutDirectory(_layout_path(path, text)), check_tag(tag))


def _layout_path(path: str, text: str) -> Path:
    if not path or "\0" in path:
        raise InvalidReferenceError(f"{text!r} names no directory", hint="write oci:PATH:tag")
    return Path(path)
