# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What is claimed of the data, as SCAI attributes: persons in it, and its use.

Only what is declared, and contradicted by nothing, is claimed. `NO_PERSONAL_DATA` is what policies
look for, and means the model: it is claimed of every dataset, or of none.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from modelseal.attest.predicates.provenance import ResourceDescriptor
from modelseal.attest.predicates.scai import AttributeAssertion
from modelseal.evidence.lineage.compare import personal_data, usage_rules
from modelseal.evidence.lineage.croissant import Rule
from modelseal.evidence.lineage.described import Described
from modelseal.modelpack.project import FILE_NAME, PersonalData

PERSONAL: Final = {
    PersonalData.NONE: "NO_PERSONAL_DATA",
    PersonalData.PERSONAL: "PERSONAL_DATA",
    PersonalData.SENSITIVE: "SENSITIVE_PERSONAL_DATA",
}
USE: Final = {
    "permission": "DATA_USE",
    "prohibition": "DATA_USE_PROHIBITED",
    "obligation": "DATA_USE_OBLIGATION",
}


def is_about_data(attribute: str) -> bool:
    """Tell whether an attribute is one of these: a model carries reports about other things too."""
    return attribute in PERSONAL.values() or attribute.partition(":")[0] in USE.values()


def assertions(
    datasets: Sequence[Described], project_file: ResourceDescriptor, *, base_model: str = ""
) -> tuple[AttributeAssertion, ...]:
    """Return the attributes of a model's data, in the order of the datasets.

    Args:
        datasets: all that the model was trained on.
        project_file: the `modelseal.yaml` that declares them, by digest.
        base_model: what the model was made from, and whose data nothing is known of.
    """
    free = all(personal_data(item) is PersonalData.NONE for item in datasets)
    found: list[AttributeAssertion] = []
    for item in datasets:
        found += _of_persons(item, project_file, base_model, free=free)
        found += _of_use(item, project_file)
    return tuple(found)


def _of_persons(
    item: Described, project_file: ResourceDescriptor, base_model: str, *, free: bool
) -> Iterator[AttributeAssertion]:
    declared = personal_data(item)
    if declared is None or (declared is PersonalData.NONE and not free):
        return
    conditions: dict[str, Any] = {"declaredIn": FILE_NAME}
    if item.dataset.legal_basis:
        conditions["legalBasis"] = item.dataset.legal_basis
    if base_model:
        conditions["notAboutBaseModel"] = base_model
    yield AttributeAssertion(
        attribute=PERSONAL[declared],
        target=item.descriptor(),
        conditions=conditions,
        evidence=item.evidence() or project_file,
    )


def _of_use(item: Described, project_file: ResourceDescriptor) -> Iterator[AttributeAssertion]:
    for rule in usage_rules(item):
        yield AttributeAssertion(
            attribute=f"{USE[rule.kind]}:{rule.action}",
            target=item.descriptor(),
            conditions=_conditions(rule),
            evidence=item.evidence() or project_file,
        )


def _conditions(rule: Rule) -> dict[str, Any]:
    if not rule.constraints:
        return {}
    return {"constraints": [constraint.to_json() for constraint in rule.constraints]}
