# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Reading Croissant files of version 1: bytes become a `Croissant`, or an error with the place.

Strict where two readers could understand two things, and tolerant where the specification's own
examples and the large hubs differ: each word may be prefixed or not. What the specification asks
for and is not there is told in `problems`; nothing stands in for it. Whoever wrote the file is a
stranger: its size and all counts have limits, and nothing is fetched.
"""

import re
from collections.abc import Iterator
from typing import Final

from modelseal.documents import parse_json_object
from modelseal.errors import InvalidDocumentError, LimitExceededError
from modelseal.evidence.lineage.croissant import (
    Activity,
    Croissant,
    Entity,
    FileObject,
    FileSet,
    Origin,
    RecordSet,
)
from modelseal.evidence.lineage.jsonld import Context, Node
from modelseal.evidence.lineage.usage import read_usage

MAX_CROISSANT_BYTES: Final = 16 << 20
"""Largest Croissant file, in bytes, that is read."""
MAX_RESOURCES: Final = 20_000
"""Most files and sets of files that one describes."""
MAX_RECORD_SETS: Final = 10_000
"""Most record sets in one."""

_MAX_MESSAGE: Final = 1000
_CONFORMS: Final = re.compile(r"https?://mlcommons\.org/croissant/(1\.[0-9]{1,3})/?")
_SHA256: Final = re.compile(r"[0-9a-fA-F]{64}")
_MD5: Final = re.compile(r"[0-9a-fA-F]{32}")
_BYTES: Final = re.compile(r"([0-9]{1,18})(?: ?B)?")
_RAI_WORDS: Final = frozenset(
    {"personalSensitiveInformation", "dataBiases", "dataLimitations", "dataUseCases"}
    | {"dataSocialImpact", "dataCollection", "dataCollectionType", "dataReleaseMaintenancePlan"}
)
_REQUIRED: Final = ("name", "description", "license", "url", "creator", "datePublished")


def parse_croissant(raw: bytes, what: str) -> Croissant:
    """Read a Croissant file of version 1; `what` names it in errors.

    Raises:
        InvalidDocumentError: it is no strict JSON, no Croissant 1, or can be understood in two
            ways; the message names the place.
        LimitExceededError: it is larger than `MAX_CROISSANT_BYTES`, or describes too much.
    """
    if len(raw) > MAX_CROISSANT_BYTES:
        raise LimitExceededError(f"{what} is larger than {MAX_CROISSANT_BYTES >> 20} MiB")
    document = parse_json_object(raw, what)
    try:
        node = Node.of(document, "", Context.parse(document.get("@context", {})))
        return _Reader(node).read()
    except InvalidDocumentError as error:
        # The place is made of the file's own words, which may be of any length.
        raise InvalidDocumentError(
            f"{what}: {error}"[:_MAX_MESSAGE],
            hint="https://docs.mlcommons.org/croissant describes the format",
        ) from error
    except LimitExceededError as error:
        raise LimitExceededError(f"{what}: {error}") from error


class _Reader:
    """One file on its way from JSON-LD to values."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._ids: dict[str, str] = {}
        self._problems: list[str] = []

    def read(self) -> Croissant:
        node = self._node
        if "sc:Dataset" not in node.types():
            raise node.wrong("is no dataset: its @type has to be schema.org's Dataset")
        conforms_to = self._conforms_to()
        files, sets = self._distribution()
        for word in _REQUIRED:
            if not any(node.values(f"sc:{word}")):
                self._problems.append(f"it has no {word}, which the format asks for")
        return Croissant(
            conforms_to=conforms_to,
            name=node.text("sc:name"),
            version=node.text("sc:version"),
            description=node.text("sc:description"),
            licenses=tuple(self._works("license")),
            url=node.text("sc:url"),
            creators=tuple(_label(*found, node.context) for found in node.values("sc:creator")),
            date_published=node.text("sc:datePublished"),
            live=self._live(),
            files=files,
            file_sets=sets,
            record_sets=tuple(self._record_sets()),
            origin=_origin(node),
            usage=read_usage(node),
            rai=_rai(node),
            problems=tuple(self._problems),
        )

    def _conforms_to(self) -> str:
        said = self._node.texts("dct:conformsTo", "sc:conformsTo")
        versions = {found[1] for text in said if (found := _CONFORMS.fullmatch(text))}
        if len(versions) > 1:
            raise self._node.wrong(f"conforms to several versions: {', '.join(sorted(versions))}")
        if not versions:
            told = f"conforms to {said[0][:100]!r}" if said else "does not say what it conforms to"
            raise self._node.wrong(f"{told}, not to http://mlcommons.org/croissant/1.0 or 1.1")
        return versions.pop()

    def _works(self, word: str) -> Iterator[str]:
        """Yield texts and addresses of creative works, which a licence is as well."""
        for where, value in self._node.values(f"sc:{word}"):
            if isinstance(value, str):
                yield value.strip()
                continue
            work = Node.of(value, where, self._node.context)
            text = work.text("sc:url") or work.text("sc:name") or work.id
            if not text:
                raise work.wrong("has neither url nor name")
            yield text

    def _live(self) -> bool:
        found = [value for _, value in self._node.values(*_both("cr", "isLiveDataset"))]
        if any(not isinstance(value, bool) for value in found) or len(found) > 1:
            raise self._node.wrong("isLiveDataset has to be true or false")
        return bool(found and found[0])

    def _distribution(self) -> tuple[tuple[FileObject, ...], tuple[FileSet, ...]]:
        files: list[FileObject] = []
        sets: list[FileSet] = []
        resources = self._node.nodes(*_both("cr", "distribution"))
        for node in _limited(resources, MAX_RESOURCES, "distribution"):
            types = node.types()
            is_file = not types.isdisjoint({"cr:FileObject", "sc:FileObject"})
            is_set = not types.isdisjoint({"cr:FileSet", "sc:FileSet"})
            if is_file == is_set:
                raise node.wrong("has to be either a FileObject or a FileSet")
            if is_file:
                files.append(self._file(node))
            else:
                sets.append(self._file_set(node))
        if not files and not sets:
            self._problems.append("it has no distribution: which files the data is, is not told")
        known = {item.id for item in files} | {item.id for item in sets}
        for inner, outer in [(i.id, o) for i in files for o in i.contained_in] + [
            (i.id, o) for i in sets for o in i.contained_in
        ]:
            if outer not in known:
                self._problems.append(f"{inner} is in {outer}, which is not there")
        return tuple(files), tuple(sets)

    def _id(self, node: Node) -> str:
        found = node.id or node.text("sc:name")
        if not found:
            raise node.wrong("has no @id")
        if found in self._ids:
            raise node.wrong(f"has the @id of {self._ids[found]}: {found[:200]!r}")
        self._ids[found] = node.where
        return found

    def _file(self, node: Node) -> FileObject:
        size = node.text("sc:contentSize")
        exact = _BYTES.fullmatch(size)
        return FileObject(
            id=self._id(node),
            name=node.text("sc:name"),
            content_url=node.text("sc:contentUrl"),
            content_size=size,
            size=int(exact[1]) if exact else None,
            encoding_formats=node.texts("sc:encodingFormat"),
            sha256=self._hash(node, _both("cr", "sha256"), _SHA256),
            md5=self._hash(node, _both("cr", "md5"), _MD5),
            contained_in=tuple(_containers(node)),
            origin=_origin(node),
        )

    def _hash(self, node: Node, names: tuple[str, ...], form: re.Pattern[str]) -> str:
        """Return a hash; one that is none is told, for hubs write notes in its place."""
        text = node.text(*names)
        if not text or form.fullmatch(text):
            return text.lower()
        word = names[0].partition(":")[2]
        self._problems.append(f"the {word} of {node.id or node.where} is no hash: {text[:80]!r}")
        return ""

    def _file_set(self, node: Node) -> FileSet:
        return FileSet(
            id=self._id(node),
            includes=node.texts(*_both("cr", "includes")),
            excludes=node.texts(*_both("cr", "excludes")),
            contained_in=tuple(_containers(node)),
        )

    def _record_sets(self) -> Iterator[RecordSet]:
        records = self._node.nodes(*_both("cr", "recordSet"))
        for node in _limited(records, MAX_RECORD_SETS, "recordSet"):
            fields = sum(1 for _ in node.nodes(*_both("cr", "field")))
            yield RecordSet(name=self._id(node), fields=fields)


def _both(prefix: str, word: str) -> tuple[str, ...]:
    """Return the names of a word that is written with its prefix, or as if schema.org had it."""
    return (f"{prefix}:{word}", f"sc:{word}")


def _limited(nodes: Iterator[Node], limit: int, word: str) -> Iterator[Node]:
    for count, node in enumerate(nodes, start=1):
        if count > limit:
            raise LimitExceededError(f"{word} has over {limit} entries")
        yield node


def _containers(node: Node) -> Iterator[str]:
    """Yield the ids of what a resource is contained in; a DataSource names its file inside."""
    for where, value in node.values(*_both("cr", "containedIn")):
        if isinstance(value, str):
            yield value
            continue
        inner = Node.of(value, where, node.context)
        names = (*_both("cr", "fileObject"), *_both("cr", "fileSet"))
        sources = [source.id for source in inner.nodes(*names)]
        if not sources and not inner.id:
            raise inner.wrong("names nothing: an @id is missing")
        yield from sources or [inner.id]


def _origin(node: Node) -> Origin:
    context = node.context
    return Origin(
        derived_from=tuple(
            _entity(*found, context) for found in node.values(*_both("prov", "wasDerivedFrom"))
        ),
        generated_by=tuple(
            _activity(*found, context) for found in node.values(*_both("prov", "wasGeneratedBy"))
        ),
        attributed_to=tuple(
            _label(*found, context) for found in node.values(*_both("prov", "wasAttributedTo"))
        ),
    )


def _entity(where: str, value: object, context: Context) -> Entity:
    if isinstance(value, str):
        return Entity(id=value)
    node = Node.of(value, where, context)
    found = Entity(
        id=node.id,
        label=node.text("prov:label") or node.text("sc:name"),
        location=_first(node, "prov:atLocation", "prov:locatedAt", "sc:url"),
    )
    if not str(found):
        raise node.wrong("names nothing: neither @id nor prov:label")
    return found


def _activity(where: str, value: object, context: Context) -> Activity:
    ended = ""
    if isinstance(value, dict):
        node = Node.of(value, where, context)
        ended = node.text("prov:endedAtTime")
        for name in ("sc:description", "prov:description"):
            if node.has(name) and not node.has("prov:label") and not node.has("sc:name"):
                return Activity(label=node.text(name), ended=ended)
    return Activity(label=_label(where, value, context), ended=ended)


def _label(where: str, value: object, context: Context) -> str:
    """Return what a person, an agent or an activity is called."""
    if isinstance(value, str):
        return value
    node = Node.of(value, where, context)
    found = _first(node, "prov:label", "sc:name", "sc:url") or node.id
    if not found:
        raise node.wrong("has no name")
    return found


def _first(node: Node, *names: str) -> str:
    return next((text for name in names if (text := node.text(name))), "")


def _rai(node: Node) -> dict[str, tuple[str, ...]]:
    """Return what the RAI vocabulary says; hubs write its words under Croissant's own prefix."""
    found: dict[str, tuple[str, ...]] = {}
    for name in sorted(node.fields):
        prefix, _, word = name.partition(":")
        known = prefix == "rai" or (prefix in {"cr", "sc"} and word in _RAI_WORDS)
        if known and word not in found:
            names = (f"rai:{word}", f"cr:{word}", f"sc:{word}")
            texts = tuple(text.strip() for text in node.texts(*names))
            found[word] = tuple(text for text in texts if text)
    return {word: texts for word, texts in found.items() if texts}
