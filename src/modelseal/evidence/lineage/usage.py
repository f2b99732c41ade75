# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Terms of use: DUO terms and ODRL offers, in one spelling.

Source: Croissant 1.1, "Data Use Conditions"; GA4GH Data Use Ontology; W3C ODRL Information
Model 2.2, section 2.6 (rules).
"""

import re
from collections.abc import Iterator
from typing import Final

from modelseal.errors import InvalidDocumentError, LimitExceededError
from modelseal.evidence.lineage.croissant import Constraint, Rule, Usage
from modelseal.evidence.lineage.jsonld import Context, Node, canonical

MAX_RULES: Final = 1000
"""Most terms of use, and most conditions of one, that a description has."""
MAX_TERM_LENGTH: Final = 1000
"""Longest term of use, in characters."""

DUO_LABELS: Final = {
    "DUO_0000004": "no restriction",
    "DUO_0000006": "health, medical or biomedical research",
    "DUO_0000007": "research on a specific disease",
    "DUO_0000011": "research on population origins or ancestry only",
    "DUO_0000012": "research of a specific kind only",
    "DUO_0000015": "no research on general methods",
    "DUO_0000016": "genetic studies only",
    "DUO_0000018": "not for profit, non-commercial use only",
    "DUO_0000019": "results have to be published",
    "DUO_0000020": "collaboration required",
    "DUO_0000021": "ethics approval required",
    "DUO_0000022": "restricted to places",
    "DUO_0000024": "no publication before a date",
    "DUO_0000025": "limited in time",
    "DUO_0000026": "restricted to users",
    "DUO_0000027": "restricted to a project",
    "DUO_0000028": "restricted to an institution",
    "DUO_0000029": "results have to be given back",
    "DUO_0000042": "general research use",
    "DUO_0000043": "clinical care use",
    "DUO_0000044": "no research on population origins or ancestry",
    "DUO_0000045": "not-for-profit organisations only",
    "DUO_0000046": "non-commercial use only",
}
"""The terms that are in use, in words; another one of the same form is a term as well."""

_DUO: Final = re.compile(r"(?:DUO[_:]|duo:)([0-9]{7})")
_KINDS: Final = ("permission", "prohibition", "obligation")


def duo_term(text: str) -> str:
    """Return a DUO term in its one spelling, `DUO_0000042`; empty when it is none."""
    found = _DUO.fullmatch(canonical(text.strip()))
    return f"DUO_{found[1]}" if found else ""


def label(term: str) -> str:
    """Return a term for people: `general research use (DUO_0000042)`."""
    told = DUO_LABELS.get(term)
    return f"{told} ({term})" if told else term


def read_usage(node: Node) -> Usage:
    """Read `usageInfo` of a dataset.

    Raises:
        InvalidDocumentError: something there is neither a term, an offer nor a document.
        LimitExceededError: there are over `MAX_RULES` rules.
    """
    rules: list[Rule] = []
    documents: list[str] = []
    for where, value in node.values("sc:usageInfo"):
        if isinstance(value, str):
            term = duo_term(node.context.expand(value, of_value=True))
            if term:
                rules.append(Rule(kind="permission", action=term))
            else:
                documents.append(value)
            continue
        item = Node.of(value, where, node.context)
        types = item.types()
        if "odrl:Offer" in types or any(item.has(f"odrl:{kind}") for kind in _KINDS):
            rules.extend(_offer(item))
        elif "sc:DefinedTerm" in types or item.has("sc:termCode"):
            rules.append(_defined(item))
        else:
            documents.append(_document(item))
        if len(rules) > MAX_RULES:
            raise LimitExceededError(f"usageInfo has over {MAX_RULES} rules")
    plain = {
        kind: {it.action for it in rules if it.kind == kind and not it.constraints}
        for kind in _KINDS
    }
    both = plain["permission"] & plain["prohibition"]
    if both:
        raise node.wrong(f"permits and prohibits the same: {', '.join(sorted(both))[:200]}")
    return Usage(rules=tuple(rules), documents=tuple(documents))


def _document(item: Node) -> str:
    found = item.text("sc:url") or item.id or item.text("sc:name")
    if not found:
        raise item.wrong("names nothing: neither url nor @id")
    return found


def _defined(item: Node) -> Rule:
    said = [text for text in (item.text("sc:termCode"), item.text("sc:url"), item.id) if text]
    terms = {term for text in said if (term := duo_term(_expanded(text, item.context)))}
    if len(terms) > 1:
        raise item.wrong(f"is two terms at once: {' and '.join(sorted(terms))}")
    action = terms.pop() if terms else (_told(said[0], item.context) if said else "")
    if not action:
        raise item.wrong("has neither termCode nor url")
    return Rule(kind="permission", action=action, name=item.text("sc:name"))


def _offer(item: Node) -> Iterator[Rule]:
    if not any(item.has(f"odrl:{kind}", f"sc:{kind}") for kind in _KINDS):
        raise item.wrong("is an offer without a rule")
    for kind in _KINDS:
        for node in item.nodes(f"odrl:{kind}", f"sc:{kind}"):
            actions = list(node.values("odrl:action", "sc:action"))
            if not actions:
                raise node.wrong("has no action")
            constraints = tuple(_constraints(node))
            for where, value in actions:
                term, name = _term(where, value, node.context)
                yield Rule(kind=kind, action=term, name=name, constraints=constraints)


def _constraints(node: Node) -> Iterator[Constraint]:
    found = node.nodes("odrl:constraint", "sc:constraint")
    for count, item in enumerate(found, start=1):
        if count > MAX_RULES:
            raise LimitExceededError(f"{node.where} has over {MAX_RULES} constraints")
        right = _operand(item, "rightOperand")
        if not right:
            raise item.wrong("has no rightOperand")
        yield Constraint(
            left=_operand(item, "leftOperand"), operator=_operand(item, "operator"), right=right
        )


def _operand(item: Node, word: str) -> str:
    found = [
        _term(where, value, item.context)[0]
        for where, value in item.values(f"odrl:{word}", f"sc:{word}")
    ]
    return ", ".join(found)


def _term(where: str, value: object, context: Context) -> tuple[str, str]:
    """Return a term and its name for people."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | dict):
        raise InvalidDocumentError(f"{where} has to be a term")
    if not isinstance(value, dict):
        return _told(str(value), context), ""
    node = Node.of(value, where, context)
    text = node.id or node.text("@value") or node.text("sc:url")
    if not text:
        raise node.wrong("names no term: an @id is missing")
    return _told(text, context), node.text("sc:name")


def _told(text: str, context: Context) -> str:
    expanded = _expanded(text, context)
    if len(expanded) > MAX_TERM_LENGTH:
        raise LimitExceededError(f"a term of use has over {MAX_TERM_LENGTH} characters")
    return duo_term(expanded) or expanded


def _expanded(text: str, context: Context) -> str:
    return context.expand(text, of_value=True)
