"""Where the programs are that the tests run against."""

import os
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from tools.peers import build


def path(name: str) -> Path:
    """Return the binary of a peer.

    A peer that is not built skips the test; with `CI=true` it fails it, so that nothing is left
    untested unseen.
    """
    found = build.locate(name)
    if found is None:
        missing(f"{name} is not built: run `make peers`; needs Go 1.26")
    return found


def model_signing() -> Path:
    """Return the reference implementation of OMS, which has an environment of its own."""
    found = Path(sys.prefix) / "peers" / "model-signing" / "bin" / "model_signing"
    if not found.exists():
        missing("model_signing is not installed: run `make peers`")
    return found


def missing(reason: str) -> NoReturn:
    """Skip the test, or with `CI=true` fail it."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
