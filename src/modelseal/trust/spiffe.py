# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A JWT-SVID from the SPIFFE Workload API: who this workload is, vouched for by its agent.

One unary call over a Unix socket, whose two messages have three fields that matter, so they are
written and read here. Source: SPIFFE standards, `SPIFFE_Workload_API.md` and `workloadapi.proto`;
Protocol Buffers, "Encoding".
"""

from pathlib import PurePosixPath
from typing import Final

from modelseal.errors import SigningError, UnavailableError, UsageError

SOCKET_VARIABLE: Final = "SPIFFE_ENDPOINT_SOCKET"
"""Environment variable that names the agent's socket, as `unix:///path`."""

SPIFFE_TIMEOUT: Final = 10.0
"""Seconds that the agent gets to answer."""

MAX_SVID_BYTES: Final = 1 << 20
"""Largest answer of the agent, in bytes."""

_METHOD = "/SpiffeWorkloadAPI/FetchJWTSVID"
_METADATA = (("workload.spiffe.io", "true"),)  # without it an agent refuses, against SSRF
_LENGTH_DELIMITED = 2
_AUDIENCE, _SVIDS, _SVID = 1, 1, 2  # field numbers
_MAX_VARINT_BITS = 63


def fetch_svid(endpoint: str, audience: str) -> str:
    """Return the token of the workload's default identity: the first that the agent names.

    Args:
        endpoint: the value of `SPIFFE_ENDPOINT_SOCKET`; Unix sockets only.
        audience: who will read the token.

    Raises:
        UsageError: the endpoint is no Unix socket, or the extra is not installed.
        SigningError: the agent does not know this workload.
        UnavailableError: it did not answer.
    """
    try:
        import grpc
    except ImportError as error:
        raise UsageError(
            f"{SOCKET_VARIABLE} is set, and the library that asks there is not installed",
            hint="pip install 'modelseal[spiffe]', or give a file with the token",
        ) from error
    options = [("grpc.max_receive_message_length", MAX_SVID_BYTES), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(_target(endpoint), options=options) as channel:
        ask = channel.unary_unary(_METHOD)  # bytes in, bytes out
        try:
            answer = ask(_field(_AUDIENCE, audience.encode()), SPIFFE_TIMEOUT, _METADATA)
        except grpc.RpcError as error:
            raise _refused(endpoint, str(error.code().name), str(error.details())) from error
    try:
        first = next(value for number, value in _fields(answer) if number == _SVIDS)
        return next(value for number, value in _fields(first) if number == _SVID).decode("ascii")
    except (StopIteration, ValueError, IndexError) as error:
        raise SigningError(
            f"the SPIFFE agent at {endpoint} gave no JWT-SVID", hint=_HINT, code="no-identity-token"
        ) from error


_HINT = "see that a registration entry matches this workload: spire-agent api fetch jwt"


def _target(endpoint: str) -> str:
    path = endpoint.removeprefix("unix://").removeprefix("unix:")
    if path == endpoint or not PurePosixPath(path).is_absolute():
        raise UsageError(
            f"{SOCKET_VARIABLE} does not name a Unix socket",
            hint="for example unix:///run/spire/sockets/agent.sock",
        )
    return f"unix:{path}"


def _refused(endpoint: str, status: str, details: str) -> SigningError | UnavailableError:
    reason = f"{status}: {' '.join(details.split())[:300]}"
    if status == "PERMISSION_DENIED":
        return SigningError(
            f"the SPIFFE agent at {endpoint} does not know this workload ({reason})",
            hint=_HINT,
            code="no-identity-token",
        )
    return UnavailableError(
        f"the SPIFFE agent at {endpoint} did not answer ({reason})",
        hint=f"see that it runs and that {SOCKET_VARIABLE} is mounted here",
    )


def _field(number: int, value: bytes) -> bytes:
    """Encode a length-delimited field; values here stay below 128 bytes."""
    return bytes([number << 3 | _LENGTH_DELIMITED, len(value)]) + value


def _fields(message: bytes) -> list[tuple[int, bytes]]:
    """Return the length-delimited fields of a message: their numbers and contents.

    Raises:
        ValueError, IndexError: it holds anything else, or ends within a field.
    """
    found, at = [], 0
    while at < len(message):
        tag, at = _varint(message, at)
        size, at = _varint(message, at)
        end = at + size
        if tag & 7 != _LENGTH_DELIMITED or end > len(message):
            raise ValueError
        found.append((tag >> 3, message[at:end]))
        at = end
    return found


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        octet = message[at]
        value |= (octet & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if octet < 0x80:  # noqa: PLR2004 - the highest bit says that more follows
            return value, at
        if shift > _MAX_VARINT_BITS:
            raise ValueError
