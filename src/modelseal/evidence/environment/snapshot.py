# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The snapshot: everything about an environment in one canonical JSON document, and its digest."""

import platform
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from modelseal.documents import canonical_json
from modelseal.errors import InvalidDocumentError, LimitExceededError
from modelseal.evidence.environment.accelerators import accelerators
from modelseal.evidence.environment.conda import conda_packages
from modelseal.evidence.environment.container import Container, container
from modelseal.evidence.environment.distributions import (
    InstalledDistribution,
    installed_distributions,
)
from modelseal.evidence.environment.machine import kernel, libc, operating_system, processor
from modelseal.evidence.environment.variables import variables
from modelseal.oci.descriptor import Digest
from modelseal.version import __version__

SNAPSHOT_VERSION: Final = "1"
"""Raised when a reader of the old form would misunderstand a new one."""
MAX_SNAPSHOT_BYTES: Final = 2 << 20
"""Largest snapshot: it is part of a provenance that every verifier reads."""

TOOLS: Final = ("cryptography", "pyyaml", "sigstore")
"""What forms the bytes of an artifact and of its statements, beside modelseal and Python: what
reads `modelseal.yaml`, and what signs."""


@dataclass(frozen=True)
class Snapshot:
    """An environment; equal environments have equal bytes."""

    value: Mapping[str, Any]
    container: Container
    distributions: tuple[InstalledDistribution, ...]

    @cached_property
    def raw(self) -> bytes:
        """The canonical bytes."""
        return canonical_json(self.value)

    @property
    def digest(self) -> Digest:
        """Of the canonical bytes."""
        return Digest.of(self.raw)

    def parameter(self) -> dict[str, Any]:
        """Return it with its digest, as it stands in a provenance."""
        return {"digest": {"sha256": self.digest.encoded}, "snapshot": dict(self.value)}

    def tools(self) -> dict[str, str]:
        """Return the versions of what builds: `builder.version` of a provenance."""
        python = self.value["python"]
        versions = {one.name: one.version for one in self.distributions}
        found: dict[str, str] = {
            "modelseal": __version__,
            "python": f"{python['implementation']} {python['version']}",
        }
        found.update({name: versions[name] for name in TOOLS if name in versions})
        return found


def take_snapshot(
    environment: Mapping[str, str],
    *,
    root: Path = Path("/"),
    path: Sequence[str] | None = None,
    prefix: Path = Path(sys.prefix),
) -> Snapshot:
    """Look at the environment of this process.

    Args:
        environment: of the process.
        root: `/`, or a tree that stands for it.
        path: where Python packages are looked for; None: where this Python does.
        prefix: of this Python; a conda environment is one.

    Raises:
        LimitExceededError: it is larger than any environment that we take.
    """
    inside = container(root, environment)
    packages = installed_distributions(path)
    snapshot = Snapshot(
        {
            "snapshotVersion": SNAPSHOT_VERSION,
            "os": operating_system(root),
            "kernel": kernel(),
            "libc": libc(root),
            "cpu": processor(root),
            "accelerators": accelerators(root, environment),
            "python": _python(),
            "packages": [one.to_json() for one in packages],
            "condaPackages": conda_packages(prefix),
            "container": inside.to_json(),
            "variables": variables(environment),
            "tools": {"modelseal": __version__},
        },
        inside,
        packages,
    )
    if len(snapshot.raw) > MAX_SNAPSHOT_BYTES:
        raise LimitExceededError(
            f"the environment's description is larger than {MAX_SNAPSHOT_BYTES >> 20} MiB",
            hint="publish from an environment that has what the build needs",
        )
    return snapshot


def _python() -> dict[str, str]:
    number, built = platform.python_build()
    value = {
        "implementation": platform.python_implementation(),
        "version": platform.python_version(),
        "build": f"{number}, {built}",
        "compiler": platform.python_compiler(),
        "abi": str(sysconfig.get_config_var("SOABI") or ""),
        "platform": sysconfig.get_platform(),
        "cacheTag": sys.implementation.cache_tag or "",
    }
    return {key: item for key, item in value.items() if item}


def read_snapshot(predicate: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the snapshot that stands in a provenance, after its digest was compared.

    Args:
        predicate: of an SLSA provenance v1, as verified or as claimed.

    Raises:
        InvalidDocumentError: it is not what its digest says, or of no form that we know.
    """
    definition = predicate.get("buildDefinition")
    parameters = definition.get("internalParameters") if isinstance(definition, dict) else None
    found = parameters.get("environment") if isinstance(parameters, dict) else None
    if found is None:
        return None
    value = found.get("snapshot") if isinstance(found, dict) else None
    digest = found.get("digest") if isinstance(found, dict) else None
    if not isinstance(value, dict) or not isinstance(digest, dict):
        raise InvalidDocumentError("the provenance's environment has no snapshot with a digest")
    try:
        computed = Digest.of(canonical_json(value)).encoded
    except ValueError as error:
        raise InvalidDocumentError("the provenance's environment is no JSON") from error
    if digest.get("sha256") != computed:
        raise InvalidDocumentError(
            f"the provenance's environment has the digest sha256:{computed}, and not the one that "
            "stands beside it"
        )
    return value
