# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import spdx_python_model
from tests.support.bom import CONSIDERATIONS, facts_in
from tests.support.model_factory import make_model, project_text

from modelseal.documents import canonical_json
from modelseal.errors import UsageError
from modelseal.evidence.bom.facts import Lock, ModelFacts, Package
from modelseal.evidence.bom.spdx import spdx_document
from modelseal.modelpack.project import Metadata, Project
from modelseal.oci.descriptor import Digest

NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> ModelFacts:
    text = project_text().replace("  training:\n", "  training:\n    approach: supervised\n")
    directory = make_model(tmp_path_factory.mktemp("m") / "m", project=text + CONSIDERATIONS)
    return facts_in(directory, "ghcr.io/acme/fraud")[0]


def element(document: dict[str, Any], fragment: str) -> dict[str, Any]:
    (found,) = [item for item in document["@graph"] if item.get("spdxId", "").endswith(fragment)]
    assert isinstance(found, dict)
    return found


def test_the_library_reads_it_and_finds_everything(full: ModelFacts) -> None:
    document = spdx_document(full, "0.1.0", NOW)
    _, objects = spdx_python_model.load_data(json.loads(json.dumps(document)))
    assert objects.link() == set()  # nothing is referred to that is not there
    kinds = {type(item).__name__ for item in objects.foreach()}
    assert {"ai_AIPackage", "dataset_DatasetPackage", "software_Sbom", "SpdxDocument"} <= kinds


def test_the_ai_and_dataset_profiles_are_filled(full: ModelFacts) -> None:
    document = spdx_document(full, "0.1.0", NOW)
    model = element(document, "#model")
    assert model["type"] == "ai_AIPackage"
    assert model["ai_typeOfModel"] == ["fraud", "linear"]
    assert model["ai_informationAboutTraining"] == "supervised learning"
    assert model["ai_limitation"] == "four features"
    assert model["ai_useSensitivePersonalInformation"] == "no"
    told = {item["key"]: item["value"] for item in model["ai_hyperparameter"]}
    assert told["learning_rate"] == "0.01"
    assert {"type": "DictionaryEntry", "key": "accuracy", "value": "0.9720"} in model["ai_metric"]
    (energy,) = model["ai_energyConsumption"]["ai_trainingEnergyConsumption"]
    assert float(energy["ai_energyQuantity"]) == 0.4
    assert full.subject is not None
    assert model["verifiedUsing"][0]["hashValue"] == full.subject.encoded
    data = element(document, "#dataset-0")
    assert data["dataset_hasSensitivePersonalInformation"] == "no"
    assert data["dataset_datasetType"] == ["noAssertion"]
    related = {
        (item["relationshipType"], item["from"].partition("#")[2])
        for item in document["@graph"]
        if item["type"] == "Relationship"
    }
    assert related == {
        ("trainedOn", "model"),
        ("contains", "model"),
        ("dependsOn", "model"),
        ("hasDeclaredLicense", "model"),
        ("hasDeclaredLicense", "dataset-0"),
        ("ancestorOf", "base-model"),
    }


def test_the_same_facts_give_the_same_bytes(full: ModelFacts) -> None:
    first, second = (canonical_json(spdx_document(full, "0.1.0", NOW)) for _ in range(2))
    assert first == second


def test_what_nobody_said_is_not_said() -> None:
    facts = ModelFacts(
        project=Project(metadata=Metadata(name="m", version="1.0.0"), format="onnx"),
        subject=Digest.of(b"x"),
        repository="",
        files={},
    )
    model = element(spdx_document(facts, "0.1.0", NOW), "#model")
    assert not [key for key in model if key.startswith("ai_")]


def test_packages_of_the_lock_are_there() -> None:
    top, low = "pkg:pypi/top@1", "pkg:pypi/low@1"
    packages = (
        Package(purl=top, name="top", version="1", hashes=(Digest.of(b"t"),), needs=(low, "gone")),
        Package(purl=low, name="low", version="1"),
    )
    facts = ModelFacts(
        project=Project(metadata=Metadata(name="m", version="1.0.0"), format="onnx"),
        subject=Digest.of(b"x"),
        repository="",
        files={},
        lock=Lock(path="l", packages=packages, roots=(top,)),
    )
    document = spdx_document(facts, "0.1.0", NOW)
    edges = {
        (item["from"].partition("#")[2], *(to.partition("#")[2] for to in item["to"]))
        for item in document["@graph"]
        if item["type"] == "Relationship"
    }
    assert edges == {("model", "package-0"), ("package-0", "package-1")}


def test_a_missing_extra_is_told_with_the_command(
    full: ModelFacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "spdx_python_model", None)
    with pytest.raises(UsageError) as caught:
        spdx_document(full, "0.1.0", NOW)
    assert caught.value.hint == "pip install 'modelseal[spdx]'"


def test_source_date_epoch_is_the_time(tmp_path: Path) -> None:
    facts, _ = facts_in(make_model(tmp_path / "m"), environment={"SOURCE_DATE_EPOCH": "0"})
    (info,) = [
        item
        for item in spdx_document(facts, "0.1.0", NOW)["@graph"]
        if item["type"] == "CreationInfo"
    ]
    assert info["created"] == "1970-01-01T00:00:00Z"
