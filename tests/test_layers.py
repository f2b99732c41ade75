# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The picture in ARCHITECTURE.md, held: who may import whom, and who may know which library."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent / "src" / "modelseal"

# A module may import its own package and the rows below it. Neighbours in a row do not know
# each other. Packages that later work fills (crypto, release, admission, fleet) stand here
# already, so that their place is decided.
ROWS = [
    {"__init__", "__main__"},
    {"cli", "api"},
    {"admission", "fleet"},
    {"workflows"},
    {"policy", "evidence", "release"},
    {"modelpack", "attest", "trust"},
    {"crypto"},
    {"oci"},
    {"documents"},
    {"errors", "version"},
]
# A third-party package, and the only places that may know it.
FENCES = {
    "oras": ("oci/registry/credentials.py",),
    "urllib3": ("oci/registry/",),
    "requests": (),
    "sigstore": ("trust/",),
    "tuf": ("trust/tuf_repository.py",),
    "cryptography": ("trust/", "crypto/"),
    "nacl": ("trust/cosign_key.py",),
    "securesystemslib": ("trust/kms.py",),
    "grpc": ("trust/spiffe.py",),
    "in_toto_attestation": ("attest/statement.py",),
    "google": ("attest/statement.py",),
    "spdx_python_model": ("evidence/bom/spdx.py",),
    "yaml": ("documents.py",),
    "tomllib": ("documents.py",),
    "backports": ("modelpack/decompress.py",),
    "subprocess": ("evidence/programs.py", "evidence/tpm2_tools.py", "oci/registry/login.py"),
    "typer": ("cli/",),
    "rich": ("cli/",),
    "packaging": ("modelpack/", "evidence/", "policy/"),
}
# The layers that decide. They get bytes, facts and the time as arguments.
PURE = {"policy", "release"}
OUTSIDE_WORLD = {"os", "socket", "subprocess", "time", "urllib", "http", "random", "pathlib"}
# Only a verifier may state that something was verified.
VERIFIED_MAKERS = "trust/"

MODULES = sorted(ROOT.rglob("*.py"))


def names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module or ""


def row_of(layer: str) -> int:
    rows = [place for place, row in enumerate(ROWS) if layer in row]
    assert rows, f"{layer} has no row: ARCHITECTURE.md and this test say where things live"
    return rows[0]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_imports_point_downwards(path: Path) -> None:
    where = path.relative_to(ROOT).as_posix()
    layer = where.partition("/")[0].removesuffix(".py")
    for name in names(path):
        top, _, rest = name.partition(".")
        if top == "modelseal":
            target = rest.partition(".")[0] or "__init__"
            below = row_of(target) > row_of(layer)
            assert target == layer or below, f"{where} imports {name}"
        fence = FENCES.get(top)
        assert fence is None or where.startswith(fence), f"{where} knows {top}"
        assert not (layer in PURE and top in OUTSIDE_WORLD), f"{where} uses {top}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_only_a_verifier_makes_verified_statements(path: Path) -> None:
    where = path.relative_to(ROOT).as_posix()
    if not where.startswith(VERIFIED_MAKERS):
        made = re.search(r"\b(?:VerifiedStatement|ProvenEnvironment)\(", path.read_text())
        assert not made, where


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_nothing_below_the_command_line_prints_or_exits(path: Path) -> None:
    where = path.relative_to(ROOT).as_posix()
    if where.startswith("cli/"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in {"print", "sys.exit", "exit", "input"}, f"{where} calls {called}"


def test_the_pure_layers_ask_no_clock() -> None:
    for path in MODULES:
        if path.relative_to(ROOT).parts[0] in PURE:
            assert not re.search(r"\.(now|utcnow|today)\(", path.read_text()), path


def test_every_module_carries_its_licence() -> None:
    for path in MODULES:
        assert path.read_text().startswith("# SPDX-FileCopyrightText"), path
