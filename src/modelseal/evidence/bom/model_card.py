# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The `modelCard` of a CycloneDX 1.6 component."""

from collections.abc import Iterator, Sequence

from modelseal.evidence.bom.basis import marked
from modelseal.evidence.bom.facts import Metric, ModelFacts
from modelseal.evidence.bom.shapes import Json, filled, named
from modelseal.evidence.facts import Basis
from modelseal.modelpack.considerations import (
    Considerations,
    EnergyConsumption,
    FairnessAssessment,
    Measure,
    Risk,
)
from modelseal.modelpack.project import Tensor


def model_card(facts: ModelFacts, datasets: Sequence[str]) -> Json:
    """Return the model card.

    Args:
        facts: what is known.
        datasets: the `bom-ref` of each dataset.
    """
    project = facts.project
    signature, known = facts.signature
    metrics = [_metric(item) for found in facts.evaluations for item in found.metrics]
    card = filled(
        {
            "modelParameters": filled(
                {
                    "approach": filled({"type": project.training.approach}),
                    "task": project.task,
                    "architectureFamily": facts.family.value,
                    "modelArchitecture": facts.architecture.value,
                    "datasets": [{"ref": ref} for ref in datasets],
                    "inputs": [{"format": tensor_text(item)} for item in signature.inputs],
                    "outputs": [{"format": tensor_text(item)} for item in signature.outputs],
                }
            ),
            "quantitativeAnalysis": filled({"performanceMetrics": metrics}),
            "considerations": _considerations(project.considerations),
        }
    )
    pointers = {
        "/modelParameters/architectureFamily": facts.family.basis,
        "/modelParameters/modelArchitecture": facts.architecture.basis,
        "/modelParameters/inputs": known,
        "/modelParameters/outputs": known,
    }
    parameters = card.get("modelParameters", {})
    there = {key: pointers[key] for key in pointers if key.rpartition("/")[2] in parameters}
    return {**card, "properties": marked(Basis.DECLARED, there, tuple(_properties(facts)))}


def tensor_text(tensor: Tensor) -> str:
    """Write an input or output: `pixels: float32[batch, 64]`. CycloneDX has but one text for it."""
    shape = "" if tensor.shape is None else f"[{', '.join(map(str, tensor.shape))}]"
    kind = f"{tensor.type}{shape}"
    return f"{tensor.name}: {kind}" if kind else tensor.name


def _metric(metric: Metric) -> Json:
    interval = filled({"lowerBound": metric.lower, "upperBound": metric.upper})
    return filled(
        {
            "type": metric.name,
            "value": metric.value,
            "slice": metric.slice,
            "confidenceInterval": interval,
        }
    )


def _properties(facts: ModelFacts) -> Iterator[tuple[str, str, Basis]]:
    """Yield what the card has no field for: hyper-parameters, seeds, where the metrics are from."""
    for name, value in sorted(facts.hyperparameters.items()):
        yield f"modelseal:hyperparameter:{name}", value, Basis.DECLARED
    for seed in facts.project.training.seeds:
        yield "modelseal:seed", str(seed), Basis.DECLARED
    if facts.project.training.unseeded:
        yield "modelseal:seed", "none", Basis.DECLARED
    for found in facts.evaluations:
        yield f"modelseal:evaluation:{found.path}", str(found.digest), Basis.VERIFIED


def _considerations(item: Considerations) -> Json:
    energy = [_energy(found) for found in item.energy_consumptions]
    return filled(
        {
            "users": list(item.users),
            "useCases": list(item.use_cases),
            "technicalLimitations": list(item.technical_limitations),
            "performanceTradeoffs": list(item.performance_tradeoffs),
            "ethicalConsiderations": [_risk(found) for found in item.ethical_considerations],
            "environmentalConsiderations": filled({"energyConsumptions": energy}),
            "fairnessAssessments": [_fairness(found) for found in item.fairness_assessments],
        }
    )


def _risk(risk: Risk) -> Json:
    return filled({"name": risk.name, "mitigationStrategy": risk.mitigation_strategy})


def _fairness(item: FairnessAssessment) -> Json:
    return filled(
        {
            "groupAtRisk": item.group_at_risk,
            "benefits": item.benefits,
            "harms": item.harms,
            "mitigationStrategy": item.mitigation_strategy,
        }
    )


def _energy(item: EnergyConsumption) -> Json:
    told = filled(
        {
            "activity": item.activity,
            "activityEnergyCost": _measure(item.activity_energy_cost),
            "co2CostEquivalent": _measure(item.co2_cost_equivalent),
            "co2CostOffset": _measure(item.co2_cost_offset),
        }
    )
    providers = [
        {
            "organization": named(provider.organization),
            "energySource": provider.energy_source,
            "energyProvided": _measure(provider.energy_provided),
        }
        for provider in item.energy_providers
    ]
    return {**told, "energyProviders": providers}  # the schema asks for it, also when it is empty


def _measure(item: Measure | None) -> Json:
    if item is None:
        return {}
    # The schema asks for a number; `considerations_file` takes none that a double would change.
    number = float(item.value) if "." in item.value else int(item.value)
    return {"value": number, "unit": item.unit}
