# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""sbom and card through the installed command; cosign verifies the ML-BOM that publish attaches."""

import base64
import json
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from tests.support.bom import CONSIDERATIONS, problems
from tests.support.cli import Command
from tests.support.model_factory import make_model, project_text
from tests.support.registries import Registry, RegistryName

ENV = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}
BOM = "https://cyclonedx.org/bom"


@pytest.fixture
def key(modelseal: Command, home: Path) -> Path:
    modelseal("key", "generate", "--output", home / "k", env=ENV).check()
    return home / "k"


def test_the_bom_of_a_directory_is_valid_and_says_what_is_missing(
    modelseal: Command, home: Path
) -> None:
    make_model(home / "fraud")
    done = modelseal("sbom", "fraud").check()
    document = json.loads(done.stdout)
    assert problems(document) == ""
    assert "warning: it is not said which task the model does [missing-task]" in done.stderr
    assert "modelseal build --explain fraud" in done.stderr
    again = modelseal("sbom", "fraud", "--output", "bom.json", "--quiet").check()
    assert again.stdout == "bom.json\n"
    assert (home / "bom.json").read_text() == done.stdout
    refused = modelseal("sbom", "fraud", "--output", "bom.json").check(2)
    assert "--force" in refused.stderr
    modelseal("sbom", "fraud", "--output", "bom.json", "--force").check()
    answer = json.loads(modelseal("sbom", "fraud", "--json").check().stdout)
    assert answer["document"] == document
    assert answer["findings"][0]["add"] == 'spec:\n  task: "<for example image-classification>"'


def test_packages_of_the_lock_are_in_it_and_a_broken_lock_is_told(
    modelseal: Command, home: Path
) -> None:
    make_model(home / "fraud")
    document = json.loads(modelseal("sbom", "fraud").check().stdout)
    assert [item["purl"] for item in document["components"] if item["type"] == "library"]
    (home / "fraud" / "requirements.lock").write_bytes(b"\xff\xfe")
    done = modelseal("sbom", "fraud").check()
    assert "[lock-unreadable]" in done.stderr
    document = json.loads(done.stdout)
    assert problems(document) == ""
    assert not [item for item in document["components"] if item["type"] == "library"]
    assert {"aggregate": "unknown", "dependencies": ["model"]} in document["compositions"]


def test_cosign_verifies_the_bom_that_publish_attaches(
    modelseal: Command,
    cosign: Command,
    serve_registry: Callable[[RegistryName], Registry],
    key: Path,
    home: Path,
) -> None:
    reference = f"{serve_registry('olareg').host}/models/m-{uuid4().hex[:12]}:1.4.0"
    make_model(home / "fraud", project=project_text() + CONSIDERATIONS)
    modelseal("publish", "fraud", reference, "--key", key, env=ENV).check()
    done = cosign(
        *("verify-attestation", "--allow-http-registry", "--insecure-ignore-tlog"),
        *("--key", f"{key}.pub", "--type", "cyclonedx", reference),
    ).check()
    (line,) = done.stdout.splitlines()
    statement = json.loads(base64.b64decode(json.loads(line)["payload"]))
    assert statement["predicateType"] == BOM
    assert problems(statement["predicate"]) == ""

    shown = modelseal("sbom", reference, "--key", f"{key}.pub").check()
    assert json.loads(shown.stdout) == statement["predicate"]
    assert "verified: signed by key sha256:" in shown.stderr
    model = statement["predicate"]["metadata"]["component"]
    repository = reference.rpartition(":")[0]
    assert model["purl"].endswith(f"?repository_url={repository}")
    assert model["hashes"][0]["content"] in shown.stderr


def test_a_bom_of_thousands_of_components_goes_by_digest(
    modelseal: Command, key: Path, home: Path
) -> None:
    components = [{"type": "library", "name": f"p{n}", "version": "9" * 900} for n in range(9000)]
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components}
    (home / "bom.json").write_text(json.dumps(bom))
    assert (home / "bom.json").stat().st_size > 8 << 20
    make_model(home / "fraud")
    modelseal("push", "fraud", "oci:store:1.4.0").check()
    modelseal(
        *("attest", "oci:store:1.4.0", "--key", key, "--type", "cyclonedx"),
        *("--predicate", "bom.json"),
        env=ENV,
    ).check()
    for trust in (("--key", f"{key}.pub"), ("--claimed",)):
        done = modelseal("sbom", "oci:store:1.4.0", *trust, "--output", "got.json", "--force")
        done.check()
        assert json.loads((home / "got.json").read_text()) == bom


def test_nobody_is_believed_unless_named(modelseal: Command, key: Path, home: Path) -> None:
    make_model(home / "fraud")
    modelseal("publish", "fraud", "oci:store:1.4.0", "--key", key, env=ENV).check()
    refused = modelseal("sbom", "oci:store:1.4.0").check(2)
    assert refused.stdout == ""
    assert "--claimed" in refused.stderr
    claimed = modelseal("sbom", "oci:store:1.4.0", "--claimed").check()
    assert "NOT VERIFIED" in claimed.stderr
    assert problems(json.loads(claimed.stdout)) == ""
    both = modelseal("sbom", "oci:store:1.4.0", "--claimed", "--key", f"{key}.pub").check(2)
    assert "exclude each other" in both.stderr
    modelseal("key", "generate", "--output", home / "other", env=ENV).check()
    wrong = modelseal("sbom", "oci:store:1.4.0", "--key", home / "other.pub").check(11)
    assert wrong.stdout == ""
    answer = json.loads(
        modelseal("sbom", "oci:store:1.4.0", "--key", f"{key}.pub", "--json").check().stdout
    )
    assert answer["verified"] is True
    answer = json.loads(modelseal("sbom", "oci:store:1.4.0", "--claimed", "--json").check().stdout)
    assert answer["verified"] is False


def test_a_policy_decides_whose_bom_it_is(modelseal: Command, key: Path, home: Path) -> None:
    make_model(home / "fraud")
    modelseal("publish", "fraud", "oci:store:1.4.0", "--key", key, env=ENV).check()
    (home / "policy.yaml").write_text(
        "apiVersion: modelseal.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n  roles:\n"
        "    builder:\n      threshold: 1\n      identities:\n        - publicKey: |\n"
        + "".join(f"            {line}\n" for line in Path(f"{key}.pub").read_text().splitlines())
        + "  rules:\n    - {use: signed, with: {role: builder}}\n"
    )
    done = modelseal("sbom", "oci:store:1.4.0", "--policy", "policy.yaml").check()
    assert problems(json.loads(done.stdout)) == ""


def test_of_several_different_boms_one_has_to_be_named(
    modelseal: Command, key: Path, home: Path
) -> None:
    make_model(home / "fraud")
    modelseal("publish", "fraud", "oci:store:1.4.0", "--key", key, env=ENV).check()
    believing = ("sbom", "oci:store:1.4.0", "--key", f"{key}.pub")
    first = json.loads(modelseal(*believing, "--json").check().stdout)
    (home / "bom.json").write_text('{"bomFormat": "CycloneDX", "specVersion": "1.6"}')
    attest = ("attest", "oci:store:1.4.0", "--key", key, "--type", "cyclonedx")
    modelseal(*attest, "--predicate", "bom.json", env=ENV).check()
    refused = modelseal(*believing).check(2)
    assert "2 different" in refused.stderr
    named = modelseal(*believing, "--statement", first["statement"]).check()
    assert json.loads(named.stdout) == first["document"]


def test_a_model_without_a_bom_is_told(modelseal: Command, key: Path, home: Path) -> None:
    make_model(home / "fraud")
    modelseal("push", "fraud", "oci:store:1.4.0").check()
    missing = modelseal("sbom", "oci:store:1.4.0", "--claimed").check(1)
    assert "modelseal publish" in missing.stderr
    modelseal("sign", "oci:store:1.4.0", "--key", key, env=ENV).check()
    modelseal("sbom", "oci:store:1.4.0", "--key", f"{key}.pub").check(11)


def test_spdx_is_written_and_read_back(modelseal: Command, key: Path, home: Path) -> None:
    make_model(home / "fraud")
    modelseal("sbom", "fraud", "--format", "spdx", "--output", "fraud.spdx.json").check()
    modelseal(
        *("publish", "fraud", "oci:store:1.4.0", "--key", key),
        *("--attest", "spdx3=fraud.spdx.json"),
        env=ENV,
    ).check()
    done = modelseal("sbom", "oci:store:1.4.0", "--format", "spdx", "--key", f"{key}.pub").check()
    assert json.loads(done.stdout) == json.loads((home / "fraud.spdx.json").read_text())
    assert json.loads(done.stdout)["@context"].endswith("/3.0.1/spdx-context.jsonld")


def test_a_card_is_rendered_and_never_replaces_one(modelseal: Command, home: Path) -> None:
    make_model(home / "fraud", project=project_text() + CONSIDERATIONS)
    before = (home / "fraud" / "README.md").read_text()
    done = modelseal("card", "fraud").check()
    assert done.stdout.startswith("---\nlicense: apache-2.0\n")
    assert "\n## Limitations and risks\n" in done.stdout
    refused = modelseal("card", "fraud", "--output", "fraud/README.md").check(2)
    assert "fraud/README.md is there already" in refused.stderr
    assert (home / "fraud" / "README.md").read_text() == before
    modelseal("card", "fraud", "--output", "fraud/README.md", "--force").check()
    assert (home / "fraud" / "README.md").read_text() == done.stdout
    assert modelseal("card", "fraud").check().stdout == done.stdout
    assert not [path for path in (home / "fraud").iterdir() if "unfinished" in path.name]
    (home / "link").symlink_to("nowhere")
    assert "there already" in modelseal("card", "fraud", "--output", "link").check(2).stderr
    assert "no directory" in modelseal("card", "fraud", "--output", "no/x").check(2).stderr
