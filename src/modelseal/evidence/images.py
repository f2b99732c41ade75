# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Container images that files beside the model name by a tag: tomorrow it can be another image.

Looked at are Dockerfiles (`FROM`, `COPY --from`) and Compose files (`image`). Source: Dockerfile
reference, Compose specification. Nothing is asked of a registry.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from modelseal.documents import parse_yaml
from modelseal.errors import ContentError
from modelseal.evidence.facts import Finding, Level
from modelseal.modelpack.plain_files import read_small

_MAX_FILE = 1 << 20
_MOST_FILES = 50
_DOCKERFILE = re.compile(
    r"(?:.*/)?(?:(?:Docker|Container)file(?:\..+)?|.+\.(?:docker|container)file)"
)
_COMPOSE = re.compile(r"(?:.*/)?(?:docker-)?compose(?:\..+)?\.ya?ml")
_FROM = re.compile(r"FROM\s+(?:--\S+\s+)*(\S+)(?:\s+AS\s+(\S+))?", re.IGNORECASE)
_COPY = re.compile(r"(?:COPY|ADD)\s.*?--from=(\S+)", re.IGNORECASE)
_ARG = re.compile(r"ARG\s+([A-Za-z_][A-Za-z0-9_]*)=[\"']?([^\"'\s]*)", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:\{([A-Za-z_]\w*)(?::?-([^}]*))?\}|([A-Za-z_]\w*))", re.ASCII)


@dataclass(frozen=True, slots=True)
class NamedImage:
    """An image that a file names."""

    path: str
    line: int
    keyword: str
    """What stands before it: `FROM`, `COPY --from=`, `image:`."""
    text: str

    @property
    def pinned(self) -> bool:
        """Tell whether a digest says which image it is."""
        return "@sha256:" in self.text


def images_in(directory: Path, paths: list[str]) -> tuple[list[NamedImage], list[Finding]]:
    """Return the images that the Dockerfiles and Compose files among `paths` name.

    Returns:
        The images, and a finding for each file that cannot be read.
    """
    found: list[NamedImage] = []
    unread: list[Finding] = []
    named = [path for path in paths if _DOCKERFILE.fullmatch(path) or _COMPOSE.fullmatch(path)]
    for path in named[:_MOST_FILES]:
        raw = read_small(directory, path, limit=_MAX_FILE) or b""
        try:
            found += _compose(raw, path) if _COMPOSE.fullmatch(path) else _dockerfile(raw, path)
        except ContentError as error:
            unread.append(
                Finding(
                    id="images-not-checked",
                    level=Level.NOTE,
                    message=f"not checked: which images {path} names, because {error}",
                    where=path,
                    hint=error.hint,
                )
            )
    return found, unread


def floating(image: NamedImage) -> Finding | None:
    """Return the finding for an image that is named without a digest, with what to write."""
    if image.pinned:
        return None
    where = f"{image.path}:{image.line}" if image.line else image.path
    if "$" in image.text:
        return Finding(
            id="image-not-known",
            message=f"{image.path} names the image {image.text}, which a variable decides",
            where=where,
            hint=f"write {image.keyword}NAME@sha256:…, or give the variable such a default",
        )
    return Finding(
        id="floating-image-tag",
        message=f"{image.path} names the image {image.text} by a tag, which can move",
        where=where,
        hint=f"write `{image.keyword}{_full(image.text)}@sha256:DIGEST`, with the digest that "
        f"`docker buildx imagetools inspect {image.text}` tells",
    )


def _full(text: str) -> str:
    """Write a tag where there is none: it is what is pulled."""
    return text if ":" in text.rpartition("/")[2] else f"{text}:latest"


def _dockerfile(raw: bytes, path: str) -> Iterator[NamedImage]:
    arguments: dict[str, str] = {}
    stages: set[str] = {"scratch"}
    begun = False
    for number, line in _instructions(raw.decode("utf-8", "replace")):
        if match := _ARG.match(line):
            if not begun:  # only those before the first FROM count in a FROM
                arguments[match[1]] = match[2]
        elif match := _FROM.match(line):
            begun = True
            text = _resolved(match[1], arguments)
            if text.lower() not in stages:
                yield NamedImage(path, number, "FROM ", text)
            stages.add((match[2] or "").lower())
            stages.add(str(len(stages)))
        elif match := _COPY.match(line):
            text = _resolved(match[1], arguments)
            if text.lower() not in stages and not text.isdigit():
                yield NamedImage(path, number, "COPY --from=", text)


def _instructions(text: str) -> Iterator[tuple[int, str]]:
    start, parts = 0, list[str]()
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("#"):
            continue
        start = start if parts else number
        goes_on = line.rstrip().endswith("\\")
        parts.append(line.rstrip().removesuffix("\\"))
        if not goes_on:
            yield start, " ".join(parts).strip()
            parts = []


def _resolved(text: str, arguments: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        return arguments.get(match[1] or match[3]) or match[2] or match[0]

    return _VARIABLE.sub(value, text)


def _compose(raw: bytes, path: str) -> Iterator[NamedImage]:
    document = parse_yaml(raw, path)
    services = document.get("services") if isinstance(document, dict) else None
    lines = raw.decode("utf-8", "replace").splitlines()
    for service in services.values() if isinstance(services, dict) else ():
        text = service.get("image") if isinstance(service, dict) else None
        # What is built from a Dockerfile gets its name here.
        if isinstance(text, str) and "build" not in service:
            stands = re.compile(rf"\s*image:\s*[\"']?{re.escape(text)}[\"']?\s*(?:#.*)?$")
            line = next((n for n, told in enumerate(lines, 1) if stands.match(told)), 0)
            yield NamedImage(path, line, "image: ", _resolved(text, {}))
