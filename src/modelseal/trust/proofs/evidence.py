# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Log entries and timestamps of one signature: which of them hold, and what time they give."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from modelseal.trust.bundle import Material
from modelseal.trust.dsse import broken
from modelseal.trust.identity import CHECK_LOG_TIME, CHECK_TIMESTAMP, CHECK_TRANSPARENCY_LOG
from modelseal.trust.proofs.body import require_entry_about
from modelseal.trust.proofs.log import Entry, read_entries, require_in_use, require_logged
from modelseal.trust.proofs.refusal import OTHER_ROOT, refusal
from modelseal.trust.proofs.root import Root
from modelseal.trust.proofs.signed import Signed, SigningKey
from modelseal.trust.proofs.stamps import require_timestamp, timestamped_at

# Rekor v2 gives no time, and nothing else may make one up.
_TIMED = frozenset({"dsse 0.0.1", "hashedrekord 0.0.1", "intoto 0.0.2"})


@dataclass(frozen=True, slots=True)
class Proven:
    """What log entries and timestamps show.

    Attributes:
        times: every verified time at which the signature existed.
        checks: what ran and passed.
    """

    times: tuple[datetime, ...]
    checks: tuple[str, ...]

    @property
    def signed_at(self) -> datetime | None:
        """The earliest time: the tightest bound."""
        return min(self.times, default=None)


def prove(
    material: Material,
    signed: Signed,
    key: SigningKey,
    root: Root,
    *,
    now: datetime | None = None,
    all_of_root: bool = False,
) -> Proven:
    """Check what the bundle brings under a root.

    An entry or a timestamp of somebody whom the root does not name proves nothing, and is left
    out; an entry of a log that it names has to hold, and there has to be one among the entries.

    Args:
        material: of the bundle.
        signed: what every proof has to be about.
        key: what has to have signed.
        root: whom to believe.
        now: stands in for a time where nothing gives one; None is the time now.
        all_of_root: ask for an entry if the root names a log, and for a time if it names a
            timestamp authority.

    Raises:
        VerificationError: something does not hold, or is missing.
    """
    entries = _entries_of(material, root)
    # Entries that are all of strangers say nothing about keys either, and were meant to.
    if root.logs and not entries and (all_of_root or material.log_entries):
        raise _no_entry(material)
    promised = []
    for entry in entries:
        require_entry_about(entry.kind, entry.body, signed, key)
        if entry.promise and entry.kind not in _TIMED:
            broken("a log entry has a promise, which logs of its kind do not make")
        time = require_logged(entry, root)
        if time is None and material.version == "0.1":
            broken("a bundle of version 0.1 has no promise of the log")
        if time is not None:
            promised.append(time)
    stamped = timestamped_at(material.timestamps, signed.signature, root)
    times = (*stamped, *promised)
    if all_of_root and root.timestampers and not promised:
        require_timestamp(stamped, material.timestamps)
    for entry in entries:
        require_in_use(entry, root, times or (now or datetime.now(UTC),))
    found = (
        (CHECK_TRANSPARENCY_LOG, entries),
        (CHECK_LOG_TIME, promised),
        (CHECK_TIMESTAMP, stamped),
    )
    return Proven(times, tuple(check for check, proofs in found if proofs))


def _entries_of(material: Material, root: Root) -> Sequence[Entry]:
    entries = read_entries(material.log_entries) if root.logs else ()
    return [entry for entry in entries if root.log(entry.log_id)]


def _no_entry(material: Material) -> Exception:
    if material.log_entries:
        return refusal(
            "untrusted-log",
            "no transparency log that is trusted has seen the signature",
            OTHER_ROOT,
        )
    return refusal(
        "no-log-entry",
        "the bundle has no transparency log entry",
        "sign with a signing config that names a log (Rekor)",
    )
