# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Bills of materials in tests: facts of a real directory, and the official schemas."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from modelseal.evidence.bom.facts import ModelFacts
from modelseal.evidence.facts import Finding
from modelseal.evidence.locks.named import lock_of
from modelseal.oci.events import discard
from modelseal.workflows.bom import facts_of
from modelseal.workflows.package import package

CONSIDERATIONS = """\
  task: tabular-classification
  considerations:
    users: [clerks]
    useCases: [looking for fraud]
    technicalLimitations: [four features]
    performanceTradeoffs: [small and quick, and not the best]
    ethicalConsiderations: [{name: false alarms, mitigationStrategy: a clerk looks at each}]
    fairnessAssessments:
      - {groupAtRisk: travellers, benefits: none, harms: blocked cards, mitigationStrategy: a call}
    environmentalConsiderations:
      energyConsumptions:
        - activity: training
          energyProviders:
            - organization: {name: Acme Power}
              energySource: wind
              energyProvided: {value: 0.40, unit: kWh}
          activityEnergyCost: {value: 0.40, unit: kWh}
          co2CostEquivalent: {value: 0.0001, unit: tCO2eq}
          co2CostOffset: {value: 0, unit: tCO2eq}
"""


def facts_in(
    directory: Path, repository: str = "", environment: Mapping[str, str] | None = None
) -> tuple[ModelFacts, tuple[Finding, ...]]:
    """Return what is known about the model in `directory`."""
    around = environment or {}
    made = package(directory, around, discard)
    lock = lock_of(directory, made.project).lock
    return facts_of(directory, made, repository, around, lock=lock)


def problems(document: Mapping[str, Any], version: str = "1.6") -> str:
    """Return what the official schema has against a document; empty for nothing."""
    validator = JsonStrictValidator(SchemaVersion[f"V{version.replace('.', '_')}"])
    text = json.dumps({**document, "specVersion": version})
    if version != "1.6":
        text = text.replace("bom-1.6.schema", f"bom-{version}.schema")
    found = validator.validate_str(text)
    return "" if found is None else str(found)


def leaves(value: object, pointer: str = "") -> Iterator[str]:
    """Yield the JSON pointer of every value that is no object and no list."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from leaves(item, f"{pointer}/{place}")
    else:
        yield pointer
