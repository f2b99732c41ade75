# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""How to speak to a registry: frozen, without I/O, cheap to import."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from modelseal.oci.registry.credentials import CredentialSource, DockerCredentials
from modelseal.oci.registry.limits import UploadPolicy
from modelseal.version import __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When to try again, in seconds.

    Attributes:
        attempts: how often in all.
        first_wait: the wait after the first failure; it doubles, with jitter.
        longest_wait: a registry that asks for a longer one (`Retry-After`) is given up on.
        sleep: waits; tests replace it.
    """

    attempts: int = 4
    first_wait: float = 0.3
    longest_wait: float = 30.0
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryOptions:
    """How to speak to a registry. Times are in seconds.

    Attributes:
        plain_http: hosts (`host` or `host:port`) that may be spoken to without TLS. Loopback
            needs no naming: it is spoken to without TLS unless `ca_file` is given.
        ca_file: certificates (PEM) to trust besides the system's own.
        client_cert: the certificate (PEM, with its chain) that we show to a registry that asks
            for one; no other owner's host sees it.
        client_key: its private key (PEM); None when it stands in the file of the certificate.
        client_key_passphrase: of that key, should it be encrypted.
        credentials: where credentials come from.
        token_hosts: hosts outside the registry's own domain whose token service may be told the
            registry's credentials.
        user_agent: how we call ourselves.
        connect_timeout: to connect, and for the TLS handshake.
        read_timeout: until the next bytes arrive or are taken.
        slowest_read: until the next 256 KiB of content, or the whole of another answer, are there.
        commit_timeout: until a registry has put away a blob whose last byte it has.
        retry: when to try again.
        ignore_limits: send what is known to be too large for the registry all the same.
        upload_policy: how the registry takes blobs; None for what is known by its name.
    """

    plain_http: frozenset[str] = frozenset()
    ca_file: Path | None = None
    client_cert: Path | None = None
    client_key: Path | None = None
    client_key_passphrase: str = field(default="", repr=False)
    credentials: CredentialSource = field(default_factory=DockerCredentials)
    token_hosts: frozenset[str] = frozenset()
    user_agent: str = f"modelseal/{__version__}"
    connect_timeout: float = 10.0
    read_timeout: float = 30.0
    slowest_read: float = 60.0
    commit_timeout: float = 900.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    ignore_limits: bool = False
    upload_policy: UploadPolicy | None = None
