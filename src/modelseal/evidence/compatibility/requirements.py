# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What `modelseal.yaml` requires, against what the lock can give: runtimes, Python, platforms."""

import re
from collections.abc import Iterable, Iterator, Sequence

from modelseal.evidence.compatibility.checked import Checked
from modelseal.evidence.environment.distributions import normalised
from modelseal.evidence.facts import Finding, Level
from modelseal.evidence.locks.entries import Lock, LockedPackage, Manager, Source
from modelseal.evidence.locks.said import about, listed
from modelseal.evidence.locks.selection import conda_platform, environment_of, selected
from modelseal.modelpack.project import Platform, Project

_MINORS = range(6, 20)
_WHEEL_PLATFORMS = {
    ("linux", "amd64"): r"(?:many)?linux\w*_x86_64",
    ("linux", "arm64"): r"(?:many)?linux\w*_aarch64",
    ("darwin", "amd64"): r"macosx_\w+_(?:x86_64|universal2|intel)",
    ("darwin", "arm64"): r"macosx_\w+_(?:arm64|universal2)",
    ("windows", "amd64"): r"win_amd64",
    ("windows", "arm64"): r"win_arm64",
}
"""OCI's words, and the platform tags of wheels that fit (glibc for Linux)."""


def check_requirements(project: Project, lock: Lock | None) -> Checked:
    """Compare `spec.requirements` with the lock."""
    checked = Checked()
    if lock is None or not lock.packages:
        return checked
    _check_runtimes(project, lock, checked)
    _check_python(project, lock, checked)
    for platform in project.requirements.platforms:
        _check_platform(project, lock, platform, checked)
    return checked


def _check_runtimes(project: Project, lock: Lock, checked: Checked) -> None:
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion

    for runtime in project.requirements.runtimes:
        name = normalised(runtime.name)
        # `onnxruntime-gpu` is an onnxruntime.
        found = [
            package
            for package in lock.packages
            if package.name == name or package.name.startswith(f"{name}-gpu")
        ]
        if not found:
            checked.lack(
                "runtime-not-locked",
                f"the model runs with {runtime.name}, and {lock.path} does not lock it",
                where="modelseal.yaml: spec.requirements.runtimes",
                hint=f"add {runtime.name} to what is locked, and `{lock.remedy}`; or leave it out "
                "there, if the image brings it",
            )
        for package in found:
            try:
                holds = not package.version or SpecifierSet(runtime.version).contains(
                    package.version, prereleases=True
                )
            except InvalidVersion:
                checked.leave(f"the version of {package.name}", "it is none", where=lock.path)
                continue
            what = f"{package.name} {package.version}"
            if not holds:
                checked.contradict(
                    "runtime-differs-from-lock",
                    f"spec.requirements wants {runtime.name} {runtime.version}, and {lock.path} "
                    f"locks {what}",
                    where=f"{lock.path}:{package.line}" if package.line else lock.path,
                    hint=f"lock another version (`{lock.remedy}`), or require this one",
                )
            elif package.version:
                checked.hold(f"{lock.path} locks {what}, which spec.requirements allows")


def _check_python(project: Project, lock: Lock, checked: Checked) -> None:
    wanted = project.requirements.python
    if not wanted and lock.requires_python:
        checked.lack(
            "missing-python",
            f"it is not said which versions of Python can load it; {lock.path} is for "
            f"{lock.requires_python}",
            where="modelseal.yaml: spec.requirements.python",
            add=f'spec:\n  requirements:\n    python: "{lock.requires_python}"',
        )
    if not wanted:
        return
    pythons = _pythons(wanted)
    if not pythons:
        checked.leave("Python", f"{wanted} allows no version that is known", where="modelseal.yaml")
        return
    refused = _refused(lock.requires_python, pythons)
    if refused:
        checked.contradict(
            "python-differs-from-lock",
            f"spec.requirements allows Python {listed(refused)}, and {lock.path} is for "
            f"{lock.requires_python}",
            where="modelseal.yaml: spec.requirements.python",
            add=f'spec:\n  requirements:\n    python: "{lock.requires_python}"',
        )
    elif lock.requires_python:
        checked.hold(f"{lock.path} is for every Python that spec.requirements allows ({wanted})")
    of_packages = [
        (f"{package.name} {package.version} (for {package.requires_python})", package.line)
        for package in lock.packages
        if not package.marker and not package.optional
        if _refused(package.requires_python, pythons)
    ]
    checked.findings += _python_of_packages(lock, wanted, of_packages)


def _python_of_packages(
    lock: Lock, wanted: str, entries: Sequence[tuple[str, int]]
) -> Iterator[Finding]:
    yield from about(
        lock.path,
        "package-not-for-python",
        f"spec.requirements allows Python {wanted}, and some packages are not for all of it: {{}}",
        entries,
        hint="require a newer Python in spec.requirements, or lock versions for older ones, too",
        level=Level.ERROR,
    )


def _pythons(specifiers: str) -> list[str]:
    """Return the minor versions of Python 3 of which some version is allowed."""
    from packaging.specifiers import SpecifierSet

    allowed = SpecifierSet(specifiers)
    exact = [text for item in allowed for text in re.findall(r"^3\.\d+\.\d+$", item.version)]
    return [
        f"3.{minor}"
        for minor in _MINORS
        if f"3.{minor}.99" in allowed
        or f"3.{minor}.0" in allowed
        or any(text in allowed for text in exact if text.split(".")[1] == str(minor))
    ]


def _refused(specifiers: str, pythons: Iterable[str]) -> list[str]:
    """Return those of `pythons` of which no version is allowed."""
    from packaging.specifiers import InvalidSpecifier

    try:
        allowed = set(_pythons(specifiers)) if specifiers else None
    except InvalidSpecifier:
        return []
    return [] if allowed is None else [python for python in pythons if python not in allowed]


def _check_platform(project: Project, lock: Lock, platform: Platform, checked: Checked) -> None:
    """See that every package can be installed on a platform, where the lock lists its files."""
    where = "modelseal.yaml: spec.requirements.platforms"
    words = f"{platform.os}/{platform.architecture}"
    tag = _WHEEL_PLATFORMS.get((platform.os, platform.architecture))
    pythons = [python for python in _pythons(project.requirements.python) if python >= "3.1"]
    python = min(pythons, key=lambda text: int(text.split(".")[1])) if pythons else "3.11"
    environment = environment_of(platform.os, platform.architecture, f"{python}.0")
    if tag is None or environment is None:
        checked.leave(words, "how wheels name it is not known here", where=where)
        return
    conda = conda_platform(platform.os, platform.architecture)
    conda_platforms = {
        package.platform for package in lock.packages if package.manager is Manager.CONDA
    }
    if conda_platforms and conda not in conda_platforms:
        checked.contradict(
            "platform-not-locked",
            f"spec.requirements names {words}, and {lock.path} locks "
            f"{listed(sorted(conda_platforms))}",
            where=where,
            hint=f"`conda-lock lock --platform {conda}`, or take the platform out",
        )
        return
    chosen = [
        package
        for package in selected(lock, environment, conda)
        if package.source is Source.INDEX and package.manager is Manager.PYPI
    ]
    listed_files = [package for package in chosen if all(file.name for file in package.files)]
    without = [package for package in listed_files if package.files and not _fits(package, tag)]
    _tell_wheels(lock, words, without, checked)
    if chosen and len(listed_files) < len(chosen):
        checked.leave(
            f"whether there are wheels for {words}", f"{lock.path} has hashes only", where=lock.path
        )
    elif chosen and not without:
        checked.hold(f"{lock.path} has wheels for {words} of all {len(chosen)} packages")


def _tell_wheels(
    lock: Lock, words: str, without: Sequence[LockedPackage], checked: Checked
) -> None:
    sources = [package for package in without if _has_source(package)]
    none = [package for package in without if not _has_source(package)]
    checked.findings += about(
        lock.path,
        "no-wheel-for-platform",
        f"cannot be installed on {words}, for which there is no wheel and no source: {{}}",
        [(f"{package.name} {package.version}", package.line) for package in none],
        hint="lock versions that have one, or take the platform out of spec.requirements",
        level=Level.ERROR,
    )
    checked.findings += about(
        lock.path,
        "only-source-for-platform",
        f"has to be built from source on {words}, which needs a compiler there: {{}}",
        [(f"{package.name} {package.version}", package.line) for package in sources],
        hint="lock versions that have a wheel, or build the image on that platform",
        level=Level.NOTE,
    )


def _has_source(package: LockedPackage) -> bool:
    return any(file.name.endswith((".tar.gz", ".zip")) for file in package.files)


def _fits(package: LockedPackage, tag: str) -> bool:
    """Tell whether a wheel fits the platform, for whichever Python."""
    return any(
        file.name.endswith(".whl")
        and any(
            part == "any" or re.fullmatch(tag, part)
            for part in file.name.removesuffix(".whl").rpartition("-")[2].split(".")
        )
        for file in package.files
    )
