# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What is in a model, in words that a person understands."""

from collections.abc import Iterator

from modelseal.evidence.bom.facts import ModelFacts
from modelseal.evidence.facts import Basis, Fact

_MOST_METRICS = 5


def facts_told(facts: ModelFacts) -> Iterator[Fact]:
    """Yield what the ML-BOM says of the model itself."""
    project = facts.project
    for topic, text, basis in (
        ("model", f"its task is {project.task}" if project.task else "", Basis.DECLARED),
        ("model", _architecture(facts), facts.architecture.basis),
        (
            "model",
            f"its weights are {facts.format.value} files" if facts.format.value else "",
            facts.format.basis,
        ),
        ("model", _parameters(facts), Basis.VERIFIED),
    ):
        if text:
            yield Fact(topic, text, basis)
    for found in facts.evaluations:
        overall = [item for item in found.metrics if not item.slice]
        told = ", ".join(f"{item.name} {item.value}" for item in overall[:_MOST_METRICS])
        more = len(found.metrics) - min(len(overall), _MOST_METRICS)
        also = f"{' and ' if told else ''}{more} more" if more else ""
        on = f" on {found.dataset}" if found.dataset else ""
        if told or also:
            yield Fact("evaluation", f"{found.path}{on}: {told}{also}", Basis.DECLARED)


def _architecture(facts: ModelFacts) -> str:
    told = ", ".join(filter(None, (facts.family.value, facts.architecture.value)))
    return f"its architecture is {told}" if told else ""


def _parameters(facts: ModelFacts) -> str:
    measured = facts.measured
    if not measured.parameters:
        return ""
    return f"{measured.parameters} parameters, {measured.precision or 'of no known type'}"
