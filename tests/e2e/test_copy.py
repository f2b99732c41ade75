# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Copies through the installed command: between real registries, over layouts, with peers."""

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.cli import Command
from tests.support.faulty_proxy import FaultyProxy
from tests.support.model_factory import ATTESTED, make_model
from tests.support.registries import NAMES, Registry, RegistryName
from tests.support.sigstore import PrivateSigstore

TRAINER = "trainer@acme.example"
PASSPHRASE = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}
Serve = Callable[[RegistryName], Registry]


@pytest.fixture
def key(modelseal: Command) -> list[str]:
    modelseal("key", "generate", "--output", "release.key", env=PASSPHRASE).check()
    return ["--key", "release.key.pub"]


def new_repository(registry: Registry) -> str:
    return f"{registry.host}/copies/m-{uuid.uuid4().hex[:12]}"


def published(modelseal: Command, home: Path, reference: str) -> Path:
    model = make_model(home / "model")
    modelseal("publish", model, reference, "--key", "release.key", env=PASSPHRASE).check()
    return model


def digest_of(modelseal: Command, reference: str) -> str:
    done = modelseal("inspect", reference, "--output", "json").check()
    return str(json.loads(done.stdout)["manifest"]["digest"])


@pytest.mark.parametrize("first", NAMES)
@pytest.mark.parametrize("second", ["distribution", "olareg"])
def test_signatures_survive_an_air_gap(
    first: RegistryName,
    second: RegistryName,
    serve_registry: Serve,
    private_sigstore: PrivateSigstore,
    modelseal: Command,
    cosign: Command,
    home: Path,
) -> None:
    """Registry to layout to another registry, keylessly signed; cosign believes the copy, too."""
    outside, inside = new_repository(serve_registry(first)), new_repository(serve_registry(second))
    trust = ["--trusted-root", str(private_sigstore.trusted_root)]
    modelseal(
        *("publish", str(make_model(home / "model")), f"{outside}:1.4.0", *trust),
        *("--signing-config", str(private_sigstore.signing_config)),
        *("--identity-token", str(private_sigstore.token_file(TRAINER))),
    ).check()
    modelseal("copy", "-r", f"{outside}:1.4.0", "oci:carrier:1.4.0").check()
    modelseal("copy", "-r", "oci:carrier:1.4.0", f"{inside}:stable").check()
    believing = [
        *trust,
        *("--certificate-identity", TRAINER),
        *("--certificate-oidc-issuer", private_sigstore.issuer),
    ]
    modelseal("verify", "oci:carrier:1.4.0", *believing, "--offline").check()
    modelseal("verify", f"{inside}:stable", *believing).check()
    cosign("verify", "--allow-http-registry", f"{inside}:stable", *believing).check()
    assert digest_of(modelseal, f"{inside}:stable") == digest_of(modelseal, f"{outside}:1.4.0")


def test_signatures_by_key_survive_too(
    registry: Registry, modelseal: Command, cosign: Command, key: list[str], home: Path
) -> None:
    published(modelseal, home, "oci:store:1.4.0")
    target = f"{new_repository(registry)}:1.4.0"
    modelseal("copy", "-r", "oci:store:1.4.0", target).check()
    modelseal("verify", target, *key).check()
    cosign(
        *("verify", "--allow-http-registry", "--insecure-ignore-tlog=true", target, *key)
    ).check()


def test_what_was_said_about_a_copy_stays_behind_when_nobody_asks_for_it(
    modelseal: Command, key: list[str], home: Path
) -> None:
    published(modelseal, home, "oci:store:1.4.0")
    done = modelseal("copy", "oci:store:1.4.0", "oci:copy:1.4.0").check()
    count = len(ATTESTED) + 1  # and the report of the scan
    assert f"{count} referrers (signatures, attestations) stay behind" in done.stderr
    modelseal("verify", "oci:copy:1.4.0", *key).check(11)


@pytest.mark.usefixtures("key")
def test_within_one_registry_no_layer_byte_moves(
    serve_registry: Serve, modelseal: Command, home: Path
) -> None:
    """Counted at a proxy before the registry, which is all that the command can see."""
    registry = serve_registry("distribution")
    with FaultyProxy(registry.host, lambda _, answered: answered) as proxy:
        here, there = (f"{proxy.host}/promote/{uuid.uuid4().hex}" for _ in range(2))
        published(modelseal, home, f"{here}:1.4.0")
        proxy.asked.clear()
        done = modelseal("copy", "-r", f"{here}:1.4.0", f"{there}:prod", "-o", "json").check()
        moved = [
            asked
            for asked in proxy.asked
            if asked.is_("/blobs/sha256:", "GET") or asked.is_("/blobs/uploads/.+", "PUT", "PATCH")
        ]
    (destination,) = json.loads(done.stdout)["destinations"]
    assert (destination["sent"], destination["sentBytes"]) == (0, 0)
    assert destination["mounted"] >= 10
    assert moved == []
    assert digest_of(modelseal, f"{registry.host}{there.removeprefix(proxy.host)}:prod")


def test_several_destinations_and_one_that_is_not_there(
    serve_registry: Serve, modelseal: Command, key: list[str], home: Path
) -> None:
    published(modelseal, home, "oci:store:1.4.0")
    good, dead = f"{new_repository(serve_registry('olareg'))}:1", "127.0.0.1:1/no/body:1"
    done = modelseal(
        *("copy", "-r", "oci:store:1.4.0", good, "--to", dead, "--to", "oci:other:1"),
        *("--output", "json"),
    ).check(20)
    answer = json.loads(done.stdout)
    assert answer["error"]["code"] == "incomplete-copy"
    assert [one["reference"] for one in answer["destinations"]] == [good, dead, "oci:other:1"]
    codes = [(one["error"] or {}).get("code") for one in answer["destinations"]]
    assert codes == [None, "unavailable", None]
    modelseal("verify", good, *key).check()
    modelseal("verify", "oci:other:1", *key).check()


def test_oras_reads_the_layout_that_modelseal_writes(
    modelseal: Command, oras: Command, registry: Registry, key: list[str], home: Path
) -> None:
    assert key
    source = f"{new_repository(registry)}:1.4.0"
    model = published(modelseal, home, source)
    modelseal("copy", "-r", source, "oci:carrier:1.4.0").check()
    found = oras("discover", "--oci-layout", "carrier:1.4.0", "--format", "json").check()
    referrers = json.loads(found.stdout)["referrers"]
    kinds = [one["artifactType"] for one in referrers]
    assert sorted(kinds) == [
        *["application/vnd.dev.sigstore.bundle.v0.3+json"] * len(ATTESTED),
        "application/vnd.modelseal.predicate.v1+json",  # the report of the scan
    ]
    oras("pull", "--oci-layout", "carrier:1.4.0", "--output", "pulled").check()
    for path in model.rglob("*"):
        if path.is_file():
            name = path.relative_to(model)
            assert (home / "pulled" / name).read_bytes() == path.read_bytes()


def test_modelseal_reads_the_layout_that_oras_writes(
    modelseal: Command, oras: Command, registry: Registry, key: list[str], home: Path
) -> None:
    source = f"{new_repository(registry)}:1.4.0"
    published(modelseal, home, source)
    flags = ("--from-plain-http", "--to-oci-layout")
    oras("copy", "-r", *flags, source, "carrier:1.4.0").check()
    modelseal("verify", "oci:carrier:1.4.0", *key).check()
    target = f"{new_repository(registry)}:2"
    modelseal("copy", "-r", "oci:carrier:1.4.0", target).check()
    modelseal("verify", target, *key).check()


def test_the_list_of_referrers_that_is_written_has_types_and_annotations(
    serve_registry: Serve, modelseal: Command, crane: Command, home: Path, key: list[str]
) -> None:
    """For a registry without the referrers API; cosign 3.1.3 itself leaves annotations out."""
    assert key
    published(modelseal, home, "oci:store:1.4.0")
    repository = new_repository(serve_registry("distribution"))
    modelseal("copy", "-r", "oci:store:1.4.0", f"{repository}:1").check()
    tag = digest_of(modelseal, "oci:store:1.4.0").replace(":", "-")
    index = json.loads(crane("manifest", f"{repository}:{tag}").check().stdout)
    bundles = [
        entry
        for entry in index["manifests"]
        if entry["artifactType"] == "application/vnd.dev.sigstore.bundle.v0.3+json"
    ]
    assert all("dev.sigstore.bundle.predicateType" in entry["annotations"] for entry in bundles)
    assert len(bundles) == len(ATTESTED) == len(index["manifests"]) - 1


def test_another_tag_moves_no_layer(modelseal: Command, registry: Registry, home: Path) -> None:
    model = make_model(home / "model")
    repository = new_repository(registry)
    modelseal("push", model, f"{repository}:1.4.0").check()
    done = modelseal("tag", f"{repository}:1.4.0", "stable").check()
    assert done.stdout.strip() == digest_of(modelseal, f"{repository}:stable")
    modelseal("tag", f"{repository}:1.4.0", "not a tag").check(2)
    modelseal("tag", f"{repository}:missing", "x").check(1)


def test_a_digest_is_no_place_to_choose(modelseal: Command, home: Path) -> None:
    modelseal("push", make_model(home / "model"), "oci:store:1").check()
    digest = digest_of(modelseal, "oci:store:1")
    modelseal("copy", "oci:store:1", f"oci:copy@{digest}").check()
    other = digest.replace(digest[-4:], "0000")
    assert (
        "a digest is not chosen"
        in modelseal("copy", "oci:store:1", f"oci:copy@{other}").check(1).stderr
    )


def test_a_policy_binds_a_model_to_places_when_it_wants_to(
    serve_registry: Serve, modelseal: Command, key: list[str], home: Path
) -> None:
    """Relocated, the signatures stay valid; whether that is wanted is the policy's word."""
    outside = new_repository(serve_registry("distribution"))
    inside = new_repository(serve_registry("olareg"))
    published(modelseal, home, f"{outside}:1.4.0")
    modelseal("copy", "-r", f"{outside}:1.4.0", f"{inside}:1.4.0").check()
    for reference in (f"{outside}:1.4.0", f"{inside}:1.4.0"):
        modelseal("verify", reference, *key).check()
    identity = {"publicKey": (home / "release.key.pub").read_text()}

    def policy(repositories: list[str]) -> list[str | Path]:
        rule = {"role": "builder", "repositories": repositories, "usedFrom": [inside]}
        value = {
            "apiVersion": "modelseal.dev/v1",
            "kind": "Policy",
            "metadata": {"name": "places"},
            "spec": {
                "roles": {"builder": {"identities": [identity]}},
                "rules": [{"use": "resource", "with": rule}],
            },
        }
        (home / "places.yaml").write_text(json.dumps(value))
        return ["--policy", home / "places.yaml"]

    modelseal("verify", f"{inside}:1.4.0", *policy([outside])).check()
    refused = modelseal("verify", f"{outside}:1.4.0", *policy([outside])).check(10)
    assert f"observed: from {outside}" in refused.stderr
    other = modelseal("verify", f"{inside}:1.4.0", *policy(["ghcr.io/acme/other"])).check(10)
    assert f"observed: named is {outside}" in other.stderr
