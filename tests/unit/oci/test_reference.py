# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""References: what is taken, and what `oras` would have let through."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelseal.errors import InvalidReferenceError
from modelseal.oci.descriptor import Digest
from modelseal.oci.reference import (
    DigestReference,
    LayoutDirectory,
    Repository,
    TagReference,
    parse_location,
    parse_reference,
)

HEX = "ab" * 32


@pytest.mark.parametrize(
    ("text", "registry", "name", "tag"),
    [
        ("ghcr.io/acme/fraud:1.4.0", "ghcr.io", "acme/fraud", "1.4.0"),
        ("localhost/m:x", "localhost", "m", "x"),
        ("localhost:5000/m:x", "localhost:5000", "m", "x"),
        ("127.0.0.1:5000/a/b/c:x", "127.0.0.1:5000", "a/b/c", "x"),
        ("[::1]:5000/m:x", "[::1]:5000", "m", "x"),
        ("reg.example/a__b--c.d/e:v_1", "reg.example", "a__b--c.d/e", "v_1"),
    ],
)
def test_a_tag_reference_is_read(text: str, registry: str, name: str, tag: str) -> None:
    assert parse_reference(text) == TagReference(Repository(registry, name), tag)
    assert str(parse_reference(text)) == text


@pytest.mark.parametrize("tag", ["", ":1.4.0"])
def test_a_digest_wins_over_a_tag(tag: str) -> None:
    found = parse_reference(f"ghcr.io/acme/fraud{tag}@sha256:{HEX}")
    assert found == DigestReference(Repository("ghcr.io", "acme/fraud"), Digest("sha256", HEX))


@pytest.mark.parametrize(
    "text",
    [
        "http://reg.example.com/a/b:1",
        "https://ghcr.io/acme/fraud:1",
        "ghcr.io/Acme/fraud:1",
        "ghcr.io/acme/../fraud:1",
        "ghcr.io/acme//fraud:1",
        "ghcr.io/acme/fraud/:1",
        "ghcr.io/acme/fraud",
        "ghcr.io/acme/fraud:",
        "ghcr.io/acme/fraud:a b",
        "ghcr.io/acme/fraud:" + "x" * 129,
        "ghcr.io/acme/fraud@sha256:zz",
        "ghcr.io/acme/fraud@sha256:" + HEX.upper(),
        "ghcr.io/acme/fraud@md5:d41d8cd98f00b204e9800998ecf8427e",
        "ghcr.io/acme/fraud@",
        "acme/fraud:1",
        "fraud:1",
        "fraud",
        "",
        "user@ghcr.io/acme/fraud:1",
        "ghcr.io:99999/acme/fraud:1",
        "ghcr.io:x/acme/fraud:1",
        "-ghcr.io/acme/fraud:1",
        "ghcr..io/acme/fraud:1",
        "ghcr.io/" + "a" * 256 + ":1",
        "oci:",
        "oci:@sha256:" + HEX,
        "oci:x\0y",
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    with pytest.raises(InvalidReferenceError) as error:
        parse_reference(text)
    assert error.value.hint


@pytest.mark.parametrize(
    ("text", "path", "tag"),
    [
        ("oci:store", "store", "latest"),
        ("oci:./a/b:1.4.0", "./a/b", "1.4.0"),
        ("oci:/abs:dir/x", "/abs:dir/x", "latest"),
        ("oci:/abs:dir/x:v1", "/abs:dir/x", "v1"),
    ],
)
def test_a_layout_is_read(text: str, path: str, tag: str) -> None:
    assert parse_reference(text) == TagReference(LayoutDirectory(Path(path)), tag)


def test_a_digest_in_a_layout_is_read() -> None:
    found = parse_reference(f"oci:a@b@sha256:{HEX}")
    assert found == DigestReference(LayoutDirectory(Path("a@b")), Digest("sha256", HEX))


def test_a_location_has_no_tag() -> None:
    assert parse_location("ghcr.io/acme/fraud") == Repository("ghcr.io", "acme/fraud")
    assert parse_location("localhost:5000/m") == Repository("localhost:5000", "m")
    assert parse_location("oci:x") == LayoutDirectory(Path("x"))
    for text in (
        "ghcr.io/acme/fraud:1",
        f"ghcr.io/acme/fraud@sha256:{HEX}",
        "oci:./store:1",
        f"oci:./store@sha256:{HEX}",
    ):
        with pytest.raises(InvalidReferenceError):
            parse_location(text)


def test_a_password_before_an_at_is_not_repeated() -> None:
    with pytest.raises(InvalidReferenceError) as error:
        parse_location("user:hunter2@ghcr.io/acme/fraud")
    assert "hunter2" not in str(error.value) + error.value.hint


@given(st.text(max_size=80))
def test_parsing_refuses_or_is_stable(text: str) -> None:
    try:
        found = parse_reference(text)
    except InvalidReferenceError:
        return
    assert parse_reference(str(found)) == found


@pytest.mark.parametrize("read", [parse_reference, parse_location], ids=lambda read: read.__name__)
def test_a_password_in_a_url_is_not_shown(read: Callable[[str], object]) -> None:
    with pytest.raises(InvalidReferenceError) as refused:
        read("https://ada:s3cret@ghcr.io/acme/fraud:1")
    assert "s3cret" not in str(refused.value) + refused.value.hint
