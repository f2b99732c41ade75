# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A report as SARIF 2.1.0, which code hosts show beside the files.

Source: OASIS, Static Analysis Results Interchange Format Version 2.1.0 (with Errata 01).
"""

from typing import Any
from urllib.parse import quote

from modelseal.attest.predicates.types import PROJECT
from modelseal.evidence.scan.finding import ScanFinding
from modelseal.evidence.scan.report import Report, rules_digest
from modelseal.evidence.scan.rules import RULES
from modelseal.version import __version__

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)


def to_sarif(report: Report) -> dict[str, Any]:
    """Return the report as a SARIF log with one run."""
    findings = report.findings
    used = sorted({one.rule for one in findings})
    rules = [
        {
            "id": rule,
            "shortDescription": {"text": RULES[rule].summary},
            "help": {"text": RULES[rule].hint},
            "defaultConfiguration": {"level": str(RULES[rule].level)},
        }
        for rule in used
    ]
    driver = {
        "name": "modelseal",
        "version": __version__,
        "semanticVersion": __version__,
        "informationUri": PROJECT,
        "rules": rules,
        "properties": {"rulesDigest": str(rules_digest())},
    }
    artifacts = [{"location": _location(file.path), "length": file.size} for file in report.files]
    run = {
        "tool": {"driver": driver},
        "columnKind": "utf16CodeUnits",
        "artifacts": artifacts,
        "results": [_result(one, used) for one in findings],
    }
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}


def _location(path: str) -> dict[str, str]:
    return {"uri": quote(path)}


def _result(finding: ScanFinding, rules: list[str]) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": _location(finding.file)}
    location: dict[str, Any] = {"physicalLocation": place}
    if finding.member:
        # The offset is one in the member, which is no artifact of its own.
        location["logicalLocations"] = [{"fullyQualifiedName": finding.place, "kind": "member"}]
        location["properties"] = {"offsetInMember": finding.offset}
    else:
        place["region"] = {"byteOffset": finding.offset, "byteLength": 0}
    return {
        "ruleId": finding.rule,
        "ruleIndex": rules.index(finding.rule),
        "level": str(finding.level),
        "message": {"text": f"{finding.message}. {finding.hint}."},
        "locations": [location],
    }
