# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
import os.path
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelseal.errors import LimitExceededError, UnsafePathError
from modelseal.modelpack.paths import (
    MAX_DEPTH,
    MAX_ENTRIES,
    check_paths,
    check_relative_path,
)


@pytest.mark.parametrize(
    "name",
    [
        "model.onnx",
        "a/b/c.json",
        "weights with spaces.bin",
        "模型/权重.bin",
        "caf\u00e9.txt",
        "..hidden",
        "...rc/x",
        ".config/x",
        "console.log",
        "com10.txt",
        "-rf",
        "~/x",
        "$HOME",
    ],
)
def test_an_ordinary_name_is_taken_as_it_is(name: str) -> None:
    assert str(check_relative_path(name)) == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "empty part"),
        (".", "empty part"),
        ("./a", "empty part"),
        ("a//b", "empty part"),
        ("a/", "empty part"),
        ("a/./b", "empty part"),
        ("..", "leaves the directory"),
        ("../etc/passwd", "leaves the directory"),
        ("a/../../b", "leaves the directory"),
        ("/etc/passwd", "absolute"),
        ("//server/share", "absolute"),
        ("C:evil", "the character :"),
        ("C:/evil", "the character :"),
        ("a.txt:stream", "the character :"),
        ("..\\evil", "the character \\"),
        ("a\\b", "the character \\"),
        ("a*b", "the character *"),
        ("a\0b", "U+0000"),
        ("a\nb", "U+000A"),
        ("a\x1b[31mb", "U+001B"),
        ("model\u202exnno.exe", "U+202E"),
        ("zero\u200bwidth", "U+200B"),
        ("not-utf8-\udcff", "U+DCFF"),
        ("line\u2028break", "U+2028"),
        ("cafe\u0301.txt", "NFC"),
        ("a.", "ends in a dot or a space"),
        ("a /b", "ends in a dot or a space"),
        (".../x", "ends in a dot or a space"),
        ("CON", "device on Windows"),
        ("sub/nul.txt", "device on Windows"),
        ("Com1.tar.gz", "device on Windows"),
        ("lpt\u00b9", "device on Windows"),
        ("aux .txt", "device on Windows"),
        ("x" * 256, "longer than 255 bytes"),
        ("\u00e9" * 128, "longer than 255 bytes"),
        ("/".join(["x" * 200] * 6), "longer than 1024 bytes"),
        ("/".join("x" * (MAX_DEPTH + 1)), "more than 32 parts"),
    ],
)
def test_a_name_that_leaves_or_differs_between_systems_is_refused(name: str, why: str) -> None:
    with pytest.raises(UnsafePathError) as caught:
        check_relative_path(name)
    assert why in str(caught.value)
    assert str(caught.value).isprintable()


@given(st.text(alphabet=st.sampled_from("ab./\\:A\u0301\u00e9 \0~") | st.characters(), max_size=40))
def test_a_name_that_is_taken_stays_below_the_directory(name: str) -> None:
    try:
        path = check_relative_path(name)
    except UnsafePathError:
        return
    assert os.path.normpath(f"/top/{name}") == f"/top/{name}"
    assert str(path) == name
    assert ".." not in path.parts


@pytest.mark.parametrize(
    ("names", "why"),
    [
        (["a", "a"], "stands there twice"),
        (["a/b", "x", "a/b"], "stands there twice"),
        (["Model.onnx", "model.onnx"], "differ only in case"),
        (["data/x", "Data/y"], "differ only in case"),
        (["stra\u00dfe", "strasse"], "differ only in case"),
        (["\u212aelvin", "kelvin"], "NFC|differ only in case"),
        (["\u03c3", "\u03c2"], "differ only in case"),
        (["a", "a/b"], "file and a directory"),
        (["a/b/c", "a/b"], "file and a directory"),
        (["a/b", "A"], "differ only in case"),
    ],
)
def test_names_that_meet_on_some_disk_are_refused(names: list[str], why: str) -> None:
    with pytest.raises(UnsafePathError, match=why):
        check_paths(names)


def test_files_may_share_a_directory() -> None:
    names = ["a/b/c", "a/b/d", "a/e", "b", "ab"]
    assert [str(path) for path in check_paths(names)] == names


@given(st.lists(st.sampled_from(["a", "A", "a/b", "A/b", "a/B", "c", "a/b/c"]), max_size=6))
def test_names_that_are_taken_are_one_file_each_on_a_disk_without_case(names: list[str]) -> None:
    try:
        paths = check_paths(names)
    except UnsafePathError:
        return
    folded = [unicodedata.normalize("NFD", str(path)).casefold() for path in paths]
    assert len(set(folded)) == len(names)
    assert not any(other.startswith(f"{path}/") for path in folded for other in folded)


def test_a_model_of_nothing_but_directories_is_refused() -> None:
    # 50 000 files, each below 31 directories of its own, are 1.5 million inodes.
    names = (f"{number}/" + "d/" * 30 + "f" for number in range(MAX_ENTRIES // 32 + 2))
    with pytest.raises(LimitExceededError, match="files and directories"):
        check_paths(names)
