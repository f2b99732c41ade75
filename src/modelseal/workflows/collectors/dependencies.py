# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The dependencies of a model: its lock file, what is installed beside it, and container images."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from modelseal.evidence.environment.distributions import InstalledDistribution
from modelseal.evidence.facts import Basis, Fact, Finding, Level
from modelseal.evidence.images import floating, images_in
from modelseal.evidence.locks.entries import Lock, LockFormat, Source
from modelseal.evidence.locks.installed import (
    Comparison,
    Environment,
    compare,
    named_environment,
    own_environment,
)
from modelseal.evidence.locks.named import NamedLock
from modelseal.evidence.locks.said import about, listed
from modelseal.modelpack.detect import paths_in
from modelseal.workflows.collect import Build, Collected

_TOPIC = "dependencies"


def collect_dependencies(build: Build) -> Collected:
    """Say what the lock pins and hashes, and in what the environment of the build differs."""
    environment = named_environment(build.environment)
    # What is installed here was looked at already.
    installed = build.snapshot.distributions if environment == own_environment() else None
    return dependency_evidence(build.directory, build.lock, environment, installed=installed)


def dependency_evidence(
    directory: Path,
    named: NamedLock,
    environment: Environment,
    *,
    of_lock: bool = False,
    installed: Sequence[InstalledDistribution] | None = None,
) -> Collected:
    """Say what is known about the dependencies of a model.

    Args:
        directory: the model directory.
        named: the lock that the project names.
        environment: the Python environment that is compared with it.
        of_lock: somebody said that this is the environment of the lock: then it has to be.
        installed: what is installed there, if somebody has looked already.

    Raises:
        Error: the disk refused, or there are too many packages.
    """
    facts, findings = list[Fact](), list(named.findings)
    lock = named.lock
    if lock is not None:
        beside = compare(lock, environment, installed)
        facts += [*lock_facts(lock), *environment_facts(beside)]
        findings += [*lock.findings, *environment_findings(lock, beside, named=of_lock)]
    images, image_findings = image_evidence(directory)
    return Collected(facts=(*facts, *images), findings=(*findings, *image_findings))


def lock_facts(lock: Lock) -> Iterator[Fact]:
    """Say what a lock pins and hashes."""
    packages = lock.packages
    pinned = sum(package.pinned for package in packages)
    hashed = sum(package.hashed for package in packages)
    if packages and pinned == hashed == len(packages):
        how = f"all pinned and hashed by {lock.path}"
    else:
        how = f"{pinned} pinned and {hashed} hashed by {lock.path}"
    made = f" (made by {lock.tool})" if lock.tool else ""
    count = f"{len(packages)} package{'' if len(packages) == 1 else 's'}"
    yield Fact(_TOPIC, f"{count}, {how}{made}", Basis.VERIFIED)
    elsewhere = [package.name for package in packages if package.source is not Source.INDEX]
    if elsewhere:
        yield Fact(_TOPIC, f"not from an index: {listed(elsewhere)}", Basis.DECLARED)
    if any(package.requires for package in packages):
        edges = sum(len(package.requires) for package in packages)
        yield Fact(_TOPIC, f"{lock.path} says what needs what: {edges} edges", Basis.DECLARED)
    if lock.format is LockFormat.CONDA:
        platforms = sorted({package.platform for package in packages})
        yield Fact(_TOPIC, f"locked for {', '.join(platforms)}", Basis.DECLARED)


def environment_facts(beside: Comparison) -> Iterator[Fact]:
    """Say how far the environment is that of the lock."""
    if not beside.locked:
        return
    count = f"{len(beside.same)} of {len(beside.locked)} locked packages"
    what = f"{count} are installed in the locked version, in {beside.environment.what}"
    yield Fact(_TOPIC, what, Basis.VERIFIED)
    if beside.same:
        told = f"of {len(beside.hashed)} of them the installer noted a hash, and it is the lock's"
        rest = "names and versions were compared: installers note no hash of what an index gives"
        yield Fact(_TOPIC, told if beside.hashed else rest, Basis.VERIFIED)


def environment_findings(
    lock: Lock, beside: Comparison, *, named: bool = False
) -> Iterator[Finding]:
    """Say in what an environment differs from a lock.

    Args:
        lock: the lock.
        beside: the comparison.
        named: somebody said that this is the environment of the lock: then it has to be.
    """
    where, level = beside.environment.what, Level.ERROR if named else Level.WARNING
    if not named and len(beside.same) * 2 < len(beside.locked):
        yield Finding(
            id="environment-not-of-the-lock",
            level=Level.NOTE,
            message=f"{where} is not what {lock.path} describes: {len(beside.missing)} of "
            f"{len(beside.locked)} locked packages are not installed in it, {len(beside.other)} "
            "in another version",
            where=lock.path,
            hint="build in the environment that the lock makes, or compare it by itself: "
            "`modelseal check DIR --environment VENV`",
        )
        return
    install = (
        f"`uv pip sync {lock.path}`"
        if lock.format is LockFormat.REQUIREMENTS
        else {
            LockFormat.UV: "`uv sync --locked`",
            LockFormat.POETRY: "`poetry sync`",
            LockFormat.CONDA: "`conda-lock install`",
        }.get(lock.format, f"install what {lock.path} says")
    )
    yield from about(
        lock.path,
        "locked-package-missing",
        f"not installed in {where}: {{}}",
        [(f"{package.name} {package.version}", package.line) for package in beside.missing],
        hint=install,
        level=level,
    )
    yield from about(
        lock.path,
        "locked-package-in-another-version",
        f"in another version in {where}: {{}}",
        [
            (f"{package.name} {package.version} (installed: {one.version})", package.line)
            for package, one in beside.other
        ],
        hint=install,
        level=level,
    )
    yield from about(
        lock.path,
        "installed-archive-not-locked",
        f"installed in {where} from an archive whose hash is none of the lock's: {{}}",
        [(f"{package.name} {package.version}", package.line) for package in beside.swapped],
        hint=f"find out where it came from; then {install}",
        level=Level.ERROR,
    )
    yield from about(
        lock.path,
        "package-not-in-the-lock",
        f"installed in {where} and not locked: {{}}",
        [(f"{one.name} {one.version}", 0) for one in beside.extra],
        hint=f"take it out ({install}), or lock it, if the model needs it",
        level=Level.WARNING if named else Level.NOTE,
    )


def image_evidence(directory: Path) -> tuple[list[Fact], list[Finding]]:
    """Say which container images files beside the model name, and which of them can move."""
    images, findings = images_in(directory, paths_in(directory))
    findings += [found for image in images if (found := floating(image))]
    pinned = sum(image.pinned for image in images)
    if not images:
        return [], findings
    files = sorted({image.path for image in images})
    told = f"{pinned} of {len(images)} images in {listed(files)} are named by digest"
    return [Fact(_TOPIC, told, Basis.VERIFIED)], findings
