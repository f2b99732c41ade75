# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What the readers of the single formats share: where they are, what they found, how far to go."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from modelseal.evidence.scan.allowed import BUILT_IN, Allowed
from modelseal.evidence.scan.finding import ScanFinding
from modelseal.evidence.scan.source import Source

MAX_FINDINGS = 1_000
"""Most findings that are kept of one file."""
MAX_NESTING = 8
"""Most archives in archives that are opened."""
MAX_UNPACKED_BYTES = 8 << 30
"""Most bytes that all compressed content of one file may become."""
MAX_MEMBERS = 100_000
"""Most members of all archives in one file."""


class TooMuchError(Exception):
    """There is more in a file than is looked at. Never leaves this package."""


@dataclass(slots=True)
class Found:
    """What one scan of one file has found so far."""

    findings: list[ScanFinding] = field(default_factory=list)
    formats: set[str] = field(default_factory=set)
    globals: dict[str, bool] = field(default_factory=dict)
    """What its pickles import, by `module.name`, and whether it is allowed."""
    external: set[str] = field(default_factory=set)
    """Files beside it that hold its data, by the names that it gives them."""
    unpacked: int = 0
    members: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """Bytes that are looked at: a file, or a member of an archive in it."""

    source: Source
    file: str
    member: str = ""
    depth: int = 0
    found: Found
    allowed: Allowed = BUILT_IN
    data_only: bool = False
    """Whether it is a document or a data set, by a rule of the project."""
    scan: Callable[["Item"], None]
    """Looks at what stands inside."""

    def add(self, rule: str, message: str, offset: int = 0) -> None:
        """Note a finding, once."""
        finding = ScanFinding(
            rule=rule, file=self.file, member=self.member, offset=offset, message=message
        )
        same = (finding.rule, finding.member, finding.message)
        if any((one.rule, one.member, one.message) == same for one in self.found.findings):
            return
        if len(self.found.findings) >= MAX_FINDINGS:
            raise TooMuchError(f"more than {MAX_FINDINGS} findings")
        self.found.findings.append(finding)

    def inside(self, source: Source, member: str, *, also: str = "") -> "Item":
        """Return what stands inside of this one; `also` names a wrapping that adds no name."""
        name = f"{self.member}!{member}" if self.member and member else self.member or member
        return replace(self, source=source, member=name + also, depth=self.depth + 1)

    def count_unpacked(self, count: int) -> None:
        """Count bytes that were compressed. Raises `TooMuchError`."""
        self.found.unpacked += count
        if self.found.unpacked > MAX_UNPACKED_BYTES:
            raise TooMuchError(f"more than {MAX_UNPACKED_BYTES >> 30} GiB of unpacked content")

    def count_member(self) -> None:
        """Count a member of an archive. Raises `TooMuchError`."""
        self.found.members += 1
        if self.found.members > MAX_MEMBERS:
            raise TooMuchError(f"more than {MAX_MEMBERS} members of archives")
