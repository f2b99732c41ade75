# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Entries of transparency logs: that a trusted log holds them, and when it promised to.

Sources: RFC 6962, 2.1 (inclusion proofs); transparency-dev/formats, `log` (checkpoints);
C2SP, `signed-note`; sigstore/protobuf-specs, `sigstore_rekor.proto`.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from modelseal.documents import canonical_json
from modelseal.errors import VerificationError
from modelseal.trust.dsse import broken, strict_base64, strict_object
from modelseal.trust.proofs.refusal import OTHER_ROOT, refusal
from modelseal.trust.proofs.root import Log, Root

MAX_PROOF_HASHES: Final = 64
"""Most hashes of one inclusion proof: a log of 2^63 entries needs no more."""

_FIELDS = {
    "logIndex",
    "logId",
    "kindVersion",
    "integratedTime",
    "inclusionPromise",
    "inclusionProof",
    "canonicalizedBody",
}
_PROOF = {"logIndex", "rootHash", "treeSize", "hashes", "checkpoint"}
_NUMBER = re.compile(r"0|[1-9][0-9]{0,18}")
_LINE = re.compile("\N{EM DASH} ([^ \\n]+) ([A-Za-z0-9+/=]+)")
_MAX_LINES = 64
_MAX_SECONDS = 253402300799  # the last second of the year 9999
_SHA256_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A log entry, decoded. Nothing of it was checked.

    Attributes:
        kind: its kind and version, as `dsse 0.0.1`.
        body: as the log holds it.
        log_id: which log.
        index: its place in the log.
        integrated: when the log says it came in; None when it does not say.
        promise: the log's signature under that; empty when there is none.
        proof: that the log holds it; None in old bundles.
    """

    kind: str
    body: bytes = field(repr=False)
    log_id: bytes
    index: int
    integrated: datetime | None
    promise: bytes = field(repr=False)
    proof: "Proof | None"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The way from an entry to the root of a tree that the log signed."""

    index: int
    size: int
    root: bytes
    hashes: tuple[bytes, ...]
    checkpoint: str


def read_entries(values: Sequence[Mapping[str, Any]]) -> tuple[Entry, ...]:
    """Read the entries of a bundle. Raises `VerificationError`: `broken-bundle`."""
    entries = tuple(_entry(value) for value in values)
    if len({(entry.log_id, entry.index) for entry in entries}) != len(entries):
        broken("a log entry stands there twice")
    return entries


def _entry(value: Mapping[str, Any]) -> Entry:
    entry = strict_object(value, "tlogEntries", _FIELDS)
    kind = strict_object(entry.get("kindVersion"), "kindVersion", {"kind", "version"})
    log_id = strict_object(entry.get("logId"), "logId", {"keyId"})
    promise = strict_object(entry.get("inclusionPromise", {}), "promise", {"signedEntryTimestamp"})
    return Entry(
        kind=f"{kind.get('kind')} {kind.get('version')}"[:40],
        body=strict_base64(entry.get("canonicalizedBody"), "canonicalizedBody"),
        log_id=strict_base64(log_id.get("keyId"), "logId.keyId"),
        index=_number(entry.get("logIndex", "0"), "logIndex"),
        integrated=_integrated(entry.get("integratedTime", "0")),
        promise=strict_base64(promise["signedEntryTimestamp"], "signedEntryTimestamp")
        if promise
        else b"",
        proof=_proof(entry["inclusionProof"]) if "inclusionProof" in entry else None,
    )


def _integrated(value: object) -> datetime | None:
    seconds = _number(value, "integratedTime")
    if seconds > _MAX_SECONDS:
        broken("integratedTime is no time")
    return datetime.fromtimestamp(seconds, UTC) if seconds else None


def _proof(value: object) -> Proof:
    proof = strict_object(value, "inclusionProof", _PROOF)
    hashes = proof.get("hashes", [])
    if not isinstance(hashes, list) or len(hashes) > MAX_PROOF_HASHES:
        broken(f"inclusionProof.hashes is not a list of at most {MAX_PROOF_HASHES}")
    checkpoint = strict_object(proof.get("checkpoint"), "checkpoint", {"envelope"}).get("envelope")
    if not isinstance(checkpoint, str):
        broken("checkpoint.envelope is not text")
    return Proof(
        index=_number(proof.get("logIndex", "0"), "inclusionProof.logIndex"),
        size=_number(proof.get("treeSize"), "inclusionProof.treeSize"),
        root=strict_base64(proof.get("rootHash"), "inclusionProof.rootHash"),
        hashes=tuple(strict_base64(one, "inclusionProof.hashes") for one in hashes),
        checkpoint=checkpoint,
    )


def _number(value: object, where: str) -> int:
    if not isinstance(value, str) or not _NUMBER.fullmatch(value):
        broken(f"{where} is not a number as protobuf writes it in JSON")
    return int(value)


def require_logged(entry: Entry, root: Root) -> datetime | None:
    """See that a log of the root holds the entry; return the time that it promised, if it did.

    What the entry says is not looked at here (`body.require_entry_about`).

    Raises:
        VerificationError: `bad-log-entry`, or `untrusted-log` when the root does not name it.
    """
    log = root.log(entry.log_id)
    if log is None:
        raise refusal(
            "untrusted-log", "the transparency log is not one that is trusted", OTHER_ROOT
        )
    if entry.proof is None:
        raise _bad("it has no inclusion proof")
    if not entry.promise and entry.index != entry.proof.index:
        raise _bad("it names two places in the log")
    _require_inclusion(entry.body, entry.proof)
    _require_checkpoint(entry.proof, log)
    return _promised(entry, log)


def _promised(entry: Entry, log: Log) -> datetime | None:
    """Return the time under the log's promise. A time without one counts for nothing."""
    if not entry.promise or entry.integrated is None:
        return None
    promised = {
        "body": base64.b64encode(entry.body).decode(),
        "integratedTime": int(entry.integrated.timestamp()),
        "logID": entry.log_id.hex(),
        "logIndex": entry.index,
    }
    if not log.signed(entry.promise, canonical_json(promised)):
        raise _bad("the log's promise does not hold")
    return entry.integrated


def require_in_use(entry: Entry, root: Root, times: Sequence[datetime]) -> None:
    """See that the entry's log was in use when it was signed. Raises `VerificationError`."""
    log = root.log(entry.log_id)
    if log is None or not all(log.validity.covers(time) for time in times):
        raise refusal(
            "untrusted-log",
            "the transparency log was not in use when the signature was made",
            OTHER_ROOT,
        )


def _require_inclusion(body: bytes, proof: Proof) -> None:
    """Walk from the leaf to the root (RFC 6962, 2.1.1, as RFC 9162, 2.1.3.2 spells it out)."""
    if not 0 <= proof.index < proof.size:
        raise _bad("its place is not in the tree")
    place, last = proof.index, proof.size - 1
    current = hashlib.sha256(b"\0" + body).digest()
    for sibling in proof.hashes:
        if len(sibling) != _SHA256_BYTES or last == 0:
            raise _bad("the inclusion proof is of another tree")
        if place & 1 or place == last:
            current = hashlib.sha256(b"\1" + sibling + current).digest()
            while place and not place & 1:
                place, last = place >> 1, last >> 1
        else:
            current = hashlib.sha256(b"\1" + current + sibling).digest()
        place, last = place >> 1, last >> 1
    if last != 0 or current != proof.root:
        raise _bad("the inclusion proof does not lead to the tree's root")


def _require_checkpoint(proof: Proof, log: Log) -> None:
    """See that the log signed this very tree: origin, size and root hash."""
    note, separator, block = proof.checkpoint.partition("\n\n")
    head = note.split("\n")
    lines = block.removesuffix("\n").split("\n")
    whole = separator and block.endswith("\n") and "\n\n" not in block
    if not whole or len(head) < 3 or not head[0] or len(lines) > _MAX_LINES:  # noqa: PLR2004
        raise _bad("the checkpoint is not a signed note")
    if head[1] != str(proof.size) or head[2] != base64.b64encode(proof.root).decode():
        raise _bad("the checkpoint is of another tree")
    if not any(_signs(line, _origin(note), f"{note}\n".encode(), log) for line in lines):
        raise _bad("the log did not sign the checkpoint")


def require_origin(entry: Entry) -> None:
    """See that somebody signed the checkpoint under the name of its origin.

    For whoever lets another verifier check the signature, and does not want two bundles to be one.
    Raises `VerificationError`: `bad-log-entry`.
    """
    note, _, block = (entry.proof.checkpoint if entry.proof else "").partition("\n\n")
    origin = _origin(note)
    lines = (_LINE.fullmatch(line) for line in block.split("\n")[:_MAX_LINES])
    if not any(match is not None and match[1] == origin for match in lines):
        raise _bad("nobody signed the checkpoint under the log's name")


def _origin(note: str) -> str:
    """Return the log's name; Rekor v1 adds the number of the tree to it."""
    return note.partition("\n")[0].partition(" - ")[0]


def _signs(line: str, origin: str, note: bytes, log: Log) -> bool:
    """Tell whether a line is the log's signature; those of witnesses are left out."""
    match = _LINE.fullmatch(line)
    if match is None or match[1] != origin:
        return False
    try:
        signature = base64.b64decode(match[2], validate=True)
    except ValueError:
        return False
    return signature[:4] == log.hint and log.signed(signature[4:], note)


def _bad(reason: str) -> VerificationError:
    return refusal("bad-log-entry", f"the transparency log entry does not hold: {reason}")
