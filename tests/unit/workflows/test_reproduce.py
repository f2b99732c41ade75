# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A published model is built again: the same bytes, or everything that differs with its reason."""

import dataclasses
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.model_factory import make_model, project_text

from modelseal.attest.predicates.types import PROVENANCE
from modelseal.cli.render import reproduction
from modelseal.errors import VerificationError
from modelseal.modelpack.build import Profile
from modelseal.oci.content import BytesContent
from modelseal.oci.events import discard
from modelseal.oci.manifest import Manifest
from modelseal.oci.memory import MemoryStore
from modelseal.oci.store import fetch_manifest
from modelseal.trust.keys import generate_key
from modelseal.trust.signer import KeySigner
from modelseal.version import __version__
from modelseal.workflows.package import push_directory
from modelseal.workflows.publish import publish
from modelseal.workflows.reproduce import Reproduction, reproduce
from modelseal.workflows.services import Services, system_clock
from modelseal.workflows.trust import Trust, trust_keys

NO_ENVIRONMENT: Mapping[str, str] = {}
EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}
KEY = generate_key()
TRUST = trust_keys([KEY.public_key()], PROVENANCE)


@pytest.fixture
def services() -> Services:
    return Services(store=MemoryStore())


def published(
    services: Services,
    directory: Path,
    environment: Mapping[str, str] = NO_ENVIRONMENT,
    profile: Profile = Profile.MODELPACK,
) -> None:
    publish(
        directory,
        "1.4.0",
        signer=KeySigner(KEY),
        services=services,
        environment=environment,
        profile=profile,
    )


def again(
    services: Services,
    directory: Path,
    *,
    trust: Trust | None = TRUST,
    environment: Mapping[str, str] = NO_ENVIRONMENT,
    profile: Profile | None = None,
) -> Reproduction:
    return reproduce(
        directory,
        "1.4.0",
        services.store,
        trust=trust,
        environment=environment,
        on_event=discard,
        clock=system_clock,
        profile=profile,
    )


def told(found: Reproduction) -> dict[tuple[str, str], str]:
    assert not found.reproduced
    assert found.differences
    return {(one.part, one.name): one.likely for one in found.differences}


@pytest.mark.parametrize("profile", list(Profile))
@pytest.mark.parametrize("environment", [NO_ENVIRONMENT, EPOCH], ids=["no-time", "time"])
def test_the_same_directory_is_built_as_the_provenance_says(
    tmp_path: Path, services: Services, profile: Profile, environment: Mapping[str, str]
) -> None:
    published(services, make_model(tmp_path / "a"), environment, profile)
    found = again(services, make_model(tmp_path / "b"))
    assert found.reproduced
    assert found.differences == ()
    recipe = found.recipe
    assert (recipe.verified, recipe.profile, recipe.modelseal) == (True, profile, __version__)
    time = datetime.fromtimestamp(1_700_000_000, UTC) if environment else None
    assert recipe.time == time
    assert next(reproduction.as_text(found)).startswith("reproduced: sha256:")
    assert list(services.store.tags()) == ["1.4.0"]  # nothing was stored


def test_what_nobody_verified_is_called_claimed(tmp_path: Path, services: Services) -> None:
    published(services, make_model(tmp_path / "a"), profile=Profile.IMAGE)
    found = again(services, tmp_path / "a", trust=None)
    assert found.reproduced
    assert not found.recipe.verified
    assert found.recipe.modelseal == __version__
    assert "(claimed, not verified)" in "\n".join(reproduction.as_text(found))
    assert reproduction.as_json(found, "REF")["provenance"]["verified"] is False


def test_whoever_is_believed_has_to_say_how_it_was_built(
    tmp_path: Path, services: Services
) -> None:
    published(services, make_model(tmp_path / "a"))
    stranger = trust_keys([generate_key().public_key()], PROVENANCE)
    with pytest.raises(VerificationError):
        again(services, tmp_path / "a", trust=stranger)


def test_without_a_provenance_the_artifact_itself_is_asked(
    tmp_path: Path, services: Services
) -> None:
    push_directory(make_model(tmp_path / "a"), "1.4.0", services, EPOCH, Profile.IMAGE)
    found = again(services, tmp_path / "a", trust=None)
    assert found.reproduced
    assert "nothing says how" in "\n".join(reproduction.as_text(found))


def test_files_that_changed_are_named(tmp_path: Path, services: Services) -> None:
    published(services, make_model(tmp_path / "a", extra={"old.txt": b"old"}))
    other = make_model(tmp_path / "b", extra={"new.txt": b"new", "model.onnx": b"trained anew"})
    found = again(services, other)
    reasons = told(found)
    assert reasons["file", "model.onnx"] == "the file was changed since"
    assert "no longer in the directory" in reasons["file", "old.txt"]
    assert "new in the directory" in reasons["file", "new.txt"]
    assert "follows" in reasons["annotation", "dev.modelseal.inputs-digest"]
    assert set(reasons) == {
        ("file", "model.onnx"),
        ("file", "new.txt"),
        ("file", "old.txt"),
        ("annotation", "dev.modelseal.inputs-digest"),
    }
    lines = list(reproduction.as_text(found))
    assert lines[0] == "not reproduced: 4 differences"
    assert "file model.onnx" in lines
    answer = reproduction.as_json(found, "REF")
    assert answer["reproduced"] is False
    assert {"part": "file", "name": "new.txt"}.items() <= answer["differences"][1].items()


def test_fields_of_the_project_file_are_named(tmp_path: Path, services: Services) -> None:
    published(services, make_model(tmp_path / "a"))
    text = project_text().replace("vendor: Acme", "vendor: Other").replace("[42]", "[43]")
    reasons = told(again(services, make_model(tmp_path / "b", project=text)))
    assert reasons["file", "modelseal.yaml"] == "the file was changed since"
    assert reasons["config", "descriptor.vendor"] == "modelseal.yaml was changed"
    assert reasons["annotation", "org.opencontainers.image.vendor"] == "modelseal.yaml was changed"
    inputs = reasons["annotation", "dev.modelseal.inputs-digest"]
    assert inputs == "an input that modelseal.yaml names was changed"


def test_another_kind_of_a_file_is_named_with_its_layer(tmp_path: Path, services: Services) -> None:
    published(services, make_model(tmp_path / "a"))
    text = project_text().replace("files:\n", "files:\n    - {include: config.json, kind: doc}\n")
    reasons = told(again(services, make_model(tmp_path / "b", project=text)))
    kind = reasons["layer", "config.json: media type"]
    assert kind == "modelseal.yaml was changed: spec.files gives it another kind"


def test_a_file_that_is_left_out_of_the_artifact_is_an_input_all_the_same(
    tmp_path: Path, services: Services
) -> None:
    text = project_text().replace("checkpoints/**", "params.yaml")
    published(services, make_model(tmp_path / "a", project=text))
    other = make_model(tmp_path / "b", project=text, extra={"params.yaml": b"epochs: 9\n"})
    reasons = told(again(services, other))
    assert "leaves out" in reasons["annotation", "dev.modelseal.inputs-digest"]


@pytest.mark.parametrize(
    ("then", "now", "said"),
    [
        (EPOCH, {"SOURCE_DATE_EPOCH": "0"}, "was 2023-11-14T22:13:20Z then, and is 1970-01-01"),
        ({}, EPOCH, "was not set then, and is 2023-11-14T22:13:20Z here"),
    ],
)
def test_another_time_is_named(
    tmp_path: Path, services: Services, then: dict[str, str], now: dict[str, str], said: str
) -> None:
    published(services, make_model(tmp_path / "a"), then)
    reasons = told(again(services, tmp_path / "a", environment=now))
    assert set(reasons) == {
        ("config", "descriptor.createdAt"),
        ("annotation", "org.opencontainers.image.created"),
    }
    assert all(said in reason for reason in reasons.values())


def test_another_profile_is_named(tmp_path: Path, services: Services) -> None:
    published(services, make_model(tmp_path / "a"))
    found = again(services, tmp_path / "a", profile=Profile.IMAGE)
    reasons = told(found)
    assert reasons["manifest", "packed as"] == "it was packed as modelpack, and here as image"
    assert not any(part == "file" for part, _ in reasons)
    assert (found.recipe.profile, found.profile) == (Profile.MODELPACK, Profile.IMAGE)


def rewritten(services: Services, change: Any, version: str) -> None:  # noqa: ANN401
    """Make the tag point at a manifest as another version of this tool would have made it."""
    store = services.store
    manifest = fetch_manifest(store, store.resolve("1.4.0"))
    other = change(manifest)
    store.push(other.descriptor, BytesContent(other.raw))
    store.tag(other.descriptor, "1.4.0")
    _attest(services, other, version)


def _attest(services: Services, manifest: Manifest, version: str) -> None:
    from modelseal.workflows.attest import Claim, attest_manifest

    predicate = {
        "buildDefinition": {"buildType": "https://x.example", "externalParameters": {}},
        "runDetails": {"builder": {"id": "https://b.example", "version": {"modelseal": version}}},
    }
    attest_manifest(manifest.descriptor, [Claim(PROVENANCE, predicate)], KeySigner(KEY), services)


def _other_annotations(manifest: Manifest) -> Manifest:
    layers = [
        dataclasses.replace(layer, annotations={**layer.annotations, "org.example.new": "1"})
        for layer in manifest.layers
    ]
    return Manifest.build(
        artifact_type=manifest.artifact_type,
        config=manifest.config,
        layers=layers,
        annotations=manifest.annotations,
    )


def test_what_another_version_of_the_tool_did_otherwise_is_named(
    tmp_path: Path, services: Services
) -> None:
    push_directory(make_model(tmp_path / "a"), "1.4.0", services, {})
    rewritten(services, _other_annotations, "9.9.9")
    reasons = told(again(services, tmp_path / "a"))
    assert reasons["layer", "model.onnx: annotation org.example.new"] == (
        f"modelseal 9.9.9 built it, and this is {__version__}"
    )


def test_a_manifest_that_says_the_same_in_other_bytes_is_named(
    tmp_path: Path, services: Services
) -> None:
    push_directory(make_model(tmp_path / "a"), "1.4.0", services, {})
    rewritten(services, lambda one: Manifest.parse(one.raw + b"\n", one.media_type), "9.9.9")
    ((part, reason),) = told(again(services, tmp_path / "a")).items()
    assert part == ("manifest", "bytes")
    assert "modelseal 9.9.9" in reason


def test_layers_in_another_order_are_named(tmp_path: Path, services: Services) -> None:
    push_directory(make_model(tmp_path / "a"), "1.4.0", services, {})

    def reversed_layers(manifest: Manifest) -> Manifest:
        return Manifest.build(
            artifact_type=manifest.artifact_type,
            config=manifest.config,
            layers=manifest.layers[::-1],
            annotations=manifest.annotations,
        )

    rewritten(services, reversed_layers, __version__)
    assert "it was changed since" in told(again(services, tmp_path / "a"))["layer", "order"]
