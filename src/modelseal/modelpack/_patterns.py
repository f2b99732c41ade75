# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The rules that say which files are packed, and as what."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase

from modelseal.modelpack.media_types import LayerKind
from modelseal.modelpack.project import FILE_NAME, FileRule

# Never looked into: nothing in there is a part of a model, and much in there is secret.
_NEVER = frozenset({".git", ".hg", ".svn", ".bzr", "CVS", "_darcs"})
_SKIPPED_DIRECTORIES = frozenset({"__pycache__", "venv", "node_modules", "lost+found"})
_SKIPPED_FILES = ("*.pyc", "*.pyo", "*~", "*.swp", "*.tmp", "*.part", "Thumbs.db", "desktop.ini")
# By the names that `modelseal key generate`, cosign, ssh and openssl give to private keys.
_SECRETS = ("*.key", "*.pem", "*.p12", "*.pfx", "id_rsa", "id_ecdsa", "id_ed25519")

_NAMED_DOCS = r"(readme|licen[cs]e|notice|copying|authors|changelog|citation)(\..*)?"
_WEIGHTS = (
    r".*\.(safetensors|onnx|onnx_data|gguf|ggml|pt|pth|bin|ckpt|h5|hdf5|keras|pb|tflite|npy|npz"
    r"|mlmodel|msgpack|joblib|pkl|pickle|skops|ubj|cbm|engine|pdparams|pdiparams|mar|nemo)"
)
_CODE = (
    r".*\.(py|ipynb|sh|js|ts|c|cc|cpp|cu|h|hpp|rs|go|java|r|jl|lock)"
    r"|requirements.*\.txt|dockerfile|containerfile|makefile"
)
_DOCS = r".*\.(md|rst|pdf|html|png|jpg|jpeg|svg|gif)"
_DATASETS = r".*\.(csv|tsv|parquet|arrow|jsonl|feather|avro|tfrecord)"
# The kind by name, in lower case; what is none of these configures the weights: JSON, vocabularies.
_DEFAULTS = (
    (LayerKind.DOC, _NAMED_DOCS),
    (LayerKind.WEIGHT, _WEIGHTS),
    (LayerKind.CODE, _CODE),
    (LayerKind.DOC, _DOCS),
    (LayerKind.DATASET, _DATASETS),
)
_KINDS = tuple((kind, re.compile(form)) for kind, form in _DEFAULTS)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a file is packed as, and whether a name alone said so."""

    kind: LayerKind
    guessed: bool


class Rules:
    """The rules of a project, and the defaults below them."""

    def __init__(self, rules: Iterable[FileRule]) -> None:
        """Take the rules in their order."""
        self._rules = tuple((Pattern(rule.pattern), rule.kind) for rule in rules)

    def verdict(self, path: str) -> Verdict | None:
        """Return what the file is packed as; None when it is left out."""
        if path == FILE_NAME:
            return Verdict(LayerKind.DOC, guessed=False)
        for pattern, kind in self._rules:
            if pattern.matches(path, hidden=kind is None):
                return None if kind is None else Verdict(kind, guessed=False)
        return None if _is_skipped(path) else Verdict(guess_kind(path), guessed=True)

    def skips_directory(self, path: str) -> bool:
        """Whether nothing below the directory can be a part of the model."""
        name = path.rpartition("/")[2]
        if name in _NEVER:
            return True
        wanted = False
        for pattern, kind in self._rules:
            if kind is not None:
                wanted = wanted or pattern.reaches_below(path)
            elif not wanted and pattern.takes_all_below(path):
                return True
        return not wanted and _is_special(name)


class Pattern:
    """One pattern of `modelseal.yaml`: `*` stays in a directory, `**` goes through any number."""

    def __init__(self, text: str) -> None:
        """Read the pattern."""
        if text.endswith("/"):
            text += "**"
        self._parts = tuple(text.split("/"))

    def matches(self, path: str, *, hidden: bool) -> bool:
        """Tell whether it means a path; `hidden`: also where a wildcard meets a hidden name."""
        *_, last = self._rows(path, hidden=hidden)
        return last[-1]

    def takes_all_below(self, path: str) -> bool:
        """Tell whether it means everything below a directory."""
        return self._parts[-1] == "**" and self.matches(path, hidden=True)

    def reaches_below(self, path: str) -> bool:
        """Tell whether it means something below a directory."""
        rows = [row[-1] for row in self._rows(path, hidden=False)]
        return any(rows[:-1]) or (self._parts[-1] == "**" and rows[-1])

    def _rows(self, path: str, *, hidden: bool) -> Iterator[list[bool]]:
        # For each prefix of the pattern, which prefixes of the path it matches: the time stays
        # pattern times path, also for a pattern of many `**`.
        parts = path.split("/")
        row = [True] + [False] * len(parts)
        yield row
        for item in self._parts:
            if item == "**":
                row = _any_depth(row, parts, hidden=hidden)
            else:
                row = [False] + [
                    row[place] and _match_part(item, part, hidden=hidden)
                    for place, part in enumerate(parts)
                ]
            yield row


def _any_depth(row: list[bool], parts: list[str], *, hidden: bool) -> list[bool]:
    reached = [row[0]]
    for place, part in enumerate(parts):
        passes = hidden or not _is_special(part)
        reached.append(row[place + 1] or (reached[place] and passes))
    return reached


def _match_part(pattern: str, part: str, *, hidden: bool) -> bool:
    if pattern == part:
        return True
    if _is_special(part) and not hidden and not (part.startswith(".") and pattern.startswith(".")):
        return False
    return fnmatchcase(part, pattern)


def _is_special(name: str) -> bool:
    # What a wildcard does not mean.
    return name.startswith(".") or name in _SKIPPED_DIRECTORIES


def _is_skipped(path: str) -> bool:
    *directories, name = path.split("/")
    if name.startswith(".") or any(map(_is_special, directories)):
        return True
    return any(fnmatchcase(name, pattern) for pattern in (*_SKIPPED_FILES, *_SECRETS))


def guess_kind(path: str) -> LayerKind:
    """Return what a file is for, by its name alone."""
    name = path.rpartition("/")[2].lower()
    return next((kind for kind, form in _KINDS if form.fullmatch(name)), LayerKind.WEIGHT_CONFIG)
