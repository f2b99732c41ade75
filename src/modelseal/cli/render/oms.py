# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A verified OMS signature as text and as JSON."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modelseal.cli.render.as_json import descriptor, signer
from modelseal.cli.render.text import printable
from modelseal.documents import rfc3339

if TYPE_CHECKING:
    from modelseal.workflows.oms import OmsVerification


def as_text(item: "OmsVerification", reference: str) -> Iterator[str]:
    """Write who signed which files, and what was checked."""
    statement, predicate = item.statement, item.predicate
    yield f"verified: {printable(reference)}"
    if not isinstance(item.target, Path):
        yield f"digest: {item.target.digest}"
    yield printable(f"OMS signature: {item.source}")
    when = f" at {statement.signed_at:%Y-%m-%d %H:%M:%S %Z}" if statement.signed_at else ""
    yield printable(f"  signed by {statement.signer}{when}")
    yield f"  root digest: {statement.subject}"
    count = len({resource.path for resource in predicate.resources})
    yield f"  files: {count}, {predicate.hash_type}, method {predicate.method}"
    yield f"  checked: {', '.join(item.checks)}"
    for path in item.unsigned[:_MOST]:
        yield printable(f"  not signed: {path}")
    if len(item.unsigned) > _MOST:
        yield f"  … and {len(item.unsigned) - _MOST} more"


_MOST = 10


def as_json(item: "OmsVerification", reference: str) -> dict[str, Any]:
    """Return all that was verified."""
    statement, predicate = item.statement, item.predicate
    in_directory = isinstance(item.target, Path)
    return {
        "reference": reference,
        "manifest": None if isinstance(item.target, Path) else descriptor(item.target),
        "directory": str(item.target) if in_directory else None,
        "source": item.source,
        "predicateType": statement.predicate_type,
        "rootDigest": str(statement.subject),
        "signer": signer(statement.signer),
        "signedAt": rfc3339(statement.signed_at) if statement.signed_at else None,
        "bundle": str(statement.bundle),
        "method": str(predicate.method),
        "hashType": predicate.hash_type,
        "files": sorted({resource.path for resource in predicate.resources}),
        "unsigned": list(item.unsigned),
        "checks": list(item.checks),
    }
