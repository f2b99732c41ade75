# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The environments that provenances tell, to be compared: as claimed, nothing is verified here."""

from collections.abc import Iterable, Mapping
from typing import Any

from modelseal.attest.predicates.types import PROVENANCE
from modelseal.errors import ContentError
from modelseal.evidence.environment.compare import Difference, differences
from modelseal.evidence.environment.snapshot import read_snapshot
from modelseal.workflows.inspect import Claim

NOT_TOLD = "not told by any provenance"


def environment_of(claims: Iterable[Claim]) -> Mapping[str, Any] | None:
    """Return the environment of the last build among several; None when none is told.

    One whose digest is not that of its snapshot is as good as none.
    """
    told = [claim.statement.predicate for claim in claims if _is_provenance(claim)]
    for predicate in sorted(told, key=_finished, reverse=True):
        try:
            found = read_snapshot(predicate)
        except ContentError:
            continue
        if found is not None:
            return found
    return None


def compare_environments(left: Iterable[Claim], right: Iterable[Claim]) -> tuple[Difference, ...]:
    """Return in what the environments of two models differ.

    Where only one of them tells its environment, that alone is the difference.
    """
    one, other = environment_of(left), environment_of(right)
    if one is None and other is None:
        return ()
    if one is None or other is None:
        sides = (NOT_TOLD if one is None else "told", NOT_TOLD if other is None else "told")
        return (Difference("environment", *sides),)
    return differences(one, other)


def _is_provenance(claim: Claim) -> bool:
    return claim.statement.predicate_type == PROVENANCE


def _finished(predicate: Mapping[str, Any]) -> str:
    """Return when it says that the build ended; RFC 3339 in UTC sorts as text."""
    run = predicate.get("runDetails")
    metadata = run.get("metadata") if isinstance(run, dict) else None
    finished = metadata.get("finishedOn") if isinstance(metadata, dict) else None
    return finished if isinstance(finished, str) else ""
