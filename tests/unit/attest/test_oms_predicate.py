"""What an OMS signature may say: strict, so that one model has one list and one root digest."""

import contextlib
import hashlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelseal.attest.predicates.oms import (
    DEFAULT_IGNORED,
    Method,
    Resource,
    build_predicate,
    parse_predicate,
    root_digest,
)
from modelseal.errors import VerificationError
from modelseal.oci.descriptor import Digest

A, B = (hashlib.sha256(text).hexdigest() for text in (b"a", b"b"))


def predicate(*files: tuple[str, str], **how: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    algorithm = how.get("hash_type", "sha256")
    serialization = {"method": "files", "hash_type": algorithm, "allow_symlinks": False, **how}
    return {
        "resources": [
            {"name": name, "algorithm": algorithm, "digest": digest} for name, digest in files
        ],
        "serialization": {key: value for key, value in serialization.items() if value is not None},
    }


def refused(value: dict[str, Any], root: Digest | None = None) -> str:
    with pytest.raises(VerificationError) as caught:
        parse_predicate(value, root or root_digest(value))
    assert caught.value.reason == "broken-oms-signature"
    return str(caught.value)


def test_what_is_built_is_sorted_by_code_point_and_leaves_git_out() -> None:
    files = {"b": B, "a/x": A, "a-x": A, ".gitattributes": A, ".github/w.yml": A, "sub/.git": A}
    value = build_predicate({path: Digest("sha256", hexed) for path, hexed in files.items()})
    assert [item["name"] for item in value["resources"]] == ["a-x", "a/x", "b", "sub/.git"]
    assert value["serialization"]["ignore_paths"] == list(DEFAULT_IGNORED)
    found = parse_predicate(value, root_digest(value))
    assert found.resources[2] == Resource("b", B)
    assert found.method is Method.FILES


def test_a_model_without_files_is_not_signed() -> None:
    with pytest.raises(VerificationError):
        build_predicate({".gitignore": Digest("sha256", A)})


def test_the_root_digest_is_sha256_over_the_raw_digests() -> None:
    expected = hashlib.sha256(bytes.fromhex(A) + bytes.fromhex(B)).hexdigest()
    assert root_digest(predicate(("a", A), ("b", B))) == Digest("sha256", expected)


def test_another_root_digest_is_refused() -> None:
    assert "root digest" in refused(predicate(("a", A)), Digest("sha256", B))


def test_files_out_of_order_or_twice_are_refused() -> None:
    assert "order" in refused(predicate(("b", B), ("a", A)))
    assert "twice" in refused(predicate(("a", A), ("a", A)))


def test_the_order_of_the_reference_implementation_is_taken_too() -> None:
    value = predicate(("a/x", A), ("a-x", B))  # by parts of the path
    assert parse_predicate(value, root_digest(value)).resources[0].path == "a/x"
    shards = predicate(
        *(("w:0:9", A), ("w:9:18", A), ("w:18:20", B)), method="shards", shard_size=9
    )
    assert parse_predicate(shards, root_digest(shards)).resources[2] == Resource("w", B, 18, 20)


def test_a_shard_is_named_by_its_last_two_numbers() -> None:
    value = predicate(("w:1:0:9", A), method="shards", shard_size=9)
    assert parse_predicate(value, root_digest(value)).resources[0] == Resource("w:1", A, 0, 9)
    for name in ("w", "w:0", "w:9:0", "w:0:0", "w:00:9", "w:-1:9", ":0:9"):
        assert "part" in refused(predicate((name, A), method="shards", shard_size=9))


@pytest.mark.parametrize(
    "how",
    [
        {"method": "tree"},
        {"hash_type": "md5"},
        {"hash_type": None},
        {"allow_symlinks": "false"},
        {"shard_size": 9},
        {"method": "shards"},
        {"method": "shards", "shard_size": 0},
        {"method": "shards", "shard_size": True},
        {"more": 1},
        {"ignore_paths": "x"},
        {"ignore_paths": ["../x"]},
        {"ignore_paths": ["/x"]},
        {"ignore_paths": ["*"]},
    ],
    ids=str,
)
def test_a_serialization_that_the_schema_does_not_know_is_refused(how: dict[str, Any]) -> None:
    value = predicate(("a:0:9" if how.get("method") == "shards" else "a", A))
    value["serialization"].update(how)
    if "hash_type" in how and how["hash_type"] is None:
        del value["serialization"]["hash_type"]
    refused(value)


@pytest.mark.parametrize("digest", ["", "zz", A.upper(), A[:-1], A[:-2], A + "00"])
def test_a_digest_of_another_form_is_refused(digest: str) -> None:
    refused(predicate(("a", digest)), Digest("sha256", A))


def test_every_resource_has_the_algorithm_of_the_list() -> None:
    value = predicate(("a", A))
    value["resources"][0]["algorithm"] = "blake3"
    assert "algorithm" in refused(value)


def test_fields_of_a_resource_that_nobody_knows_are_left_alone() -> None:
    value = predicate(("a", A))
    value["resources"][0]["annotations"] = {"x": 1}
    assert parse_predicate(value, root_digest(value)).resources == (Resource("a", A),)
    assert "unknown key" in refused({**value, "more": 1})
    assert "no file" in refused({**value, "resources": []}, Digest.of(b""))


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@settings(max_examples=60)
@given(
    _JSON,
    st.sampled_from(["resources", "serialization", "name", "digest", "method", "ignore_paths"]),
)
def test_any_other_json_is_refused_by_its_name(value: object, where: str) -> None:
    whole = predicate(("a", A))
    root = root_digest(whole)
    if where in whole:
        whole[where] = value
    elif where in {"name", "digest"}:
        whole["resources"][0][where] = value
    else:
        whole["serialization"][where] = value
    with contextlib.suppress(VerificationError):  # and nothing else comes out
        parse_predicate(whole, root)
