# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Croissant files are read whole, in every spelling, and not at all where two readers differ."""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelseal.errors import ContentError, InvalidDocumentError, LimitExceededError
from modelseal.evidence.lineage.croissant import (
    Activity,
    Constraint,
    Croissant,
    Entity,
    FileSet,
    RecordSet,
    Rule,
)
from modelseal.evidence.lineage.jsonld import MAX_KEYS, MAX_TERMS, Context, canonical
from modelseal.evidence.lineage.reader import (
    MAX_CROISSANT_BYTES,
    MAX_RECORD_SETS,
    MAX_RESOURCES,
    parse_croissant,
)
from modelseal.evidence.lineage.usage import MAX_RULES, duo_term

VECTORS = Path(__file__).parents[2] / "vectors" / "croissant"
FULL = (VECTORS / "full.json").read_bytes()
CONTEXT = {"@vocab": "https://schema.org/", "cr": "http://mlcommons.org/croissant/"}
LEAST = {
    "@context": CONTEXT,
    "@type": "Dataset",
    "dct:conformsTo": "http://mlcommons.org/croissant/1.0",
    "name": "digits",
}


def parse(**fields: Any) -> Croissant:  # noqa: ANN401 - any JSON
    return parse_croissant(json.dumps({**LEAST, **fields}).encode(), "croissant.json")


def test_a_whole_description_is_read() -> None:
    found = parse_croissant(FULL, "full.json")
    assert (found.conforms_to, found.name, found.version) == ("1.1", "heart-sounds", "2.1.0")
    assert found.licenses == ("https://creativecommons.org/licenses/by/4.0/",)
    assert found.creators == ("Clinic of Example", "Ada Example")
    labels, sounds, readme = found.files
    assert (labels.size, labels.content_size, sounds.size) == (28, "28 B", None)
    assert {sounds.sha256[:8], sounds.md5[:8]} == {"9e107d9d"}
    assert readme.contained_in == ("sounds.zip",)
    assert labels.origin.generated_by == (Activity(label="Export of 2026-02"),)
    assert found.file_sets == (
        FileSet(
            id="sounds",
            includes=("train/*.wav", "test/*.wav"),
            excludes=("test/broken.wav",),
            contained_in=("sounds.zip",),
        ),
    )
    assert found.record_sets == (
        RecordSet(name="records", fields=2),
        RecordSet(name="splits", fields=1),
    )
    assert found.origin.derived_from == (
        Entity(id="urn:clinic:archive", label="Archive of the clinic"),
        Entity(id="https://clinic.example/data/heart-sounds/1"),
    )
    assert found.origin.generated_by == (
        Activity(label="De-identification", ended="2026-02-20T12:00:00Z"),
    )
    assert found.origin.attributed_to == ("Data office",)
    assert found.rai["personalSensitiveInformation"] == ("Age", "Health: diagnosis of the heart")
    assert found.problems == ()


def test_terms_of_use_are_read_as_duo_and_odrl() -> None:
    usage = parse_croissant(FULL, "full.json").usage
    mondo = "http://purl.obolibrary.org/obo/MONDO_0005267"
    assert usage.rules == (
        Rule(kind="permission", action="DUO_0000042", name="General Research Use"),
        Rule(
            kind="permission",
            action="DUO_0000007",
            name="Disease specific research",
            constraints=(
                Constraint(left="DUO_0000010", operator="odrl:eq", right=mondo),
                Constraint(left="", operator="odrl:eq", right="DUO_0000018"),
            ),
        ),
        Rule(kind="prohibition", action="odrl:sell"),
    )
    assert usage.documents == ("https://clinic.example/terms",)


def test_other_spellings_of_the_same_words_say_the_same() -> None:
    plain = parse_croissant((VECTORS / "plain.json").read_bytes(), "plain.json")
    assert plain == parse_croissant(FULL, "full.json")


def test_what_the_format_asks_for_and_is_not_there_is_told() -> None:
    problems = parse(name=None).problems
    for word in ("name", "description", "license", "url", "creator", "datePublished"):
        assert f"it has no {word}, which the format asks for" in problems
    assert any("no distribution" in problem for problem in problems)


def test_a_note_in_the_place_of_a_hash_is_no_hash() -> None:
    note = "https://github.com/mlcommons/croissant/issues/80"
    found = parse(distribution={"@type": "cr:FileObject", "@id": "repo", "sha256": note})
    assert found.files[0].sha256 == ""
    assert f"the sha256 of repo is no hash: {note!r}" in found.problems


def test_words_of_the_rai_vocabulary_under_another_prefix_are_read() -> None:
    text = "cr:personalSensitiveInformation"
    assert parse(**{text: "Age"}).rai == {"personalSensitiveInformation": ("Age",)}


def test_a_version_of_the_format_that_comes_later_is_read() -> None:
    later = ["http://mlcommons.org/croissant/1.7", "https://acme.example/own/2"]
    assert parse(**{"dct:conformsTo": later}).conforms_to == "1.7"


FILE = {"@type": "cr:FileObject", "@id": "a"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"@type": "Thing"}, "the document is no dataset"),
        ({"@type": ["Dataset", 7]}, r"@type\[1\] has to be text"),
        ({"dct:conformsTo": None}, "does not say what it conforms to"),
        ({"dct:conformsTo": "http://mlcommons.org/croissant/2.0"}, "not to http://mlcommons"),
        (
            {
                "dct:conformsTo": ["http://mlcommons.org/croissant/1.0"] * 2
                + ["http://mlcommons.org/croissant/1.1"]
            },
            "several versions: 1.0, 1.1",
        ),
        ({"sc:name": "other"}, "name mean the same"),
        ({"http://schema.org/name": "other"}, "name mean the same"),
        ({"name": ["a", "b"]}, "name has 2 values, and may have one"),
        ({"name": {"first": "a"}}, "name has to be text"),
        ({"version": True}, "version has to be text"),
        ({"conformsTo": "x"}, "dct:conformsTo and conformsTo mean the same"),
        ({"@graph": []}, "@graph is not taken"),
        ({"creator": {"@type": "Person"}}, "creator has no name"),
        ({"creator": {"@context": {}, "name": "x"}}, r"creator\.@context is not taken"),
        ({"license": {"@type": "CreativeWork"}}, "license has neither url nor name"),
        ({"distribution": {"@id": "a"}}, "either a FileObject or a FileSet"),
        (
            {"distribution": [{**FILE, "@type": ["cr:FileObject", "cr:FileSet"]}]},
            r"distribution\[0\] has to be either",
        ),
        ({"distribution": ["a.csv"]}, r"distribution\[0\] is not an object"),
        ({"distribution": [FILE, FILE]}, r"distribution\[1\] has the @id of distribution\[0\]"),
        ({"distribution": [FILE], "recordSet": {"@id": "a"}}, r"recordSet has the @id of dist"),
        ({"distribution": {"@type": "cr:FileObject"}}, "distribution has no @id"),
        ({"distribution": {**FILE, "sha256": "0" * 64, "cr:sha256": "1" * 64}}, "mean the same"),
        ({"distribution": {**FILE, "sha256": ["0" * 64, "1" * 64]}}, "sha256 has 2 values"),
        ({"distribution": {**FILE, "containedIn": {}}}, "containedIn names nothing"),
        ({"isLiveDataset": "yes"}, "isLiveDataset has to be true or false"),
        ({"prov:wasDerivedFrom": {}}, "wasDerivedFrom names nothing"),
        (
            {
                "usageInfo": {
                    "@type": "DefinedTerm",
                    "termCode": "DUO_0000042",
                    "url": "duo:0000018",
                }
            },
            "usageInfo is two terms at once: DUO_0000018 and DUO_0000042",
        ),
        ({"usageInfo": {"@type": "odrl:Offer"}}, "usageInfo is an offer without a rule"),
        ({"usageInfo": {"odrl:permission": {}}}, r"usageInfo\.odrl:permission has no action"),
        (
            {"usageInfo": {"odrl:permission": {"odrl:action": "odrl:use", "odrl:constraint": {}}}},
            "constraint has no rightOperand",
        ),
        ({"usageInfo": {"@type": "CreativeWork"}}, "usageInfo names nothing"),
        (
            {
                "usageInfo": {
                    "odrl:permission": {"odrl:action": "odrl:sell"},
                    "odrl:prohibition": {"odrl:action": {"@id": "odrl:sell"}},
                }
            },
            "permits and prohibits the same: odrl:sell",
        ),
    ],
)
def test_what_can_be_understood_in_two_ways_is_refused_with_its_place(
    fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidDocumentError, match=message) as caught:
        parse(**fields)
    assert str(caught.value).startswith("croissant.json: ")


@pytest.mark.parametrize(
    ("context", "message"),
    [
        ("https://evil.example/context.jsonld", "would have to be fetched"),
        (["https://schema.org/", "http://mlcommons.org/croissant/1.1"], "would have to be fetched"),
        ({"@import": "https://evil.example/"}, "@import is not taken"),
        ({"@vocab": "relative/"}, "@vocab is not an absolute IRI"),
        ({"x": {"@id": "cr:x", "@context": {"name": "cr:other"}}}, "x has @context"),
        ({"x": {"@reverse": "cr:x"}}, "x has @reverse"),
        ({"x": "@graph"}, "x stands for '@graph'"),
        ({"a": "b:x", "b": "a:y"}, "is defined by itself"),
        ({"x": "elsewhere"}, "x is 'elsewhere', which is not an absolute IRI"),
        ({"x": 7}, "x has to be an IRI"),
        (7, "@context is not a mapping"),
    ],
)
def test_a_context_that_is_elsewhere_or_changes_what_words_mean_is_refused(
    context: object, message: str
) -> None:
    with pytest.raises(InvalidDocumentError, match=message):
        parse(**{"@context": context})


def test_a_prefix_means_what_the_file_says_it_means() -> None:
    """`sc:` is schema.org wherever it is not declared, and only there."""
    with pytest.raises(InvalidDocumentError, match="no dataset"):
        parse(**{"@context": {"sc": "https://evil.example/"}, "@type": "sc:Dataset"})
    assert parse(**{"@context": {}, "@type": "sc:Dataset"}).name == "digits"
    other = {"@context": {**CONTEXT, "duo": "https://evil.example/DUO_"}}
    found = parse(**other, usageInfo={"@type": "DefinedTerm", "url": "duo:0000004"})
    assert found.usage.rules[0].action == "https://evil.example/DUO_0000004"


def test_a_word_that_the_context_takes_away_says_nothing() -> None:
    context = {**CONTEXT, "license": None}
    assert parse(**{"@context": context, "license": "MIT"}).licenses == ()


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("DUO_0000042", "DUO_0000042"),
        ("DUO:0000042", "DUO_0000042"),
        ("https://purl.obolibrary.org/obo/DUO_0000042", "DUO_0000042"),
        ("DUO_42", ""),
        ("https://evil.example/DUO_0000042", ""),
    ],
)
def test_a_duo_term_has_one_spelling(text: str, term: str) -> None:
    assert duo_term(text) == term


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: {"distribution": [{**FILE, "@id": str(n)} for n in range(MAX_RESOURCES + 1)]},
            "distribution has over 20000",
        ),
        (
            lambda: {"recordSet": [{"@id": str(n)} for n in range(MAX_RECORD_SETS + 1)]},
            "recordSet has over 10000",
        ),
        (lambda: {"@context": {f"t{n}": "cr:x" for n in range(MAX_TERMS + 1)}}, "over 1000 terms"),
        (
            lambda: {
                "usageInfo": ["DUO_0000042"] * (MAX_RULES + 2)
                + [{"@type": "DefinedTerm", "termCode": "x"}]
            },
            "over 1000 rules",
        ),
        (
            lambda: {"@context": {f"t{n}": f"t{n + 1}:x" for n in range(MAX_TERMS)}},
            "is defined through too many",
        ),
        (lambda: {"@context": {"p": f"https://{'x' * 1000}/"}}, "IRI of over 1000 characters"),
        (lambda: {"creator": {f"k{n}": 0 for n in range(MAX_KEYS + 1)}}, "over 10000 keys"),
        (
            lambda: {"usageInfo": {"odrl:permission": {"odrl:action": "x" * 1001}}},
            "a term of use has over 1000 characters",
        ),
        (lambda: {"description": "x" * MAX_CROISSANT_BYTES}, "larger than 16 MiB"),
    ],
    ids=["resources", "record sets", "terms", "rules", "chain", "IRI", "keys", "term", "bytes"],
)
def test_what_a_stranger_controls_has_a_limit(
    make: Callable[[], dict[str, Any]], message: str
) -> None:
    with pytest.raises(LimitExceededError, match=message):
        parse(**make())


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from(["", "x", "cr:x", "@id"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["@id", "@type", "@value", "@language", "name", "x", "odrl:action"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@given(key=st.sampled_from(sorted(json.loads(FULL))), value=_JSON)
@settings(max_examples=150)
def test_any_value_anywhere_is_read_or_refused(key: str, value: object) -> None:
    document = {**json.loads(FULL), key: value}
    with contextlib.suppress(ContentError):
        found = parse_croissant(json.dumps(document).encode(), "croissant.json")
        assert found.conforms_to == "1.1"


def test_names_come_out_in_one_spelling() -> None:
    context = Context.parse([CONTEXT, {"kind": "@type", "rs": "cr:recordSet"}])
    expanded = [context.expand(word) for word in ("name", "cr:field", "kind", "rs", "urn:x", "@id")]
    assert expanded == ["sc:name", "cr:field", "@type", "cr:recordSet", "urn:x", "@id"]
    assert canonical("https://mlcommons.org/croissant/RAI/dataBiases") == "rai:dataBiases"
