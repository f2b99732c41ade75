# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""`modelseal.yaml` beside the Croissant file: what is declared, and what contradicts itself."""

from typing import Final

from modelseal.evidence.lineage.croissant import PERSONAL, Croissant, Rule
from modelseal.evidence.lineage.described import Described
from modelseal.evidence.lineage.usage import duo_term
from modelseal.modelpack.project import PersonalData

PERSONAL_WORDS: Final = {
    PersonalData.NONE: "no personal data",
    PersonalData.PERSONAL: "personal data",
    PersonalData.SENSITIVE: "sensitive personal data",
}
"""What is declared, in words for people."""

_NOTHING: Final = frozenset(
    {
        "none",
        "no",
        "n/a",
        "not applicable",
        "no personal data",
        "no sensitive data",
        "no personal information",
        "no sensitive information",
        "no personal or sensitive data",
        "no personal or sensitive information",
        "no personal and sensitive information",
        "no personally identifiable information",
        "contains no personal data",
        "does not contain personal data",
    }
)
"""Texts of `rai:personalSensitiveInformation` that say that there is none. Nothing else does."""


def says_none(text: str) -> bool:
    """Tell whether a description of personal information says that there is none.

    It is free text; whatever is not plainly a "none" is taken for a description of some.
    """
    return " ".join(text.split()).rstrip(".").lower() in _NOTHING


def personal_texts(croissant: Croissant | None) -> tuple[str, ...]:
    """Return what the Croissant file says about persons."""
    return () if croissant is None else croissant.rai.get(PERSONAL, ())


def personal_contradiction(item: Described) -> str:
    """Return what the Croissant file says against `personalData`; empty when nothing does."""
    texts = personal_texts(item.croissant)
    declared = item.dataset.personal_data
    if not texts or declared is None:
        return ""
    some = [text for text in texts if not says_none(text)]
    if declared is PersonalData.NONE:
        return some[0] if some else ""
    return "" if some else texts[0]


def personal_data(item: Described) -> PersonalData | None:
    """Return what holds of persons in the data; None when nothing is declared, or it is refuted."""
    if item.refuted or item.unreadable or personal_contradiction(item):
        return None
    return item.dataset.personal_data


def usage_contradicts(item: Described) -> bool:
    """Tell whether the two name different terms of use."""
    declared = set(item.dataset.usage)
    described = _terms(item.croissant)
    return bool(
        (declared and described and declared != described) or declared & _prohibited(item.croissant)
    )


def usage_rules(item: Described) -> tuple[Rule, ...]:
    """Return the rules of use that are claimed: the Croissant file's, and ours that it lacks."""
    if item.refuted or item.unreadable or usage_contradicts(item):
        return ()
    described = item.croissant.usage.rules if item.croissant is not None else ()
    told = _terms(item.croissant)
    ours = [term for term in item.dataset.usage if term not in told]
    return (*described, *(Rule(kind="permission", action=term) for term in ours))


def _prohibited(croissant: Croissant | None) -> set[str]:
    rules = croissant.usage.rules if croissant is not None else ()
    return {rule.action for rule in rules if rule.kind == "prohibition"}


def _terms(croissant: Croissant | None) -> set[str]:
    """Return the DUO terms that say what is permitted, and under which conditions."""
    found: set[str] = set()
    for rule in croissant.usage.rules if croissant is not None else ():
        if rule.kind == "permission":
            found |= {duo_term(rule.action), *(duo_term(item.right) for item in rule.constraints)}
    return found - {""}
