# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a scan has found in all files of a model."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from modelseal.documents import canonical_json
from modelseal.evidence.facts import Level
from modelseal.evidence.scan.allowed import BUILT_IN, Allowed
from modelseal.evidence.scan.finding import ScanFinding
from modelseal.evidence.scan.rules import RULES
from modelseal.oci.descriptor import Digest
from modelseal.version import __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class ScannedFile:
    """What was found in one file."""

    path: str
    size: int
    formats: tuple[str, ...] = ()
    """What it is, and what is in it, in plain words."""
    globals: Mapping[str, bool] = field(default_factory=dict)
    """What its pickles import, and whether it is allowed."""
    findings: tuple[ScanFinding, ...] = ()
    external: frozenset[str] = frozenset()

    def with_findings(self, findings: list[ScanFinding]) -> "ScannedFile":
        """Return it with other findings."""
        return replace(self, findings=tuple(findings))

    def to_json(self, digest: Digest | None) -> dict[str, Any]:
        """Return what is known; `digest` is the file's."""
        fields = {
            "path": self.path,
            "size": self.size,
            "digest": str(digest or ""),
            "formats": list(self.formats),
            "imports": dict(self.globals),
        }
        return {key: value for key, value in fields.items() if value or key == "size"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found in all files."""

    files: tuple[ScannedFile, ...]
    allowed: Allowed = BUILT_IN

    @property
    def findings(self) -> tuple[ScanFinding, ...]:
        """All findings, the worst first, then by file and place."""
        order = list(Level)
        return tuple(
            sorted(
                (one for file in self.files for one in file.findings),
                key=lambda one: (
                    order.index(one.level),
                    one.file,
                    one.member,
                    one.offset,
                    one.rule,
                ),
            )
        )

    @property
    def denied(self) -> bool:
        """Whether a finding denies the model."""
        return any(one.level is Level.ERROR for one in self.findings)

    def count(self, level: Level) -> int:
        """Return how many findings there are of a level."""
        return sum(one.level is level for one in self.findings)

    def to_json(self, digests: Mapping[str, Digest] | None = None) -> dict[str, Any]:
        """Return the whole report; `digests` are those of the files, by path."""
        known = digests or {}
        return {
            "scanner": scanner(),
            "allowLists": [str(digest) for digest in self.allowed.lists],
            "result": "denied" if self.denied else "passed",
            "files": [file.to_json(known.get(file.path)) for file in self.files],
            "findings": [one.to_json() for one in self.findings],
        }


def scanner() -> dict[str, str]:
    """Return who scans, and by which rules."""
    return {"name": "modelseal", "version": __version__, "rules": str(rules_digest())}


def rules_digest() -> Digest:
    """Return the digest of the rules and of the names that are allowed without a list."""
    rules = [[rule.id, str(rule.level), rule.summary] for rule in RULES.values()]
    return Digest.of(canonical_json({"rules": rules, "allowed": str(BUILT_IN.digest)}))
