# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A model behind an index: which one is taken, and whose word counts for it."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.support.archives import tar

from modelseal.attest.predicates.types import SIGNATURE
from modelseal.cli.render import as_json, text
from modelseal.errors import InvalidDocumentError, NotFoundError, UsageError
from modelseal.oci.content import BytesContent
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.manifest import Index, Manifest
from modelseal.oci.memory import MemoryStore
from modelseal.oci.store import push_bytes
from modelseal.trust.keys import PrivateKey, generate_key
from modelseal.trust.signer import KeySigner
from modelseal.workflows import choose as choosing
from modelseal.workflows.attest import SIGNATURE_CLAIM, Claim, attest
from modelseal.workflows.choose import choose
from modelseal.workflows.inspect import inspect
from modelseal.workflows.load import load
from modelseal.workflows.pull import pull
from modelseal.workflows.services import Services
from modelseal.workflows.trust import Trust, trust_keys
from modelseal.workflows.verify import NotVerifiedError, verify, verify_model

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KEY = generate_key()
OTHER = generate_key()
TRUST = trust_keys([KEY.public_key()])
IMAGE = "application/vnd.oci.image.config.v1+json"


def clock() -> datetime:
    return NOW


def image(store: MemoryStore, content: bytes) -> Descriptor:
    layer = push_bytes(
        store, tar({"models/model.bin": content}), "application/vnd.oci.image.layer.v1.tar"
    )
    config = push_bytes(store, b"{}", IMAGE)
    manifest = Manifest.build(artifact_type=IMAGE, config=config, layers=[layer])
    return push_bytes(store, manifest.raw, manifest.media_type)


def indexed(store: MemoryStore, children: dict[str, Descriptor], tag: str = "all") -> Descriptor:
    """An index by platform; the platform "" stands for none."""
    entries = []
    for platform, child in children.items():
        entry = child.to_json()
        if platform:
            names = ("os", "architecture", "variant")
            entry["platform"] = dict(zip(names, platform.split("/"), strict=False))
        entries.append(entry)
    raw = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": entries,
        }
    ).encode()
    descriptor = Descriptor.of(raw, Index.parse(raw).media_type)
    store.push(descriptor, BytesContent(raw))
    store.tag(descriptor, tag)
    return descriptor


@pytest.fixture(autouse=True)
def on_amd64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "default_platform", lambda: "linux/amd64")


class Shelf:
    """A store with an index of two images, nothing signed."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.amd64 = image(self.store, b"for amd64")
        self.arm64 = image(self.store, b"for arm64")
        self.index = indexed(self.store, {"linux/amd64": self.amd64, "linux/arm64/v8": self.arm64})
        self.services = Services(store=self.store, clock=clock)

    def sign(self, what: Descriptor, key: PrivateKey = KEY, kind: str = SIGNATURE) -> None:
        claim = SIGNATURE_CLAIM if kind == SIGNATURE else Claim(kind, {"x": "y"})
        attest(what.digest, [claim], KeySigner(key), self.services)

    def pull(self, directory: Path, trust: Trust | None = TRUST, platform: str = "") -> bytes:
        done = pull("all", directory, trust=trust, services=self.services, platform=platform)
        answer = as_json.pulled(done, "oci:x:all")
        assert answer["index"]["digest"] == str(self.index.digest)
        return (directory / "model.bin").read_bytes()


def test_an_index_gives_the_model_for_this_machine_or_the_one_that_is_named(tmp_path: Path) -> None:
    shelf = Shelf()
    assert shelf.pull(tmp_path / "here", trust=None) == b"for amd64"
    assert shelf.pull(tmp_path / "there", trust=None, platform="linux/arm64") == b"for arm64"
    assert shelf.pull(tmp_path / "exact", trust=None, platform="linux/arm64/v8") == b"for arm64"


def test_an_index_without_the_platform_says_what_it_has() -> None:
    shelf = Shelf()
    with pytest.raises(NotFoundError, match="no manifest for linux/s390x") as caught:
        choose("all", shelf.store, "linux/s390x")
    assert "linux/amd64" in caught.value.hint
    assert "linux/arm64/v8" in caught.value.hint


def test_an_index_for_other_machines_only_is_not_guessed_at() -> None:
    shelf = Shelf()
    indexed(shelf.store, {"linux/arm64": shelf.arm64, "": shelf.amd64}, "none")
    with pytest.raises(NotFoundError, match="no manifest for linux/amd64") as caught:
        choose("none", shelf.store)
    assert "--platform" in caught.value.hint


def test_the_only_manifest_of_an_index_needs_no_platform() -> None:
    shelf = Shelf()
    index = indexed(shelf.store, {"": shelf.arm64}, "one")
    chosen = choose("one", shelf.store)
    assert (chosen.subject, chosen.index) == (shelf.arm64, index)


def test_a_platform_of_one_manifest_is_a_mistake() -> None:
    shelf = Shelf()
    with pytest.raises(UsageError, match="not an index by platform"):
        choose(shelf.amd64.digest, shelf.store, "linux/amd64")


def test_an_index_in_an_index_is_refused() -> None:
    shelf = Shelf()
    indexed(shelf.store, {"linux/amd64": shelf.index}, "nested")
    with pytest.raises(InvalidDocumentError, match="is an index"):
        choose("nested", shelf.store)


def test_a4_a_signature_on_the_index_covers_what_it_lists(tmp_path: Path) -> None:
    shelf = Shelf()
    shelf.sign(shelf.index)
    assert shelf.pull(tmp_path / "a", platform="linux/arm64") == b"for arm64"
    chosen, found = verify_model("all", TRUST, store=shelf.store, clock=clock)
    assert (found.subject, found.model) == (shelf.index, shelf.amd64)
    assert chosen.subject == shelf.amd64
    answer = as_json.verification(found, "oci:x:all")
    assert answer["manifest"]["digest"] == str(shelf.index.digest)
    assert answer["model"]["digest"] == str(shelf.amd64.digest)
    told = list(text.verification(found, "oci:x:all"))
    assert f"digest: {shelf.index.digest}" in told
    assert f"model: {shelf.amd64.digest}" in told
    path = load("all", tmp_path / "cache", trust=TRUST, services=shelf.services)
    assert path.name == f"sha256-{shelf.amd64.digest.encoded}"
    assert load("all", tmp_path / "cache", trust=TRUST, services=shelf.services) == path


def test_a_signature_on_the_index_says_nothing_of_another_manifest() -> None:
    shelf = Shelf()
    shelf.sign(shelf.index)
    stranger = image(shelf.store, b"not listed")
    indexed(shelf.store, {"linux/amd64": stranger})  # the tag moves to another index
    with pytest.raises(NotVerifiedError, match="is not signed"):
        verify_model("all", TRUST, store=shelf.store, clock=clock)


def test_a4_a_signature_on_one_manifest_covers_that_one_only(tmp_path: Path) -> None:
    shelf = Shelf()
    shelf.sign(shelf.amd64)
    assert shelf.pull(tmp_path / "a") == b"for amd64"
    _, found = verify_model("all", TRUST, store=shelf.store, clock=clock)
    assert (found.subject, found.model) == (shelf.amd64, shelf.amd64)
    with pytest.raises(NotVerifiedError):
        shelf.pull(tmp_path / "b", platform="linux/arm64")
    assert not (tmp_path / "b").exists()
    # The index as a whole is not signed: nobody vouches for what else it lists.
    with pytest.raises(NotVerifiedError, match=f"{shelf.index.digest} is not signed"):
        verify("all", TRUST, store=shelf.store, clock=clock)


def test_the_index_as_a_whole_is_verified_by_what_is_said_about_it() -> None:
    shelf = Shelf()
    shelf.sign(shelf.index)
    found = verify("all", TRUST, store=shelf.store, clock=clock)
    assert (found.subject, found.model) == (shelf.index, None)
    assert as_json.verification(found, "oci:x:all")["model"] is None
    assert any("covers the 2 manifests" in line for line in text.verification(found, "x"))


def test_a4_words_about_index_and_manifest_are_not_added_up() -> None:
    shelf = Shelf()
    shelf.sign(shelf.index, kind="https://in-toto.io/attestation/scai/v0.3")
    shelf.sign(shelf.amd64, OTHER)
    with pytest.raises(NotVerifiedError) as caught:
        verify_model("all", TRUST, store=shelf.store, clock=clock)
    assert caught.value.reason == "other-key"


def test_an_inspection_tells_who_speaks_about_what() -> None:
    shelf = Shelf()
    shelf.sign(shelf.index)
    shelf.sign(shelf.arm64)
    found = inspect("all", shelf.store, "linux/arm64")
    assert {claim.about for claim in found.claims} == {shelf.index.digest, shelf.arm64.digest}
    assert (found.subject, found.index) == (shelf.arm64, shelf.index)
