# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
import pytest
from packageurl import PackageURL
from tests.support.bom import problems
from tests.unit.evidence.bom.test_cyclonedx import minimal

from modelseal.evidence.bom.cyclonedx import cyclonedx
from modelseal.evidence.bom.facts import Lock
from modelseal.evidence.bom.packages import lock_of
from modelseal.evidence.locks.read import parse_lock

REQUIREMENTS = f"""\
top==1.0+cpu \\
    --hash=sha256:{"a" * 64} \\
    --hash=sha512:{"b" * 128}
low==2.0 ; python_version < "3.12" --hash=sha256:{"c" * 64}
    # via top
low==2.1 ; python_version >= "3.12" --hash=sha256:{"d" * 64}
    # via top
"""

UV = f"""\
version = 1
requires-python = ">=3.11"

[[package]]
name = "app"
version = "1.0.0"
source = {{ virtual = "." }}
dependencies = [{{ name = "top" }}]

[[package]]
name = "low"
version = "2.0"
source = {{ registry = "https://index.example/simple" }}
wheels = [{{ url = "https://files.example/low-2.0-py3-none-any.whl", hash = "sha256:{"c" * 64}" }}]

[[package]]
name = "top"
version = "1.0"
source = {{ registry = "https://index.example/simple" }}
dependencies = [{{ name = "low" }}]
wheels = [{{ url = "https://files.example/top-1.0-py3-none-any.whl", hash = "sha256:{"a" * 64}" }}]
"""


def read(text: str, path: str) -> Lock:
    return lock_of(parse_lock(text.encode(), path))


def test_every_entry_of_a_requirements_file_is_a_component_with_its_hashes() -> None:
    lock = read(REQUIREMENTS, "requirements.lock")
    found = {item.purl: [str(digest) for digest in item.hashes] for item in lock.packages}
    assert found == {
        "pkg:pypi/low@2.0": ["sha256:" + "c" * 64],
        "pkg:pypi/low@2.1": ["sha256:" + "d" * 64],
        "pkg:pypi/top@1.0%2Bcpu": ["sha256:" + "a" * 64, "sha512:" + "b" * 128],
    }
    assert all(PackageURL.from_string(purl).to_string() == purl for purl in found)
    assert lock.roots == ("pkg:pypi/top@1.0%2Bcpu",)
    (top,) = [item for item in lock.packages if item.name == "top"]
    assert top.needs == ("pkg:pypi/low@2.0", "pkg:pypi/low@2.1")


@pytest.mark.parametrize(("text", "path"), [(REQUIREMENTS, "requirements.lock"), (UV, "uv.lock")])
def test_the_bom_has_the_graph_of_the_lock(text: str, path: str) -> None:
    document = cyclonedx(minimal(lock=read(text, path)), "0.1.0")
    assert problems(document) == ""
    refs = [item["bom-ref"] for item in document["components"]]
    edges = {item["ref"]: item.get("dependsOn", []) for item in document["dependencies"]}
    assert len(refs) == len(set(refs))
    assert set(edges) == {"model", *refs}
    assert {ref for targets in edges.values() for ref in targets} == set(refs)


def test_the_project_itself_is_no_component_but_says_what_it_asks_for() -> None:
    lock = read(UV, "uv.lock")
    assert [item.name for item in lock.packages] == ["low", "top"]
    assert lock.roots == ("pkg:pypi/top@1.0",)


def test_where_nothing_tells_what_needs_what_the_model_needs_all() -> None:
    text = f"a==1 --hash=sha256:{'a' * 64}\nb==1 --hash=sha256:{'b' * 64}\n"
    assert read(text, "requirements.lock").roots == ("pkg:pypi/a@1", "pkg:pypi/b@1")


def test_a_circle_has_roots_too() -> None:
    text = (
        f"a==1 --hash=sha256:{'a' * 64}\n    # via b\nb==1 --hash=sha256:{'b' * 64}\n    # via a\n"
    )
    assert read(text, "requirements.lock").roots == ("pkg:pypi/a@1", "pkg:pypi/b@1")
