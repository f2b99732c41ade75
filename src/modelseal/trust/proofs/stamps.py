# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""RFC 3161 timestamps of signatures, checked with `rfc3161-client`."""

from collections.abc import Sequence
from datetime import datetime

from rfc3161_client import TimeStampResponse, VerifierBuilder, decode_timestamp_response

from modelseal.trust.proofs.refusal import OTHER_ROOT, refusal
from modelseal.trust.proofs.root import Authority, Root


def timestamped_at(responses: Sequence[bytes], signature: bytes, root: Root) -> list[datetime]:
    """Return when the authorities of `root` saw the signature. Raises as `timestamped` does."""
    return timestamped(responses, signature, root.timestampers)


def timestamped(
    responses: Sequence[bytes], signature: bytes, authorities: Sequence[Authority]
) -> list[datetime]:
    """Return when trusted authorities saw the signature; those of others are left out.

    Args:
        responses: timestamp responses, DER.
        signature: the bytes that were stamped.
        authorities: whose word counts.

    Raises:
        VerificationError: `broken-bundle`: one stands there twice.
    """
    if not authorities:
        return []
    if len(set(responses)) != len(responses):
        raise refusal("broken-bundle", "the bundle is broken: a timestamp stands there twice")
    times = (_time_of(response, signature, authorities) for response in responses)
    return [time for time in times if time is not None]


def require_timestamp(times: Sequence[datetime], responses: Sequence[bytes]) -> None:
    """Refuse when no timestamp holds. Raises `VerificationError`."""
    if times:
        return
    if responses:
        raise refusal(
            "untrusted-timestamp",
            "nothing trusted says when it was signed: no timestamp in the bundle holds",
            OTHER_ROOT,
        )
    raise refusal(
        "no-timestamp",
        "nothing in the bundle says when it was signed, and the trusted root names a timestamp "
        "authority",
        "sign with a signing config that names a timestamp authority",
    )


def _time_of(raw: bytes, signature: bytes, authorities: Sequence[Authority]) -> datetime | None:
    try:
        response = decode_timestamp_response(raw)
        time = response.tst_info.gen_time
    except Exception:  # noqa: BLE001 - its parser lets out ValueError, TypeError and more
        return None
    if any(_holds(response, signature, one, time) for one in authorities):
        return time
    return None


def _holds(
    response: TimeStampResponse, signature: bytes, authority: Authority, time: datetime
) -> bool:
    if not authority.validity.covers(time):
        return False
    builder = VerifierBuilder(
        tsa_certificate=authority.chain[0],
        intermediates=list(authority.chain[1:-1]),
        roots=[authority.chain[-1]],
    )
    try:
        return builder.build().verify_message(response, signature)
    except Exception:  # noqa: BLE001 - its own errors and OpenSSL's: all of them mean no
        return False
