# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Registry stores for tests: no waiting, no credentials of whoever runs the tests."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from modelseal.oci.content import BytesContent
from modelseal.oci.descriptor import EMPTY_BYTES, EMPTY_DESCRIPTOR, OCTET_STREAM, Descriptor
from modelseal.oci.manifest import Manifest
from modelseal.oci.reference import Repository
from modelseal.oci.registry.credentials import Credentials
from modelseal.oci.registry.limits import UploadPolicy
from modelseal.oci.registry.options import RegistryOptions, RetryPolicy
from modelseal.oci.registry.store import RegistryStore
from modelseal.oci.store import Store, push_bytes

NAME = "acme/model"
ARTIFACT = "application/vnd.example.test.v1"


@dataclass(frozen=True, slots=True)
class Known:
    """Credentials by registry; whoever is not named has none."""

    credentials: Mapping[str, Credentials] = field(default_factory=dict)

    def find(self, registry: str) -> Credentials | None:
        return self.credentials.get(registry)


@dataclass(frozen=True, slots=True)
class Waits:
    """Writes down for how long somebody would have slept."""

    seconds: list[float] = field(default_factory=list)

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)


def options_of(
    *,
    user: tuple[str, str] | None = None,
    identity_token: str = "",
    host: str = "",
    waits: Waits | None = None,
    ca_file: Path | None = None,
    attempts: int = 4,
) -> RegistryOptions:
    """Make options; `user` and `identity_token` are for `host`."""
    known: dict[str, Credentials] = {}
    if user is not None:
        known[host] = Credentials(*user)
    if identity_token:
        known[host] = Credentials(identity_token=identity_token)
    return RegistryOptions(
        credentials=Known(known),
        ca_file=ca_file,
        connect_timeout=5,
        read_timeout=5,
        retry=RetryPolicy(sleep=waits or Waits(), attempts=attempts),
    )


def store_at(
    host: str,
    *,
    user: tuple[str, str] | None = None,
    identity_token: str = "",
    waits: Waits | None = None,
    ca_file: Path | None = None,
    attempts: int = 4,
    known: UploadPolicy | None = None,
    ignore_limits: bool = False,
) -> RegistryStore:
    """Open the repository `acme/model`; `known` is what is known about how it takes blobs."""
    options = options_of(
        user=user,
        identity_token=identity_token,
        host=host,
        waits=waits,
        ca_file=ca_file,
        attempts=attempts,
    )
    options = replace(options, upload_policy=known, ignore_limits=ignore_limits)
    return RegistryStore(Repository(host, NAME), options)


def push_model(
    store: Store, data: bytes = b"weights", *, subject: Descriptor | None = None
) -> Manifest:
    """Push a small manifest with one layer."""
    layer = push_bytes(store, data, OCTET_STREAM)
    store.push(EMPTY_DESCRIPTOR, BytesContent(EMPTY_BYTES))
    manifest = Manifest.build(
        artifact_type=ARTIFACT, layers=[layer], subject=subject, annotations={"about": "test"}
    )
    store.push(manifest.descriptor, BytesContent(manifest.raw))
    return manifest
