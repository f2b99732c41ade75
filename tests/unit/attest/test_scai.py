# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""SCAI attribute reports: what is written is what the specification has."""

from typing import Any

import pytest

from modelseal.attest.predicates.provenance import ResourceDescriptor
from modelseal.attest.predicates.scai import AttributeAssertion, AttributeReport, assertions_of
from modelseal.attest.predicates.types import SCAI, parse_predicate_type
from modelseal.attest.statement import build_statement
from modelseal.documents import parse_json_object
from modelseal.errors import InvalidDocumentError
from modelseal.oci.descriptor import Digest

DATASET = ResourceDescriptor(name="dataset:digits", digest={"sha256": "0" * 64})
EVIDENCE = ResourceDescriptor(uri="file:data/croissant.json", media_type="application/ld+json")
REPORT = AttributeReport(
    attributes=(
        AttributeAssertion(
            attribute="NO_PERSONAL_DATA",
            target=DATASET,
            conditions={"declaredBy": "modelseal.yaml"},
            evidence=EVIDENCE,
        ),
        AttributeAssertion(attribute="SECURE_BOOT"),
    ),
    producer=ResourceDescriptor(uri="https://modelseal.dev"),
)


def test_a_report_has_the_fields_of_the_specification_and_no_empty_ones() -> None:
    assert REPORT.to_json() == {
        "attributes": [
            {
                "attribute": "NO_PERSONAL_DATA",
                "target": {"name": "dataset:digits", "digest": {"sha256": "0" * 64}},
                "conditions": {"declaredBy": "modelseal.yaml"},
                "evidence": {
                    "uri": "file:data/croissant.json",
                    "mediaType": "application/ld+json",
                },
            },
            {"attribute": "SECURE_BOOT"},
        ],
        "producer": {"uri": "https://modelseal.dev"},
    }


def test_a_report_becomes_a_statement_that_the_library_takes() -> None:
    raw = build_statement(Digest.of(b"model"), parse_predicate_type("scai"), REPORT.to_json())
    statement = parse_json_object(raw, "the statement")
    assert statement["predicateType"] == SCAI == "https://in-toto.io/attestation/scai/v0.3"
    assert [item["attribute"] for item in assertions_of(statement["predicate"])] == [
        "NO_PERSONAL_DATA",
        "SECURE_BOOT",
    ]


@pytest.mark.parametrize("attributes", [(), (AttributeAssertion(attribute=""),)])
def test_a_report_without_a_named_attribute_is_not_made(
    attributes: tuple[AttributeAssertion, ...],
) -> None:
    with pytest.raises(InvalidDocumentError):
        AttributeReport(attributes=attributes).to_json()


@pytest.mark.parametrize(
    "predicate",
    [
        {},
        {"attributes": []},
        {"attributes": {"attribute": "X"}},
        {"attributes": [{"attribute": "X"}, {}]},
        {"attributes": [{"attribute": 7}]},
        {"attributes": ["X"]},
    ],
)
def test_what_is_no_attribute_report_is_refused(predicate: dict[str, Any]) -> None:
    with pytest.raises(InvalidDocumentError, match="attribute"):
        assertions_of(predicate)


def test_fields_that_are_unknown_stay() -> None:
    (entry,) = assertions_of({"attributes": [{"attribute": "X", "later": 1}], "more": {}})
    assert entry["later"] == 1
