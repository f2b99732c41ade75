# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Each registry as it takes blobs: what is known beforehand, and what its answers teach."""

import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support import registry_ways
from tests.support.fake_registry import FakeRegistry, Fault
from tests.support.registry_store import NAME, store_at
from tests.support.registry_ways import Ways

from modelseal.errors import LimitExceededError, UnavailableError
from modelseal.oci.content import BytesContent
from modelseal.oci.descriptor import OCTET_STREAM, Descriptor
from modelseal.oci.registry.limits import (
    ANY,
    KNOWN,
    BodyLimit,
    UploadPolicy,
    check_sizes,
    how_to_split,
    human,
    policy_of,
)

MIB = 1 << 20
TITLE = "org.opencontainers.image.title"
DATA = random.Random(4).randbytes(9 * MIB + 13)
BLOB = Descriptor.of(DATA, OCTET_STREAM)
PAGE = Path(__file__).parents[4] / "docs" / "registries.md"


@pytest.mark.parametrize(
    ("registry", "name"),
    [
        ("ghcr.io", "GitHub Container Registry"),
        ("GHCR.io:443", "GitHub Container Registry"),
        ("public.ecr.aws", "Amazon ECR Public"),
        ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", "Amazon ECR"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "Amazon ECR"),
        ("123456789012.dkr-ecr.eu-central-1.on.aws", "Amazon ECR"),
        ("europe-docker.pkg.dev", "Google Artifact Registry"),
        ("eu.gcr.io", "Google Artifact Registry"),
        ("gcr.io", "Google Artifact Registry"),
        ("acme.azurecr.io", "Azure Container Registry"),
        ("docker.io", "Docker Hub"),
        ("registry.gitlab.com", "GitLab"),
        ("harbor.acme.example", "any other"),
        ("ghcr.io.evil.example", "any other"),
        ("notghcr.io", "any other"),
        ("127.0.0.1:5000", "any other"),
    ],
)
def test_a_registry_is_known_by_its_whole_host_name(registry: str, name: str) -> None:
    assert policy_of(registry).name == name


@pytest.mark.parametrize("policy", [known for known in KNOWN if known.max_layer is not None])
def test_a_layer_at_the_limit_goes_and_one_above_is_refused_by_name(policy: UploadPolicy) -> None:
    assert policy.max_layer is not None
    list(check_sizes(policy, "r.example", [("model.bin", policy.max_layer)]))
    with pytest.raises(LimitExceededError, match=f"r.example.*{human(policy.max_layer)}") as caught:
        list(check_sizes(policy, "r.example", [("a", 1), ("model.bin", policy.max_layer + 1)]))
    assert caught.value.reason == "layer-too-large"
    assert "model.bin" in str(caught.value)
    assert "--ignore-limits" in caught.value.hint


def test_what_has_to_hurry_is_told_with_the_rate_that_it_takes() -> None:
    policy = policy_of("ghcr.io")
    (said,) = check_sizes(policy, "ghcr.io", [("a.gguf", 9 * 10**9), ("b", 10**9)])
    assert said == "ghcr.io ends an upload after 10 minutes: a.gguf (9 GB) needs 15 MB a second"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("m/model.safetensors", 'max_shard_size="8GB"'),
        ("model-Q4.GGUF", "llama-gguf-split --split --split-max-size 8G model-Q4.GGUF"),
        ("model.onnx", "save_as_external_data"),
        ("model.bin", "split it into files below 10 GB"),
    ],
)
def test_how_to_split_is_told_by_the_kind_of_file(name: str, words: str) -> None:
    assert words in how_to_split(name, 10 * 10**9)


def test_limits_can_be_ignored() -> None:
    known = UploadPolicy(name="ours", max_layer=5)
    strict = store_at("r.example", known=known)
    with pytest.raises(LimitExceededError):
        strict.check_sizes([("weights", 6)])
    assert store_at("r.example", known=known, ignore_limits=True).check_sizes([("w", 6)]) == ()


# Behaviour: the same blob, to each kind of registry

KINDS = {
    "ghcr.io": registry_ways.GHCR,
    "123456789012.dkr.ecr.eu-west-1.amazonaws.com": registry_ways.ECR,
    "public.ecr.aws": registry_ways.ECR,
    "europe-docker.pkg.dev": registry_ways.GAR,
    "gcr.io": registry_ways.GAR,
    "docker.io": registry_ways.DISTRIBUTION,
    "registry.gitlab.com": registry_ways.DISTRIBUTION,
    "harbor.acme.example": registry_ways.DISTRIBUTION,
}


def bodies(fake: FakeRegistry) -> list[tuple[str, int]]:
    return [(r.method, r.body_size) for r in fake.asked() if r.method in {"PUT", "PATCH"}]


@pytest.mark.parametrize("registry", KINDS)
def test_one_streaming_put_is_what_each_of_them_takes(registry: str) -> None:
    with FakeRegistry(ways=KINDS[registry]) as fake:
        store_at(fake.host, known=policy_of(registry)).push(BLOB, BytesContent(DATA))
        assert bodies(fake) == [("PUT", len(DATA))]
        assert fake.blobs[NAME, str(BLOB.digest)] == DATA


@pytest.mark.parametrize("registry", KINDS)
def test_what_broke_off_goes_on_where_sessions_are_kept_and_else_begins_again(
    registry: str,
) -> None:
    ways = KINDS[registry]
    with FakeRegistry(ways=ways) as fake:
        fake.faults.append(Fault(method="PUT", cut_request=6 * MIB, times=1))
        store_at(fake.host, known=policy_of(registry)).push(BLOB, BytesContent(DATA))
        kept = 6 * MIB if ways.keeps_broken else 0
        assert bodies(fake) == [("PUT", 6 * MIB), ("PUT", len(DATA) - kept)]
        assert fake.blobs[NAME, str(BLOB.digest)] == DATA
        # Where it is known to be of no use nobody asks.
        asked = fake.asked("GET", "/blobs/uploads/")
        assert len(asked) == (1 if ways.keeps_broken else 0)


def test_a_proxy_that_takes_small_bodies_gets_small_parts_and_is_remembered() -> None:
    with FakeRegistry(ways=registry_ways.NGINX) as fake:
        store = store_at(fake.host)
        store.push(BLOB, BytesContent(DATA))
        assert fake.blobs[NAME, str(BLOB.digest)] == DATA
        taken = [r for r in fake.asked("PATCH") if r.body_size]
        assert {r.body_size for r in taken} == {MIB, 13}
        assert taken[0].headers["content-range"] == f"0-{MIB - 1}"
        assert taken[-1].headers["content-range"] == f"{9 * MIB}-{9 * MIB + 12}"
        fake.requests.clear()
        other = Descriptor.of(DATA[1:], OCTET_STREAM)
        store.push(other, BytesContent(DATA[1:]))
        assert fake.blobs[NAME, str(other.digest)] == DATA[1:]
        assert max(int(r.headers.get("content-length", "0")) for r in fake.requests) <= MIB
        assert set(fake.uploads.values()) <= {b""}


def test_parts_that_break_off_go_on() -> None:
    with FakeRegistry(ways=registry_ways.NGINX) as fake:
        fake.faults.append(Fault(method="PATCH", skip=5, times=2, cut_request=1000))
        store_at(fake.host).push(BLOB, BytesContent(DATA))
        assert fake.blobs[NAME, str(BLOB.digest)] == DATA


def test_a_session_that_is_lost_between_parts_begins_again() -> None:
    with FakeRegistry(ways=registry_ways.NGINX) as fake:
        fake.faults.append(Fault(method="PATCH", skip=3, times=1, status=404))
        store_at(fake.host).push(BLOB, BytesContent(DATA))
        assert fake.blobs[NAME, str(BLOB.digest)] == DATA


def test_parts_are_as_large_as_the_registry_asks_for() -> None:
    ways = Ways(max_body=3 * MIB, least=2 * MIB)
    with FakeRegistry(ways=ways) as fake:
        store_at(fake.host).push(BLOB, BytesContent(DATA))
        assert fake.blobs[NAME, str(BLOB.digest)] == DATA
        sizes = [r.body_size for r in fake.asked("PATCH") if r.body_size]
        assert sizes == [2 * MIB] * 4 + [MIB + 13]


def test_a_proxy_below_what_the_registry_asks_for_is_told() -> None:
    with FakeRegistry(ways=Ways(max_body=MIB, least=2 * MIB)) as fake:
        with pytest.raises(LimitExceededError, match="too large"):
            store_at(fake.host).push(BLOB, BytesContent(DATA))
        assert fake.blobs == {}


def test_a_registry_that_takes_no_parts_is_not_given_any() -> None:
    with FakeRegistry(ways=Ways(max_body=MIB, max_patch=0)) as fake:
        with pytest.raises(LimitExceededError, match="too large"):
            store_at(fake.host, known=policy_of("gcr.io")).push(BLOB, BytesContent(DATA))
        assert fake.asked("PATCH") == []
        assert fake.uploads == {}


def test_a_small_proxy_before_ghcr_gets_parts_that_ghcr_takes() -> None:
    with FakeRegistry(ways=Ways(max_body=5 * MIB, max_patch=4 * MIB)) as fake:
        store_at(fake.host, known=policy_of("ghcr.io")).push(BLOB, BytesContent(DATA))
        assert fake.blobs[NAME, str(BLOB.digest)] == DATA
        assert [r.body_size for r in fake.asked("PATCH")] == [4 * MIB, 4 * MIB, MIB + 13]


def test_an_upload_whose_time_is_up_is_told_and_not_tried_again() -> None:
    known = UploadPolicy(name="hasty", max_seconds=1, resumes=False)
    wrong = Fault(method="PUT", cut_request=6 * MIB, intake=6 * MIB)
    blob = Descriptor(OCTET_STREAM, BLOB.digest, BLOB.size, {TITLE: "model.safetensors"})
    with FakeRegistry(faults=[wrong]) as fake:
        with pytest.raises(UnavailableError, match="ended the upload of model") as told:
            store_at(fake.host, known=known).push(blob, BytesContent(DATA))
        assert told.value.reason == "upload-too-slow"
        assert "max_shard_size" in told.value.hint
        assert len(fake.asked("PUT")) == 1
        fake.faults = [replace(wrong, intake=0, times=1)]  # it broke off, but not by the clock
        store_at(fake.host, known=known).push(blob, BytesContent(DATA))
        assert fake.blobs[NAME, str(BLOB.digest)] == DATA


def test_what_has_to_hurry_is_told_once() -> None:
    store = store_at("r.example", known=policy_of("ghcr.io"))
    assert len(store.check_sizes([("a", 8 * 10**9)])) == 1
    assert store.check_sizes([("a", 8 * 10**9)]) == []


def test_whoever_takes_nothing_at_all_is_left_soon() -> None:
    with FakeRegistry(ways=Ways(max_body=1000)) as fake:
        with pytest.raises(LimitExceededError, match="too large"):
            store_at(fake.host).push(BLOB, BytesContent(DATA))
        assert len(fake.asked("PATCH")) + len(fake.asked("PUT")) <= 5


def test_smaller_and_smaller_bodies_end() -> None:
    limit = BodyLimit(ANY)
    tried = []
    size = 10**12
    while limit.refused(size):
        assert limit.most is not None
        size = limit.most
        tried.append(size)
    assert tried == [64 * MIB, 16 * MIB, 4 * MIB, MIB, 256 << 10]
    assert tried[0] < 100_000_000  # what Cloudflare takes
    assert not BodyLimit(policy_of("gcr.io")).refused(10**9)
    ghcr = BodyLimit(policy_of("ghcr.io"))
    assert ghcr.refused(10**9)
    assert ghcr.most == 4 * MIB


def test_the_page_shows_what_is_known() -> None:
    text = PAGE.read_text()
    for known in KNOWN:
        (row,) = re.findall(rf"^\| {known.name} \|.*$", text, re.MULTILINE)
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        layer = "not known" if known.max_layer is None else human(known.max_layer)
        minutes = "not known" if known.max_seconds is None else f"{known.max_seconds // 60} minutes"
        assert cells[2] == layer
        assert cells[3] == minutes
        assert cells[4] == ("yes" if known.resumes else "no")
        assert known.source in cells[5] or not known.source
