# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Requirements files with hashes, as `pip-compile`, `uv pip compile` and `uv export` write them.

Source: pip, "Requirements File Format". What makes such a file say something that does not stand
in it is not followed, and is a finding: other files (`-r`, `-c`), variables of the environment,
directories of archives (`-f`).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from modelseal.errors import InvalidDocumentError
from modelseal.evidence.environment.distributions import normalised
from modelseal.evidence.facts import Finding, Level
from modelseal.evidence.locks.entries import (
    Edge,
    LockedFile,
    LockedPackage,
    Source,
    file_name,
    parse_hash,
    without_credentials,
)
from modelseal.evidence.locks.said import about

if TYPE_CHECKING:
    from packaging.specifiers import SpecifierSet

_ENTRY = re.compile(
    r"-[a-z-]+[ =]|--[a-z-]+|[A-Za-z0-9][A-Za-z0-9._-]*[ \t]*(?:$|[\[=<>!~;@\\]|--hash)"
)
_COMMENT = re.compile(r"(?:^|[ \t]+)#.*$")
_VARIABLE = re.compile(r"\$\{[A-Z0-9_]+\}")
_VIA = re.compile(r"^[ \t]*#[ \t]+(?:via[ \t]+)?(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)[ \t]*$")
_TOOL = re.compile(r"^#.*\b(pip-compile|uv)\b")
_OPTION = re.compile(r"[ \t]+--([a-z-]+)(?:[ \t]*=[ \t]*|[ \t]+)(\S+)")
_EGG = re.compile(r"(?:^|&)egg=([A-Za-z0-9._-]+)")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_HEADER_LINES = 10
_OF_ONE = frozenset({"hash", "config-settings", "global-option", "config-setting"})

_PLAIN = frozenset(
    {"--pre", "--prefer-binary", "--require-hashes", "--no-index", "--no-binary", "--only-binary"}
    | {"--use-feature", "--index-url", "-i", "--extra-index-url"}
)
_REFUSED = {
    "-r": "includes",
    "--requirement": "includes",
    "-c": "constraints",
    "--constraint": "constraints",
    "-f": "links",
    "--find-links": "links",
    "--trusted-host": "trusted",
}


@dataclass(slots=True)
class _Noted:
    """What is noted while lines are read, each with its line."""

    includes: list[tuple[str, int]] = field(default_factory=list)
    constraints: list[tuple[str, int]] = field(default_factory=list)
    links: list[tuple[str, int]] = field(default_factory=list)
    trusted: list[tuple[str, int]] = field(default_factory=list)
    extra_indexes: list[tuple[str, int]] = field(default_factory=list)
    secrets: list[tuple[str, int]] = field(default_factory=list)
    variables: list[tuple[str, int]] = field(default_factory=list)
    unread: list[tuple[str, int]] = field(default_factory=list)
    editable: list[tuple[str, int]] = field(default_factory=list)
    index: str = ""


def looks_like_requirements(text: str) -> bool:
    """Tell whether a text could be a requirements file: an entry or an option on some line."""
    for line in text.splitlines():
        stripped = _COMMENT.sub("", line).strip()
        if stripped:
            return _ENTRY.match(stripped) is not None or _is_place(stripped)
    return False


def read_requirements(
    text: str, path: str
) -> tuple[str, tuple[LockedPackage, ...], tuple[Finding, ...]]:
    """Read a requirements file.

    Returns:
        The tool that wrote it, its packages in the order of the file, and what is wrong with it
        besides what `pins` says.
    """
    lines = text.splitlines()
    noted = _Noted()
    packages = []
    for number, line in _joined(lines):
        if _VARIABLE.search(line):
            noted.variables.append((_shown(line), number))
        elif line.startswith("-"):
            found = _option(line, number, noted)
            if found is not None:
                packages.append(found)
        else:
            package = _entry(line, number, noted)
            if package is not None:
                packages.append(package)
    header = [match[1] for line in lines[:_HEADER_LINES] if (match := _TOOL.match(line))]
    edges = _edges(lines, packages)
    packages = [_with_edges(package, edges, noted.index) for package in packages]
    tool = ("pip-compile" if "pip-compile" in header else header[0]) if header else ""
    return tool, tuple(packages), tuple(_findings(path, noted))


def _joined(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield whole lines, without comments, with the number of their first one."""
    start = 0
    parts: list[str] = []
    for number, line in enumerate(lines, 1):
        comment = line.lstrip().startswith("#")
        goes_on = line.endswith("\\") and not comment
        if not parts:
            start = number
        if not comment:
            parts.append(line.removesuffix("\\") if goes_on else line)
        # A comment ends what goes on, as it does for pip.
        if not goes_on and parts:
            whole = _COMMENT.sub("", " ".join(parts)).strip()
            parts = []
            if whole:
                yield start, whole
    whole = _COMMENT.sub("", " ".join(parts)).strip()
    if whole:
        yield start, whole


def _option(line: str, number: int, noted: _Noted) -> LockedPackage | None:
    name, value = _option_parts(line)
    if name in {"-e", "--editable"}:
        return _editable(value, number, noted)
    kind = _REFUSED.get(name)
    shown = _shown(line)
    if kind is not None:
        getattr(noted, kind).append((shown, number))
    elif name not in _PLAIN:
        noted.unread.append((shown, number))
    if name in {"-i", "--index-url", "--extra-index-url"}:
        address, secret = without_credentials(value)
        if secret:
            noted.secrets.append((name, number))
        if name == "--extra-index-url":
            noted.extra_indexes.append((address, number))
        else:
            noted.index = address
    return None


def _option_parts(line: str) -> tuple[str, str]:
    if not line.startswith("--"):
        return line[:2], line[2:].lstrip("= \t")  # pip takes `-rfile`, too
    name, _, value = re.sub(r"[ \t]*=[ \t]*|[ \t]+", " ", line, count=1).partition(" ")
    return name, value


def _editable(value: str, number: int, noted: _Noted) -> LockedPackage | None:
    noted.editable.append((_shown(value), number))
    return _place(value, number, noted, ()) if "://" in value else None


def _entry(line: str, number: int, noted: _Noted) -> LockedPackage | None:
    text, options = _split_options(line)
    unknown = [name for name, _ in options if name not in _OF_ONE]
    if unknown:
        noted.unread.append((_shown(line), number))
        return None
    hashes = [parse_hash(value) for name, value in options if name == "hash"]
    if None in hashes:
        noted.unread.append((_shown(line), number))
        return None
    files = tuple(LockedFile(digests={found[0]: found[1]}) for found in hashes if found)
    if _is_place(text):
        return _place(text, number, noted, files)
    return _requirement(text, number, noted, files)


def _split_options(line: str) -> tuple[str, list[tuple[str, str]]]:
    options = []
    match = _OPTION.search(line)
    text = line[: match.start()] if match else line
    while match:
        options.append((match[1], match[2]))
        end = match.end()
        match = _OPTION.match(line, end)
        if match is None and line[end:].strip():
            options.append(("", line[end:].strip()))
    return text.strip(), options


def _requirement(
    text: str, number: int, noted: _Noted, files: tuple[LockedFile, ...]
) -> LockedPackage | None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        requirement = Requirement(text)
    except (InvalidRequirement, RecursionError):
        noted.unread.append((_shown(text), number))
        return None
    marker = str(requirement.marker or "")
    name = normalised(requirement.name)
    if requirement.url:
        return _at(requirement.url, number, noted, files, name=name, marker=marker)
    return LockedPackage(
        name=name,
        version=_pin(requirement.specifier),
        files=files,
        marker=marker,
        extras=tuple(sorted(map(normalised, requirement.extras))),
        line=number,
    )


def _pin(specifiers: "SpecifierSet") -> str:
    match list(specifiers):
        case [only] if only.operator in {"==", "==="} and not only.version.endswith(".*"):
            return only.version
    return ""


def _is_place(text: str) -> bool:
    return bool(
        re.match(r"(?:[A-Za-z][A-Za-z0-9+.-]*://|file:|\.{0,2}/|\.$|~)", text)
        or re.search(r"^[^ \t;@=<>]+(?:/|\.whl|\.tar\.gz|\.zip)", text)
    )


def _place(
    text: str, number: int, noted: _Noted, files: tuple[LockedFile, ...]
) -> LockedPackage | None:
    address, _, marker = (part.strip() for part in text.partition(" ;"))
    address = address.partition(" ")[0]
    egg = _EGG.search(address.partition("#")[2])
    name = normalised(egg[1]) if egg else _named_by_file(address)[0]
    if not name:
        noted.unread.append((_shown(text), number))
        return None
    return _at(address, number, noted, files, name=name, marker=marker)


def _at(
    address: str,
    number: int,
    noted: _Noted,
    files: tuple[LockedFile, ...],
    *,
    name: str,
    marker: str,
) -> LockedPackage:
    base, _, fragment = address.partition("#")
    clean, secret = without_credentials(base)
    if secret:
        noted.secrets.append((name, number))
    kind, commit = Source.URL, ""
    if re.match(r"(?:git|hg|svn|bzr)\+", base):
        kind = Source.VCS
        clean, _, reference = clean.partition("+")[2].rpartition("@")
        if not clean or "/" in reference:  # there was no reference, or the @ was another one's
            clean, reference = f"{clean}@{reference}".removeprefix("@"), ""
        commit = reference if _COMMIT.fullmatch(reference) else ""
    elif "://" not in base:
        kind = (
            Source.URL
            if file_name(base).endswith((".whl", ".tar.gz", ".zip"))
            else Source.DIRECTORY
        )
    named = file_name(base)
    of_fragment = [parse_hash(part.replace("=", ":", 1)) for part in fragment.split("&")]
    digests = {found[0]: found[1] for found in of_fragment if found}
    if kind is Source.URL:
        for file in files:
            digests.update(file.digests)
        files = (LockedFile(name=named, digests=digests, url=clean),)
    return LockedPackage(
        name=name,
        version=_named_by_file(base)[1],
        files=files,
        source=kind,
        location=clean,
        commit=commit,
        marker=marker,
        line=number,
    )


def _named_by_file(address: str) -> tuple[str, str]:
    """Return name and version of a wheel or sdist, by its file name."""
    from packaging.utils import (
        InvalidSdistFilename,
        InvalidWheelFilename,
        parse_sdist_filename,
        parse_wheel_filename,
    )

    named = file_name(address)
    try:
        if named.endswith(".whl"):
            wheel = parse_wheel_filename(named)
            return wheel[0], str(wheel[1])
        sdist = parse_sdist_filename(named)
    except (InvalidWheelFilename, InvalidSdistFilename):
        return "", ""
    return sdist[0], str(sdist[1])


def _edges(lines: list[str], packages: list[LockedPackage]) -> dict[str, set[str]]:
    """Read the comments `# via NAME`: who needs whom, as the tool wrote it down."""
    starts = {package.line: package.name for package in packages}
    known = {package.name for package in packages}
    current = ""
    edges: dict[str, set[str]] = {}
    for number, line in enumerate(lines, 1):
        current = starts.get(number, current)
        match = _VIA.match(line)
        needs = normalised(match["name"]) if match else ""
        if current and needs in known:
            edges.setdefault(needs, set()).add(current)
    return edges


def _with_edges(package: LockedPackage, edges: dict[str, set[str]], index: str) -> LockedPackage:
    found = tuple(Edge(name=name) for name in sorted(edges.get(package.name, ())))
    location = package.location or (index if package.source is Source.INDEX else "")
    return replace(package, requires=found, location=location)


def _shown(line: str) -> str:
    """Return the beginning of a line, without what could be a password."""
    text = re.sub(r"(://)[^/@\s]*@", r"\1…@", line)
    return text.partition("?")[0].partition(" --hash")[0][:80]


def _findings(path: str, noted: _Noted) -> Iterator[Finding]:
    one_file = "write all entries into this one file: compile it anew from what is included"
    yield from about(
        path,
        "lock-includes-other-files",
        "other files are named, and are not read: {}",
        [*noted.includes, *noted.constraints],
        hint=one_file,
        level=Level.ERROR,
    )
    yield from about(
        path,
        "lock-reads-the-environment",
        "lines depend on variables of whoever installs: {}",
        noted.variables,
        hint="write what is meant; credentials of an index belong into pip's configuration",
        level=Level.ERROR,
    )
    yield from about(
        path,
        "lock-holds-credentials",
        "there is a password or token in {}, and the file is published with the model",
        noted.secrets,
        hint="take it out and change it; keep it in ~/.netrc or a keyring",
        level=Level.ERROR,
    )
    yield from about(
        path,
        "lock-trusts-host",
        "TLS is turned off by {}",
        noted.trusted,
        hint="take the line out; give pip the certificate of your index with --cert",
        level=Level.ERROR,
    )
    yield from about(
        path,
        "lock-entry-unread",
        "lines are not understood, and not counted: {}",
        noted.unread,
        hint="write NAME==VERSION --hash=sha256:…, as `uv pip compile --generate-hashes` does",
        level=Level.ERROR,
    )
    yield from about(
        path,
        "lock-entry-editable",
        "entries are read from a directory or repository that can change: {}",
        noted.editable,
        hint="build a wheel of it, and lock that with its hash",
    )
    yield from about(
        path,
        "lock-of-several-indexes",
        "besides the index there are {}; whoever has the higher version wins on either",
        noted.extra_indexes,
        hint="use one index that mirrors the others; hashes protect only entries that have one",
        level=Level.NOTE,
    )
    yield from about(
        path,
        "lock-links-to-archives",
        "archives are looked for elsewhere: {}",
        noted.links,
        hint="write the archive's URL with its hash instead",
    )


def parse_requirements_bytes(raw: bytes, what: str) -> str:
    """Return the text of a requirements file.

    Raises:
        InvalidDocumentError: it is not UTF-8.
    """
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidDocumentError(f"{what} is not UTF-8") from error
