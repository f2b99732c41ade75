# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a rule of a policy is."""

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from modelseal.policy.decision import Finding
from modelseal.policy.evidence import Evidence


class Check(Protocol):
    """One rule: a frozen value that yields a finding for everything that breaks it."""

    @property
    def id(self) -> str:
        """The rule's name in findings."""
        ...

    def run(self, evidence: Evidence, now: datetime) -> Iterator[Finding]:
        """Look at the evidence; `now` is handed in so that tests own the clock."""
        ...
