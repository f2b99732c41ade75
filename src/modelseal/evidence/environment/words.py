# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""An environment in words, and what is missing in what is known about it."""

import os
import sys
from collections.abc import Iterator, Mapping
from typing import Final

from modelseal.evidence.environment.compare import device_in_words
from modelseal.evidence.environment.container import BUILD_IMAGE
from modelseal.evidence.environment.distributions import InstalledDistribution, without_digest
from modelseal.evidence.environment.snapshot import Snapshot
from modelseal.evidence.facts import Basis, Fact, Finding, Level

_TOPIC: Final = "environment"
_MOST: Final = 5
_ACTIVE: Final = ("VIRTUAL_ENV", "CONDA_PREFIX")


def facts(snapshot: Snapshot) -> Iterator[Fact]:
    """Yield what a person wants to know about the environment."""
    value = snapshot.value
    system, libc, kernel = value["os"], value["libc"], value["kernel"]
    library = f"{libc['name']} {libc['version']}" if libc else "an unknown C library"
    name = system.get("name") or system.get("id") or "an unknown system"
    yield _verified(f"{name}, kernel {kernel['name']} {kernel['release']}, {library}")
    yield _verified(f"processor: {_processor(value['cpu'])}")
    yield _verified(f"accelerators: {_accelerators(value['accelerators'])}")
    python = value["python"]
    yield _verified(
        f"Python: {python['implementation']} {python['version']}, built by {python['compiler']}"
    )
    yield _verified(f"Python packages: {_packages(snapshot.distributions)}")
    if value["condaPackages"]:
        yield _verified(f"conda packages: {len(value['condaPackages'])}")
    yield _container(snapshot)
    if value["variables"]:
        told = ", ".join(f"{name}={item}" for name, item in value["variables"].items())
        yield _verified(f"variables that change results: {told}")
    tools = ", ".join(f"{name} {version}" for name, version in snapshot.tools().items())
    yield _verified(f"built with {tools}")
    yield _verified(
        f"all of it: {snapshot.digest}, {len(snapshot.raw)} bytes; an equal environment has an "
        "equal digest"
    )


def findings(snapshot: Snapshot, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yield what is not known about the environment, or not pinned."""
    yield from _image_findings(snapshot)
    unknown = without_digest(snapshot.distributions)
    if unknown:
        yield Finding(
            id="package-without-digest",
            level=Level.NOTE,
            message=f"what these Python packages hold is not known: {_listed(unknown)}",
            hint="install them from wheels; an editable one is what its working tree is",
        )
    for variable in _ACTIVE:
        active = environment.get(variable, "")
        if active and os.path.realpath(active) != os.path.realpath(sys.prefix):
            yield Finding(
                id="another-environment-is-active",
                message=f"{variable} is {active}, and modelseal runs in {sys.prefix}: the packages "
                "that are attested are those of the latter",
                hint="install modelseal into the environment that the model is built in",
            )
            break


def _image_findings(snapshot: Snapshot) -> Iterator[Finding]:
    container = snapshot.container
    hint = f"set {BUILD_IMAGE}=REGISTRY/REPOSITORY@sha256:… where the build is started"
    if container.unpinned:
        yield Finding(
            id="build-image-without-digest",
            message=f"{container.declared_by} names the image {container.unpinned} without a "
            "digest, and a tag can move",
            hint=hint,
        )
    elif container.engine and container.image is None:
        yield Finding(
            id="build-image-unknown",
            message=f"the build runs in a container ({container.engine}), and nothing says of "
            "which image: none can find that out about itself",
            hint=hint,
        )


def _verified(text: str) -> Fact:
    return Fact(_TOPIC, text, Basis.VERIFIED)


def _processor(cpu: Mapping[str, object]) -> str:
    models, features = cpu.get("models"), cpu.get("features")
    words = [", ".join(map(str, models)) if isinstance(models, list) else "of unknown model"]
    words.append(str(cpu["architecture"]))
    if "threads" in cpu:
        words.append(f"{cpu['threads']} threads")
    if isinstance(features, list):
        words.append(f"{len(features)} features")
    return ", ".join(words)


def _accelerators(found: Mapping[str, object]) -> str:
    devices, drivers = found["devices"], found.get("drivers")
    told = ", ".join(map(device_in_words, devices)) if isinstance(devices, list) else ""
    versions = drivers.items() if isinstance(drivers, dict) else ()
    listed = ", ".join(f"driver {name} {version}" for name, version in versions)
    return "; ".join(filter(None, (told or "none", listed)))


def _packages(distributions: tuple[InstalledDistribution, ...]) -> str:
    known = len(distributions) - len(without_digest(distributions))
    told = "all" if known == len(distributions) else str(known)
    return f"{len(distributions)}, {told} of them with the digest of what was installed"


def _container(snapshot: Snapshot) -> Fact:
    container = snapshot.container
    where = f"in a container ({container.engine})" if container.engine else "in a container"
    if container.image is not None:
        told = f"{where} of {container.image}, as {container.declared_by} says"
        return Fact(_TOPIC, told, Basis.DECLARED)
    if container.engine or container.unpinned:
        return Fact(_TOPIC, f"{where}, of an image whose digest is not known", Basis.INFERRED)
    return Fact(_TOPIC, "in no container, as far as can be seen", Basis.INFERRED)


def _listed(distributions: tuple[InstalledDistribution, ...]) -> str:
    told = [
        f"{one.name} {one.version}{' (editable)' if one.editable else ''}"
        for one in distributions[:_MOST]
    ]
    more = len(distributions) - len(told)
    return ", ".join([*told, *([f"and {more} more"] if more else [])])
