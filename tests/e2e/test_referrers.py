# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""On a registry without the referrers API: many writers, repairs, and large predicates."""

import json
import multiprocessing
from collections.abc import Callable
from datetime import UTC, datetime
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from tests.support.cli import Command
from tests.support.model_factory import ATTESTED, make_model
from tests.support.registries import Registry, RegistryName
from tests.support.registry_store import push_model

from modelseal.attest.referrers import attach
from modelseal.oci.descriptor import Descriptor
from modelseal.oci.reference import Repository
from modelseal.oci.registry.store import RegistryStore

ENV = {"MODELSEAL_KEY_PASSPHRASE": "correct horse", "COSIGN_PASSWORD": "battery staple"}
SCAN = "https://example.com/scan/v1"
BOM = "https://cyclonedx.org/bom"
WRITERS = 64


@pytest.fixture
def distribution(serve_registry: Callable[[RegistryName], Registry]) -> Registry:
    """It has no referrers API, and takes no `If-Match`."""
    return serve_registry("distribution")


@pytest.fixture
def repository(distribution: Registry) -> str:
    return f"{distribution.host}/models/m-{uuid4().hex[:12]}"


def keyed(modelseal: Command, home: Path) -> Path:
    modelseal("key", "generate", "--output", home / "k", env=ENV).check()
    return home / "k"


def pushed(modelseal: Command, repository: str, home: Path) -> str:
    done = modelseal("push", make_model(home / "model"), f"{repository}:1.4.0").check()
    return f"{repository}@{done.stdout.strip()}"


def attach_one(
    repository: str, subject: Descriptor, number: int, start: Event, told: "SimpleQueue[str]"
) -> None:
    start.wait()
    registry, _, name = repository.partition("/")
    bundle = json.dumps({"number": number}).encode()
    store = RegistryStore(Repository(registry, name))
    told.put(str(attach(store, subject, bundle, SCAN, datetime.now(UTC)).digest))


def test_64_writers_at_once_lose_nothing_without_the_referrers_api(repository: str) -> None:
    registry, _, name = repository.partition("/")
    subject = push_model(RegistryStore(Repository(registry, name))).descriptor
    forking = multiprocessing.get_context("fork")
    start, told = forking.Event(), forking.SimpleQueue()
    writers = [
        forking.Process(target=attach_one, args=(repository, subject, number, start, told))
        for number in range(WRITERS)
    ]
    for writer in writers:
        writer.start()
    start.set()
    attached = {told.get() for _ in range(WRITERS)}
    for writer in writers:
        writer.join()
    store = RegistryStore(Repository(registry, name))
    listed = list(store.referrers(subject))
    assert {str(entry.digest) for entry in listed} == attached
    assert len(attached) == WRITERS
    for entry in listed:
        assert entry.annotations["dev.sigstore.bundle.predicateType"] == SCAN


def test_what_cosign_writes_without_annotations_is_mended(
    modelseal: Command, cosign: Command, oras: Command, repository: str, home: Path
) -> None:
    reference = pushed(modelseal, repository, home)
    key = keyed(modelseal, home)
    cosign("generate-key-pair", cwd=home, env=ENV).check()
    offline = home / "signing-config.json"
    cosign("signing-config", "create", "--out", offline).check()
    (home / "scan.json").write_text('{"found": []}')
    signing: list[str | Path] = [
        "--allow-http-registry",
        "--signing-config",
        offline,
        "--key",
        home / "cosign.key",
    ]
    attesting: list[str | Path] = ["--type", SCAN, "--predicate", home / "scan.json"]
    cosign("attest", *signing, *attesting, reference, env=ENV).check()
    modelseal("sign", reference, "--key", key, env=ENV).check()

    told = modelseal("referrers", "repair", reference, "--dry-run", "--output", "json").check()
    found = json.loads(told.stdout)
    assert [change["action"] for change in found["changes"]] == ["corrected"]
    assert "annotations missing" in found["changes"][0]["problem"]
    assert not found["written"]
    assert not found["referrersAPI"]
    assert sorted(predicate_types(oras, reference)) == ["", SIGNATURE]

    done = modelseal("referrers", "repair", reference).check()
    assert "repaired: " in done.stdout
    assert "name them with --digest" in done.stdout
    assert sorted(predicate_types(oras, reference)) == [SCAN, SIGNATURE]
    again = modelseal("referrers", "repair", reference).check()
    assert "nothing is wrong with it" in again.stdout
    verify = ["verify", "--allow-http-registry", "--insecure-ignore-tlog", "--key"]
    cosign(*verify, f"{key}.pub", reference).check()


SIGNATURE = "https://sigstore.dev/cosign/sign/v1"


def predicate_types(oras: Command, reference: str) -> list[str]:
    done = oras("discover", "--plain-http", "--format", "json", reference).check()
    listed: list[dict[str, Any]] = json.loads(done.stdout)["referrers"]
    name = "dev.sigstore.bundle.predicateType"
    return [(entry.get("annotations") or {}).get(name, "") for entry in listed]


def test_a_list_that_somebody_overwrote_is_made_whole_by_digests(
    modelseal: Command, oras: Command, repository: str, home: Path
) -> None:
    reference, key = pushed(modelseal, repository, home), keyed(modelseal, home)
    done = modelseal("sign", reference, "--key", key, "--output", "json", env=ENV).check()
    (signature,) = json.loads(done.stdout)["attached"]
    (home / "empty.json").write_text(
        json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.index.v1+json",
                "manifests": [],
            }
        )
    )
    tag = reference.partition("@")[2].replace(":", "-")
    oras(
        *("manifest", "push", "--plain-http", "--media-type"),
        *("application/vnd.oci.image.index.v1+json", f"{repository}:{tag}", home / "empty.json"),
    ).check()
    verify = ("verify", reference, "--key", f"{key}.pub")
    modelseal(*verify).check(11)
    assert "nothing is wrong" in modelseal("referrers", "repair", reference).check().stdout
    foreign = modelseal("referrers", "repair", reference, "--digest", reference.partition("@")[2])
    assert "belongs into no list" in foreign.check(2).stderr
    repair = ("referrers", "repair", reference, "--digest", signature["referrer"])
    assert "added: " in modelseal(*repair).check().stdout
    modelseal(*verify).check()
    layout = modelseal("referrers", "repair", f"oci:{home}/store:1.4.0")
    assert layout.check(2).stderr


def test_a_predicate_of_30_mib_is_signed_by_digest(
    modelseal: Command, cosign: Command, repository: str, home: Path
) -> None:
    reference, key = pushed(modelseal, repository, home), keyed(modelseal, home)
    bom = home / "bom.json"
    component = {"type": "library", "name": "x" * 1000, "version": "1.0.0"}
    bom.write_text(json.dumps({"bomFormat": "CycloneDX", "components": [component] * 30_000}))
    assert bom.stat().st_size > 30 << 20
    attest = ("attest", reference, "--key", key, "--type", "cyclonedx", "--predicate", bom)
    (said,) = json.loads(modelseal(*attest, "--output", "json", env=ENV).check().stdout)["attached"]
    assert said["predicateType"] == "https://in-toto.io/attestation/reference/v0.1"
    assert said["document"]["predicateType"] == BOM
    assert said["document"]["size"] == bom.stat().st_size
    modelseal("sign", reference, "--key", key, env=ENV).check()

    believing = ("--type", "cyclonedx", "--key", f"{key}.pub")
    done = modelseal("verify", reference, *believing).check()
    assert f"  {BOM}\n" in done.stdout
    assert "checked (key): signature, key, subject, document" in done.stdout
    carried = f"oci:{home}/carried:1.4.0"
    modelseal("copy", "--recursive", reference, carried).check()
    modelseal("verify", carried, *believing).check()

    # Nobody takes it for an SBOM who does not read it, and it is in nobody's way.
    checking = ["--allow-http-registry", "--insecure-ignore-tlog", "--key", f"{key}.pub"]
    cosign("verify", *checking, reference).check()
    assert cosign("verify-attestation", *checking, "--type", "cyclonedx", reference).returncode
    kind = "https://in-toto.io/attestation/reference/v0.1"
    cosign("verify-attestation", *checking, "--type", kind, reference).check()

    (home / "carried" / "blobs" / "sha256" / said["document"]["digest"][7:]).unlink()
    refused = modelseal("verify", carried, *believing).check(11)
    assert "[missing-document]" in refused.stderr
    too_large = home / "large.json"
    with too_large.open("wb") as sink:
        sink.truncate((64 << 20) + 1)
    over = ("attest", reference, "--key", key, "--type", SCAN, "--predicate", too_large)
    assert "larger than 64 MiB" in modelseal(*over, env=ENV).check(2).stderr


def test_several_attestations_are_one_login(
    modelseal: Command, repository: str, home: Path
) -> None:
    key, model = keyed(modelseal, home), make_model(home / "model")
    (home / "scan.json").write_text('{"found": []}')
    (home / "bom.json").write_text('{"bomFormat": "CycloneDX"}')
    done = modelseal(
        *("publish", model, f"{repository}:1.4.0", "--key", key, "--output", "json"),
        *("--attest", f"{SCAN}={home}/scan.json", "--attest", f"cyclonedx={home}/bom.json"),
        env=ENV,
    ).check()
    said = {one["predicateType"] for one in json.loads(done.stdout)["statements"]}
    assert said == {*ATTESTED, SCAN, BOM}
    two = ("--type", SCAN, "--predicate", home / "scan.json", "--type", BOM)
    attest = ("attest", f"{repository}:1.4.0", "--key", key, *two)
    assert "2 --type and 1 --predicate" in modelseal(*attest, env=ENV).check(2).stderr
    again = modelseal(*attest, "--predicate", home / "bom.json", "-o", "json", env=ENV).check()
    assert [one["predicateType"] for one in json.loads(again.stdout)["attached"]] == [SCAN, BOM]
