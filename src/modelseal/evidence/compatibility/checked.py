# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What the checks have found, and the words that they share."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from modelseal.evidence.facts import Basis, Fact, Finding, Level

TOPIC = "compatibility"
REMAKE = "have whoever made it write it again; a download may have been cut off"
"""What to do about a file that is broken."""


@dataclass(slots=True)
class Checked:
    """Facts and findings of one check, as they come."""

    facts: list[Fact] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)

    def hold(self, text: str) -> None:
        """Note what was computed from the bytes of the files, and holds."""
        self.facts.append(Fact(TOPIC, text, Basis.VERIFIED))

    def contradict(
        self, id_: str, message: str, *, where: str, hint: str = "", add: str = ""
    ) -> None:
        """Note that two things cannot both be true."""
        self.findings.append(
            Finding(id=id_, level=Level.ERROR, message=message, where=where, hint=hint, add=add)
        )

    def lack(self, id_: str, message: str, *, where: str, hint: str = "", add: str = "") -> None:
        """Note that something is not there which ought to be."""
        self.findings.append(Finding(id=id_, message=message, where=where, hint=hint, add=add))

    def leave(self, what: str, why: str, *, where: str) -> None:
        """Note that something was not checked, and why."""
        self.findings.append(
            Finding(
                id="compatibility-not-checked",
                level=Level.NOTE,
                message=f"not checked: {what}, because {why}",
                where=where,
                hint="nothing is known to be wrong; a test that loads the model can tell",
            )
        )

    def add(self, others: Iterable["Checked"]) -> None:
        """Take what other checks have found."""
        for other in others:
            self.facts += other.facts
            self.findings += other.findings


def shape_text(shape: Iterable[int | str]) -> str:
    """Write a shape: `[batch, 4]`."""
    return f"[{', '.join(map(str, shape))}]"
