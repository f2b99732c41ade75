# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Strict reading of JSON, YAML and TOML that strangers wrote, and canonical writing of JSON.

This is the only module that knows `yaml` and `tomllib`. It never guesses: a key that stands twice,
a NaN, an alias, a byte-order mark or too deep a nesting is an error, because two readers would
understand two different things (reference: RFC 8259 section 4, "names within an object SHOULD be
unique").
"""

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from modelseal.errors import Error, InvalidDocumentError, LimitExceededError, UsageError

MAX_DEPTH = 64
"""Deepest nesting of objects and lists that is read."""

_YAML_MAX_BYTES = 1 << 20
_TOML_MAX_BYTES = 1 << 20
_TOML_MAX_PARTS = 16


def parse_json(raw: bytes, what: str, *, exact: bool = False) -> Any:  # noqa: ANN401 - JSON is what it is
    """Read one JSON document.

    Args:
        raw: the bytes; UTF-8 without a byte-order mark.
        what: names the document in errors.
        exact: numbers with a point or an exponent are `Decimal`, with all their digits.

    Raises:
        InvalidDocumentError: not JSON, duplicate keys, NaN, Infinity, lone surrogates.
        LimitExceededError: nested deeper than `MAX_DEPTH`.
    """
    try:
        value = json.loads(
            raw.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_exact if exact else _finite,
        )
        if b"\\u" in raw:  # half a surrogate pair is no text: nobody could write it again
            json.dumps(value, ensure_ascii=False, default=str).encode()
    except RecursionError as error:
        raise LimitExceededError(f"{what} is nested too deep") from error
    except ValueError as error:
        raise InvalidDocumentError(f"{what} is not valid JSON: {error}") from error
    _check_depth(value, what)
    return value


def parse_json_object(raw: bytes, what: str) -> dict[str, Any]:
    """Read one JSON document that has to be an object. Raises as `parse_json` does."""
    value = parse_json(raw, what)
    if not isinstance(value, dict):
        raise InvalidDocumentError(f"{what} is not a JSON object")
    return value


def canonical_json(value: object) -> bytes:
    """Serialise to the one form that digests are taken of.

    Keys sorted by code point, no white space, UTF-8, no NaN. Floats are left as Python writes
    them: what decides something here is an integer or a decimal string.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    ).encode()


def parse_yaml(
    raw: bytes,
    what: str,
    *,
    limit: int = _YAML_MAX_BYTES,
) -> Any:  # noqa: ANN401 - YAML is what it is
    """Read one YAML document into plain Python values; dates stay text.

    Args:
        raw: the bytes; UTF-8.
        what: names the document in errors.
        limit: the most bytes that are read; a MiB takes some ten seconds.

    Raises:
        InvalidDocumentError: not YAML, duplicate keys, aliases, tags, or a key that is no text.
        LimitExceededError: more than `limit` bytes, or nested deeper than `MAX_DEPTH`.
    """
    if len(raw) > limit:
        raise LimitExceededError(f"{what} is larger than {limit >> 20} MiB")
    import yaml

    class Loader(yaml.SafeLoader):
        """Safe, and strict about what YAML is lenient about."""

        def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
            if self.check_event(yaml.AliasEvent):
                raise yaml.YAMLError("aliases are not taken")
            event = self.peek_event()  # type: ignore[no-untyped-call]  # the stubs lack it
            if getattr(event, "tag", None) is not None:
                raise yaml.YAMLError("tags are not taken")  # `!!int ""` crashes PyYAML's reading
            return super().compose_node(parent, index)

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - yaml's own signature
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            return _unique(
                zip(keys, (self.construct_object(v, deep=deep) for _, v in node.value), strict=True)
            )

    # A scalar keeps its text unless it is null, true, false or a plain integer: the version 1.10,
    # the date 2024-01-01 and the country code `no` are not to change on their way.
    Loader.yaml_implicit_resolvers = {}
    for tag, pattern, first in _YAML_SCALARS:
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))
    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _construct_mapping)
    try:
        value = yaml.load(_unambiguous(raw.decode("utf-8")), Loader)  # noqa: S506 - a SafeLoader
    except RecursionError as error:
        raise LimitExceededError(f"{what} is nested too deep") from error
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidDocumentError(f"{what} is not valid YAML: {_told(error)}") from error
    _check_depth(value, what)
    return value


# A key of many parts takes tomllib time, and memory, with the square of their number. Quotes are
# looked at as if every one began a part: a run that is in a text counts, too. What begins a part
# follows a space or one of `.{,[`, so that no character is looked at more than a few times.
_TOML_PART = r"""(?:(?<![^\s.{,\[])(?:[\w-]++|"(?:[^"\\\n]|\\.)*+"|'[^'\n]*+'))"""
_TOML_LONG_KEY = re.compile(rf"(?:{_TOML_PART}[ \t]*+\.[ \t]*+){{{_TOML_MAX_PARTS}}}", re.ASCII)


def parse_toml(raw: bytes, what: str, *, limit: int = _TOML_MAX_BYTES) -> dict[str, Any]:
    """Read one TOML 1.0 document; dates and times are those of `datetime`.

    Args:
        raw: the bytes; UTF-8.
        what: names the document in errors.
        limit: the most bytes that are read.

    Raises:
        InvalidDocumentError: not TOML; duplicate keys are none.
        LimitExceededError: more than `limit` bytes, nested deeper than `MAX_DEPTH`, or a key of
            more than 16 parts.
    """
    if len(raw) > limit:
        raise LimitExceededError(f"{what} is larger than {limit >> 20} MiB")
    import tomllib

    try:
        text = raw.decode("utf-8")
        if _TOML_LONG_KEY.search(text):
            raise LimitExceededError(f"{what} has a key of more than {_TOML_MAX_PARTS} parts")
        value = tomllib.loads(text)
    except RecursionError as error:
        raise LimitExceededError(f"{what} is nested too deep") from error
    except ValueError as error:  # UnicodeDecodeError and TOMLDecodeError
        raise InvalidDocumentError(f"{what} is not valid TOML: {error}") from error
    _check_depth(value, what)
    return value


# Line breaks in YAML 1.1 and no longer in 1.2 (5.4), nor in editors: what a person takes for the
# rest of a comment could be one more signer. And the byte-order mark.
_AMBIGUOUS = "\x85\u2028\u2029\ufeff"
_YAML_SCALARS = (
    ("null", r"^(?:null|~|)$", ["n", "~", ""]),
    ("bool", r"^(?:true|false)$", "tf"),
    ("int", r"^-?(?:0|[1-9][0-9]{0,17})$", "-0123456789"),
)


def _told(error: Exception) -> str:
    # Without the line that PyYAML quotes: there may be a secret in it, or lines like ours.
    problem, mark = getattr(error, "problem", None), getattr(error, "problem_mark", None)
    if problem is None or mark is None:
        return " ".join(str(error).split())
    return f"{' '.join(problem.split())} in line {mark.line + 1}, column {mark.column + 1}"


def _unambiguous(text: str) -> str:
    found = next((sign for sign in _AMBIGUOUS if sign in text), "")
    if found:
        raise ValueError(f"it has U+{ord(found):04X}, which readers of YAML take differently")
    return text


def _construct_mapping(loader: Any, node: Any) -> Iterable[dict[Any, Any]]:  # noqa: ANN401
    data: dict[Any, Any] = {}
    yield data
    data.update(loader.construct_mapping(node))


def rfc3339(moment: datetime) -> str:
    """Write an aware datetime as RFC 3339 has it, in UTC, to the second."""
    return moment.astimezone(UTC).replace(microsecond=0, tzinfo=None).isoformat() + "Z"


def parse_time(text: str) -> datetime:
    """Read a time as RFC 3339 has it, with its offset. Raises `UsageError`."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = datetime.min  # noqa: DTZ901 - it has no offset, and is refused for that
    if found.tzinfo is None:
        raise UsageError(f"{text[:100]!r} is no time", hint="write 2026-11-25T12:00:00Z")
    return found.astimezone(UTC)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean …?)` for the known word nearest to `word`, or nothing."""
    import difflib  # only when something is wrong: it takes a millisecond or two to import

    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean `{close[0]}`?)" if close else ""


class Fields:
    """Typed, strict access to one mapping of a document.

    Each accessor names the field that is wrong by its path. `finish()` refuses what was never
    asked for, with the nearest known key.
    """

    def __init__(self, value: object, where: str, *, error: type[Error]) -> None:
        """Take the mapping at `where`; `error` is the class that is raised."""
        self._error = error
        self._where = where
        self._asked: set[str] = set()
        if not isinstance(value, dict):
            raise error(f"{where or 'the document'} has to be a mapping")
        for key in value:
            if not isinstance(key, str):
                raise error(f"{self._path(str(key))}: a key has to be text")
        self._value: dict[str, Any] = value

    def _path(self, key: str) -> str:
        return f"{self._where}.{key}" if self._where else key

    @property
    def where(self) -> str:
        """The path of this mapping in the document."""
        return self._where

    def wrong(self, key: str, why: str, *, hint: str = "") -> Error:
        """Return an error that names the field `key`, for the caller to raise."""
        return self._error(f"{self._path(key)} {why}", hint=hint)

    def _missing(self, key: str) -> Error:
        import difflib

        written = [other for other in self._value if other not in self._asked]
        close = difflib.get_close_matches(key, written, n=1)
        hint = f"write `{key}` where `{close[0]}` stands" if close else f"add the key `{key}`"
        return self._error(f"{self._path(key)} is missing", hint=hint)

    def has(self, key: str) -> bool:
        """Tell whether the key stands there."""
        return key in self._value

    def raw(self, key: str) -> Any:  # noqa: ANN401 - the caller takes any shape
        """Return whatever stands there, or None."""
        self._asked.add(key)
        return self._value.get(key)

    def text(self, key: str, *, required: bool = False) -> str:
        """Return text; empty when absent. An integer is taken as it prints."""
        value = self.raw(key)
        if value is None:
            if required:
                raise self._missing(key)
            return ""
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise self._error(f"{self._path(key)} has to be text")
        if required and not str(value).strip():
            raise self._error(f"{self._path(key)} is empty")
        return str(value)

    def integer(self, key: str, *, default: int) -> int:
        """Return an integer."""
        value = self.raw(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._error(f"{self._path(key)} has to be an integer")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts; empty when absent."""
        value = self.raw(key)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise self._error(f"{self._path(key)} has to be a list of texts")
        return tuple(value)

    def items(self, key: str) -> tuple["Fields", ...]:
        """Return a list of mappings; empty when absent."""
        value = self.raw(key)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self._error(f"{self._path(key)} has to be a list")
        return tuple(
            Fields(item, f"{self._path(key)}[{place}]", error=self._error)
            for place, item in enumerate(value)
        )

    def mapping(self, key: str, *, required: bool = False) -> "Fields":
        """Return the mapping below `key`; an empty one when absent."""
        value = self.raw(key)
        if value is None:
            if required:
                raise self._missing(key)
            value = {}
        return Fields(value, self._path(key), error=self._error)

    def keys(self) -> tuple[str, ...]:
        """Return the keys that stand there, for mappings whose keys are names."""
        return tuple(self._value)

    def finish(self, *also_known: str) -> None:
        """Refuse keys that nobody asked for."""
        known = self._asked.union(also_known)
        for key in self._value:
            if key not in known:
                raise self._error(
                    f"{self._path(key)} is not a known key{nearest(key, known)}",
                    hint=f"known here: {', '.join(sorted(known))}",
                )


def _unique(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, Any]:
    found: dict[Any, Any] = {}
    for key, value in pairs:
        try:
            twice = key in found
        except TypeError as error:
            raise ValueError("a key has to be text") from error
        if twice:
            raise ValueError(f"the key {key!r:.80} stands there twice")
        found[key] = value
    return found


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):  # 1e999 would come back as Infinity, which is not JSON
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def _exact(text: str) -> Any:  # noqa: ANN401 - a Decimal, imported by those who ask for one
    from decimal import Decimal, InvalidOperation

    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise ValueError(f"{text[:40]} is too large a number") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _check_depth(value: object, what: str) -> None:
    level: list[object] = [value]
    for _ in range(MAX_DEPTH + 1):
        below: list[object] = []
        for item in level:
            if isinstance(item, Mapping):
                below.extend(item.values())
            elif isinstance(item, list):
                below.extend(item)
        if not below:
            return
        level = below
    raise LimitExceededError(f"{what} is nested deeper than {MAX_DEPTH} levels")
