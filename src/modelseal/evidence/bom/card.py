# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The model card: Markdown with the front matter of Hugging Face.

Every section stands there, from known facts alone; where nothing is known it says so. It holds no
digest of the artifact: the card is a file of it. Source: Hugging Face Hub, "Model Cards" and
"modelcard.md" (front matter, `model-index`).
"""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from modelseal.evidence.bom.facts import Data, Evaluation, ModelFacts
from modelseal.evidence.bom.licenses import spdx_expression
from modelseal.evidence.bom.markdown import block, code, inline, link, paragraphs, scalar
from modelseal.evidence.bom.model_card import tensor_text
from modelseal.evidence.facts import Basis
from modelseal.modelpack.considerations import EnergyConsumption
from modelseal.modelpack.detect import HUB_LICENSES
from modelseal.modelpack.project import PersonalData

NOT_DECLARED: Final = "Not declared."
CARD_NAME: Final = "README.md"

_HUB_DATASET = re.compile(r"https://huggingface\.co/datasets/([\w.-]+(?:/[\w.-]+)?)/?", re.ASCII)
_HUB_NAME = re.compile(r"[\w.-]+(?:/[\w.-]+)?", re.ASCII)


def card(facts: ModelFacts) -> str:
    """Return the text of the card."""
    sections: tuple[tuple[str, Callable[[ModelFacts], Iterable[str]]], ...] = (
        ("Model", _model),
        ("Intended use", _use),
        ("Limitations and risks", _limits),
        ("Training", _training),
        ("Evaluation", _evaluation),
        ("Environment", _environment),
        ("What it needs", _needs),
        ("Files", _files),
    )
    metadata = facts.project.metadata
    description = paragraphs(metadata.description) or "Description: not declared."
    parts = ["\n".join(["---", *_front_matter(facts), "---"]), f"# {inline(metadata.name)}"]
    parts += [description, f"Version {inline(metadata.version)}."]
    for title, section in sections:
        body = "\n".join(section(facts))
        parts.append(f"## {title}\n\n{body or NOT_DECLARED}")
    return "\n\n".join(parts) + "\n"


def _front_matter(facts: ModelFacts) -> Iterator[str]:
    project = facts.project
    yield from _license(facts)
    if project.task:
        yield f"pipeline_tag: {scalar(project.task)}"
    datasets = [*filter(None, map(_hub_dataset, facts.data))]
    if datasets:
        yield "datasets:"
        yield from (f"  - {scalar(name)}" for name in datasets)
    if project.training.base_model is not None:
        yield f"base_model: {scalar(str(project.training.base_model))}"
    yield from _model_index(facts)


def _license(facts: ModelFacts) -> Iterator[str]:
    licenses = facts.project.metadata.licenses
    if not licenses:
        return
    expression = spdx_expression(licenses)
    hub = HUB_LICENSES.get(expression, "")
    if hub:
        yield f"license: {hub}"
    else:
        yield "license: other"
        yield f"license_name: {scalar(expression or ', '.join(licenses))}"


def _hub_dataset(item: Data) -> str:
    dataset = item.dataset
    match = _HUB_DATASET.fullmatch(dataset.uri)
    if match:
        return match.group(1)
    return dataset.name if _HUB_NAME.fullmatch(dataset.name) else ""


def _model_index(facts: ModelFacts) -> Iterator[str]:
    """Yield the results; the Hub asks for a task and a dataset, and nothing is made up for them."""
    task, found = facts.project.task, [item for item in facts.evaluations if _overall(item)]
    complete = [item for item in found if item.dataset] if task else []
    if not complete:
        return
    yield "model-index:"
    yield f"  - name: {scalar(facts.project.metadata.name)}"
    yield "    results:"
    for item in complete:
        yield f"      - task: {{type: {scalar(task)}}}"
        yield f"        dataset: {{name: {scalar(item.dataset)}, type: {scalar(item.dataset)}}}"
        yield "        metrics:"
        for name, value in _overall(item):
            # The value is decimal digits and nothing else (`metrics.decimal_text`).
            yield f"          - {{type: {scalar(name)}, value: {value}}}"


def _overall(item: Evaluation) -> list[tuple[str, str]]:
    return [(metric.name, metric.value) for metric in item.metrics if not metric.slice]


def _model(facts: ModelFacts) -> Iterator[str]:
    project = facts.project
    metadata, (signature, known) = project.metadata, facts.signature
    measured = facts.measured
    parameters = f"{measured.parameters} (verified)" if measured.parameters else project.param_size
    yield from _items(
        ("Task", inline(project.task)),
        ("Supplier", inline(metadata.vendor)),
        ("Authors", inline(", ".join(metadata.authors))),
        ("License", inline(spdx_expression(metadata.licenses) or ", ".join(metadata.licenses))),
        ("Source", link(metadata.source_url)),
        ("Format", f"{inline(facts.format.value)}{_how(facts.format.basis)}"),
        ("Family", _known(facts.family.value, facts.family.basis)),
        ("Architecture", _known(facts.architecture.value, facts.architecture.basis)),
        ("Precision", _known(facts.precision.value, facts.precision.basis)),
        ("Parameters", inline(parameters)),
        ("Inputs", _tensors(map(tensor_text, signature.inputs), known)),
        ("Outputs", _tensors(map(tensor_text, signature.outputs), known)),
        (
            "Base model",
            code(str(project.training.base_model))
            if project.training.base_model
            else "none" * project.training.from_scratch,
        ),
    )


def _known(value: str, basis: Basis) -> str:
    return f"{inline(value)}{_how(basis)}" if value else ""


def _how(basis: Basis) -> str:
    return "" if basis is Basis.DECLARED else f" ({basis})"


def _tensors(items: Iterable[str], basis: Basis) -> str:
    told = ", ".join(map(code, items))
    return f"{told}{_how(basis)}" if told else ""


def _items(*pairs: tuple[str, str]) -> Iterator[str]:
    for name, value in pairs:
        yield f"- {name}: {value or 'not declared'}"


def _use(facts: ModelFacts) -> Iterator[str]:
    considerations = facts.project.considerations
    yield from _listed("Users", considerations.users)
    yield from _listed("Use cases", considerations.use_cases)


def _limits(facts: ModelFacts) -> Iterator[str]:
    found = facts.project.considerations
    yield from _listed("Technical limitations", found.technical_limitations)
    yield from _listed("Performance tradeoffs", found.performance_tradeoffs)
    yield from _listed(
        "Ethical considerations",
        [
            _with(risk.name, mitigation=risk.mitigation_strategy)
            for risk in found.ethical_considerations
        ],
        escaped=True,
    )
    yield from _listed(
        "Fairness",
        [
            _with(
                item.group_at_risk,
                benefits=item.benefits,
                harms=item.harms,
                mitigation=item.mitigation_strategy,
            )
            for item in found.fairness_assessments
        ],
        escaped=True,
    )


def _with(first: str, **details: str) -> str:
    told = [f"{name}: {inline(text)}" for name, text in details.items() if text]
    return "; ".join([block(first), *told])


def _listed(title: str, items: Iterable[str], *, escaped: bool = False) -> Iterator[str]:
    texts = [*filter(None, items if escaped else map(block, items))]
    if not texts:
        yield f"- {title}: not declared"
        return
    yield f"- {title}:"
    yield from (f"  - {text}" for text in texts)


def _training(facts: ModelFacts) -> Iterator[str]:
    training = facts.project.training
    source = training.code
    yield from _items(
        ("Approach", inline(training.approach)),
        ("Code", f"{link(source.repository)}, commit {code(source.commit)}" if source else ""),
        ("Seeds", ", ".join(map(str, training.seeds)) or "none set" * training.unseeded),
    )
    yield from _listed("Datasets", map(_dataset, facts.data), escaped=True)
    yield from _listed(
        "Hyper-parameters",
        [f"{code(name)}: {code(value)}" for name, value in sorted(facts.hyperparameters.items())],
        escaped=True,
    )


def _dataset(item: Data) -> str:
    dataset, governance = item.dataset, item.dataset.governance
    digests = ", ".join(code(f"{name}:{value}") for name, value in sorted(item.digests.items()))
    said = {
        "version": inline(dataset.version),
        "license": inline(dataset.license),
        "from": link(dataset.uri),
        "digest": f"{digests}{_how(item.basis)}" if digests else "",
        "owners": inline(", ".join(governance.owners)),
        "personal data": _PERSONAL[item.personal] if item.personal else "not declared",
    }
    told = [f"{key} {value}" for key, value in said.items() if value]
    return ", ".join([block(dataset.name), *told])


_PERSONAL: Final = {
    PersonalData.NONE: "none",
    PersonalData.PERSONAL: "yes",
    PersonalData.SENSITIVE: "yes, also sensitive",
}


def _evaluation(facts: ModelFacts) -> Iterator[str]:
    measured = [item for item in facts.evaluations if item.metrics]
    if not measured:
        return
    yield "| metric | value | on | from |"
    yield "|---|---|---|---|"
    for item in measured:
        for metric in item.metrics:
            on = ", ".join(filter(None, (inline(item.dataset), inline(metric.slice))))
            interval = (
                f" ({metric.lower} to {metric.upper})" if metric.lower and metric.upper else ""
            )
            name = inline(metric.name)
            yield f"| {name} | {metric.value}{interval} | {on} | {code(item.path, cell=True)} |"


def _environment(facts: ModelFacts) -> Iterator[str]:
    for item in facts.project.considerations.energy_consumptions:
        yield f"- {inline(item.activity)}: {_energy(item)}"


def _energy(item: EnergyConsumption) -> str:
    cost, carbon = item.activity_energy_cost, item.co2_cost_equivalent
    providers = ", ".join(
        f"{inline(provider.organization)} ({inline(provider.energy_source)})"
        for provider in item.energy_providers
    )
    told = [
        f"{cost.value} {cost.unit}",
        f"from {providers}" if providers else "",
        f"{carbon.value} {carbon.unit}" if carbon else "",
    ]
    return ", ".join(filter(None, told))


def _needs(facts: ModelFacts) -> Iterator[str]:
    needs = facts.project.requirements
    runtimes = [f"{item.name} {item.version}".strip() for item in needs.runtimes]
    platforms = [f"{item.os}/{item.architecture}" for item in needs.platforms]
    accelerators = [
        " ".join(filter(None, (item.type, item.compute_capability, item.memory)))
        for item in needs.accelerators
    ]
    yield from _items(
        ("Python", inline(needs.python)),
        ("Runtimes", inline(", ".join(runtimes))),
        ("Platforms", inline(", ".join(platforms))),
        ("Accelerators, one of", inline(", ".join(accelerators))),
        ("Memory", inline(needs.memory)),
        ("Container image", code(str(needs.image)) if needs.image else ""),
        ("Packages", code(needs.lock)),
    )


def _files(facts: ModelFacts) -> Iterator[str]:
    """Yield the weights, by their digests; of the card itself there is none."""
    weights = [path for path in sorted(facts.files) if facts.kinds.get(path) == "weight"]
    if not weights:
        return
    yield "| weights | SHA-256 |"
    yield "|---|---|"
    for path in weights:
        yield f"| {code(path, cell=True)} | {code(facts.files[path].encoded)} |"
