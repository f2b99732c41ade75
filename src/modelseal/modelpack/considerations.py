# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What whoever uses a model ought to consider, in the words of a CycloneDX model card.

Frozen values only; `considerations_file` reads them. Source: CycloneDX 1.6, `modelCard` and
`dataGovernance`. Numbers are decimal text.
"""

from dataclasses import dataclass

APPROACHES = (
    "supervised",
    "unsupervised",
    "reinforcement-learning",
    "semi-supervised",
    "self-supervised",
)
"""How a model learns: CycloneDX 1.6, `modelParameters.approach.type`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """Something that may do harm, and what is done about it."""

    name: str
    mitigation_strategy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FairnessAssessment:
    """Who may be treated unfairly, and how."""

    group_at_risk: str
    benefits: str = ""
    harms: str = ""
    mitigation_strategy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """An amount: decimal text, and `kWh` or `tCO2eq`."""

    value: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyProvider:
    """Who gave the energy, and from what it was made."""

    organization: str
    energy_source: str
    energy_provided: Measure


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyConsumption:
    """What one activity took."""

    activity: str
    energy_providers: tuple[EnergyProvider, ...]
    activity_energy_cost: Measure
    co2_cost_equivalent: Measure | None = None
    co2_cost_offset: Measure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Considerations:
    """`spec.considerations`."""

    users: tuple[str, ...] = ()
    use_cases: tuple[str, ...] = ()
    technical_limitations: tuple[str, ...] = ()
    performance_tradeoffs: tuple[str, ...] = ()
    ethical_considerations: tuple[Risk, ...] = ()
    energy_consumptions: tuple[EnergyConsumption, ...] = ()
    """Below `environmentalConsiderations`."""
    fairness_assessments: tuple[FairnessAssessment, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Governance:
    """Who answers for a dataset: names of organisations."""

    custodians: tuple[str, ...] = ()
    stewards: tuple[str, ...] = ()
    owners: tuple[str, ...] = ()
