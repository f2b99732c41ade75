# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The names that files of a model may have, for the writer and for the reader.

A name is refused, never repaired: two tools would repair it in two ways. What is taken here is one
and the same file on Linux, macOS and Windows, below the directory and nowhere else.
"""

import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from modelseal.errors import LimitExceededError, UnsafePathError

MAX_PATH_BYTES = 1024
"""Longest path, in bytes of UTF-8 (macOS PATH_MAX; Linux takes 4096)."""

MAX_COMPONENT_BYTES = 255
"""Longest part of a path, in bytes of UTF-8 (NAME_MAX)."""

MAX_DEPTH = 32
"""Most parts of a path."""

MAX_ENTRIES = 200_000
"""Most files of one model and the directories that they stand in."""

# Windows, "Naming Files, Paths, and Namespaces"; `:` opens a stream or a drive, `\` a directory.
_NOT_PORTABLE = frozenset('\\:<>"|?*')
_DIGITS = "0123456789¹²³"
_RESERVED = frozenset(
    {"con", "prn", "aux", "nul", "conin$", "conout$"}
    | {f"{device}{digit}" for device in ("com", "lpt") for digit in _DIGITS}
)
# Control characters, invisible format characters (they can turn the direction of what a person
# reads), lone surrogates (bytes that are not UTF-8), line and paragraph separators.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

_RENAME = "rename it"


def check_relative_path(name: str) -> PurePosixPath:
    """Return `name` as a path that stays below a directory, on every system.

    Raises:
        UnsafePathError: it is absolute, has `..` or empty parts, or is not the same everywhere.
    """
    why = _why_unsafe(name)
    if why:
        raise UnsafePathError(f"the file name {name[:200]!r} {why}", hint=_RENAME)
    return PurePosixPath(name)


def check_paths(names: Iterable[str]) -> tuple[PurePosixPath, ...]:
    """Return the paths of one model, which can all stand beside each other on every disk.

    Raises:
        UnsafePathError: as `check_relative_path`; or a name stands there twice, differs from
            another in case or Unicode form only, or is a file and a directory at once.
        LimitExceededError: they are more than `MAX_ENTRIES` files and directories.
    """
    paths = tuple(check_relative_path(name) for name in names)
    seen: dict[str, tuple[PurePosixPath, bool]] = {}
    for path in paths:
        for part, is_file in ((path, True), *((parent, False) for parent in path.parents[:-1])):
            _check_clash(seen, part, is_file=is_file)
        if len(seen) > MAX_ENTRIES:
            raise LimitExceededError(
                f"the model has more than {MAX_ENTRIES} files and directories", hint="pack fewer"
            )
    return paths


def _check_clash(
    seen: dict[str, tuple[PurePosixPath, bool]], path: PurePosixPath, *, is_file: bool
) -> None:
    other, other_is_file = seen.setdefault(_folded(str(path)), (path, is_file))
    if other is path or (other == path and not is_file and not other_is_file):
        return
    if other != path:
        why = f"differ only in case or Unicode form: {str(other)!r}"
        raise UnsafePathError(f"two file names {why} and {str(path)!r}", hint=_RENAME)
    if is_file and other_is_file:
        raise UnsafePathError(f"the file name {str(path)!r} stands there twice")
    raise UnsafePathError(f"{str(path)!r} is a file and a directory at once", hint=_RENAME)


def _folded(text: str) -> str:
    # Unicode 15, section 3.13, D145: canonical caseless match; as APFS and NTFS compare, or wider.
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())


def _why_unsafe(name: str) -> str:
    why = _why_text_unsafe(name)
    if why:
        return why
    parts = name.split("/")
    if len(parts) > MAX_DEPTH:
        return f"has more than {MAX_DEPTH} parts"
    return next((why for why in map(_why_part_unsafe, parts) if why), "")


def _why_text_unsafe(name: str) -> str:
    unprintable = next((c for c in name if unicodedata.category(c) in _UNPRINTABLE), "")
    if unprintable:
        return f"has the unprintable character U+{ord(unprintable):04X}"
    if len(name.encode()) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    if not unicodedata.is_normalized("NFC", name):
        return "is not in Unicode form NFC"
    if name.startswith("/"):
        return "is absolute"
    foreign = next((c for c in name if c in _NOT_PORTABLE), "")
    return f"has the character {foreign}, which not every system takes" if foreign else ""


def _why_part_unsafe(part: str) -> str:
    if part == "..":
        return "leaves the directory"
    if part in ("", "."):
        return "has an empty part"
    if part[-1] in ". ":
        return "has a part that ends in a dot or a space, which Windows drops"
    if len(part.encode()) > MAX_COMPONENT_BYTES:
        return f"has a part longer than {MAX_COMPONENT_BYTES} bytes"
    if part.partition(".")[0].rstrip(" ").casefold() in _RESERVED:
        return "has a part that is a device on Windows"
    return ""
