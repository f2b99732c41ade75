# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
import json
import re
import string
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packageurl import PackageURL
from tests.support.bom import CONSIDERATIONS, facts_in, leaves, problems
from tests.support.model_factory import make_model, project_text

from modelseal.documents import canonical_json
from modelseal.evidence.bom.basis import basis_of
from modelseal.evidence.bom.cyclonedx import cyclonedx, document_bytes
from modelseal.evidence.bom.facts import Data, Evaluation, Lock, Metric, ModelFacts, Package, Text
from modelseal.evidence.bom.purl import pypi_purl
from modelseal.evidence.facts import Basis
from modelseal.evidence.lineage.described import describe
from modelseal.evidence.lineage.places import DataPlaces
from modelseal.modelpack.considerations import Considerations, Governance, Risk
from modelseal.modelpack.project import Dataset, Metadata, PersonalData, Project, Training
from modelseal.oci.descriptor import Digest
from modelseal.oci.events import discard
from modelseal.workflows.bom import facts_of
from modelseal.workflows.package import package

A, B = Digest.of(b"a"), Digest.of(b"b")


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> ModelFacts:
    text = project_text().replace("  training:\n", "  training:\n    approach: supervised\n")
    directory = tmp_path_factory.mktemp("m") / "fraud"
    return facts_in(make_model(directory, project=text + CONSIDERATIONS), "ghcr.io/acme/fraud")[0]


@pytest.mark.parametrize("version", ["1.6", "1.7"])
def test_it_holds_to_the_official_schema(full: ModelFacts, version: str) -> None:
    assert problems(cyclonedx(full, "0.1.0"), version) == ""


def test_the_schema_check_can_fail(full: ModelFacts) -> None:
    document = cyclonedx(full, "0.1.0")
    document["metadata"]["component"]["modelCard"]["modelParameters"]["approach"]["type"] = "luck"
    assert "luck" in problems(document)


def test_what_is_declared_stands_in_the_model_card(full: ModelFacts) -> None:
    model = cyclonedx(full, "0.1.0")["metadata"]["component"]
    assert model["type"] == "machine-learning-model"
    assert model["supplier"] == {"name": "Acme"}
    assert model["authors"] == [{"name": "Ada", "email": "ada@acme.example"}]
    assert model["licenses"] == [{"expression": "Apache-2.0", "acknowledgement": "declared"}]
    card = model["modelCard"]
    assert card["modelParameters"] == {
        "approach": {"type": "supervised"},
        "task": "tabular-classification",
        "architectureFamily": "fraud",
        "modelArchitecture": "linear",
        "datasets": [{"ref": "dataset:0"}],
        "inputs": [{"format": "features: float32[batch, 4]"}],
        "outputs": [{"format": "scores: float32[batch, 3]"}],
    }
    considerations = card["considerations"]
    assert considerations["users"] == ["clerks"]
    assert considerations["fairnessAssessments"][0]["harms"] == "blocked cards"
    (energy,) = considerations["environmentalConsiderations"]["energyConsumptions"]
    assert energy["activityEnergyCost"] == {"value": 0.4, "unit": "kWh"}
    assert energy["co2CostOffset"] == {"value": 0, "unit": "tCO2eq"}
    assert energy["energyProviders"][0]["organization"] == {"name": "Acme Power"}
    assert {"type": "accuracy", "value": "0.9720"} in card["quantitativeAnalysis"][
        "performanceMetrics"
    ]
    told = {item["name"]: item["value"] for item in card["properties"]}
    assert told["modelseal:hyperparameter:learning_rate"] == "0.01"
    assert told["modelseal:seed"] == "42"


def test_what_is_packed_is_named_by_its_digest(full: ModelFacts) -> None:
    model = cyclonedx(full, "0.1.0")["metadata"]["component"]
    assert full.subject is not None
    assert model["hashes"] == [{"alg": "SHA-256", "content": full.subject.encoded}]
    files = {item["name"]: item["hashes"][0]["content"] for item in model["components"]}
    assert files == {path: digest.encoded for path, digest in full.files.items()}
    purl = PackageURL.from_string(model["purl"])
    assert (purl.type, purl.name, purl.version) == ("oci", "fraud", str(full.subject))
    assert purl.qualifiers == {"repository_url": "ghcr.io/acme/fraud"}
    assert purl.to_string() == model["purl"]
    (base,) = model["pedigree"]["ancestors"]
    assert PackageURL.from_string(base["purl"]).to_string() == base["purl"]
    assert base["purl"].endswith("?repository_url=ghcr.io/acme/base")


def test_every_field_is_marked(full: ModelFacts) -> None:
    document = cyclonedx(full, "0.1.0")
    known = {pointer: basis_of(document, pointer) for pointer in leaves(document)}
    assert None not in known.values()
    model = "/metadata/component"
    properties = document["metadata"]["component"]["properties"]
    parameters = next(
        place for place, item in enumerate(properties) if item["name"] == "modelseal:parameters"
    )
    card = document["metadata"]["component"]["modelCard"]
    evaluated = next(
        place
        for place, item in enumerate(card["properties"])
        if item["name"] == "modelseal:evaluation:eval/results.json"
    )
    for pointer, basis in {
        "/serialNumber": Basis.VERIFIED,
        f"{model}/name": Basis.DECLARED,
        f"{model}/hashes/0/content": Basis.VERIFIED,
        f"{model}/purl": Basis.VERIFIED,
        f"{model}/components/0/hashes/0/content": Basis.VERIFIED,
        f"{model}/pedigree/ancestors/0/purl": Basis.DECLARED,
        f"{model}/modelCard/modelParameters/task": Basis.DECLARED,
        f"{model}/modelCard/modelParameters/inputs/0/format": Basis.VERIFIED,
        f"{model}/modelCard/quantitativeAnalysis/performanceMetrics/0/value": Basis.DECLARED,
        f"{model}/modelCard/properties/{evaluated}/value": Basis.VERIFIED,
        f"{model}/properties/{parameters}/value": Basis.VERIFIED,
        "/components/0/name": Basis.DECLARED,
        "/dependencies/0/ref": Basis.DECLARED,
    }.items():
        assert known[pointer] is basis, pointer


def test_what_config_json_says_is_inferred(tmp_path: Path) -> None:
    text = project_text().replace("  family: fraud\n  architecture: linear\n", "")
    config = json.dumps({"model_type": "bert", "architectures": ["BertModel"]}).encode()
    directory = make_model(tmp_path / "m", project=text, extra={"config.json": config})
    document = cyclonedx(facts_in(directory)[0], "0.1.0")
    card = "/metadata/component/modelCard/modelParameters"
    parameters = document["metadata"]["component"]["modelCard"]["modelParameters"]
    assert parameters["architectureFamily"] == "bert"
    assert basis_of(document, f"{card}/architectureFamily") is Basis.INFERRED
    assert basis_of(document, f"{card}/modelArchitecture") is Basis.INFERRED


def test_a_declared_signature_that_the_graph_does_not_have_is_not_verified(tmp_path: Path) -> None:
    text = project_text().replace("shape: [batch, 3]", "shape: [batch, 7]")
    document = cyclonedx(facts_in(make_model(tmp_path / "m", project=text))[0], "0.1.0")
    card = "/metadata/component/modelCard/modelParameters"
    assert basis_of(document, f"{card}/outputs/0/format") is Basis.DECLARED


def test_what_a_varying_size_is_called_is_free(tmp_path: Path) -> None:
    text = project_text().replace("[batch, 4]", "[rows, 4]").replace("[batch, 3]", "[rows, 3]")
    document = cyclonedx(facts_in(make_model(tmp_path / "m", project=text))[0], "0.1.0")
    card = "/metadata/component/modelCard/modelParameters"
    assert basis_of(document, f"{card}/inputs/0/format") is Basis.VERIFIED


def test_that_there_is_none_is_said(tmp_path: Path) -> None:
    text = re.sub("baseModel: .*", "baseModel: none", project_text())
    text = text.replace("seeds: [42]", "seeds: none")
    model = cyclonedx(facts_in(make_model(tmp_path / "m", project=text))[0], "0.1.0")["metadata"][
        "component"
    ]
    assert {"name": "modelseal:baseModel", "value": "none"} in model["properties"]
    assert {"name": "modelseal:seed", "value": "none"} in model["modelCard"]["properties"]
    assert "ancestors" not in model["pedigree"]


def test_the_same_facts_give_the_same_bytes_and_no_time(tmp_path: Path, full: ModelFacts) -> None:
    text = project_text().replace("  training:\n", "  training:\n    approach: supervised\n")
    again, _ = facts_in(
        make_model(tmp_path / "elsewhere", project=text + CONSIDERATIONS), "ghcr.io/acme/fraud"
    )
    first, second = cyclonedx(full, "0.1.0"), cyclonedx(again, "0.1.0")
    assert canonical_json(first) == canonical_json(second)
    assert document_bytes(first) == document_bytes(second)
    assert "timestamp" not in first["metadata"]
    other = cyclonedx(full, "0.2.0")
    assert other["serialNumber"] != first["serialNumber"]


def test_data_at_hand_are_verified_and_what_is_refuted_is_not_said(tmp_path: Path) -> None:
    directory = make_model(tmp_path / "m", project=project_text().replace("4" * 64, A.encoded))
    (tmp_path / "data").write_bytes(b"a")
    (tmp_path / "other").write_bytes(b"b")
    made = package(directory, {}, discard)
    for name, said in (("data", {"a"}), ("other", set())):
        places = DataPlaces(named={"transactions": tmp_path / name})
        found = describe(directory, made.project, made.files, places)
        document = cyclonedx(facts_of(directory, made, "", {}, datasets=found)[0], "0.1.0")
        assert problems(document) == ""
        component = document["components"][0]
        digests = {item["content"] for item in component.get("hashes", ())}
        assert digests == ({A.encoded} if said else set())
        told = {item["name"] for item in component.get("properties", ())}
        assert ("modelseal:personalData" in told) is bool(said)
        if said:
            assert basis_of(document, "/components/0/hashes/0/content") is Basis.VERIFIED
            assert basis_of(document, "/components/0/name") is Basis.DECLARED


def test_a_time_comes_from_source_date_epoch_alone(tmp_path: Path) -> None:
    facts, _ = facts_in(make_model(tmp_path / "m"), environment={"SOURCE_DATE_EPOCH": "86400"})
    document = cyclonedx(facts, "0.1.0")
    assert document["metadata"]["timestamp"] == "1970-01-02T00:00:00Z"
    assert basis_of(document, "/metadata/timestamp") is Basis.DECLARED
    assert problems(document) == ""


def test_packages_of_the_lock_are_components_with_edges() -> None:
    top, low = pypi_purl("Top.Level", "1.0+cpu"), pypi_purl("low", "2.0")
    lock = Lock(
        path="requirements.lock",
        packages=(
            Package(purl=top, name="Top.Level", version="1.0+cpu", hashes=(B, A), needs=(low,)),
            Package(purl=low, name="low", version="2.0", hashes=(A,), needs=("pkg:pypi/gone@1",)),
        ),
        roots=(top,),
    )
    document = cyclonedx(minimal(lock=lock), "0.1.0")
    assert problems(document) == ""
    assert top == "pkg:pypi/top-level@1.0%2Bcpu"
    assert PackageURL.from_string(top).to_string() == top
    packages = {item["bom-ref"]: item for item in document["components"]}
    assert [item["content"] for item in packages[top]["hashes"]] == sorted([A.encoded, B.encoded])
    edges = {item["ref"]: item.get("dependsOn") for item in document["dependencies"]}
    assert edges == {"model": [top], top: [low], low: None}


def test_a_lock_of_thousands_holds_to_the_schema() -> None:
    packages = tuple(
        Package(purl=pypi_purl(f"p{n}", "1"), name=f"p{n}", version="1", hashes=(A,))
        for n in range(3000)
    )
    lock = Lock(path="l", packages=packages, roots=tuple(item.purl for item in packages))
    document = cyclonedx(minimal(lock=lock), "0.1.0")
    assert len(document["components"]) == len(document["dependencies"]) - 1 == 3000
    assert len({item["bom-ref"] for item in document["components"]}) == 3000


@pytest.mark.parametrize(
    ("licenses", "written"),
    [
        (("apache-2.0",), [{"expression": "Apache-2.0"}]),
        (
            ("MIT", "Apache-2.0 OR BSD-2-Clause"),
            [{"expression": "MIT AND (Apache-2.0 OR BSD-2-Clause)"}],
        ),
        (("LicenseRef-acme",), [{"expression": "LicenseRef-acme"}]),
        (("MIT", "ours"), [{"license": {"name": "MIT"}}, {"license": {"name": "ours"}}]),
        ((), None),
    ],
)
def test_licences_are_spdx_expressions_or_names(
    licenses: tuple[str, ...], written: list[dict[str, object]] | None
) -> None:
    document = cyclonedx(minimal(licenses=licenses), "0.1.0")
    assert problems(document) == ""
    found = json.loads(
        json.dumps(document["metadata"]["component"].get("licenses")).replace(
            ', "acknowledgement": "declared"', ""
        )
    )
    assert found == written


@pytest.mark.parametrize(
    ("author", "written"),
    [
        ("Ada <ada@acme.example>", {"name": "Ada", "email": "ada@acme.example"}),
        ("Ada", {"name": "Ada"}),
        ("<ada@acme.example>", {"email": "ada@acme.example"}),
        ("Ada <nobody>", {"name": "Ada <nobody>"}),
        ("a<b@c.d>e", {"name": "a<b@c.d>e"}),
        ("A <a@b@c.d>", {"name": "A <a@b@c.d>"}),
        ("A <ä@c.d>", {"name": "A <ä@c.d>"}),
    ],
)
def test_an_author_is_a_name_and_an_address(author: str, written: dict[str, str]) -> None:
    document = cyclonedx(minimal(authors=(author,)), "0.1.0")
    assert document["metadata"]["component"]["authors"] == [written]
    assert problems(document) == ""


def minimal(
    *, licenses: tuple[str, ...] = (), authors: tuple[str, ...] = (), lock: Lock | None = None
) -> ModelFacts:
    metadata = Metadata(name="m", version="1.0.0", licenses=licenses, authors=authors)
    return ModelFacts(
        project=Project(metadata=metadata, format="onnx"),
        subject=A,
        repository="",
        files={"model.onnx": B},
        lock=lock,
    )


TEXTS = st.text(max_size=12)
NAMES = st.text(string.printable, min_size=1, max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    texts=st.lists(TEXTS, min_size=4, max_size=4),
    names=st.lists(NAMES, min_size=3, max_size=3, unique=True),
    personal=st.sampled_from([None, *PersonalData]),
    basis=st.sampled_from([Basis.DECLARED, Basis.VERIFIED]),
    created=st.datetimes(timezones=st.just(UTC)) | st.none(),
)
def test_whatever_is_declared_holds_to_the_schema_and_is_marked(
    texts: list[str],
    names: list[str],
    personal: PersonalData | None,
    basis: Basis,
    created: datetime | None,
) -> None:
    dataset = Dataset(
        name=names[0],
        version=texts[0],
        license=texts[1],
        personal_data=personal,
        governance=Governance(owners=tuple(names)),
    )
    facts = ModelFacts(
        project=Project(
            metadata=Metadata(
                name="m",
                version="1.0.0",
                description=texts[2],
                licenses=(names[1],),
                authors=tuple(names),
                vendor=texts[3],
            ),
            format="onnx",
            task=texts[0],
            training=Training(datasets=(dataset,), seeds=(1, 2)),
            considerations=Considerations(
                users=tuple(texts),
                ethical_considerations=(Risk(name=names[0], mitigation_strategy=texts[1]),),
            ),
        ),
        subject=A,
        repository="ghcr.io/acme/m",
        data=(Data(dataset=dataset, digests={"sha256": "0" * 64}, basis=basis, personal=personal),),
        files=dict.fromkeys(names, A),
        kinds={names[0]: "weight"},
        created=created,
        family=Text(value=texts[0], basis=Basis.INFERRED),
        evaluations=(
            Evaluation(path="e", digest=B, metrics=(Metric(name=names[0], value="0.5"),)),
        ),
        hyperparameters=dict.fromkeys(names, texts[0]),
    )
    document = cyclonedx(facts, "0.1.0")
    assert problems(document) == ""
    assert None not in {basis_of(document, pointer) for pointer in leaves(document)}
