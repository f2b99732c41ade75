# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Strict JSON and YAML: what two readers could understand differently is refused."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.documents import dump_yaml

from modelseal.documents import (
    MAX_DEPTH,
    Fields,
    canonical_json,
    parse_json,
    parse_json_object,
    parse_toml,
    parse_yaml,
)
from modelseal.errors import (
    ContentError,
    InvalidDocumentError,
    InvalidProjectError,
    LimitExceededError,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(VALUES)
def test_canonical_json_comes_back_as_it_was(value: Any) -> None:  # noqa: ANN401
    assert parse_json(canonical_json(value), "it") == value


@given(st.dictionaries(st.text(), st.integers()))
def test_canonical_json_does_not_depend_on_the_order_of_keys(value: dict[str, int]) -> None:
    backwards = dict(reversed(list(value.items())))
    assert canonical_json(value) == canonical_json(backwards)


def test_integers_beyond_doubles_stay_exact() -> None:
    assert canonical_json({"big": 2**60 + 1}) == b'{"big":1152921504606846977}'


@pytest.mark.parametrize(
    "raw",
    [
        b'{"a":1,"a":2}',
        b'{"outer":{"a":1,"a":1}}',
        b'{"a":NaN}',
        b"[Infinity]",
        b"[-Infinity]",
        b"\xef\xbb\xbf{}",
        b"{} {}",
        b"",
        b"\xff",
        b"{'a':1}",
    ],
)
def test_json_that_two_readers_understand_differently_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidDocumentError, match="it is not valid JSON"):
        parse_json(raw, "it")


@pytest.mark.parametrize("depth", [MAX_DEPTH + 5, 5_000, 100_000])
def test_deep_nesting_is_refused_and_not_a_crash(depth: int) -> None:
    with pytest.raises(LimitExceededError):
        parse_json(b"[" * depth + b"]" * depth, "it")


def test_nesting_up_to_the_limit_is_read() -> None:
    assert parse_json(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, "it")


@pytest.mark.parametrize("raw", [b"[]", b"1", b"null", b'"text"'])
def test_a_document_that_has_to_be_an_object_is_one(raw: bytes) -> None:
    with pytest.raises(InvalidDocumentError, match="not a JSON object"):
        parse_json_object(raw, "it")


@given(st.binary(max_size=200))
def test_no_bytes_make_the_readers_crash(raw: bytes) -> None:
    for parse in (parse_json, parse_yaml, parse_toml):
        try:
            parse(raw, "it")
        except ContentError:
            continue


@given(
    st.dictionaries(
        st.text(st.characters(categories=["L", "N", "Zs", "P"]), min_size=1), st.text(), max_size=5
    )
)
def test_yaml_that_we_write_is_read_back(value: dict[str, str]) -> None:
    assert parse_yaml(dump_yaml(value).encode(), "it") == value


def test_a_yaml_scalar_keeps_its_text() -> None:
    raw = b"{version: 1.10, date: 2024-01-01, country: no, time: 1:30, octal: 012, hex: 0x1f}"
    assert parse_yaml(raw, "it") == {
        "version": "1.10",
        "date": "2024-01-01",
        "country": "no",
        "time": "1:30",
        "octal": "012",
        "hex": "0x1f",
    }


def test_yaml_knows_null_booleans_and_plain_integers() -> None:
    raw = b"[null, ~, true, false, 42, -7, 0]"
    assert parse_yaml(raw, "it") == [None, None, True, False, 42, -7, 0]


@pytest.mark.parametrize(
    "raw",
    [
        b"a: 1\na: 2",
        b"a: &x 1\nb: *x",
        b"!!python/object/apply:os.system [true]",
        b"? [1, 2]\n: 3",
        b"a: [",
        b"--- 1\n--- 2",
    ],
)
def test_yaml_that_is_not_plain_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidDocumentError):
        parse_yaml(raw, "it")


@pytest.mark.parametrize(
    "raw",
    [
        b'a: !!int ""',
        b"a: !!bool x",
        b"a: !!timestamp garbage",
        b"a: !!timestamp 2024-01-01",
        b"a: !!int 0x" + b"f" * 5000,
        b"a: !!int 1" + b":59" * 3000,
        b"!!set {a, b}",
        b"a: !!binary aGk=",
        b"a: ! b",
        b"!!map {!!str a: 1}",
    ],
    ids=lambda raw: raw[:20].decode(),
)
def test_a_tag_cannot_crash_or_stall_the_reader(raw: bytes) -> None:
    with pytest.raises(InvalidDocumentError, match="tags are not taken"):
        parse_yaml(raw, "it")


@pytest.mark.parametrize("sign", ["\x85", "\u2028", "\u2029", "\ufeff"], ids=ascii)
def test_a_comment_does_not_end_where_no_editor_shows_it(sign: str) -> None:
    text = f"- alice  # the release manager{sign}- mallory\n"
    with pytest.raises(InvalidDocumentError, match=f"{ord(sign):04X}"):
        parse_yaml(text.encode(), "it")


def test_a_message_about_broken_yaml_is_one_line() -> None:
    # Lines of a document must not pass for lines of ours.
    with pytest.raises(InvalidDocumentError) as refused:
        parse_yaml(b"a: 'b\nverified: oci:store:1.4.0\n", "it")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "raw", [b"token: [s3cret", b"token: 's3cret", b"a: s3cret: b", b"s3cret\na: b", b"\ts3cret"]
)
def test_a_message_about_broken_yaml_quotes_nothing_of_it(raw: bytes) -> None:
    # Somebody names the wrong file for a policy, and the log of the job is public.
    with pytest.raises(InvalidDocumentError) as refused:
        parse_yaml(b"first: 1\n" + raw, "it")
    assert "s3cret" not in str(refused.value)
    assert "line" in str(refused.value)


def test_an_alias_bomb_is_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    with pytest.raises(InvalidDocumentError, match="alias"):
        parse_yaml("\n".join(lines).encode(), "it")


def test_large_yaml_is_refused_unread() -> None:
    with pytest.raises(LimitExceededError, match="1 MiB"):
        parse_yaml(b"a" * ((1 << 20) + 1), "it")


def test_toml_is_read_as_it_is() -> None:
    raw = b'version = 1\n[[package]]\nname = "a.b"\n"x.y"."z" = [{ url = "https://a.b/c" }]\n'
    assert parse_toml(raw, "it") == {
        "version": 1,
        "package": [{"name": "a.b", "x.y": {"z": [{"url": "https://a.b/c"}]}}],
    }


@pytest.mark.parametrize("raw", [b"a = 1\na = 2", b"[a]\n[a]", b"a", b"\xff = 1", b"a = 1e"])
def test_toml_that_is_none_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidDocumentError, match="it is not valid TOML"):
        parse_toml(raw, "it")


@pytest.mark.parametrize(
    "raw",
    [
        b".".join([b"a"] * 100_000) + b" = 1",
        b" . ".join([b"'a'"] * 100_000) + b" = 1",
        b".".join([b'"\\""'] * 100_000) + b" = 1",
        b"[" + b".".join([b"a"] * 100_000) + b"]",
        b'a = {b = """\n""", ' + b".".join([b"c"] * 100_000) + b' = "d"}',
        b"a = " + b"[" * 100_000,
        b"a = " + b"{a = " * 100_000,
        b"a = " + b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b"#" * ((1 << 20) + 1),
    ],
    ids=["dots", "quotes", "escapes", "table", "hidden", "lists", "mappings", "deep", "large"],
)
def test_toml_that_takes_long_or_breaks_its_reader_is_refused(raw: bytes) -> None:
    with pytest.raises(LimitExceededError):
        parse_toml(raw, "it")


@pytest.mark.parametrize(
    "text", ['"' + '\\"' * 400_000, "'\"" * 400_000, "a" * 900_000, "a," * 400_000]
)
def test_looking_for_long_keys_takes_no_time_itself(text: str) -> None:
    with pytest.raises(InvalidDocumentError):
        parse_toml(text.encode(), "it")


def fields(value: object) -> Fields:
    return Fields(value, "spec", error=InvalidProjectError)


def test_an_unknown_key_is_told_with_the_nearest_known_one() -> None:
    entry = fields({"nmae": "fraud"})
    entry.text("name")
    with pytest.raises(InvalidProjectError, match=r"spec\.nmae is not a known key.*`name`"):
        entry.finish()


def test_a_missing_field_is_named_by_its_path() -> None:
    with pytest.raises(InvalidProjectError, match=r"spec\.training\.code is missing"):
        fields({"training": {}}).mapping("training").text("code", required=True)


@pytest.mark.parametrize(
    ("key", "read"),
    [
        ("text", lambda entry: entry.text("text")),
        ("integer", lambda entry: entry.integer("integer", default=0)),
        ("texts", lambda entry: entry.texts("texts")),
        ("items", lambda entry: entry.items("items")),
        ("mapping", lambda entry: entry.mapping("mapping")),
    ],
)
@pytest.mark.parametrize("value", [True, {"a": 1}.keys])
def test_a_field_of_another_shape_is_refused(key: str, read: Any, value: object) -> None:  # noqa: ANN401
    with pytest.raises(InvalidProjectError, match=key):
        read(fields({key: value}))


def test_fields_want_a_mapping() -> None:
    with pytest.raises(InvalidProjectError, match="has to be a mapping"):
        fields(json.loads("[]"))
