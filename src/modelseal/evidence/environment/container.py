# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The container that the build runs in, as far as it can be known.

No container can find out its image's digest by itself: control groups name the container at most,
which is another one at each run. So the digest is declared, by whoever starts the build
(`MODELSEAL_BUILD_IMAGE`) or by the CI system; without that it is not known, and said so.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelseal.errors import InvalidReferenceError
from modelseal.oci.reference import DigestReference, parse_reference

BUILD_IMAGE: Final = "MODELSEAL_BUILD_IMAGE"
"""Names the image that the build runs in, with its digest: `registry/repository@sha256:…`."""
GITLAB_IMAGE: Final = "CI_JOB_IMAGE"
"""GitLab: the name of the image of the job, as its pipeline writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """The container of a build; outside of one all fields are empty."""

    engine: str = ""
    """`docker`, `podman`, `kubernetes`: which one left its mark."""
    image: DigestReference | None = None
    declared_by: str = ""
    """The variable that names the image."""
    unpinned: str = ""
    """The image as it is named without a digest, or in a way that cannot be read."""

    def to_json(self) -> dict[str, str]:
        """Return what is part of the environment."""
        value = {"engine": self.engine, "image": str(self.image or "")}
        return {key: item for key, item in value.items() if item}


def container(root: Path, environment: Mapping[str, str]) -> Container:
    """Return the container that this process runs in."""
    image, named, by = None, "", ""
    for variable in (BUILD_IMAGE, GITLAB_IMAGE):
        named = environment.get(variable, "").strip()
        if named:
            image, by = _pinned(named), variable
            break
    return Container(
        engine=_engine(root, environment),
        image=image,
        declared_by=by,
        unpinned="" if image else named[:512],
    )


def _pinned(named: str) -> DigestReference | None:
    try:
        reference = parse_reference(named)
    except InvalidReferenceError:
        return None
    return reference if isinstance(reference, DigestReference) else None


def _engine(root: Path, environment: Mapping[str, str]) -> str:
    if environment.get("KUBERNETES_SERVICE_HOST"):  # Kubernetes docs, "Services": in every pod
        return "kubernetes"
    if (root / "run/.containerenv").exists():  # podman-run(1)
        return "podman"
    return "docker" if (root / ".dockerenv").exists() else ""
