# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a lock installs where, and what is installed beside it."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from modelseal.errors import UsageError
from modelseal.evidence.facts import Level
from modelseal.evidence.locks.descriptors import MOST_DESCRIPTORS, package_descriptors
from modelseal.evidence.locks.entries import Lock, LockedPackage
from modelseal.evidence.locks.installed import compare, environment_at, named_environment
from modelseal.evidence.locks.read import parse_lock, read_lock
from modelseal.evidence.locks.selection import environment_of, holds, selected
from modelseal.workflows.collectors.dependencies import environment_findings

VECTORS = Path(__file__).parents[2] / "vectors" / "locks"
FLASK = {"blinker", "click", "flask", "itsdangerous", "jinja2", "markupsafe", "werkzeug"}
HASH = "1" * 64


def names(lock: Lock, os: str, python: str = "3.12.0", conda: str = "") -> set[str]:
    environment = environment_of(os, "amd64", python)
    assert environment is not None
    return {package.name for package in selected(lock, environment, conda)}


@pytest.mark.parametrize("name", ["uv.lock", "pylock.toml", "requirements.txt"])
def test_a_lock_installs_on_each_platform_what_its_markers_say(name: str) -> None:
    lock = read_lock(VECTORS, name)
    # What `uv export` writes has the group `dev`, too; of a uv.lock nobody asked for it.
    more = set() if name == "uv.lock" else {"iniconfig"}
    assert names(lock, "linux") == FLASK | more
    assert names(lock, "windows") == FLASK | {"colorama"} | more


def test_poetry_and_conda_install_what_is_for_the_platform() -> None:
    lock = read_lock(VECTORS, "poetry.lock")
    assert names(lock, "linux") == {"flask", "click", "inner"}
    assert names(lock, "windows") == {"flask", "click", "inner", "colorama"}
    conda = read_lock(VECTORS, "conda-lock.yml")
    assert names(conda, "linux", conda="linux-64") == {"_libgcc_mutex", "python"}
    assert names(conda, "darwin", conda="osx-arm64") == {"python"}


def test_poetry_before_2_1_has_its_markers_on_the_edges() -> None:
    raw = (VECTORS / "poetry.lock").read_text().replace('"2.1"', '"2.0"')
    lines = [line for line in raw.splitlines() if not line.startswith(("markers", "groups"))]
    lock = parse_lock("\n".join(lines).encode(), "poetry.lock")
    assert names(lock, "linux") == {"flask", "click", "inner", "pytest"}
    assert names(lock, "windows") == {"flask", "click", "inner", "colorama", "pytest"}


def test_uv_installs_of_two_versions_the_one_for_the_python() -> None:
    text = """\
version = 1
requires-python = ">=3.11"
[[package]]
name = "m"
version = "1.0"
source = { virtual = "." }
dependencies = [
    { name = "numpy", version = "1.26.4", marker = "python_full_version < '3.12'" },
    { name = "numpy", version = "2.4.0", marker = "python_full_version >= '3.12'" },
]
[[package]]
name = "numpy"
version = "1.26.4"
source = { registry = "https://index.example/simple" }
resolution-markers = ["python_full_version < '3.12'"]
[[package]]
name = "numpy"
version = "2.4.0"
source = { registry = "https://index.example/simple" }
resolution-markers = ["python_full_version >= '3.12'"]
"""
    lock = parse_lock(text.encode(), "uv.lock")
    for python, version in (("3.11.9", "1.26.4"), ("3.13.0", "2.4.0")):
        environment = environment_of("linux", "amd64", python)
        assert environment is not None
        assert [package.version for package in selected(lock, environment)] == [version]


def test_a_marker_that_nobody_can_evaluate_leaves_nothing_out() -> None:
    environment = environment_of("linux", "amd64", "3.12.0")
    assert environment is not None
    assert holds("moon == 'full'", environment)
    assert not holds("sys_platform == 'win32'", environment)
    assert not holds("extra == 'fast'", environment)
    assert environment_of("plan9", "amd64", "3.12.0") is None


def install(
    directory: Path, versions: Mapping[str, str], archives: Mapping[str, str] | None = None
) -> Path:
    """Make a virtual environment with these packages, as an installer leaves them."""
    site = directory / "lib" / "python3.12" / "site-packages"
    site.mkdir(parents=True)
    (directory / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.12.4\n")
    for name, version in versions.items():
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    for name, digest in (archives or {}).items():
        told = {"url": "file:///x.whl", "archive_info": {"hashes": {"sha256": digest}}}
        info = site / f"{name}-{versions[name]}.dist-info"
        (info / "direct_url.json").write_text(json.dumps(told))
    return directory


def lock_of(*entries: str) -> Lock:
    lines = [f"{entry} --hash=sha256:{HASH}" for entry in entries]
    return parse_lock("\n".join(lines).encode(), "requirements.lock")


def test_an_environment_is_compared_with_a_lock(tmp_path: Path) -> None:
    venv = install(tmp_path, {"Same_One": "1.0", "other": "2.0", "extra": "3.0", "pip": "25"})
    lock = lock_of("same-one==1.0.0", "other==2.1", "gone==4.0", "old==1; python_version<'3.12'")
    found = compare(lock, environment_at(venv))
    assert [package.name for package in found.same] == ["same-one"]
    assert [(package.name, one.version) for package, one in found.other] == [("other", "2.0")]
    assert [package.name for package in found.missing] == ["gone"]
    assert [one.name for one in found.extra] == ["extra"]
    told = {item.id: item for item in environment_findings(lock, found, named=True)}
    assert told["locked-package-missing"].message.endswith("gone 4.0 (line 3)")
    assert (
        "other 2.1 (installed: 2.0) (line 2)" in told["locked-package-in-another-version"].message
    )
    assert told["locked-package-missing"].level is Level.ERROR
    assert told["package-not-in-the-lock"].level is Level.WARNING


def test_an_environment_that_is_another_one_is_a_note_unless_it_was_named(tmp_path: Path) -> None:
    lock = lock_of("a==1", "b==1", "c==1")
    found = compare(lock, environment_at(install(tmp_path, {"a": "1"})))
    (only,) = environment_findings(lock, found)
    assert (only.id, only.level) == ("environment-not-of-the-lock", Level.NOTE)


def test_a_hash_that_the_installer_noted_is_compared(tmp_path: Path) -> None:
    lock = lock_of("a==1", "b==1", "c==1")
    installed = {"a": "1", "b": "1", "c": "1"}
    venv = install(tmp_path, installed, {"a": HASH, "b": "2" * 64})
    found = compare(lock, environment_at(venv))
    assert [package.name for package in found.hashed] == ["a"]
    assert [package.name for package in found.swapped] == ["b"]
    told = {item.id: item for item in environment_findings(lock, found)}
    assert told["installed-archive-not-locked"].level is Level.ERROR


def test_what_an_installer_wrote_badly_is_no_hash(tmp_path: Path) -> None:
    venv = install(tmp_path, {"a": "1"}, {"a": HASH})
    (path,) = venv.rglob("direct_url.json")
    for text in ("", "{", "[]", '{"archive_info": 1}', '{"archive_info": {"hashes": []}}'):
        path.write_text(text)
        found = compare(lock_of("a==1"), environment_at(venv))
        assert (found.hashed, found.swapped) == ((), ())


def test_the_active_environment_is_that_of_the_variable(tmp_path: Path) -> None:
    venv = install(tmp_path / "fraud", {"a": "1"})
    found = named_environment({"VIRTUAL_ENV": str(venv)})
    assert (found.what, found.python) == ("the environment fraud", "3.12.4")
    for other in ({}, {"VIRTUAL_ENV": str(tmp_path / "gone")}, {"VIRTUAL_ENV": "relative"}):
        assert named_environment(other).what == "the environment of this process"
    assert named_environment({"VIRTUAL_ENV": sys.prefix}).what == "the environment of this process"


def test_what_is_no_environment_is_told(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "gone"):
        with pytest.raises(UsageError, match="is no virtual environment"):
            environment_at(path)


def test_packages_become_dependencies_of_a_provenance() -> None:
    lock = read_lock(VECTORS, "poetry.lock")
    found = {item.name: item for item in package_descriptors(lock.packages)}
    assert found["click"].uri == "pkg:pypi/click@8.5.1"
    assert found["click"].digest == {"sha256": "3" * 64}
    assert found["inner"].digest == {"gitCommit": "5" * 40}
    assert found["flask"].digest == {}  # two archives: which one was installed is not known
    many = [LockedPackage(name=f"p{n}", version="1") for n in range(MOST_DESCRIPTORS + 1)]
    assert package_descriptors(many) == ()
