# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""`resource`: which repository a model is for, and which it may be used from.

A digest says nothing about places, so a signature stays valid wherever the bytes are copied to.
Where that is not wanted, a policy says so. A statement names a repository in its predicate, which
is signed: a VSA in `resourceUri` (SLSA v1.2, "Verification Summary Attestation"), provenance in
`externalParameters.repository`, statements of ours in `repository` or `context.repository`. Names
of subjects, tags and annotations say nothing here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from modelseal.attest.predicates.types import OWN_PREFIX, PROVENANCE, VSA
from modelseal.policy.decision import Finding, Remediation
from modelseal.policy.evidence import Evidence
from modelseal.policy.roles import Role
from modelseal.trust.identity import VerifiedStatement

LAYOUT: Final = "oci:"
"""How a list of places spells: any OCI layout on disk."""

_SCHEME = re.compile(r"(?:oci|docker|https)://")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Resource:
    """A statement by `role` names one of `repositories`, and the model comes from `used_from`.

    An entry is a repository (`ghcr.io/acme/fraud`) or all below a path (`ghcr.io/acme/*`); for
    `used_from` also `oci:`, any layout on disk. An empty list asks for nothing; one of the two
    is not empty. `predicate_type` says which statement has to name it; empty for any that can.
    """

    id: str
    role: Role | None
    repositories: tuple[str, ...]
    used_from: tuple[str, ...]
    predicate_type: str = ""

    def run(self, evidence: Evidence, now: datetime) -> Iterator[Finding]:  # noqa: ARG002 - the protocol's
        """Look for a statement that names a repository, and at where the model comes from."""
        if self.role is not None:
            yield from self._named(evidence, self.role)
        if self.used_from and not _within(evidence.location, self.used_from):
            yield Finding(
                rule=self.id,
                message="the model may not be used from here",
                expected=f"from {' or '.join(self.used_from)}",
                observed=f"from {evidence.location or 'an unknown place'}",
                remediation=Remediation(
                    "take the model from a repository that the policy names; if it is not there "
                    "yet, copy it there with its statements",
                    "modelseal copy --recursive REF DST",
                ),
            )

    def _named(self, evidence: Evidence, role: Role) -> Iterator[Finding]:
        able = [s for s in evidence.statements if self.predicate_type in {"", s.predicate_type}]
        if role.filled_by(s for s in able if _within(_repository(s), self.repositories)):
            return
        of_role = [(s, _repository(s)) for s in role.signed(able)]
        named = sorted({name for _, name in of_role if name})
        yield Finding(
            rule=self.id,
            message="no statement says that the model is for this repository",
            expected=f"{self.predicate_type or 'a statement'} that names "
            f"{' or '.join(self.repositories)}, signed by {role}",
            observed=f"named is {', '.join(named)}" if named else "no such statement names one",
            remediation=Remediation(
                "publish the model to a repository that the policy names, or let the role attest "
                "a statement that names it",
                "modelseal publish DIR REF",
            ),
            evidence=tuple(s.bundle for s, name in of_role if name),
        )


def repository_of(uri: str) -> str:
    """Return the repository that a resource URI names, without tag and digest; or nothing.

    Takes `oci://`, `docker://` and `https://` URIs, plain references, and package URLs of the
    type `oci` with a `repository_url` (purl-spec, "oci").
    """
    if uri.startswith("pkg:oci/"):
        qualifiers = dict(
            part.partition("=")[::2] for part in uri.partition("?")[2].split("#")[0].split("&")
        )
        uri = _ESCAPE.sub(lambda m: chr(int(m[1], 16)), qualifiers.get("repository_url", ""))
    text = _SCHEME.sub("", uri, count=1).partition("@")[0].partition("?")[0]
    registry, slash, path = text.partition("/")
    path = path.partition(":")[0].rstrip("/")
    good = bool(slash) and path and registry and not re.search(r"[\s\x00-\x1f]|\.\.", text)
    return f"{registry.lower()}/{path}" if good else ""


def _repository(statement: VerifiedStatement) -> str:
    predicate, kind = statement.predicate, statement.predicate_type
    if kind == VSA:
        found = predicate.get("resourceUri")
    elif kind == PROVENANCE:
        parameters = _mapping(_mapping(predicate, "buildDefinition"), "externalParameters")
        found = parameters.get("repository")
    elif kind.startswith(OWN_PREFIX):
        found = predicate.get("repository", _mapping(predicate, "context").get("repository"))
    else:
        found = None
    return repository_of(found) if isinstance(found, str) else ""


def _within(place: str, allowed: tuple[str, ...]) -> bool:
    if place.startswith(LAYOUT):
        return LAYOUT in allowed
    return bool(place) and any(
        place.startswith(entry.removesuffix("*")) if entry.endswith("/*") else place == entry
        for entry in allowed
    )


def _mapping(value: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    found = value.get(key)
    return found if isinstance(found, dict) else {}
