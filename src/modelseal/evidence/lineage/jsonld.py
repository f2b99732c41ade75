# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The part of JSON-LD 1.1 that dataset descriptions use, read strictly and without the network.

A context has to stand in the document itself. Names come out in one spelling, whatever prefix or
alias the document gave them: `sc:name`, `cr:recordSet`, `prov:wasDerivedFrom`. What two readers
could understand in two ways is an error that names the place.

Source: W3C JSON-LD 1.1, sections 3.1 (contexts), 4.1.2 (compact IRIs), 4.2.4 (languages), 9.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from modelseal.errors import InvalidDocumentError, LimitExceededError

MAX_TERMS: Final = 1000
"""Most terms that a context defines."""
MAX_IRI_LENGTH: Final = 1000
"""Longest IRI that a term of a context stands for: it is written out wherever the term stands."""
MAX_KEYS: Final = 10_000
"""Most keys of one object."""

_HTTP: Final = ("http://", "https://")
_NAMESPACES: Final = {
    "rai": "mlcommons.org/croissant/RAI/",
    "cr": "mlcommons.org/croissant/",
    "sc": "schema.org/",
    "dct": "purl.org/dc/terms/",
    "prov": "www.w3.org/ns/prov#",
    "odrl": "www.w3.org/ns/odrl/2/",
    "duo": "purl.obolibrary.org/obo/DUO_",
}
_SCHEMA_ORG: Final = frozenset(f"{start}schema.org{end}" for start in _HTTP for end in ("", "/"))
_ALIASED: Final = frozenset({"@id", "@type", "@value", "@language"})
_TERM_KEYS: Final = frozenset({"@id", "@type", "@container", "@language", "@prefix", "@protected"})
_UNTAKEN: Final = frozenset({"@graph", "@reverse", "@included", "@nest"})
_IGNORED: Final = ""
_MAX_PREFIXES: Final = 8  # through which one term is defined


def canonical(iri: str) -> str:
    """Return an IRI with the prefix that it has here, if its namespace is one of those known."""
    for start in _HTTP:
        if iri.startswith(start):
            rest = iri[len(start) :]
            for prefix, space in _NAMESPACES.items():  # the longer ones stand first
                if rest.startswith(space):
                    return f"{prefix}:{rest[len(space) :]}"
    return iri


@dataclass(frozen=True, slots=True)
class Context:
    """What the words of a document mean."""

    terms: Mapping[str, str] = field(default_factory=dict)
    """IRIs in canonical form, keywords, or `""` for a word that means nothing."""
    vocabulary: str = "sc:"
    language: str = ""
    by_language: frozenset[str] = frozenset()
    """Names whose value is a text in each of several languages: `{"en": …, "de": …}`."""
    _known: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def parse(cls, value: object, where: str = "@context") -> Self:
        """Read a context: one mapping, the address of schema.org, or a list of these.

        Raises:
            InvalidDocumentError: it is elsewhere, or says something that is not taken.
            LimitExceededError: it has over `MAX_TERMS` terms.
        """
        raw: dict[str, Any] = {}
        for part in value if isinstance(value, list) else [value]:
            if isinstance(part, str):
                if part in _SCHEMA_ORG:
                    raw["@vocab"] = "http://schema.org/"
                    continue
                raise InvalidDocumentError(
                    f"{where} refers to {part[:200]!r}, which would have to be fetched",
                    hint="write the context itself there: appendix 1 of the Croissant format",
                )
            if not isinstance(part, dict):
                raise InvalidDocumentError(f"{where} is not a mapping")
            raw |= part
        if len(raw) > MAX_TERMS:
            raise LimitExceededError(f"{where} has over {MAX_TERMS} terms")
        return cls(*_Reading(raw, where).read())

    def expand(self, word: str, *, of_value: bool = False) -> str:
        """Return what a key, a type or (`of_value`) the id of a value means; `""`: nothing."""
        if word.startswith("@"):
            return word
        if of_value:
            return self._expanded(word, of_value=True)
        found = self._known.get(word)
        if found is None:
            found = self.terms[word] if word in self.terms else self._expanded(word)
            if len(self._known) < MAX_TERMS:  # the same few words stand in every object
                self._known[word] = found
        return found

    def _expanded(self, word: str, *, of_value: bool = False) -> str:
        prefix, colon, rest = word.partition(":")
        if not colon:
            return word if of_value else canonical(self._spelled(self.vocabulary + word))
        if rest.startswith("//"):
            return canonical(word)
        if self.terms.get(prefix, _IGNORED) not in {_IGNORED, *_ALIASED}:
            return canonical(self._spelled(self.terms[prefix]) + rest)
        return word  # a prefix that everybody writes, or an absolute IRI: urn:…

    @staticmethod
    def _spelled(name: str) -> str:
        """Undo `canonical`, where something is to be appended to a namespace."""
        prefix, colon, rest = name.partition(":")
        space = _NAMESPACES.get(prefix)
        return f"http://{space}{rest}" if colon and space is not None else name


class _Reading:
    """One context on its way from JSON."""

    def __init__(self, raw: Mapping[str, Any], where: str) -> None:
        self._raw, self._where = raw, where

    def read(self) -> tuple[dict[str, str], str, str, frozenset[str]]:
        vocabulary = canonical(self._directive("@vocab") or "http://schema.org/")
        if ":" not in vocabulary:
            raise self._wrong("@vocab", "is not an absolute IRI")
        terms: dict[str, str] = {}
        by_language: set[str] = set()
        for word, value in self._raw.items():
            if word.startswith("@"):
                if word not in {"@vocab", "@language", "@base", "@version"}:
                    raise self._wrong(word, "is not taken")
                continue
            terms[word] = self._term(word, vocabulary, ())
            if isinstance(value, dict) and value.get("@container") == "@language":
                by_language.add(terms[word])
        return terms, vocabulary, self._directive("@language"), frozenset(by_language)

    def _directive(self, key: str) -> str:
        value = self._raw.get(key)
        if value is None:
            return ""
        if not isinstance(value, str):
            raise self._wrong(key, "has to be text")
        return _short(value, self._where)

    def _term(self, word: str, vocabulary: str, above: tuple[str, ...]) -> str:
        if word in above:
            raise self._wrong(word, "is defined by itself")
        if len(above) > _MAX_PREFIXES:
            raise LimitExceededError(f"{self._where}: {word[:80]} is defined through too many")
        value = self._iri(word, vocabulary)
        if value in {_IGNORED, *_ALIASED}:
            return value
        prefix, colon, rest = value.partition(":")
        if colon and not rest.startswith("//") and prefix in self._raw and prefix != word:
            above = (*above, word)
            spelled = Context._spelled(self._term(prefix, vocabulary, above))  # noqa: SLF001
            return canonical(_short(spelled + rest, self._where))
        if not colon:
            raise self._wrong(word, f"is {value[:80]!r}, which is not an absolute IRI")
        return canonical(_short(value, self._where))

    def _iri(self, word: str, vocabulary: str) -> str:
        """Return what a term is defined as; `""`: it means nothing."""
        value = self._raw[word]
        if value is None:
            return _IGNORED
        if isinstance(value, dict):
            unknown = sorted(value.keys() - _TERM_KEYS)
            if unknown:
                raise self._wrong(word, f"has {unknown[0]}, which is not taken")
            value = value.get("@id", Context._spelled(vocabulary) + word)  # noqa: SLF001
        if not isinstance(value, str) or not value:
            raise self._wrong(word, "has to be an IRI")
        if value.startswith("@") and value not in _ALIASED:
            raise self._wrong(word, f"stands for {value[:40]!r}, which is not taken")
        return value

    def _wrong(self, key: str, why: str) -> InvalidDocumentError:
        return InvalidDocumentError(f"{self._where}: {key[:80]} {why}")


def _short(iri: str, where: str) -> str:
    if len(iri) > MAX_IRI_LENGTH:
        raise LimitExceededError(f"{where} has an IRI of over {MAX_IRI_LENGTH} characters")
    return iri


def _expanded(value: dict[str, Any], where: str, context: Context) -> list[tuple[str, str, Any]]:
    """Return the canonical name, the key and the value of each field."""
    if len(value) > MAX_KEYS:
        raise LimitExceededError(f"{where or 'the document'} has over {MAX_KEYS} keys")
    return [(context.expand(key), key, item) for key, item in value.items()]


@dataclass(frozen=True, slots=True)
class Node:
    """One object of the document: its fields under their canonical names, and where it stands."""

    where: str
    context: Context
    fields: Mapping[str, tuple[str, Any]]
    """Canonical name to the key as it is written, and the value."""

    @classmethod
    def of(cls, value: object, where: str, context: Context) -> Self:
        """Take a JSON object.

        Raises:
            InvalidDocumentError: it is none, or two of its keys mean the same, or it changes what
                words mean.
        """
        if not isinstance(value, dict):
            raise InvalidDocumentError(f"{where or 'the document'} is not an object")
        fields: dict[str, tuple[str, Any]] = {}
        for name, key, item in _expanded(value, where, context):
            at = f"{where}.{key}" if where else key
            if name in fields:
                raise InvalidDocumentError(
                    f"{at[:200]} and {fields[name][0][:80]} mean the same, {name[:200]}"
                )
            if name in _UNTAKEN or (name == "@context" and where):
                raise InvalidDocumentError(f"{at[:200]} is not taken: it changes what words mean")
            if name != _IGNORED:
                fields[name] = (key, item)
        return cls(where, context, fields)

    @property
    def id(self) -> str:
        """The identifier, as it is written; empty when it has none. Raises as `texts` does."""
        found = self._identifiers("@id")
        if len(set(found)) > 1:
            raise self.wrong("has several @id")
        return found[0] if found else ""

    def types(self) -> frozenset[str]:
        """Return what it is, in canonical names. Raises as `texts` does."""
        return frozenset(map(self.context.expand, self._identifiers("@type")))

    def _identifiers(self, name: str) -> list[str]:
        found = []
        for where, value in self.values(name):
            if not isinstance(value, str):
                raise InvalidDocumentError(f"{where} has to be text")
            found.append(value)
        return found

    def has(self, *names: str) -> bool:
        """Tell whether it has a field under one of the names."""
        return any(name in self.fields for name in names)

    def values(self, *names: str) -> Iterator[tuple[str, Any]]:
        """Yield place and value of all that stands under a name, which may be spelled variously.

        Raises:
            InvalidDocumentError: it stands there under two names.
        """
        found = [self.fields[name] for name in names if name in self.fields]
        if len(found) > 1:
            keys = " and ".join(key for key, _ in found)
            raise InvalidDocumentError(f"{self._at(keys)} mean the same: take one away")
        for key, value in found:
            if not isinstance(value, list):
                if value is not None:
                    yield self._at(key), value
                continue
            for place, item in enumerate(value):
                if item is not None:
                    yield f"{self._at(key)}[{place}]", item

    def nodes(self, *names: str) -> Iterator[Self]:
        """Yield the objects that stand under a name.

        Raises:
            InvalidDocumentError: something else stands there.
        """
        for where, value in self.values(*names):
            yield type(self).of(value, where, self.context)

    def texts(self, *names: str) -> tuple[str, ...]:
        """Return the texts under a name; of one in several languages the one that is preferred.

        Raises:
            InvalidDocumentError: something else stands there.
        """
        found: list[tuple[str, str]] = []
        by_language = any(name in self.fields for name in self.context.by_language & set(names))
        for where, value in self.values(*names):
            if by_language and isinstance(value, dict):
                found += _by_language(value, where)
            else:
                found.append(self._spoken(value, where))
        if any(language for language, _ in found):
            languages = {language for language, _ in found}
            chosen = next((it for it in (self.context.language, "en") if it in languages), None)
            chosen = min(languages) if chosen is None else chosen
            found = [pair for pair in found if pair[0] == chosen]
        return tuple(text for _, text in found)

    def text(self, *names: str) -> str:
        """Return the one text under a name; empty when there is none.

        Raises:
            InvalidDocumentError: there are several, or something else.
        """
        texts = self.texts(*names)
        if len(set(texts)) > 1:
            raise InvalidDocumentError(
                f"{self._at(self._written(names))} has {len(texts)} values, and may have one"
            )
        return texts[0] if texts else ""

    def wrong(self, why: str) -> InvalidDocumentError:
        """Return an error about this object, for the caller to raise."""
        return InvalidDocumentError(f"{self.where or 'the document'} {why}")

    def _written(self, names: tuple[str, ...]) -> str:
        return next((self.fields[name][0] for name in names if name in self.fields), names[0])

    def _at(self, key: str) -> str:
        return f"{self.where}.{key}" if self.where else key

    def _spoken(self, value: object, where: str) -> tuple[str, str]:
        """Return language (may be empty) and text of one value."""
        language: object = ""
        if isinstance(value, dict):
            expanded = {name: item for name, _, item in _expanded(value, where, self.context)}
            language = expanded.get("@language", "")
            value = expanded.get("@value", expanded.get("@id"))
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise InvalidDocumentError(f"{where} has to be text")
        if not isinstance(language, str):
            raise InvalidDocumentError(f"{where} has a language that is no text")
        return language, str(value)


def _by_language(value: Mapping[str, object], where: str) -> Iterator[tuple[str, str]]:
    for language, text in value.items():
        if not isinstance(text, str):
            raise InvalidDocumentError(f"{where}.{language[:40]} has to be text")
        yield language, text
