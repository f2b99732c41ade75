# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path

import pytest

from modelseal.errors import InvalidProjectError
from modelseal.modelpack.considerations import (
    Considerations,
    EnergyConsumption,
    EnergyProvider,
    FairnessAssessment,
    Governance,
    Measure,
    Risk,
)
from modelseal.modelpack.project_file import parse_project

PAGE = Path(__file__).parents[3] / "docs" / "project.md"
HEAD = "apiVersion: modelseal.dev/v1\nkind: Model\nmetadata: {name: m, version: 1.0.0}\n"


def spec(text: str) -> bytes:
    return f"{HEAD}spec:\n  format: onnx\n{text}".encode()


def considering(text: str) -> bytes:
    return spec(f"  considerations: {text}\n")


def test_the_example_of_the_page_is_read() -> None:
    examples = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert parse_project(examples[0].encode()).metadata.version == "1.4.0"
    project = parse_project(spec(examples[1].removeprefix("spec:\n")))
    assert project.considerations == Considerations(
        users=("clerks of the mail room",),
        use_cases=("sorting letters by postcode",),
        technical_limitations=("it knows nothing but single digits of 8 x 8 pixels",),
        ethical_considerations=(
            Risk(
                name="a wrong postcode delays a letter",
                mitigation_strategy="a clerk reads what is below 0.9",
            ),
        ),
        energy_consumptions=(
            EnergyConsumption(
                activity="training",
                energy_providers=(
                    EnergyProvider(
                        organization="Acme Power",
                        energy_source="wind",
                        energy_provided=Measure(value="0.4", unit="kWh"),
                    ),
                ),
                activity_energy_cost=Measure(value="0.4", unit="kWh"),
                co2_cost_equivalent=Measure(value="0.0001", unit="tCO2eq"),
            ),
        ),
    )


def test_the_rest_is_read() -> None:
    project = parse_project(
        spec("""\
  task: tabular-classification
  training:
    approach: self-supervised
    datasets:
      - {name: d, governance: {owners: [Acme], stewards: [Data office], custodians: [Ops]}}
  considerations:
    performanceTradeoffs: ["  smaller,\\n\\nand worse  "]
    fairnessAssessments:
      - {groupAtRisk: left-handed writers, benefits: none, harms: misread, mitigationStrategy: "-"}
""")
    )
    assert (project.task, project.training.approach) == (
        "tabular-classification",
        "self-supervised",
    )
    assert project.training.datasets[0].governance == Governance(
        owners=("Acme",), stewards=("Data office",), custodians=("Ops",)
    )
    assert project.considerations.performance_tradeoffs == ("smaller,\n\nand worse",)
    assert project.considerations.fairness_assessments == (
        FairnessAssessment(
            group_at_risk="left-handed writers",
            benefits="none",
            harms="misread",
            mitigation_strategy="-",
        ),
    )


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (considering("{user: [x]}"), "spec.considerations.user is not a known key"),
        (considering('{users: [""]}'), "spec.considerations.users has an empty entry"),
        (considering('{users: ["a\\eb"]}'), "users has a control character"),
        (considering(f"{{users: [{'x' * 8193}]}}"), "users is longer than 8192 characters"),
        (considering("{ethicalConsiderations: [{}]}"), "ethicalConsiderations[0].name is missing"),
        (considering("{fairnessAssessments: [{harms: x}]}"), "[0].groupAtRisk is missing"),
        (considering("{environmentalConsiderations: {co2: 1}}"), "co2 is not a known key"),
        (
            considering("{environmentalConsiderations: {energyConsumptions: [{activity: run}]}}"),
            "energyConsumptions[0].activity is 'run'",
        ),
        (
            considering(
                "{environmentalConsiderations: {energyConsumptions: [{activity: training, "
                "activityEnergyCost: {value: 1e3, unit: kWh}}]}}"
            ),
            "activityEnergyCost.value is '1e3'",
        ),
        (
            considering(
                "{environmentalConsiderations: {energyConsumptions: [{activity: training, "
                "activityEnergyCost: {value: 3, unit: MWh}}]}}"
            ),
            "activityEnergyCost.unit is 'MWh'",
        ),
        (spec("  training: {approach: supervized}\n"), "did you mean `supervised`?"),
        (
            spec("  training: {datasets: [{name: d, governance: {owner: x}}]}\n"),
            "spec.training.datasets[0].governance.owner is not a known key (did you mean `owners`",
        ),
    ],
)
def test_what_does_not_hold_is_named(raw: bytes, told: str) -> None:
    with pytest.raises(InvalidProjectError) as caught:
        parse_project(raw)
    assert told in str(caught.value)
