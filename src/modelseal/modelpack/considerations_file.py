# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Reading `spec.considerations`, and who governs a dataset. The keys are CycloneDX 1.6's."""

import re
from typing import Final

from modelseal.documents import Fields, nearest
from modelseal.modelpack import _forms as forms
from modelseal.modelpack.considerations import (
    APPROACHES,
    Considerations,
    EnergyConsumption,
    EnergyProvider,
    FairnessAssessment,
    Governance,
    Measure,
    Risk,
)

ACTIVITIES: Final = (
    "design",
    "data-collection",
    "data-preparation",
    "training",
    "fine-tuning",
    "validation",
    "deployment",
    "inference",
    "other",
)
ENERGY_SOURCES: Final = (
    "coal",
    "oil",
    "natural-gas",
    "nuclear",
    "wind",
    "solar",
    "geothermal",
    "hydropower",
    "biofuel",
    "unknown",
    "other",
)
ENERGY: Final = "kWh"
CARBON: Final = "tCO2eq"

# The schema wants JSON numbers. These come back from any reader's double as they were written,
# but for zeros at the end.
_AMOUNT = re.compile(r"(?:0|[1-9][0-9]{0,8})(?:\.[0-9]{1,6})?")


def read_considerations(fields: Fields) -> Considerations:
    """Read `spec.considerations`.

    Raises:
        InvalidProjectError: something in it does not hold; it names the field.
    """
    environment = fields.mapping("environmentalConsiderations")
    considerations = Considerations(
        users=forms.prose_list(fields, "users"),
        use_cases=forms.prose_list(fields, "useCases"),
        technical_limitations=forms.prose_list(fields, "technicalLimitations"),
        performance_tradeoffs=forms.prose_list(fields, "performanceTradeoffs"),
        ethical_considerations=tuple(_risk(item) for item in fields.items("ethicalConsiderations")),
        energy_consumptions=tuple(
            _energy(item) for item in environment.items("energyConsumptions")
        ),
        fairness_assessments=tuple(_fairness(item) for item in fields.items("fairnessAssessments")),
    )
    environment.finish()
    fields.finish()
    return considerations


def read_governance(fields: Fields) -> Governance:
    """Read who answers for a dataset. Raises as `read_considerations` does."""
    governance = Governance(
        custodians=forms.lines(fields, "custodians"),
        stewards=forms.lines(fields, "stewards"),
        owners=forms.lines(fields, "owners"),
    )
    fields.finish()
    return governance


def read_approach(fields: Fields, key: str) -> str:
    """Read how the model learns; empty when absent. Raises as `read_considerations` does."""
    return _one_of(fields, key, APPROACHES) if fields.has(key) else ""


def _risk(fields: Fields) -> Risk:
    risk = Risk(
        name=forms.prose(fields, "name", required=True),
        mitigation_strategy=forms.prose(fields, "mitigationStrategy"),
    )
    fields.finish()
    return risk


def _fairness(fields: Fields) -> FairnessAssessment:
    assessment = FairnessAssessment(
        group_at_risk=forms.prose(fields, "groupAtRisk", required=True),
        benefits=forms.prose(fields, "benefits"),
        harms=forms.prose(fields, "harms"),
        mitigation_strategy=forms.prose(fields, "mitigationStrategy"),
    )
    fields.finish()
    return assessment


def _energy(fields: Fields) -> EnergyConsumption:
    energy = EnergyConsumption(
        activity=_one_of(fields, "activity", ACTIVITIES),
        energy_providers=tuple(_provider(item) for item in fields.items("energyProviders")),
        activity_energy_cost=_measure(fields, "activityEnergyCost", ENERGY),
        co2_cost_equivalent=_maybe_carbon(fields, "co2CostEquivalent"),
        co2_cost_offset=_maybe_carbon(fields, "co2CostOffset"),
    )
    fields.finish()
    return energy


def _provider(fields: Fields) -> EnergyProvider:
    organization = fields.mapping("organization", required=True)
    provider = EnergyProvider(
        organization=forms.line(organization, "name", required=True),
        energy_source=_one_of(fields, "energySource", ENERGY_SOURCES),
        energy_provided=_measure(fields, "energyProvided", ENERGY),
    )
    organization.finish()
    fields.finish()
    return provider


def _maybe_carbon(fields: Fields, key: str) -> Measure | None:
    return _measure(fields, key, CARBON) if fields.has(key) else None


def _measure(fields: Fields, key: str, unit: str) -> Measure:
    inner = fields.mapping(key, required=True)
    measure = Measure(
        value=inner.text("value", required=True), unit=_one_of(inner, "unit", (unit,))
    )
    inner.finish()
    if not _AMOUNT.fullmatch(measure.value):
        raise inner.wrong(
            "value",
            f"is {measure.value[:80]!r}",
            hint="a decimal number with at most nine digits before and six after the point: 0.42",
        )
    return measure


def _one_of(fields: Fields, key: str, known: tuple[str, ...]) -> str:
    text = fields.text(key, required=True)
    if text not in known:
        raise fields.wrong(
            key, f"is {text[:80]!r}{nearest(text, known)}", hint=f"known: {', '.join(known)}"
        )
    return text
