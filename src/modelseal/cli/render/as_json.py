# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Values as JSON for scripts: the keys are a contract (docs/cli.md)."""

from typing import TYPE_CHECKING, Any

from modelseal.documents import rfc3339
from modelseal.errors import Error
from modelseal.oci.descriptor import Descriptor
from modelseal.policy.decision import Decision, Finding
from modelseal.trust.identity import Identity, SignerIdentity, VerifiedStatement
from modelseal.workflows.gather import Rejection
from modelseal.workflows.verify import NotVerifiedError, PolicyDeniedError, Verification

if TYPE_CHECKING:  # a command that verifies does not import what publishes
    from modelseal.workflows.attest import Attached
    from modelseal.workflows.publish import Publication
    from modelseal.workflows.pull import PulledModel

_asked: list[bool] = []


def ask() -> None:
    """Remember that this run answers in JSON, so that an error does, too."""
    _asked.append(True)


def wanted() -> bool:
    """Tell whether this run answers in JSON."""
    return bool(_asked)


def descriptor(item: Descriptor) -> dict[str, Any]:
    """Return a descriptor's three fields."""
    return {"mediaType": item.media_type, "digest": str(item.digest), "size": item.size}


def signer(item: SignerIdentity) -> dict[str, str]:
    """Return who signed."""
    if isinstance(item, Identity):
        return {"issuer": item.issuer, "subject": item.subject}
    return {"publicKey": item.fingerprint}


def statement(item: VerifiedStatement) -> dict[str, Any]:
    """Return a verified statement, with its predicate."""
    return {
        "predicateType": item.predicate_type,
        "signer": signer(item.signer),
        "signedAt": rfc3339(item.signed_at) if item.signed_at else None,
        "profile": str(item.profile),
        "claims": dict(item.claims),
        "checks": list(item.checks),
        "bundle": str(item.bundle),
        "predicate": dict(item.predicate),
    }


def rejection(item: Rejection) -> dict[str, str]:
    """Return a referrer that does not count."""
    return {
        "referrer": str(item.referrer),
        "reason": item.reason,
        "message": item.message,
        "claimedPredicateType": item.claimed_type,
    }


def finding(item: Finding) -> dict[str, Any]:
    """Return one finding of a policy."""
    return {
        "rule": item.rule,
        "message": item.message,
        "expected": item.expected,
        "observed": item.observed,
        "evidence": [str(digest) for digest in item.evidence],
        "remediation": {"summary": item.remediation.summary, "command": item.remediation.command},
    }


def decision(item: Decision) -> dict[str, Any]:
    """Return a decision."""
    return {
        "policy": item.policy,
        "allowed": item.allowed,
        "rules": list(item.rules),
        "findings": [finding(found) for found in item.findings],
    }


def verification(item: Verification, reference: str) -> dict[str, Any]:
    """Return all that was verified."""
    return {
        "reference": reference,
        "manifest": descriptor(item.subject),
        "model": descriptor(item.model) if item.model else None,
        "artifactType": item.manifest.artifact_type,
        "decision": decision(item.decision),
        "statements": [statement(found) for found in item.counted],
        "rejected": [rejection(found) for found in item.rejections],
        "unread": item.unread,
    }


def attached(items: "tuple[Attached, ...]") -> list[dict[str, Any]]:
    """Return which statements now hang where, and what they name by digest."""
    return [
        {
            "predicateType": item.predicate_type,
            "referrer": str(item.referrer),
            "document": item.document
            and {
                "predicateType": item.document.predicate_type,
                **descriptor(item.document.document),
            },
        }
        for item in items
    ]


def publication(item: "Publication", reference: str) -> dict[str, Any]:
    """Return what was published."""
    return {
        **verification(item.verification, reference),
        "tag": item.tag,
        "attached": attached(item.attached),
        "findings": [found.to_json() for found in item.collected.findings],
    }


def pulled(item: "PulledModel", reference: str) -> dict[str, Any]:
    """Return what was pulled."""
    return {
        "reference": reference,
        "manifest": descriptor(item.subject),
        "index": descriptor(item.index) if item.index else None,
        "path": str(item.path),
        "files": [
            {
                "path": str(file.path),
                "kind": str(file.kind),
                "digest": str(file.descriptor.digest),
                "size": file.descriptor.size,
            }
            for file in item.files
        ],
        "verification": verification(item.verification, reference) if item.verification else None,
    }


def error(item: Error) -> dict[str, Any]:
    """Return an error, with all that was found out before it."""
    value: dict[str, Any] = {
        "error": {"code": item.reason, "message": str(item), "hint": item.hint}
    }
    if isinstance(item, NotVerifiedError | PolicyDeniedError):
        found = item.verification
        value["manifest"] = descriptor(found.subject)
        value["decision"] = decision(found.decision)
        value["statements"] = [statement(one) for one in found.counted]
        value["rejected"] = [rejection(one) for one in found.rejections]
        value["unread"] = found.unread
    report = getattr(item, "report", None)  # a HostileModelError's; not imported to tell an error
    if report is not None:
        value["scan"] = report.to_json()
    return value
