# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Manifests and indexes: bytes before meaning, and no document that is two things."""

import json
from typing import Any

import pytest

from modelseal.errors import InvalidDocumentError, LimitExceededError
from modelseal.oci.descriptor import (
    DOCKER_MANIFEST,
    EMPTY_DESCRIPTOR,
    INDEX,
    MANIFEST,
    OCTET_STREAM,
    Descriptor,
    Digest,
)
from modelseal.oci.manifest import MAX_MANIFEST_BYTES, Index, Manifest

LAYER = Descriptor.of(b"weights", OCTET_STREAM)


def document(**changes: Any) -> bytes:  # noqa: ANN401
    content: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": "application/vnd.example",
        "config": EMPTY_DESCRIPTOR.to_json(),
        "layers": [LAYER.to_json()],
    }
    content.update(changes)
    return json.dumps({key: value for key, value in content.items() if value is not None}).encode()


def test_a_manifest_keeps_its_bytes() -> None:
    raw = document(unknown={"kept": True})
    manifest = Manifest.parse(raw)
    assert manifest.raw == raw
    assert manifest.descriptor.digest == Digest.of(raw)
    assert manifest.layers == (LAYER,)


def test_the_artifact_type_falls_back_to_the_config() -> None:
    assert Manifest.parse(document(artifactType=None)).artifact_type == EMPTY_DESCRIPTOR.media_type


def test_what_is_built_is_built_once_and_the_same() -> None:
    first, again = (
        Manifest.build(artifact_type="application/vnd.example", layers=[LAYER], annotations=notes)
        for notes in ({"b": "1", "a": "2"}, {"a": "2", "b": "1"})
    )
    assert first.raw == again.raw
    assert Manifest.parse(first.raw) == first


def test_a_subject_carries_only_what_names_bytes() -> None:
    subject = Descriptor(MANIFEST, LAYER.digest, 7, annotations={"not": "copied"})
    manifest = Manifest.build(artifact_type="application/vnd.e", layers=[LAYER], subject=subject)
    assert manifest.subject == Descriptor(MANIFEST, LAYER.digest, 7)


@pytest.mark.parametrize(
    "changes",
    [
        {"manifests": []},
        {"mediaType": INDEX},
        {"mediaType": DOCKER_MANIFEST},
        {"schemaVersion": 1},
        {"schemaVersion": None},
        {"layers": None},
        {"layers": {}},
        {"layers": [1]},
        {"config": None},
        {"config": {"mediaType": "a/b", "digest": "sha256:00", "size": 1}},
        {"layers": [LAYER.to_json() | {"size": -1}]},
        {"layers": [LAYER.to_json() | {"size": True}]},
        {"layers": [LAYER.to_json() | {"size": 1.5}]},
        {"layers": [LAYER.to_json() | {"size": 1 << 60}]},
        {"layers": [LAYER.to_json() | {"mediaType": "nonsense"}]},
        {"layers": [LAYER.to_json() | {"annotations": {"a": 1}}]},
        {"layers": [LAYER.to_json() | {"urls": "https://elsewhere.example"}]},
        {"annotations": []},
        {"artifactType": 7},
        {"subject": "sha256:00"},
    ],
    ids=str,
)
def test_a5_media_type_confusion_and_wrong_shapes_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidDocumentError):
        Manifest.parse(document(**changes))


def test_an_index_is_no_manifest_and_the_other_way_round() -> None:
    index = Index.build([Manifest.parse(document()).descriptor])
    with pytest.raises(InvalidDocumentError):
        Manifest.parse(index.raw, INDEX)
    with pytest.raises(InvalidDocumentError):
        Index.parse(document(), MANIFEST)
    with pytest.raises(InvalidDocumentError):
        Manifest.parse(index.raw, MANIFEST)


def test_a5_a_document_served_as_something_else_is_refused() -> None:
    with pytest.raises(InvalidDocumentError, match="calls itself"):
        Manifest.parse(document(), DOCKER_MANIFEST)
    with pytest.raises(InvalidDocumentError, match="not a manifest"):
        Manifest.parse(document(mediaType=None), "text/html")


def test_a_manifest_over_4_mib_is_refused() -> None:
    with pytest.raises(LimitExceededError):
        Manifest.parse(b" " * (MAX_MANIFEST_BYTES + 1))
