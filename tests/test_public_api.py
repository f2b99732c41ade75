# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The front door: what is exported, that it is documented and typed, and that it is light."""

import inspect
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import modelseal
from modelseal import api

PASSPHRASE = "correct horse"


def test_everything_public_is_exported_and_nothing_else() -> None:
    assert modelseal.__all__ == sorted(modelseal.__all__)
    assert dir(modelseal) == modelseal.__all__
    assert set(api.__all__) | {"Error", "__version__"} == set(modelseal.__all__)


@pytest.mark.parametrize("name", [name for name in modelseal.__all__ if name != "__version__"])
def test_public_names_are_documented(name: str) -> None:
    assert inspect.getdoc(getattr(modelseal, name))


@pytest.mark.parametrize("name", ["publish", "verify", "pull", "load"])
def test_public_functions_are_typed(name: str) -> None:
    hints = typing.get_type_hints(getattr(modelseal, name))
    parameters = inspect.signature(getattr(modelseal, name)).parameters
    assert set(hints) == {*parameters, "return"}


def test_types_are_shipped() -> None:
    assert (Path(inspect.getfile(modelseal)).parent / "py.typed").exists()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'sign'"):
        modelseal.sign  # noqa: B018 - the access is the test


def test_importing_costs_nothing_heavy() -> None:
    code = (
        "import sys, modelseal; print(len([m for m in sys.modules if m.startswith('modelseal')]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) <= 3
