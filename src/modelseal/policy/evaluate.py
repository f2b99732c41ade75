# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The decision: a pure function of policy, evidence and time."""

from datetime import datetime

from modelseal.attest.predicates.types import PROVENANCE, REFERENCE, SCAI, SIGNATURE
from modelseal.policy.checks.attested import Attested
from modelseal.policy.checks.environment import Environment
from modelseal.policy.checks.provenance import BuiltBy
from modelseal.policy.decision import Decision
from modelseal.policy.document import Policy
from modelseal.policy.evidence import Evidence


def evaluate(policy: Policy, evidence: Evidence, now: datetime) -> Decision:
    """Apply every rule; `now` is a parameter so that the caller owns the clock."""
    findings = tuple(finding for check in policy.checks for finding in check.run(evidence, now))
    rules = tuple(check.id for check in policy.checks)
    return Decision(evidence.subject, policy.name, rules, findings)


def is_positive(policy: Policy) -> bool:
    """Tell whether no further statement can turn an allow into a deny.

    True only for rules that are known to ask for nothing but statements that are there; then it
    is enough to read until they hold.
    """
    return all(isinstance(check, Attested | BuiltBy) for check in policy.checks)


def asked_types(policy: Policy) -> frozenset[str]:
    """Return the predicate types that the rules ask for, as far as it is known.

    What is asked for may also be there as a document that is signed by its digest.
    """
    asked = {c.predicate_type for c in policy.checks if isinstance(c, Attested)}
    asked |= {PROVENANCE for check in policy.checks if isinstance(check, BuiltBy)}
    asked |= {SCAI} if asks_for_environments(policy) else set()
    return frozenset(asked | ({REFERENCE} if asked - {SIGNATURE} else set()))


def asks_for_environments(policy: Policy) -> bool:
    """Tell whether a rule needs the evidence about environments, which has to be read then."""
    return any(isinstance(check, Environment) for check in policy.checks)
