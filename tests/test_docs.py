# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The documents are true where that can be seen by reading: links, steps, limits, codes, tests."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from modelseal import errors
from modelseal.cli.exit_codes import ExitCode, exit_code_for
from modelseal.policy.document import parse_policy

ROOT = Path(__file__).parent.parent
SOURCE = ROOT / "src" / "modelseal"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
CLI = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20}


def table(page: str, heading: str) -> list[list[str]]:
    """Return the cells of every table row below a heading, without the head."""
    text = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| ")]
    return [[cell.strip() for cell in row] for row in rows[1:]]


def code_text() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in SOURCE.rglob("*.py"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        if link.startswith(("https://", "http://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{page.name} links to {link}"
        if anchor:
            assert anchor in anchors(target), f"{page.name} links to {link}"


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize(
    ("workflow", "page"),
    [
        ("publish", "publishing"),
        ("verify", "verification"),
        ("pull", "pulling"),
        ("load", "loading"),
        ("copy", "copying"),
        ("rotate", "rotation"),
        ("oms", "oms"),
        ("environment", "environment-attestation"),
    ],
)
def test_a_page_has_the_steps_of_its_workflow_in_order_and_by_name(
    workflow: str, page: str
) -> None:
    code = (SOURCE / "workflows" / f"{workflow}.py").read_text(encoding="utf-8")
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    comments = " ".join(re.findall(r"^ +# (.+)$", code, re.MULTILINE))
    steps = [(int(n), name) for n, name in re.findall(r"\((\d)\) ([^.:;,]+)", comments)]
    headings = re.findall(r"^### \((\d)\) (.+)$", text, re.MULTILINE)
    assert [number for number, _ in steps] == list(range(1, len(steps) + 1))
    assert [(int(n), name.lower()) for n, name in headings] == [
        (number, name.lower()) for number, name in steps
    ]
    assert f"docs/{page}.md" in code


def test_exit_codes_are_those_of_the_code() -> None:
    shown = {(int(row[0]), row[1].strip("`")) for row in table(CLI, "Exit codes")}
    assert shown == {(code.value, code.name) for code in ExitCode}


def documented_codes() -> dict[str, int]:
    rows = table(CLI, "Error codes")
    return {row[0].strip("`"): int(row[1]) for row in rows}


def error_classes(base: type[errors.Error] = errors.Error) -> Iterator[type[errors.Error]]:
    for kind in base.__subclasses__():
        if kind.__module__ == "modelseal.errors":
            yield kind
            yield from error_classes(kind)


def test_every_class_of_errors_is_explained_with_its_exit_code() -> None:
    shown = documented_codes()
    for kind in error_classes():
        assert shown.get(kind.code) == exit_code_for(kind("…")), kind


def test_every_finer_error_code_is_explained() -> None:
    written = re.findall(r'(?:code=|reason=|_refusal\(\s*)"([a-z]+(?:-[a-z]+)+)"', code_text())
    assert len(written) > 20
    assert set(written) - documented_codes().keys() == set()


@pytest.mark.parametrize("name", sorted(documented_codes()))
def test_an_error_code_that_is_explained_exists(name: str) -> None:
    assert f'"{name}"' in code_text()


@pytest.mark.parametrize(
    "page",
    ["publishing", "verification", "pulling", "loading", "copying", "oms", "private-sigstore"],
)
def test_troubleshooting_explains_codes_that_exist(page: str) -> None:
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    codes = [c for row in table(text, "Troubleshooting") for c in re.findall(r"`([^`]+)`", row[0])]
    assert codes
    assert set(codes) - documented_codes().keys() == set()


def limits() -> list[list[str]]:
    return table((ROOT / "SECURITY.md").read_text(encoding="utf-8"), "Limits")


@pytest.mark.parametrize("row", limits(), ids=lambda row: str(row[0]))
def test_a_limit_is_the_one_in_the_code(row: list[str]) -> None:
    _, said, constant = row
    number, _, unit = said.partition(" ")
    module, _, name = constant.strip("`").rpartition(".")
    assert int(number) * UNITS[unit] == getattr(importlib.import_module(module), name)


def test_every_public_limit_stands_in_the_table() -> None:
    listed = {row[2].strip("`").rpartition(".")[2] for row in limits()}
    found = set(re.findall(r"^(MAX_[A-Z_]+)\b", code_text(), re.MULTILINE))
    assert found - listed - NOT_A_STRANGERS == set()


NOT_A_STRANGERS = {
    "MAX_BYTES",  # modelseal.yaml: the user's own file
    "MAX_PREDICATE_FILE",  # the same, and MAX_PREDICATE_BYTES is in the table
    "MAX_DOCUMENT_BYTES",  # what `init` looks into
    "MAX_FIELDS",  # the same, of an ONNX file
    "MAX_REFUSAL",  # how much of an error's body is read, below MAX_ANSWER
    "MAX_SIZE",  # what fits a descriptor at all
    "MAX_UPLOADS",  # how many of our own statements go at once
}


def test_capabilities_name_tests_that_exist() -> None:
    text = (ROOT / "docs" / "capabilities.md").read_text(encoding="utf-8")
    rows = [
        line for line in text.splitlines() if line.startswith("| ") and "capability" not in line
    ]
    assert len(rows) > 30
    for row in rows:
        path, _, name = row.rstrip("| ").rpartition("`tests/")[2].rstrip("`").partition("::")
        assert name, row
        module = ROOT / "tests" / path
        assert module.is_file(), row
        assert re.search(rf"\bdef {name}\(", module.read_text(encoding="utf-8")), row


PITFALLS = [*(f"A{n}" for n in range(1, 6)), *(f"B{n}" for n in range(6, 12))]
PITFALLS += [*(f"C{n}" for n in range(12, 16)), *(f"D{n}" for n in range(16, 19)), "E", "F"]


def test_every_pitfall_has_a_test_that_is_named_after_it() -> None:
    rows = table((ROOT / "SECURITY.md").read_text(encoding="utf-8"), "Pitfalls")
    assert [row[0] for row in rows] == PITFALLS
    for name, _, where in rows:
        path, _, test = where.strip("`").partition("::")
        assert test.startswith(f"test_{name.lower()}_"), name
        assert re.search(rf"\bdef {test}\(", (ROOT / path).read_text(encoding="utf-8")), test


def test_the_policy_of_the_documentation_is_one() -> None:
    text = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
    (whole,) = re.findall(r"```yaml\n(apiVersion.*?)```", text, re.DOTALL)
    policy = parse_policy(whole.encode(), "docs/policy.md")
    assert {check.id for check in policy.checks} == {"signed", "provenance", "reviewed"}


def test_every_rule_of_a_policy_is_explained() -> None:
    rules = re.search(r"_RULES: .*? = \{(.*?)\n\}", code_text(), re.DOTALL)
    assert rules
    text = (ROOT / "docs" / "policy.md").read_text(encoding="utf-8")
    section = text.partition("\n## Rules\n")[2].partition("\n## ")[0]
    assert re.findall(r"^### (.+)$", section, re.MULTILINE) == re.findall(r'"(.+?)":', rules[1])


def test_every_decision_stands_in_the_list_and_has_its_parts() -> None:
    listed = (ROOT / "docs" / "adr" / "README.md").read_text(encoding="utf-8")
    for page in sorted((ROOT / "docs" / "adr").glob("0*.md")):
        text = page.read_text(encoding="utf-8")
        assert f"({page.name})" in listed
        assert re.findall(r"^## (.+)$", text, re.MULTILINE) == [
            "Context",
            "Drivers",
            "Options",
            "Outcome",
            "Negative consequences",
        ]
