# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""OpenLineage events hold to the official schemas, and one run has one id."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # it has no types of its own
import pytest
import referencing

from modelseal.errors import InvalidDocumentError, LimitExceededError
from modelseal.evidence.lineage.openlineage import dataset_name, run_events, run_id
from modelseal.evidence.lineage.runs import MAX_INPUTS, Run, read_run
from modelseal.oci.descriptor import Digest

VECTORS = Path(__file__).parents[2] / "vectors" / "openlineage"
SUBJECT = Digest.of(b"the manifest")
PREDICATE: dict[str, Any] = {
    "buildDefinition": {
        "externalParameters": {
            "model": {"name": "fraud", "version": "1.4.0"},
            "repository": "ghcr.io/acme/fraud",
        },
        "resolvedDependencies": [
            {"name": "code", "uri": "git+https://git.example/f", "digest": {"gitCommit": "1" * 40}},
            {
                "name": "base-model",
                "uri": f"oci://ghcr.io/acme/base@sha256:{'3' * 64}",
                "digest": {"sha256": "3" * 64},
            },
            {
                "name": "dataset:transactions",
                "uri": "s3://acme-data/2024/transactions.csv",
                "digest": {"dirHash": "4" * 64},
                "annotations": {
                    "version": "2024-06-01",
                    "license": "CC-BY-4.0",
                    "personalData": "none",
                    "usage": ["DUO_0000042", "DUO_0000018"],
                },
            },
            {"name": "dataset:labels"},
            {"name": "params.yaml", "uri": "file:params.yaml", "digest": {"sha256": "5" * 64}},
            {"uri": "pkg:pypi/numpy@2.0.0"},
            "no mapping",
        ],
    },
    "runDetails": {
        "builder": {"id": "https://github.com/acme/fraud/.github/workflows/train.yml"},
        "metadata": {
            "invocationId": "https://github.com/acme/fraud/actions/runs/7/attempts/1",
            "startedOn": "2026-11-25T12:00:00Z",
            "finishedOn": "2026-11-25T12:05:00Z",
        },
    },
}


def schemas() -> Iterator[dict[str, Any]]:
    for path in VECTORS.glob("*.json"):
        yield json.loads(path.read_bytes())


def registry() -> referencing.Registry[Any]:
    found: referencing.Registry[Any] = referencing.Registry()
    for schema in schemas():
        resource = referencing.Resource.from_contents(schema)
        found = found.with_resource(schema["$id"], resource)
    return found


def facets_of(event: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from event["run"]["facets"].values()
    yield from event["job"]["facets"].values()
    for dataset in event["inputs"] + event["outputs"]:
        yield from dataset["facets"].values()


def check(event: dict[str, Any]) -> None:
    """Hold an event, and each facet by the schema that it names, to the official schemas."""
    known = registry()
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    for url, value in [(event["schemaURL"], event)] + [
        (facet["_schemaURL"], facet) for facet in facets_of(event)
    ]:
        schema = {"$ref": url, "$schema": "https://json-schema.org/draft/2020-12/schema"}
        jsonschema.Draft202012Validator(schema, registry=known, format_checker=checker).validate(
            value
        )


def test_events_and_facets_hold_to_the_official_schemas() -> None:
    start, complete = run_events(SUBJECT, read_run(PREDICATE), "verified")
    for event in (start, complete):
        check(event)
    assert (start["eventType"], start["eventTime"]) == ("START", "2026-11-25T12:00:00Z")
    assert (complete["eventType"], complete["eventTime"]) == ("COMPLETE", "2026-11-25T12:05:00Z")


def test_the_check_against_the_schemas_can_fail() -> None:
    (event, _) = run_events(SUBJECT, read_run(PREDICATE), "verified")
    for broken in (
        {**event, "run": {**event["run"], "runId": 7}},
        {**event, "inputs": [{"name": "x", "facets": {}}]},
        {key: value for key, value in event.items() if key != "eventTime"},
    ):
        with pytest.raises(jsonschema.ValidationError):
            check(broken)


def test_inputs_and_output_are_named_by_the_conventions_of_openlineage() -> None:
    _, complete = run_events(SUBJECT, read_run(PREDICATE), "verified")
    named = [(item["namespace"], item["name"]) for item in complete["inputs"]]
    assert named == [
        ("git+https://git.example", "f"),
        ("oci://ghcr.io", "acme/base"),
        ("s3://acme-data", "2024/transactions.csv"),
        ("modelseal", "labels"),
    ]
    (output,) = complete["outputs"]
    assert (output["namespace"], output["name"]) == ("oci://ghcr.io", "acme/fraud")
    assert output["facets"]["version"]["datasetVersion"] == str(SUBJECT)
    code = complete["job"]["facets"]["sourceCodeLocation"]
    assert (code["url"], code["version"]) == ("https://git.example/f", "1" * 40)
    tags = {tag["key"]: tag["value"] for tag in complete["inputs"][2]["facets"]["tags"]["tags"]}
    assert tags == {
        "digest": "dirHash:" + "4" * 64,
        "version": "2024-06-01",
        "license": "CC-BY-4.0",
        "personalData": "none",
        "usage": "DUO_0000042, DUO_0000018",
    }


def test_how_the_provenance_is_known_stands_in_the_run() -> None:
    (event, _) = run_events(SUBJECT, read_run(PREDICATE), "claimed")
    tags = {tag["key"]: tag["value"] for tag in event["run"]["facets"]["tags"]["tags"]}
    assert tags["provenance"] == "claimed"


def test_one_run_has_one_id_and_another_has_another() -> None:
    run = read_run(PREDICATE)
    assert run_id(SUBJECT, run) == run_id(SUBJECT, read_run(json.loads(json.dumps(PREDICATE))))
    assert run_id(SUBJECT, run) != run_id(Digest.of(b"another"), run)
    assert run_id(SUBJECT, local(run)) != run_id(SUBJECT, run)
    # The name is `https://modelseal.dev/lineage/DIGEST`, so that anybody can make it again.
    assert run_id(Digest("sha256", "0" * 64), local(run)) == "2eb13e04-0024-5c15-81d0-83394eb5d5d8"


def local(run: Run) -> Run:
    predicate = json.loads(json.dumps(PREDICATE))
    del predicate["runDetails"]["metadata"]["invocationId"]
    assert run.invocation
    return read_run(predicate)


def test_a_provenance_without_times_makes_no_event() -> None:
    predicate = json.loads(json.dumps(PREDICATE))
    del predicate["runDetails"]["metadata"]
    with pytest.raises(InvalidDocumentError, match="when the run began and ended"):
        run_events(SUBJECT, read_run(predicate), "verified")


@pytest.mark.parametrize(
    "predicate",
    [
        {},
        {"buildDefinition": []},
        {"buildDefinition": {"resolvedDependencies": {"name": "code"}}, "runDetails": 7},
        {"buildDefinition": {"resolvedDependencies": [{"name": ["code"], "uri": 7}]}},
    ],
)
def test_a_provenance_of_another_shape_names_nothing(predicate: dict[str, Any]) -> None:
    run = read_run(predicate)
    assert (run.model, run.inputs) == ("", ())


def test_the_inputs_of_a_stranger_have_a_limit() -> None:
    entries = [{"name": "code"}] * (MAX_INPUTS + 1)
    with pytest.raises(LimitExceededError, match="over 10000 inputs"):
        read_run({"buildDefinition": {"resolvedDependencies": entries}})


@pytest.mark.parametrize(
    ("uri", "named"),
    [
        ("https://acme.example/data/tx.csv?v=1", ("https://acme.example", "data/tx.csv")),
        ("file:tx.csv", ("file", "tx.csv")),
        ("hf:acme/tx", ("modelseal", "hf:acme/tx")),
        ("", ("modelseal", "tx")),
        ("http://[", ("modelseal", "tx")),
    ],
)
def test_a_dataset_is_named_after_its_address(uri: str, named: tuple[str, str]) -> None:
    assert dataset_name(uri, "tx") == named
