# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The outcome of a policy: every reason, and what to do about each."""

from dataclasses import dataclass

from modelseal.oci.descriptor import Digest


@dataclass(frozen=True, slots=True)
class Remediation:
    """What to do: a sentence, and a command where one does it."""

    summary: str
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One rule that does not hold."""

    rule: str
    message: str
    expected: str
    observed: str
    remediation: Remediation
    evidence: tuple[Digest, ...] = ()
    """The bundles that show it."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome, with every reason and not only the first.

    There is no truth value on purpose: ask `allowed`.
    """

    subject: Digest
    policy: str
    rules: tuple[str, ...]
    findings: tuple[Finding, ...]

    @property
    def allowed(self) -> bool:
        """Whether there was a rule, and nothing denies."""
        return bool(self.rules) and not self.findings
