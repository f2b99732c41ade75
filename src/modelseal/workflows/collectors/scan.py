# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a scan of the files has found, as SCAI attributes; the whole report stands beside them."""

from collections.abc import Iterator
from typing import Any

from modelseal.attest.predicates.provenance import ResourceDescriptor
from modelseal.attest.predicates.scai import AttributeAssertion, AttributeReport
from modelseal.attest.predicates.types import PROJECT, SCAI, SCAN_REPORT
from modelseal.documents import canonical_json
from modelseal.evidence.facts import Basis, Fact, Finding, Level
from modelseal.evidence.scan.report import Report, rules_digest
from modelseal.oci.descriptor import Digest
from modelseal.version import __version__
from modelseal.workflows.attest import Claim
from modelseal.workflows.collect import Build, Collected
from modelseal.workflows.scan import SCAN_ALL, Scanned, scan_model

SCAN_PASSED = "SCAN_PASSED"
"""Every file was looked into by its bytes, and none was denied."""
SCAN_FINDINGS_ACCEPTED = "SCAN_FINDINGS_ACCEPTED"
"""Files were denied, and the signer published them all the same, with the reason."""
NO_CODE_ON_LOAD = "NO_CODE_ON_LOAD"
"""No file is in a format that can run code when it is loaded."""
NO_SECRETS_FOUND = "NO_SECRETS_FOUND"
"""No text file holds what looks like a secret."""

_SHOWN = 50
_CODE = frozenset({"pickle", "tensorflow", "keras", "hdf5"})


def collect_scan(build: Build) -> Collected:
    """Say what was found in the files, by which rules; scan them if nobody has."""
    scanned = build.scanned or scan_model(build.directory, SCAN_ALL, project=build.made.project)
    report = scanned.report
    raw = canonical_json(report.to_json(build.made.files))
    evidence = ResourceDescriptor(
        name="scan-report.json",
        digest={"sha256": Digest.of(raw).encoded},
        media_type="application/json",
    )
    conditions = _conditions(scanned)
    predicate = AttributeReport(
        attributes=tuple(
            AttributeAssertion(attribute=name, conditions=conditions, evidence=evidence)
            for name in _attributes(scanned)
        ),
        producer=ResourceDescriptor(
            name="modelseal", uri=PROJECT, annotations={"version": __version__}
        ),
    )
    claim = Claim(SCAI, predicate.to_json(), evidence=raw, evidence_type=SCAN_REPORT)
    findings = tuple(_findings(report))
    return Collected(claims=(claim,), facts=_facts(scanned), findings=findings)


def _attributes(scanned: Scanned) -> Iterator[str]:
    report = scanned.report
    yield SCAN_FINDINGS_ACCEPTED if report.denied else SCAN_PASSED
    formats = {name for file in report.files for name in file.formats}
    if not report.denied and not formats & _CODE:
        yield NO_CODE_ON_LOAD
    if not any(one.rule in ("secret", "possible-secret") for one in report.findings):
        yield NO_SECRETS_FOUND


def _conditions(scanned: Scanned) -> dict[str, Any]:
    report = scanned.report
    conditions: dict[str, Any] = {
        "scannerVersion": __version__,
        "rules": str(rules_digest()),
        "allowLists": [str(digest) for digest in report.allowed.lists],
        "formats": sorted({name for file in report.files for name in file.formats}),
        "files": str(len(report.files)),
        "errors": str(report.count(Level.ERROR)),
        "warnings": str(report.count(Level.WARNING)),
    }
    if report.denied:
        denied = {f"{one.rule}: {one.place}" for one in report.findings if one.level is Level.ERROR}
        conditions["denied"] = sorted(denied)[:_SHOWN]
        conditions["acceptedBecause"] = scanned.accepted
    return conditions


def _facts(scanned: Scanned) -> tuple[Fact, ...]:
    report = scanned.report
    formats = ", ".join(sorted({name for file in report.files for name in file.formats}))
    result = "denied" if report.denied else "nothing that runs code"
    accepted = (
        f", accepted because {scanned.accepted}" if report.denied and scanned.accepted else ""
    )
    text = f"{len(report.files)} files ({formats}): {result}{accepted}"
    return (Fact("scan", text, Basis.VERIFIED),)


def _findings(report: Report) -> Iterator[Finding]:
    for one in report.findings:
        if one.level is not Level.NOTE:
            where = f"{one.place}, byte {one.offset}"
            yield Finding(
                id=one.rule, message=one.message, level=one.level, where=where, hint=one.hint
            )
