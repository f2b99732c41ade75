# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""`provenance`: a role says how the model was built, and that it was built as expected.

Source: SLSA v1.2, "Verifying artifacts": a provenance counts for pairs of signer and builder.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from modelseal.attest.predicates.types import PROVENANCE
from modelseal.policy.decision import Finding, Remediation
from modelseal.policy.evidence import Evidence
from modelseal.policy.roles import Role


@dataclass(frozen=True, slots=True)
class BuiltBy:
    """Signers of `role` made an SLSA provenance v1 that names the builder and the repository.

    An empty `builder_id` or `source_repository` asks for nothing.
    """

    id: str
    role: Role
    builder_id: str
    source_repository: str

    def run(self, evidence: Evidence, now: datetime) -> Iterator[Finding]:  # noqa: ARG002 - the protocol's
        """Look for a provenance that has it all."""
        made = evidence.of_type(PROVENANCE)
        if self.role.filled_by(s for s in made if self._fits(s.predicate)):
            return
        of_role = self.role.signed(made)
        yield Finding(
            rule=self.id,
            message="no provenance says that the model was built as the policy asks",
            expected=", ".join(filter(None, (f"signed by {self.role}", *self._wanted()))),
            observed="; ".join(_told(s.predicate) for s in of_role)
            or "no provenance by that role was verified",
            remediation=Remediation(
                "publish the model from the builder and repository that the policy names",
                "modelseal publish DIR REF",
            ),
            evidence=tuple(s.bundle for s in made),
        )

    def _wanted(self) -> Iterator[str]:
        if self.builder_id:
            yield f"builder {self.builder_id}"
        if self.source_repository:
            yield f"source {self.source_repository}"

    def _fits(self, predicate: Mapping[str, Any]) -> bool:
        if self.builder_id and _builder(predicate) != self.builder_id:
            return False
        return not self.source_repository or self.source_repository in set(_sources(predicate))


def _told(predicate: Mapping[str, Any]) -> str:
    sources = ", ".join(_sources(predicate)) or "no source repository"
    return f"builder {_builder(predicate) or 'not named'}, {sources}"


def _builder(predicate: Mapping[str, Any]) -> str:
    builder = _mapping(_mapping(predicate, "runDetails"), "builder").get("id")
    return builder if isinstance(builder, str) else ""


def _sources(predicate: Mapping[str, Any]) -> Iterator[str]:
    """Yield the repositories of `git+REPOSITORY[@ref]` dependencies that the builder checked out.

    Our own provenance calls that one `source`, other builders give it no name. Code and data sets
    of any name are what modelseal.yaml says: whoever writes one could name any repository there.
    """
    listed = _mapping(predicate, "buildDefinition").get("resolvedDependencies")
    for item in listed if isinstance(listed, list) else ():
        if not isinstance(item, dict) or item.get("name", "") not in ("", "source"):
            continue
        uri = item.get("uri")
        if isinstance(uri, str) and uri.startswith("git+"):
            yield uri.removeprefix("git+").partition("@")[0]


def _mapping(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}
