# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The decision: a pure function of policy, evidence and time."""

from datetime import datetime

from modelseal.policy.decision import Decision
from modelseal.policy.document import Policy
from modelseal.policy.evidence import Evidence


def evaluate(policy: Policy, evidence: Evidence, now: datetime) -> Decision:
    """Apply every rule; `now` is a parameter so that the caller owns the clock."""
    findings = tuple(finding for check in policy.checks for finding in check.run(evidence, now))
    rules = tuple(check.id for check in policy.checks)
    return Decision(evidence.subject, policy.name, rules, findings)
