# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What is missing or contradicts itself about the data of a model."""

import json
from collections.abc import Iterator, Sequence

from modelseal.evidence.facts import Finding, Level
from modelseal.evidence.lineage.compare import (
    PERSONAL_WORDS,
    personal_contradiction,
    personal_texts,
    usage_contradicts,
    usage_rules,
)
from modelseal.evidence.lineage.described import (
    Checked,
    Described,
    State,
    declared_digest,
    described_digest,
)
from modelseal.evidence.lineage.licences import contradict
from modelseal.modelpack.project import FILE_NAME, LEGAL_BASES, PersonalData

_SHOWN = 200


def data_findings(datasets: Sequence[Described]) -> tuple[Finding, ...]:
    """Return the findings about all datasets, in their order."""
    if not datasets:
        return (
            Finding(
                id="model-without-datasets",
                message="no dataset is named: what the model learned from is not known",
                where=f"{FILE_NAME}: spec.training.datasets",
                add='spec:\n  training:\n    datasets:\n      - name: "<what the data are called>"',
            ),
        )
    return tuple(finding for item in datasets for finding in _of(item))


def _of(item: Described) -> Iterator[Finding]:
    yield from _bytes(item)
    yield from _description(item)
    yield from _persons(item)
    yield from _use(item)


def _bytes(item: Described) -> Iterator[Finding]:
    name = item.dataset.name
    if item.own.state is State.DIFFERS:
        yield _finding(
            item,
            "dataset-digest-mismatch",
            f"the data of {name} are not those that are declared: {item.own.declared} is "
            f"declared, and {item.own.found} is there",
            level=Level.ERROR,
            hint="find out which is right: these may not be the data that the model learned from",
        )
    for file in item.files:
        if file.state is State.DIFFERS:
            yield _of_file(item, file)
    if declared_digest(item.dataset) and (told := _described_otherwise(item)):
        yield _finding(
            item,
            "dataset-digest-contradicts-croissant",
            f"{name}: the digest is {item.own.declared}, and {item.dataset.croissant} says {told}",
            level=Level.ERROR,
        )
    if not declared_digest(item.dataset) and not described_digest(item.croissant):
        yield _missing_digest(item)


def _of_file(item: Described, file: Checked) -> Finding:
    return _finding(
        item,
        "dataset-file-digest-mismatch",
        f"{item.dataset.name}: {file.what[:_SHOWN]} is not what {item.dataset.croissant} "
        f"describes: {file.declared} there, {file.found} on the disk",
        level=Level.ERROR,
        hint="find out which is right: these may not be the data that the model learned from",
    )


def _described_otherwise(item: Described) -> str:
    """Return the digest that the Croissant file has of the one file that the data are."""
    described = described_digest(item.croissant)
    declared = declared_digest(item.dataset)
    same = described.keys() == declared.keys() == {"sha256"}
    return f"sha256:{described['sha256']}" if same and described != declared else ""


def _missing_digest(item: Described) -> Finding:
    line, hint = 'digest: "<sha256:…>"', "modelseal lineage DIR --data PATH tells the digest"
    if item.found is not None:
        found = item.found
        line = f"dirHash: {found.encoded}" if found.algorithm == "dirHash" else f"digest: {found}"
        hint = ""
    return _finding(
        item,
        "dataset-without-digest",
        f"{item.dataset.name} has no digest: which data the model learned from cannot be shown",
        add=line,
        hint=hint,
    )


def _description(item: Described) -> Iterator[Finding]:
    dataset, croissant = item.dataset, item.croissant
    if item.unreadable:
        yield _finding(
            item,
            "croissant-file-not-readable",
            f"{item.unreadable}; nothing is claimed of {dataset.name}",
            level=Level.ERROR,
            hint="mend the file: https://docs.mlcommons.org/croissant describes the format",
        )
        return
    if croissant is None:
        yield _finding(
            item,
            "dataset-without-croissant",
            f"{dataset.name} has no Croissant file: where the data came from is not described",
            level=Level.NOTE,
            add='croissant: "<path of the file>"',
        )
    elif croissant.problems:
        count = len(croissant.problems)
        yield _finding(
            item,
            "croissant-file-incomplete",
            f"{dataset.croissant}: "
            + "; ".join(croissant.problems[:5])[:1000]
            + (f"; and {count - 5} more" if count > 5 else ""),  # noqa: PLR2004 - as above
            hint=f"complete {dataset.croissant}",
        )
    yield from _version(item)
    yield from _licence(item)


def _version(item: Described) -> Iterator[Finding]:
    dataset = item.dataset
    described = item.croissant.version if item.croissant is not None else ""
    if not dataset.version:
        yield _finding(
            item,
            "dataset-without-version",
            f"{dataset.name} has no version",
            add=f"version: {json.dumps(described or '<which state of the data>')}",
        )
    elif described and described != dataset.version:
        yield _finding(
            item,
            "dataset-version-contradicts-croissant",
            f"{dataset.name} is of version {dataset.version}, and {dataset.croissant} describes "
            f"{described[:_SHOWN]}",
            level=Level.ERROR,
        )


def _licence(item: Described) -> Iterator[Finding]:
    dataset = item.dataset
    described = item.croissant.licenses if item.croissant is not None else ()
    told = ", ".join(described)[:_SHOWN]
    if not dataset.license:
        yield _finding(
            item,
            "dataset-without-license",
            f"{dataset.name} has no licence"
            + (f"; {dataset.croissant} says {told}" if told else ""),
            add='license: "<SPDX expression>"',
            hint="an SPDX expression: https://spdx.org/licenses",
        )
        return
    if not described:
        return
    contradicts = contradict(dataset.license, described)
    if contradicts is not False:
        yield _finding(
            item,
            "dataset-license-contradicts-croissant"
            if contradicts
            else "dataset-license-not-comparable",
            f"{dataset.name} has the licence {dataset.license}, and {dataset.croissant} says "
            f"{told}" + ("" if contradicts else "; whether they are the same cannot be told"),
            level=Level.ERROR if contradicts else Level.WARNING,
            hint="write the address of the licence as https://spdx.org/licenses has it",
        )


def _persons(item: Described) -> Iterator[Finding]:
    dataset = item.dataset
    against = personal_contradiction(item)
    if dataset.personal_data is None:
        told = "; ".join(personal_texts(item.croissant))[:_SHOWN]
        yield _finding(
            item,
            "dataset-without-personal-data",
            f"whether {dataset.name} has personal data is not declared"
            + (f"; {dataset.croissant} says: {told}" if told else ""),
            add='personalData: "<none, personal or sensitive>"',
            hint="write the one word that is true",
        )
    elif against:
        yield _finding(
            item,
            "dataset-personal-data-contradicts-croissant",
            f"{dataset.name} is declared to have {PERSONAL_WORDS[dataset.personal_data]}, and "
            f"{dataset.croissant} says: {against[:_SHOWN]}",
            level=Level.ERROR,
            hint="correct the one that is wrong; until then neither is claimed",
        )
    if dataset.personal_data in {PersonalData.PERSONAL, PersonalData.SENSITIVE}:
        if not dataset.legal_basis:
            sensitive = dataset.personal_data is PersonalData.SENSITIVE
            yield _finding(
                item,
                "personal-data-without-legal-basis",
                f"{dataset.name} has {PERSONAL_WORDS[dataset.personal_data]}, and no legal basis "
                "is declared",
                level=Level.ERROR if sensitive else Level.WARNING,
                add=f'legalBasis: "<one of {", ".join(LEGAL_BASES)}>"',
                hint="write the one word that is true, or the https:// address of another law's",
            )
    elif dataset.legal_basis and dataset.personal_data is PersonalData.NONE:
        yield _finding(
            item,
            "legal-basis-without-personal-data",
            f"{dataset.name} has a legal basis for personal data, and is declared to have none",
            level=Level.ERROR,
        )


def _use(item: Described) -> Iterator[Finding]:
    dataset = item.dataset
    if usage_contradicts(item):
        yield _finding(
            item,
            "dataset-usage-contradicts-croissant",
            f"{dataset.name} is declared for {', '.join(dataset.usage)}, and {dataset.croissant} "
            "has other terms of use",
            level=Level.ERROR,
            hint="correct the one that is wrong; until then neither is claimed",
        )
    elif not item.refuted and not item.unreadable and not usage_rules(item):
        documents = item.croissant.usage.documents if item.croissant is not None else ()
        yield _finding(
            item,
            "dataset-without-usage",
            f"what {dataset.name} may be used for is not declared"
            + (
                f" in terms that a program reads, only in {documents[0][:_SHOWN]}"
                if documents
                else ""
            ),
            add='usage: ["<DUO term>"]',
            hint="DUO terms such as DUO_0000004 (no restriction), DUO_0000042 (general research), "
            "DUO_0000046 (non-commercial); or usageInfo in the Croissant file",
        )


def _finding(
    item: Described,
    kind: str,
    message: str,
    *,
    level: Level = Level.WARNING,
    add: str = "",
    hint: str = "",
) -> Finding:
    name = json.dumps(item.dataset.name, ensure_ascii=False)
    lines = f"spec:\n  training:\n    datasets:\n      - name: {name}\n        {add}"
    return Finding(
        id=kind,
        message=message,
        level=level,
        where=item.where,
        add=lines if add else "",
        hint=hint,
    )
