# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a bill of materials ought to say and `modelseal.yaml` does not: one finding each.

The elements are those of "SBOM for AI: Minimum Elements" (G7 Cybersecurity Working Group, 2026)
that can be known of a model; docs/bom.md maps them. Others are told where the code, the data and
the requirements are looked at (`completeness`, `lineage`).
"""

import json
from collections.abc import Iterator

from modelseal.evidence.bom.facts import ModelFacts
from modelseal.evidence.bom.licenses import spdx_license
from modelseal.evidence.completeness import Field, findings_of
from modelseal.evidence.facts import Finding, Level
from modelseal.modelpack.considerations import APPROACHES
from modelseal.modelpack.project import FILE_NAME

_RISK = '{name: "<a risk>", mitigationStrategy: "<what is done about it>"}'
_GROUP = '{groupAtRisk: "<who>", harms: "<how>", mitigationStrategy: "<what is done about it>"}'
_ENERGY = '{activity: training, activityEnergyCost: {value: "<decimal>", unit: kWh}}'


def missing(facts: ModelFacts) -> Iterator[Finding]:
    """Yield a finding for each element that is not known."""
    fields = (*_metadata(facts), *_spec(facts), *_training(facts), *_considerations(facts))
    yield from findings_of(fields)
    yield from _governance(facts)
    yield from _licenses(facts)


def _metadata(facts: ModelFacts) -> Iterator[Field]:
    metadata = facts.project.metadata
    for name, value, what, line, level in (
        (
            "description",
            metadata.description,
            "what the model does, in a sentence",
            '"<a sentence>"',
            Level.WARNING,
        ),
        ("vendor", metadata.vendor, "who supplies the model", '"<who>"', Level.WARNING),
        ("authors", metadata.authors, "who made the model", '["<who>"]', Level.NOTE),
        (
            "licenses",
            metadata.licenses,
            "under which licence the model is",
            '["<SPDX expression>"]',
            Level.WARNING,
        ),
    ):
        yield Field(f"metadata.{name}", bool(value), what, line, level)


def _spec(facts: ModelFacts) -> Iterator[Field]:
    project, (signature, _) = facts.project, facts.signature
    yield Field(
        "spec.task",
        bool(project.task),
        "which task the model does",
        '"<for example image-classification>"',
    )
    yield Field(
        "spec.architecture",
        bool(facts.family.value or facts.architecture.value),
        "what architecture the model has",
        '"<for example LlamaForCausalLM>"',
    )
    yield Field(
        "spec.signature",
        bool(signature.inputs and signature.outputs),
        "what goes into the model and what comes out",
        '\ninputs: [{name: "<name>", type: "<for example float32>", shape: []}]'
        '\noutputs: [{name: "<name>", type: "<for example float32>", shape: []}]',
    )
    yield Field(
        "spec.evaluation",
        bool(project.evaluation),
        "how well the model does",
        '["<for example eval/results.json>"]',
    )


def _training(facts: ModelFacts) -> Iterator[Field]:
    training = facts.project.training
    yield Field(
        "spec.training.approach",
        bool(training.approach),
        "how the model learned",
        f'"<one of {", ".join(APPROACHES)}>"',
    )
    yield Field(
        "spec.training.hyperparameters",
        bool(training.hyperparameters),
        "which hyper-parameters were chosen",
        '"<for example params.yaml>"',
        Level.NOTE,
    )


def _considerations(facts: ModelFacts) -> Iterator[Field]:
    found = facts.project.considerations
    for name, value, what, line, level in (
        ("users", found.users, "who is meant to use the model", '"<who>"', Level.WARNING),
        ("useCases", found.use_cases, "what the model is for", '"<what for>"', Level.WARNING),
        (
            "technicalLimitations",
            found.technical_limitations,
            "what the model cannot do",
            '"<what it cannot do>"',
            Level.WARNING,
        ),
        (
            "ethicalConsiderations",
            found.ethical_considerations,
            "which risks the model has",
            _RISK,
            Level.WARNING,
        ),
        (
            "performanceTradeoffs",
            found.performance_tradeoffs,
            "what was given up for what",
            '"<what for what>"',
            Level.NOTE,
        ),
        (
            "fairnessAssessments",
            found.fairness_assessments,
            "whom the model may treat unfairly",
            _GROUP,
            Level.NOTE,
        ),
    ):
        yield Field(f"spec.considerations.{name}", bool(value), what, f"\n- {line}", level)
    yield Field(
        "spec.considerations.environmentalConsiderations",
        bool(found.energy_consumptions),
        "what energy the model took",
        f"\nenergyConsumptions:\n  - {_ENERGY}",
        Level.NOTE,
    )


def _governance(facts: ModelFacts) -> Iterator[Finding]:
    for place, dataset in enumerate(facts.project.training.datasets):
        governance = dataset.governance
        if governance.owners or governance.stewards or governance.custodians:
            continue
        yield Finding(
            id="dataset-without-governance",
            message=f"it is not said who answers for the dataset {dataset.name}",
            level=Level.NOTE,
            where=f"{FILE_NAME}: spec.training.datasets[{place}]",
            add="spec:\n  training:\n    datasets:\n"
            f"      - name: {json.dumps(dataset.name)}\n"
            '        governance: {owners: ["<which organisation>"]}',
        )


def _licenses(facts: ModelFacts) -> Iterator[Finding]:
    project = facts.project
    named = [("metadata.licenses", text) for text in project.metadata.licenses] + [
        (f"spec.training.datasets[{place}].license", dataset.license)
        for place, dataset in enumerate(project.training.datasets)
        if dataset.license
    ]
    for where, text in named:
        if not spdx_license(text):
            yield Finding(
                id="license-not-spdx",
                message=f"the licence {text} is no SPDX expression",
                where=f"{FILE_NAME}: {where}",
                hint="take an identifier of https://spdx.org/licenses, or write LicenseRef-NAME",
            )
