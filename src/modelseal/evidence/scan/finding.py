# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""One thing that was found in a file, and where."""

from dataclasses import dataclass

from modelseal.evidence.facts import Level
from modelseal.evidence.scan.rules import RULES


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanFinding:
    """What was found, and where."""

    rule: str
    """Of `RULES`."""
    file: str
    """The path of the file as it was given, with `/`."""
    member: str = ""
    """Inside of it, for archives: `archive/data.pkl`; archives in archives by `!`."""
    offset: int = 0
    """In bytes from the beginning of the file, or of the member where there is one."""
    message: str
    """What, of what."""

    @property
    def level(self) -> Level:
        """How bad it is; an error denies the model."""
        return RULES[self.rule].level

    @property
    def hint(self) -> str:
        """What to do about it."""
        return RULES[self.rule].hint

    @property
    def place(self) -> str:
        """Return file and member for people."""
        return f"{self.file}!{self.member}" if self.member else self.file

    def to_json(self) -> dict[str, str | int]:
        """Return all of it; `member` only where there is one."""
        place: dict[str, str | int] = {"file": self.file}
        if self.member:
            place["member"] = self.member
        return {
            "id": self.rule,
            "level": str(self.level),
            **place,
            "offset": self.offset,
            "message": self.message,
            "hint": self.hint,
        }
