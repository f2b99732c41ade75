# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A SPIFFE agent on a Unix socket: the Workload API's FetchJWTSVID, by gRPC."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc


def varint(value: int) -> bytes:
    """Encode as Protocol Buffers do."""
    octets = []
    while value >= 0x80:
        octets.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*octets, value])


def field(number: int, value: bytes) -> bytes:
    """Encode a length-delimited field."""
    return varint(number << 3 | 2) + varint(len(value)) + value


@contextlib.contextmanager
def spiffe_agent(
    path: Path,
    svid: Callable[[], str],
    *,
    spiffe_id: str = "spiffe://acme.example/train",
    answer: bytes | None = None,
) -> Iterator[str]:
    """Answer whoever asks for the audience `sigstore`; give the endpoint.

    An empty `svid` stands for a workload that is not registered; `answer` is sent as it is.
    """

    def fetch(request: bytes, context: grpc.ServicerContext) -> bytes:
        if dict(context.invocation_metadata()).get("workload.spiffe.io") != "true":
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "security header missing")
        assert request == field(1, b"sigstore")
        token = svid()
        if not token:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "no identity issued")
        if answer is not None:
            return answer
        first = field(1, spiffe_id.encode()) + field(2, token.encode()) + field(3, b"internal")
        other = field(1, b"spiffe://acme.example/other") + field(2, b"x.y.z")
        return field(1, first) + field(1, other)

    server = grpc.server(ThreadPoolExecutor(2))
    handlers = {"FetchJWTSVID": grpc.unary_unary_rpc_method_handler(fetch)}
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("SpiffeWorkloadAPI", handlers)]
    )
    server.add_insecure_port(f"unix:{path}")
    server.start()
    try:
        yield f"unix://{path}"
    finally:
        server.stop(None).wait()
