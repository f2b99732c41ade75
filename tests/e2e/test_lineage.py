# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The installed command about data: compared, declared, claimed, and exported; on a layout."""

import hashlib
import json
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.support.cli import Command
from tests.support.model_factory import make_model, project_text
from tests.support.registries import Registry, RegistryName
from tests.support.sigstore import PrivateSigstore

ENV = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}
CSV = b"amount,fraud\n12.5,0\n"
SHA256 = hashlib.sha256(CSV).hexdigest()
CROISSANT = {
    "@context": {"@vocab": "https://schema.org/", "cr": "http://mlcommons.org/croissant/"},
    "@type": "Dataset",
    "dct:conformsTo": "http://mlcommons.org/croissant/1.1",
    "name": "transactions",
    "description": "Transactions with a label each.",
    "license": "https://creativecommons.org/licenses/by/4.0/",
    "url": "https://acme.example/transactions",
    "creator": {"@type": "Organization", "name": "Acme"},
    "datePublished": "2024-06-02",
    "version": "2024-06-01",
    "distribution": [
        {"@type": "cr:FileObject", "@id": "tx.csv", "contentUrl": "tx.csv", "sha256": SHA256}
    ],
    "prov:wasDerivedFrom": {"@id": "urn:acme:log", "prov:label": "Log of the card office"},
    "usageInfo": {"@type": "DefinedTerm", "termCode": "DUO_0000042"},
}


@pytest.fixture
def model(home: Path) -> Path:
    """Make a model whose data have a Croissant file, and the data beside it."""
    text = project_text().replace("sha256:" + "4" * 64, f"sha256:{SHA256}")
    text = text.replace(
        "uri: s3://acme-data/transactions", "uri: file:tx.csv\n        croissant: croissant.json"
    )
    (home / "data").mkdir()
    (home / "data" / "tx.csv").write_bytes(CSV)
    extra = {"croissant.json": json.dumps(CROISSANT).encode()}
    return make_model(home / "fraud", project=text, extra=extra)


@pytest.fixture
def published(modelseal: Command, model: Path, home: Path) -> str:
    """Publish that model with `release.key`; return its reference."""
    for key in ("release.key", "other.key"):
        modelseal("key", "generate", "--output", home / key, env=ENV).check()
    reference = "oci:store:1.4.0"
    keyed = ("--key", "release.key", "--data", "data")
    modelseal("publish", model, reference, *keyed, env=ENV).check()
    return reference


def answer(modelseal: Command, *words: str | Path, returncode: int = 0) -> dict[str, Any]:
    done = modelseal(*words, "--output", "json").check(returncode)
    return dict(json.loads(done.stdout))


@pytest.mark.usefixtures("model")
def test_data_at_hand_are_compared_and_data_elsewhere_said_to_be_unchecked(
    modelseal: Command, home: Path
) -> None:
    told = modelseal("lineage", "fraud", "--data", "data").check().stdout
    assert f"the data at hand (1 file) have the declared digest sha256:{SHA256}" in told
    assert "derived from Log of the card office" in told
    told = modelseal("lineage", "fraud").check().stdout
    assert "not checked: the data are not at hand" in told
    (home / "data" / "tx.csv").write_bytes(CSV.upper())
    found = answer(modelseal, "lineage", "fraud", "--data", "transactions=data/tx.csv")
    errors = {item["id"] for item in found["findings"] if item["level"] == "error"}
    assert errors == {"dataset-digest-mismatch"}
    assert found["attributes"] == []


def test_what_is_not_declared_is_told_with_the_line_to_add(modelseal: Command, model: Path) -> None:
    path = model / "modelseal.yaml"
    path.write_text(path.read_text().replace("        personalData: none\n", ""))
    told = modelseal("build", "fraud", "--explain").check().stdout
    assert "whether transactions has personal data is not declared" in told
    assert 'personalData: "<none, personal or sensitive>"' in told
    found = answer(modelseal, "build", "fraud", "--explain")
    reports = [it for it in found["claims"] if it["predicateType"].endswith("/scai/v0.3")]
    said = [it["attribute"] for report in reports for it in report["predicate"]["attributes"]]
    assert [name for name in said if "DATA" in name] == ["DATA_USE:DUO_0000042"]


def test_what_contradicts_the_croissant_file_is_an_error(modelseal: Command, model: Path) -> None:
    changed = {**CROISSANT, "rai:personalSensitiveInformation": "Names", "version": "2"}
    (model / "croissant.json").write_text(json.dumps(changed))
    found = answer(modelseal, "build", "fraud", "--explain")
    errors = {item["id"] for item in found["findings"] if item["level"] == "error"}
    assert errors >= {
        "dataset-personal-data-contradicts-croissant",
        "dataset-version-contradicts-croissant",
    }


def test_the_declarations_are_signed_and_say_what_a_policy_looks_for(
    modelseal: Command, published: str
) -> None:
    modelseal("verify", published, "--key", "release.key.pub", "--type", "scai").check()
    modelseal("verify", published, "--key", "other.key.pub", "--type", "scai").check(11)
    found = answer(modelseal, "lineage", published, "--key", "release.key.pub")
    # The policy of the design: attributes.exists(a, a.attribute == 'NO_PERSONAL_DATA')
    assert any(item["attribute"] == "NO_PERSONAL_DATA" for item in found["attributes"])
    (dataset,) = (it for it in found["runs"][0]["inputs"] if it["role"] == "dataset")
    assert dataset["digest"] == f"sha256:{SHA256}"
    assert dataset["personalData"] == "none"


def test_a_lineage_is_verified_for_whom_one_believes_and_else_called_claimed(
    modelseal: Command, published: str
) -> None:
    claimed = answer(modelseal, "lineage", published)
    assert (claimed["standing"], claimed["signers"]) == ("claimed", [])
    assert "claimed, not verified" in modelseal("lineage", published).check().stdout
    verified = answer(modelseal, "lineage", published, "--key", "release.key.pub")
    assert verified["standing"] == "verified"
    assert len(verified["signers"]) == 1
    assert verified["runs"] == claimed["runs"]
    modelseal("lineage", published, "--key", "other.key.pub").check(11)


def test_a_lineage_is_exported_as_openlineage_events(modelseal: Command, published: str) -> None:
    command = ("lineage", published, "--key", "release.key.pub", "--format", "openlineage")
    done = modelseal(*command).check()
    start, complete = map(json.loads, done.stdout.splitlines())
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == complete["run"]["runId"]
    assert ("file", "tx.csv") in [(it["namespace"], it["name"]) for it in complete["inputs"]]
    assert modelseal(*command).check().stdout == done.stdout
    of_directory = modelseal("lineage", "fraud", "--format", "openlineage").check().stdout
    assert json.loads(of_directory.splitlines()[0])["run"]["runId"] == start["run"]["runId"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("lineage", "fraud", "--data", "tx=data"), "no dataset is called 'tx'"),
        (("lineage", "fraud", "--data", "nowhere"), "there is no nowhere"),
        (("lineage", "oci:store:1.4.0", "--data", "data"), "--data is for a model directory"),
        (("build", "fraud", "--data", "data"), "--data is for --explain"),
        (("lineage", "x" * 300), "for an OCI layout on disk"),
        (("lineage", "fraud", "--data", "x" * 300), "there is no xxx"),
    ],
)
@pytest.mark.usefixtures("model")
def test_a_place_of_data_that_cannot_be_is_wrong_usage(
    modelseal: Command, words: tuple[str, ...], message: str
) -> None:
    told = modelseal(*words).check(2).stderr
    assert re.search(message, told)
    assert "Traceback" not in told


def test_a_keyless_release_in_a_registry_has_a_lineage_by_its_identity(
    modelseal: Command,
    model: Path,
    private_sigstore: PrivateSigstore,
    serve_registry: Callable[[RegistryName], Registry],
) -> None:
    host = serve_registry("olareg").host
    name = f"models/l-{uuid.uuid4().hex[:12]}"
    reference, trainer = f"{host}/{name}:1.4.0", "trainer@acme.example"
    root = ("--trusted-root", private_sigstore.trusted_root)
    modelseal(
        *("publish", model, reference, *root, "--signing-config", private_sigstore.signing_config),
        *("--identity-token", private_sigstore.token_file(trainer), "--data", "data"),
    ).check()
    whom = ("--certificate-oidc-issuer", private_sigstore.issuer, "--certificate-identity")
    events = modelseal(
        "lineage", reference, *root, *whom, trainer, "--format", "openlineage"
    ).check()
    (output,) = json.loads(events.stdout.splitlines()[1])["outputs"]
    assert (output["namespace"], output["name"]) == (f"oci://{host}", name)
    modelseal("lineage", reference, *root, *whom, "mallory@acme.example").check(11)
