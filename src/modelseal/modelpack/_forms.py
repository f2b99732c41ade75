# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The forms that single values of `modelseal.yaml` have.

Each function reads one field of a mapping; an absent one gives the empty value unless it is
required. What is wrong is an error that names the field. All of it gets published with the model,
so that a URL with a password in it is refused, and never shown.
"""

import re
import unicodedata
from urllib.parse import unquote, urlsplit

from modelseal.documents import Fields, nearest
from modelseal.errors import InvalidReferenceError, UnsafePathError
from modelseal.modelpack.media_types import LayerKind
from modelseal.modelpack.paths import check_relative_path
from modelseal.modelpack.project import LEGAL_BASES, PersonalData
from modelseal.modelpack.semver import parse_semver
from modelseal.oci.descriptor import Digest
from modelseal.oci.reference import DigestReference, parse_reference

PRECISIONS = frozenset(
    {"float32", "float64", "float16", "bfloat16", "float8_e4m3", "float8_e5m2"}
    | {"complex32", "complex64", "complex128", "bool"}
    | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)
"""ModelPack v0.0.7, docs/config.md, `precision`: element types, comma-separated."""

_MAX_LINE = 1024
_MAX_PROSE = 8192
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
_PARAM_SIZE = re.compile(r"[0-9]{1,9}(?:\.[0-9])?[QTBMK]", re.IGNORECASE)
_MEMORY = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,3})?(?:[KMGTP]i?)?B")
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_DIR_HASH = re.compile(r"[0-9a-f]{64}")
_DUO = re.compile(r"DUO[_:]([0-9]{7})")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s]+")


def line(fields: Fields, key: str, *, required: bool = False) -> str:
    """Read one line of text without control characters."""
    text = fields.text(key, required=required)
    _check_line(fields, key, text)
    return text


def lines(fields: Fields, key: str) -> tuple[str, ...]:
    """Read a list of lines."""
    texts = fields.texts(key)
    for text in texts:
        if not text.strip():
            raise fields.wrong(key, "has an empty entry")
        _check_line(fields, key, text)
    return texts


def _check_line(fields: Fields, key: str, text: str) -> None:
    if len(text) > _MAX_LINE:
        raise fields.wrong(key, f"is longer than {_MAX_LINE} characters")
    if any(unicodedata.category(c) in {"Cc", "Cs"} for c in text):
        raise fields.wrong(key, "has a line break or a control character")


def prose(fields: Fields, key: str, *, required: bool = False) -> str:
    """Read text that may have several lines, without control characters and outer white space."""
    text = fields.text(key, required=required).strip()
    _check_prose(fields, key, text)
    return text


def prose_list(fields: Fields, key: str) -> tuple[str, ...]:
    """Read a list of texts as `prose` has them."""
    texts = tuple(text.strip() for text in fields.texts(key))
    for text in texts:
        if not text:
            raise fields.wrong(key, "has an empty entry")
        _check_prose(fields, key, text)
    return texts


def _check_prose(fields: Fields, key: str, text: str) -> None:
    if len(text) > _MAX_PROSE:
        raise fields.wrong(key, f"is longer than {_MAX_PROSE} characters")
    if any(unicodedata.category(c) in {"Cc", "Cs"} for c in text.replace("\n", "")):
        raise fields.wrong(key, "has a control character")


def name(fields: Fields, key: str) -> str:
    """Read the name of a model."""
    text = fields.text(key, required=True)
    if not _NAME.fullmatch(text):
        raise fields.wrong(key, f"is {text[:80]!r}", hint="letters, digits and . _ - between them")
    return text


def word(fields: Fields, key: str, *, required: bool = False) -> str:
    """Read one word: `safetensors`, `linux`."""
    text = fields.text(key, required=required)
    if text and not _WORD.fullmatch(text):
        raise fields.wrong(key, f"is {text[:80]!r}", hint="one word of letters, digits and . _ + -")
    return text


def version(fields: Fields, key: str) -> str:
    """Read a SemVer 2.0.0 version."""
    text = fields.text(key, required=True)
    if parse_semver(text) is None:
        raise fields.wrong(
            key,
            f"is {text[:80]!r}, which is not a SemVer version",
            hint="write three numbers: 1.4.0; see https://semver.org",
        )
    return text


def precision(fields: Fields, key: str) -> str:
    """Read a comma-separated list of element types."""
    text = fields.text(key)
    items = [item.strip() for item in text.split(",")] if text else []
    for item in items:
        if item not in PRECISIONS:
            raise fields.wrong(
                key,
                f"has {item[:80]!r}{nearest(item, PRECISIONS)}",
                hint=f"known: {', '.join(sorted(PRECISIONS))}",
            )
    return ",".join(items)


def param_size(fields: Fields, key: str) -> str:
    """Read a number of parameters: `6.7B`."""
    text = fields.text(key)
    if text and not _PARAM_SIZE.fullmatch(text):
        raise fields.wrong(
            key,
            f"is {text[:80]!r}",
            hint="a number with at most one decimal and one of K, M, B, T, Q: 6.7B",
        )
    return text


def memory(fields: Fields, key: str) -> str:
    """Read an amount of memory: `2GiB`."""
    text = fields.text(key)
    if text and not _MEMORY.fullmatch(text):
        raise fields.wrong(key, f"is {text[:80]!r}", hint="write a number and a unit: 2GiB")
    return text


def commit(fields: Fields, key: str) -> str:
    """Read a whole Git commit id."""
    text = fields.text(key, required=True)
    if not _COMMIT.fullmatch(text):
        raise fields.wrong(
            key, f"is {text[:80]!r}", hint="write all 40 hex digits: git rev-parse HEAD"
        )
    return text


def url(fields: Fields, key: str, *, required: bool = False) -> str:
    """Read a URL that holds no password."""
    text = line(fields, key, required=required)
    if not text:
        return text
    hint = "write a URL: https://github.com/acme/fraud"
    if not _URL.fullmatch(text):
        raise fields.wrong(key, "is not a URL", hint=hint)
    try:
        parts = urlsplit(text)
        secret = parts.password is not None or (parts.username and parts.scheme.startswith("http"))
    except ValueError as error:
        raise fields.wrong(key, "is not a URL", hint=hint) from error
    if secret:
        raise fields.wrong(
            key,
            "holds a user name or password, which would be published",
            hint="take out what stands before the @, and change that password",
        )
    return text


def path(fields: Fields, key: str) -> str:
    """Read the path of a file below the directory."""
    text = fields.text(key)
    if text:
        _check_path(fields, key, text)
    return text


def paths(fields: Fields, key: str) -> tuple[str, ...]:
    """Read a list of paths of files below the directory."""
    texts = fields.texts(key)
    for text in texts:
        _check_path(fields, key, text)
    return texts


def _check_path(fields: Fields, key: str, text: str) -> None:
    try:
        check_relative_path(text)
    except UnsafePathError as error:
        raise fields.wrong(
            key, f"does not name a file below the directory: {error}", hint=error.hint
        ) from error


def pattern(fields: Fields, key: str) -> str:
    """Read a pattern for paths below the directory."""
    text = line(fields, key)
    parts = text.rstrip("/").split("/")
    if text and (text.startswith("/") or "\\" in text or {"", ".", ".."} & set(parts)):
        raise fields.wrong(
            key,
            f"is {text!r}",
            hint="a path below the directory, with * ? [ab] and, for any depth, **",
        )
    return text


def kind(fields: Fields, key: str) -> LayerKind:
    """Read the kind of a file."""
    text = fields.text(key, required=True)
    try:
        return LayerKind(text)
    except ValueError as error:
        known = [str(item) for item in LayerKind]
        raise fields.wrong(
            key, f"is {text[:80]!r}{nearest(text, known)}", hint=f"known: {', '.join(known)}"
        ) from error


def specifiers(fields: Fields, key: str) -> str:
    """Read version specifiers as PEP 440 has them: `>=1.17,<2`."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    text = line(fields, key)
    try:
        SpecifierSet(text)
    except InvalidSpecifier as error:
        raise fields.wrong(key, f"is {text[:80]!r}", hint='write ">=1.17,<2"') from error
    return text


def digest(fields: Fields, key: str) -> Digest | None:
    """Read a digest."""
    text = fields.text(key)
    try:
        return Digest.parse(text) if text else None
    except InvalidReferenceError as error:
        raise fields.wrong(key, f"is {error}", hint=error.hint) from error


def dir_hash(fields: Fields, key: str) -> str:
    """Read the digest of a directory."""
    text = fields.text(key)
    if text and not _DIR_HASH.fullmatch(text):
        raise fields.wrong(
            key,
            f"is {text[:80]!r}",
            hint="write 64 hex digits, which `modelseal lineage DIR --data NAME=PATH` tells",
        )
    return text


def data_uri(fields: Fields, key: str) -> str:
    """Read where a dataset is. On a disk that is a relative path: the rest is nobody's business."""
    text = url(fields, key)
    if text.startswith("file:"):
        try:
            check_relative_path(unquote(text.removeprefix("file:")).removesuffix("/"))
        except UnsafePathError as error:
            raise fields.wrong(
                key,
                f"has to be a path below a data directory: {error}",
                hint="write file:train.csv, and say where that lies with --data DIR",
            ) from error
    return text


def personal_data(fields: Fields, key: str) -> PersonalData | None:
    """Read what a dataset has of persons; None when nothing is said."""
    text = fields.text(key)
    known = [str(item) for item in PersonalData]
    if text and text not in known:
        raise fields.wrong(
            key,
            f"is {text[:80]!r}{nearest(text, known)}",
            hint="write what is true: none, personal, or sensitive (GDPR article 9: health, "
            "origin, belief …)",
        )
    return PersonalData(text) if text else None


def legal_basis(fields: Fields, key: str) -> str:
    """Read on which basis personal data are used."""
    text = line(fields, key)
    if text and text not in LEGAL_BASES and not text.startswith("https://"):
        raise fields.wrong(
            key,
            f"is {text[:80]!r}{nearest(text, LEGAL_BASES)}",
            hint=f"one of {', '.join(LEGAL_BASES)} (GDPR article 6(1)), or the https:// address "
            "of another law's",
        )
    return text


def usage_terms(fields: Fields, key: str) -> tuple[str, ...]:
    """Read terms of the Data Use Ontology, in either of their spellings."""
    found: list[str] = []
    for text in fields.texts(key):
        term = _DUO.fullmatch(text)
        if term is None:
            raise fields.wrong(
                key,
                f"has {text[:80]!r}",
                hint="write terms of https://purl.obolibrary.org/obo/duo.owl: [DUO_0000042]",
            )
        found.append(f"DUO_{term[1]}")
    if len(set(found)) < len(found):
        raise fields.wrong(key, "names a term twice")
    return tuple(found)


def digest_reference(fields: Fields, key: str) -> DigestReference | None:
    """Read a reference that names a digest."""
    text = fields.text(key)
    if not text:
        return None
    try:
        reference = parse_reference(text)
    except InvalidReferenceError as error:
        raise fields.wrong(key, f"does not hold: {error}", hint=error.hint) from error
    if not isinstance(reference, DigestReference):
        raise fields.wrong(
            key,
            f"is {text!r}, and a tag can move",
            hint=f"write the digest that you mean: {text}@sha256:…",
        )
    return reference


def integers(fields: Fields, key: str) -> tuple[int, ...]:
    """Read a list of integers."""
    value = fields.raw(key)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(type(item) is int for item in value):
        raise fields.wrong(key, "has to be a list of integers")
    return tuple(value)


def shape(fields: Fields, key: str) -> tuple[int | str, ...] | None:
    """Read the shape of a tensor: numbers, and names of sizes that vary."""
    value = fields.raw(key)
    if value is None:
        return None
    if not isinstance(value, list) or not all(
        (type(item) is int and item >= 0) or (isinstance(item, str) and _WORD.fullmatch(item))
        for item in value
    ):
        raise fields.wrong(
            key, "has to be a list of numbers and names", hint="write [batch, 3, 224, 224]"
        )
    return tuple(value)
