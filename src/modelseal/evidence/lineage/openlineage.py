# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A run as OpenLineage events, for the lineage systems that companies have: plain JSON.

Source: OpenLineage 2-0-2 (`OpenLineage.json`) and its facets, each with its own version; names of
datasets by its naming conventions.
"""

import uuid
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import urlsplit

from modelseal.attest.predicates.types import PROJECT
from modelseal.errors import InvalidDocumentError
from modelseal.evidence.lineage.runs import BASE_MODEL, SOURCES, Input, Run
from modelseal.oci.descriptor import Digest
from modelseal.version import __version__

PRODUCER: Final = f"{PROJECT}/modelseal/{__version__}"
NAMESPACE: Final = "modelseal"
"""Of what has no address of its own."""

_SPEC: Final = "https://openlineage.io/spec"
_RUN_EVENT: Final = f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent"


def run_id(subject: Digest, run: Run) -> str:
    """Return the run's id: the same for the same model and the same invocation, always.

    It is a UUIDv5 of the manifest's digest, and of the invocation if a CI system named it.
    """
    name = f"{PROJECT}/lineage/{subject}"
    if run.invocation:
        name += f"?invocation={run.invocation}"
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def run_events(subject: Digest, run: Run, standing: str) -> tuple[dict[str, Any], ...]:
    """Return START and COMPLETE.

    Args:
        subject: the digest of the model's manifest.
        run: what made it.
        standing: how the run is known: `verified`, `claimed`, `built`; it goes into the tags.

    Raises:
        InvalidDocumentError: the run does not say when it was, without which there is no event.
    """
    if not run.started or not run.finished:
        raise InvalidDocumentError(
            "the provenance does not say when the run began and ended, which OpenLineage asks for",
            hint="the other formats need no times",
        )
    body = {
        "producer": PRODUCER,
        "schemaURL": _RUN_EVENT,
        "run": {"runId": run_id(subject, run), "facets": _run_facets(run, standing)},
        "job": {
            "namespace": NAMESPACE,
            "name": f"publish.{run.model or subject}",
            "facets": _job_facets(run),
        },
        "inputs": [_input(item) for item in run.inputs],
    }
    output = _output(subject, run)
    return (
        {"eventType": "START", "eventTime": run.started, **body, "outputs": []},
        {"eventType": "COMPLETE", "eventTime": run.finished, **body, "outputs": [output]},
    )


def dataset_name(uri: str, otherwise: str) -> tuple[str, str]:
    """Return namespace and name of what is at `uri`: `s3://bucket` and `path`.

    Source: OpenLineage, "Naming Conventions", dataset naming.
    """
    try:
        parts = urlsplit(uri)
    except ValueError:
        return NAMESPACE, otherwise
    path = parts.path.strip("/")
    if parts.scheme == "file":
        return "file", path or otherwise
    if not parts.scheme or not parts.netloc:
        return NAMESPACE, uri or otherwise
    return f"{parts.scheme}://{parts.netloc}", path.partition("@")[0] or otherwise


def _input(item: Input) -> dict[str, Any]:
    namespace, name = dataset_name(item.uri, item.name)
    facets: dict[str, Any] = {
        "datasetType": _facet(
            "1-0-1/DatasetTypeDatasetFacet",
            datasetType="MODEL" if item.role == BASE_MODEL else "FILE",
            subType=item.role,
        )
    }
    version = item.said.get("version") or item.digest
    if version:
        facets["version"] = _facet("1-0-1/DatasetVersionDatasetFacet", datasetVersion=version)
    if item.uri:
        facets["dataSource"] = _facet("1-0-1/DatasourceDatasetFacet", name=item.name, uri=item.uri)
    tags = {"digest": item.digest, **item.said}
    facets["tags"] = _tags("TagsDatasetFacet", tags)
    return {"namespace": namespace, "name": name, "facets": facets}


def _output(subject: Digest, run: Run) -> dict[str, Any]:
    name = run.model or str(subject)
    namespace = NAMESPACE
    facets: dict[str, Any] = {
        "datasetType": _facet("1-0-1/DatasetTypeDatasetFacet", datasetType="MODEL"),
        "version": _facet("1-0-1/DatasetVersionDatasetFacet", datasetVersion=str(subject)),
        "tags": _tags("TagsDatasetFacet", {"digest": str(subject), "version": run.version}),
    }
    if run.repository:
        uri = f"oci://{run.repository}@{subject}"
        namespace, name = dataset_name(uri, name)
        facets["dataSource"] = _facet("1-0-1/DatasourceDatasetFacet", name=name, uri=uri)
    return {"namespace": namespace, "name": name, "facets": facets}


def _run_facets(run: Run, standing: str) -> dict[str, Any]:
    return {
        "processing_engine": _facet(
            "1-1-1/ProcessingEngineRunFacet", name="modelseal", version=__version__
        ),
        "tags": _tags(
            "TagsRunFacet",
            {"provenance": standing, "builder": run.builder, "invocation": run.invocation},
        ),
    }


def _job_facets(run: Run) -> dict[str, Any]:
    facets = {
        "jobType": _facet(
            "2-0-4/JobTypeJobFacet",
            processingType="BATCH",
            integration="MODELSEAL",
            jobType="MODEL",
        )
    }
    code = next((it for role in SOURCES for it in run.inputs if it.role == role and it.uri), None)
    if code is not None:
        url = code.uri.removeprefix("git+")
        commit = code.digest.removeprefix("gitCommit:") if "gitCommit:" in code.digest else ""
        version = {"version": commit} if commit else {}
        facets["sourceCodeLocation"] = _facet(
            "1-1-0/SourceCodeLocationJobFacet", type="git", url=url, repoUrl=url, **version
        )
    return facets


def _tags(kind: str, tags: dict[str, str]) -> dict[str, Any]:
    return _facet(f"1-0-0/{kind}", tags=list(_each(tags)))


def _each(tags: dict[str, str]) -> Iterator[dict[str, str]]:
    for key, value in tags.items():
        if value:
            yield {"key": key, "value": value, "source": "modelseal"}


def _facet(schema: str, **fields: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON values
    kind = schema.partition("/")[2]
    return {
        "_producer": PRODUCER,
        "_schemaURL": f"{_SPEC}/facets/{schema}.json#/$defs/{kind}",
        **fields,
    }
