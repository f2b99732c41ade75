# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Data at hand are compared with what is declared; what is declared is claimed, and no more."""

import hashlib
import json
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support.model_factory import make_model, project_text

from modelseal.attest.predicates.provenance import ResourceDescriptor
from modelseal.attest.predicates.scai import AttributeAssertion
from modelseal.errors import InvalidProjectError, LimitExceededError, UsageError
from modelseal.evidence.facts import Basis, Finding, Level
from modelseal.evidence.lineage.claims import assertions
from modelseal.evidence.lineage.compare import says_none
from modelseal.evidence.lineage.described import Described, State, describe
from modelseal.evidence.lineage.digests import MAX_DATA_DEPTH, dir_hash, hash_data
from modelseal.evidence.lineage.facts import data_facts
from modelseal.evidence.lineage.findings import data_findings
from modelseal.evidence.lineage.licences import contradict, licence_id
from modelseal.evidence.lineage.places import NOWHERE, DataPlaces, local_path
from modelseal.modelpack.digests import DigestCache
from modelseal.modelpack.project import Dataset
from modelseal.modelpack.project_file import load_project, parse_project

CSV = b"amount,fraud\n12.5,0\n"
SHA256 = hashlib.sha256(CSV).hexdigest()
DESCRIPTION: dict[str, Any] = {
    "@context": {
        "@vocab": "https://schema.org/",
        "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/",
    },
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
        {
            "@type": "cr:FileObject",
            "@id": "tx.csv",
            "contentUrl": "tx.csv",
            "contentSize": f"{len(CSV)} B",
            "encodingFormat": "text/csv",
            "sha256": SHA256,
        }
    ],
    "usageInfo": {"@type": "DefinedTerm", "termCode": "DUO_0000042"},
    "rai:personalSensitiveInformation": "None.",
}
DECLARED = f"digest: sha256:{SHA256}"
PROJECT_FILE = ResourceDescriptor(name="modelseal.yaml", digest={"sha256": "0" * 64})


def described(
    directory: Path,
    *,
    lines: str = DECLARED,
    declared: str = "personalData: none",
    croissant: Mapping[str, Any] | None = DESCRIPTION,
    data: DataPlaces = NOWHERE,
    **changes: object,
) -> Described:
    """Return the dataset of a model with these lines in its modelseal.yaml, and this Croissant."""
    text = project_text().replace("personalData: none", declared)
    text = text.replace("digest: sha256:" + "4" * 64, lines)
    extra = {}
    if croissant is not None:
        text = text.replace("uri: s3://", "croissant: data/croissant.json\n        uri: s3://")
        raw = {key: item for key, item in {**croissant, **changes}.items() if item is not None}
        extra["data/croissant.json"] = json.dumps(raw).encode()
    model = make_model(directory / "model", project=text, extra=extra)
    (item,) = describe(model, load_project(model), {}, data)
    return item


def findings(item: Described) -> dict[str, Finding]:
    return {finding.id: finding for finding in data_findings([item])}


def attributes(*items: Described) -> list[str]:
    return [item.attribute for item in claimed(*items)]


def claimed(*items: Described) -> tuple[AttributeAssertion, ...]:
    return assertions(items, PROJECT_FILE)


# Digests


def test_the_digest_of_a_directory_is_what_coreutils_say(tmp_path: Path) -> None:
    """The command is that of in-toto's DigestSet, `dirHash`."""
    for name in ("b.txt", "a/x.txt", "a.txt", "a-b.txt", "B.txt", "a/y/ö.txt", "a b.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    command = "find . -type f | cut -c3- | LC_ALL=C sort | xargs -rd '\\n' sha256sum | sha256sum"
    done = subprocess.run(
        ["/bin/sh", "-c", command], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    found = hash_data(tmp_path)
    assert (found.algorithm, found.files) == ("dirHash", 7)
    assert found.encoded == done.stdout.split()[0]


def test_the_digest_of_a_directory_is_that_of_the_specification() -> None:
    """The example of DigestSet v1.1: the module go-hello-world v0.0.1."""
    module = "github.com/marklodato/go-hello-world@v0.0.1"
    files = {
        "main.go": "ddc4da627d9a9f45fb29641a1b185d6f53287ecfd921aacbf4fe54b7a86fe8d1",
        "README.md": "3a137eef6458bfb76bb2c63fc29ffc7166604d2d2e09ed9d8250a534122a8364",
        "go.mod": "28e7c942a036902d981759d0bf5704d2bfc7cb500caf68b84711b234af01c6a5",
    }
    entries = [(f"{module}/{name}", encoded) for name, encoded in files.items()]
    expected = "2a1bb6127fb481c60f67692e22285fb306f3c6ffe62075e0ccf674d7c3adcb8f"
    assert dir_hash(entries) == expected


def test_a_change_of_large_data_is_seen_whatever_is_remembered(tmp_path: Path) -> None:
    large, small = tmp_path / "data" / "large", tmp_path / "data" / "small"
    large.parent.mkdir()
    large.write_bytes(bytes(1 << 20))
    small.write_bytes(b"x")
    known = DigestCache(tmp_path / "cache")
    before = hash_data(tmp_path / "data", known)
    assert hash_data(tmp_path / "data", known) == before
    large.write_bytes(bytes(1 << 20)[:-1] + b"!")
    assert hash_data(tmp_path / "data", known) != before


def test_a_link_among_data_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").symlink_to("/etc/hostname")
    with pytest.raises(InvalidProjectError, match=r"a\.csv is a link"):
        hash_data(tmp_path)


def test_data_that_are_nested_too_deep_are_refused(tmp_path: Path) -> None:
    deepest = tmp_path.joinpath(*["d"] * (MAX_DATA_DEPTH + 1))
    deepest.mkdir(parents=True)
    with pytest.raises(LimitExceededError, match="deeper than 32 levels"):
        hash_data(tmp_path)


def test_a_file_name_with_a_line_break_is_refused() -> None:
    with pytest.raises(InvalidProjectError, match="line break"):
        dir_hash([("a\nb", "0" * 64)])


# Places


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:train/a%20b.csv", "train/a b.csv"),
        ("data/tx.csv", "data/tx.csv"),
        ("https://acme.example/x/tx.csv?version=2", "tx.csv"),
        ("s3://bucket/transactions/", "transactions"),
        ("../etc/passwd", ""),
        ("https://acme.example/%2e%2e", ""),
        ("file:///etc/passwd", ""),
        ("https://acme.example", ""),
        ("http://[", ""),
    ],
)
def test_data_are_looked_for_below_the_directory_only(uri: str, path: str) -> None:
    assert local_path(uri) == path


def test_places_are_told_for_all_data_and_for_single_datasets(tmp_path: Path) -> None:
    (tmp_path / "tx.csv").write_bytes(CSV)
    (tmp_path / "other").mkdir()
    texts = [str(tmp_path), f"tx={tmp_path}/tx.csv"]
    places = DataPlaces.parse(texts, ["tx", "all"])
    assert places.of(Dataset(name="tx")) == tmp_path / "tx.csv"
    assert places.of(Dataset(name="all", uri="s3://bucket/tx.csv")) == tmp_path / "tx.csv"
    assert places.of(Dataset(name="all", uri="s3://bucket/gone.csv")) is None
    inside = DataPlaces.parse([f"tx={tmp_path}"], ["tx"])
    assert inside.of(Dataset(name="tx", uri="file:tx.csv")) == tmp_path / "tx.csv"
    assert inside.of(Dataset(name="tx", uri="file:other/")) == tmp_path / "other"
    assert inside.of(Dataset(name="tx")) == tmp_path


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["nowhere"], "there is no nowhere"),
        (["transaction=."], r"no dataset is called 'transaction' \(did you mean `transactions`"),
        ([".", "."], "names two directories"),
        (["transactions=.", "transactions=."], "says twice where transactions lies"),
        ([__file__], "not a directory"),
    ],
)
def test_a_place_that_cannot_be_is_told(texts: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        DataPlaces.parse(texts, ["transactions"])


def test_a_description_cannot_have_a_file_outside_hashed(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "secret").write_bytes(CSV)
    (tmp_path / "data" / "link").symlink_to(tmp_path / "secret")
    for url in ("../secret", "link", "/etc/passwd"):
        file = {"@type": "cr:FileObject", "@id": "x", "contentUrl": url, "sha256": SHA256}
        places = DataPlaces(base=tmp_path / "data")
        item = described(tmp_path, data=places, distribution=[file])
        assert [checked.state for checked in item.files] == [State.ABSENT]


# The bytes


def test_data_at_hand_are_compared_with_every_digest(tmp_path: Path) -> None:
    (tmp_path / "tx.csv").write_bytes(CSV)
    item = described(tmp_path, data=DataPlaces(base=tmp_path))
    assert item.own.state is State.MATCHES
    assert [file.state for file in item.files] == [State.MATCHES]
    assert item.digest_set() == {"sha256": SHA256}
    told = [fact.text for fact in data_facts([item]) if fact.basis is Basis.VERIFIED]
    assert any(f"sha256:{SHA256}" in text for text in told)
    assert findings(item) == {}


@pytest.mark.parametrize(
    ("content", "kinds"),
    [
        (CSV.upper(), {"dataset-digest-mismatch", "dataset-file-digest-mismatch"}),
        (CSV + b"9,1\n", {"dataset-digest-mismatch", "dataset-file-digest-mismatch"}),
    ],
    ids=["another content", "another size"],
)
def test_data_that_are_not_those_declared_are_an_error_and_nothing_is_claimed_of_them(
    tmp_path: Path, content: bytes, kinds: set[str]
) -> None:
    (tmp_path / "tx.csv").write_bytes(content)
    item = described(tmp_path, data=DataPlaces(base=tmp_path))
    found = findings(item)
    assert found.keys() == kinds
    assert {finding.level for finding in found.values()} == {Level.ERROR}
    assert attributes(item) == []
    assert item.digest_set() == {}


def test_data_that_are_not_at_hand_are_said_to_be_unchecked(tmp_path: Path) -> None:
    item = described(tmp_path)
    assert item.own.state is State.ABSENT
    facts = [fact for fact in data_facts([item]) if "not checked" in fact.text]
    assert facts
    assert {fact.basis for fact in facts} == {Basis.DECLARED}
    assert item.digest_set() == {"sha256": SHA256}


def test_a_directory_is_compared_by_its_dir_hash(tmp_path: Path) -> None:
    data = tmp_path / "data" / "transactions"
    data.mkdir(parents=True)
    (data / "tx.csv").write_bytes(CSV)
    places = DataPlaces(base=tmp_path / "data")
    right = dir_hash([("tx.csv", SHA256)])
    item = described(tmp_path, lines=f"dirHash: {right}", croissant=None, data=places)
    assert (item.own.state, item.digest_set()) == (State.MATCHES, {"dirHash": right})
    item = described(tmp_path, lines=f"dirHash: {'5' * 64}", croissant=None, data=places)
    assert item.own.state is State.DIFFERS


def test_the_other_algorithm_of_a_digest_is_compared_too(tmp_path: Path) -> None:
    (tmp_path / "transactions").write_bytes(CSV)
    lines = f"digest: sha512:{hashlib.sha512(CSV).hexdigest()}"
    places = DataPlaces(base=tmp_path)
    assert described(tmp_path, lines=lines, croissant=None, data=places).own.state is State.MATCHES


def test_without_a_digest_the_line_to_add_has_that_of_the_data_at_hand(tmp_path: Path) -> None:
    (tmp_path / "transactions").write_bytes(CSV)
    item = described(tmp_path, lines="", croissant=None, data=DataPlaces(base=tmp_path))
    finding = findings(item)["dataset-without-digest"]
    assert f"digest: sha256:{SHA256}" in finding.add
    assert described(tmp_path, lines="").digest_set() == {"sha256": SHA256}


def test_several_files_of_a_description_have_one_digest(tmp_path: Path) -> None:
    files = [
        {"@type": "cr:FileObject", "@id": name, "contentUrl": name, "sha256": digit * 64}
        for name, digit in (("train.csv", "1"), ("a/test.csv", "2"))
    ]
    expected = dir_hash([("a/test.csv", "2" * 64), ("train.csv", "1" * 64)])
    item = described(tmp_path, lines="", distribution=files)
    assert item.digest_set() == {"dirHash": expected}
    del files[0]["sha256"]
    assert described(tmp_path, lines="", distribution=files).digest_set() == {}


# What is declared


def test_what_is_declared_is_claimed_with_the_croissant_file_as_evidence(tmp_path: Path) -> None:
    persons, use = claimed(described(tmp_path))
    raw = (tmp_path / "model" / "data" / "croissant.json").read_bytes()
    assert persons.to_json() == {
        "attribute": "NO_PERSONAL_DATA",
        "target": {
            "name": "dataset:transactions",
            "uri": "s3://acme-data/transactions",
            "digest": {"sha256": SHA256},
        },
        "conditions": {"declaredIn": "modelseal.yaml"},
        "evidence": {
            "name": "data/croissant.json",
            "uri": "file:data/croissant.json",
            "digest": {"sha256": hashlib.sha256(raw).hexdigest()},
            "mediaType": "application/ld+json",
        },
    }
    assert use.attribute == "DATA_USE:DUO_0000042"


def test_personal_data_are_claimed_with_their_legal_basis(tmp_path: Path) -> None:
    item = described(
        tmp_path,
        declared="personalData: sensitive\n        legalBasis: consent",
        croissant=None,
    )
    (persons,) = claimed(item)
    assert persons.attribute == "SENSITIVE_PERSONAL_DATA"
    assert persons.conditions["legalBasis"] == "consent"
    assert persons.evidence == PROJECT_FILE


def test_no_personal_data_is_claimed_of_every_dataset_or_of_none(tmp_path: Path) -> None:
    """A policy looks for it anywhere: one dataset without persons says nothing of the others."""
    free = described(tmp_path)
    other = replace(free, dataset=replace(free.dataset, name="other"))
    assert attributes(free, other).count("NO_PERSONAL_DATA") == 2
    unsaid = replace(other, dataset=replace(other.dataset, personal_data=None))
    assert "NO_PERSONAL_DATA" not in attributes(free, unsaid)


def test_what_a_base_model_learned_from_is_not_covered(tmp_path: Path) -> None:
    (persons, *_) = assertions([described(tmp_path)], PROJECT_FILE, base_model="acme/base@sha256:1")
    assert persons.conditions["notAboutBaseModel"] == "acme/base@sha256:1"


def test_terms_of_an_odrl_offer_are_claimed_with_their_conditions(tmp_path: Path) -> None:
    offer = {
        "odrl:permission": {
            "odrl:action": {"@id": "duo:0000006"},
            "odrl:constraint": {
                "odrl:operator": {"@id": "odrl:eq"},
                "odrl:rightOperand": {"@id": "duo:0000018"},
            },
        },
        "odrl:prohibition": {"odrl:action": {"@id": "odrl:sell"}},
    }
    _, permitted, prohibited = claimed(described(tmp_path, usageInfo=offer))
    assert permitted.attribute == "DATA_USE:DUO_0000006"
    assert permitted.conditions == {
        "constraints": [{"operator": "odrl:eq", "rightOperand": "DUO_0000018"}]
    }
    assert prohibited.attribute == "DATA_USE_PROHIBITED:odrl:sell"


def test_terms_that_the_croissant_file_does_not_speak_of_are_claimed_too(tmp_path: Path) -> None:
    item = described(
        tmp_path,
        declared="personalData: none\n        usage: [DUO_0000046]",
        usageInfo={"odrl:prohibition": {"odrl:action": {"@id": "odrl:sell"}}},
    )
    assert attributes(item)[1:] == ["DATA_USE_PROHIBITED:odrl:sell", "DATA_USE:DUO_0000046"]


def test_a_missing_declaration_is_a_finding_with_the_line_and_no_claim(tmp_path: Path) -> None:
    item = described(tmp_path, declared="", lines="", croissant=None)
    found = findings(item)
    assert found.keys() == {
        "dataset-without-digest",
        "dataset-without-croissant",
        "dataset-without-personal-data",
        "dataset-without-usage",
    }
    assert attributes(item) == []
    for finding in found.values():
        assert finding.add.startswith(
            'spec:\n  training:\n    datasets:\n      - name: "transactions"\n        '
        )


def test_the_line_to_add_decides_nothing_by_itself(tmp_path: Path) -> None:
    """Pasted as it stands it is refused: whoever declares has to choose the word."""
    add = findings(described(tmp_path, declared=""))["dataset-without-personal-data"].add
    head = "apiVersion: modelseal.dev/v1\nkind: Model\nmetadata: {name: m, version: 1.0.0}\n"
    text = f"{head}{add}".replace("spec:\n", "spec:\n  format: onnx\n")
    with pytest.raises(InvalidProjectError, match="placeholder <none, personal or sens"):
        parse_project(text.encode())


@pytest.mark.parametrize(
    ("declared", "changes", "kind"),
    [
        (
            "personalData: none",
            {"rai:personalSensitiveInformation": ["Gender", "Age"]},
            "dataset-personal-data-contradicts-croissant",
        ),
        (
            "personalData: none",
            {"rai:personalSensitiveInformation": "None except for e-mail addresses"},
            "dataset-personal-data-contradicts-croissant",
        ),
        (
            "personalData: personal\n        legalBasis: consent",
            {},
            "dataset-personal-data-contradicts-croissant",
        ),
        (
            "personalData: none",
            {"license": "https://spdx.org/licenses/MIT.html"},
            "dataset-license-contradicts-croissant",
        ),
        ("personalData: none", {"version": "2024-06-02"}, "dataset-version-contradicts-croissant"),
        (
            "personalData: none\n        usage: [DUO_0000004]",
            {},
            "dataset-usage-contradicts-croissant",
        ),
        (
            "personalData: none\n        usage: [DUO_0000042]",
            {"usageInfo": {"odrl:prohibition": {"odrl:action": {"@id": "duo:0000042"}}}},
            "dataset-usage-contradicts-croissant",
        ),
        (
            "personalData: none\n        legalBasis: consent",
            {},
            "legal-basis-without-personal-data",
        ),
        (
            "personalData: sensitive",
            {"rai:personalSensitiveInformation": "Health"},
            "personal-data-without-legal-basis",
        ),
        ("personalData: none", {"@type": "Thing"}, "croissant-file-not-readable"),
    ],
)
def test_a_contradiction_is_an_error(
    tmp_path: Path, declared: str, changes: dict[str, Any], kind: str
) -> None:
    item = described(tmp_path, declared=declared, **changes)
    assert findings(item)[kind].level is Level.ERROR


@pytest.mark.parametrize(
    "changes",
    [
        {"rai:personalSensitiveInformation": "Gender"},
        {"@type": "Thing"},
    ],
)
def test_what_is_contradicted_is_not_claimed(tmp_path: Path, changes: dict[str, Any]) -> None:
    assert "NO_PERSONAL_DATA" not in attributes(described(tmp_path, **changes))


def test_another_digest_in_the_description_is_an_error(tmp_path: Path) -> None:
    item = described(tmp_path, lines=f"digest: sha256:{'5' * 64}")
    assert findings(item)["dataset-digest-contradicts-croissant"].level is Level.ERROR


def test_a_model_without_datasets_says_so() -> None:
    (finding,) = data_findings([])
    assert (finding.id, finding.level) == ("model-without-datasets", Level.WARNING)


@pytest.mark.parametrize(
    ("text", "none"),
    [
        ("None", True),
        (" no  personal data. ", True),
        ("N/A", True),
        ("none of the names are real", False),
        ("No personal data, except for ages", False),
        ("Gender", False),
        ("", False),
    ],
)
def test_only_a_plain_none_says_that_there_is_no_personal_data(*, text: str, none: bool) -> None:
    assert says_none(text) is none


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("CC-BY-4.0", "cc-by-4.0"),
        ("https://creativecommons.org/licenses/by-sa/4.0/legalcode", "cc-by-sa-4.0"),
        ("http://creativecommons.org/publicdomain/zero/1.0/", "cc0-1.0"),
        ("https://spdx.org/licenses/Apache-2.0.html", "apache-2.0"),
        ("https://choosealicense.com/licenses/mit/", "mit"),
        ("https://opensource.org/license/BSD-3-Clause", "bsd-3-clause"),
        ("https://commoncrawl.org/terms-of-use", ""),
        ("Other (specified in description)", ""),
        ("unknown", ""),
    ],
)
def test_a_licence_is_recognised_by_its_address(text: str, found: str) -> None:
    assert licence_id(text) == found


def test_licences_contradict_only_where_both_are_known() -> None:
    assert contradict("MIT", ("https://opensource.org/licenses/MIT",)) is False
    assert contradict("MIT", ("apache-2.0",)) is True
    assert contradict("MIT OR Apache-2.0", ("mit", "apache-2.0")) is False
    assert contradict("MIT", ("https://acme.example/terms",)) is None
    assert contradict("LicenseRef-Acme", ("https://acme.example/terms",)) is None
