# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The data that a model learned from: where they come from, persons in them, their use (SCAI)."""

from urllib.parse import quote

from modelseal.attest.predicates.provenance import ResourceDescriptor
from modelseal.attest.predicates.scai import AttributeReport
from modelseal.attest.predicates.types import PROJECT, SCAI
from modelseal.evidence.lineage.claims import assertions
from modelseal.evidence.lineage.facts import data_facts
from modelseal.evidence.lineage.findings import data_findings
from modelseal.modelpack.project import FILE_NAME
from modelseal.version import __version__
from modelseal.workflows.attest import Claim
from modelseal.workflows.collect import Build, Collected


def collect_data(build: Build) -> Collected:
    """Claim what is declared of the data; without a declaration there is no claim at all."""
    digest = build.made.files[FILE_NAME]
    project_file = ResourceDescriptor(
        name=FILE_NAME,
        uri=f"file:{quote(FILE_NAME)}",
        digest={digest.algorithm: digest.encoded},
    )
    base_model = build.made.project.training.base_model
    attributes = assertions(
        build.datasets, project_file, base_model=str(base_model) if base_model else ""
    )
    report = AttributeReport(
        attributes=attributes,
        producer=ResourceDescriptor(
            name="modelseal", uri=PROJECT, annotations={"version": __version__}
        ),
    )
    return Collected(
        claims=(Claim(SCAI, report.to_json()),) if attributes else (),
        facts=data_facts(build.datasets),
        findings=data_findings(build.datasets),
    )
