"""Where the programs are that the tests run against."""

import os
from pathlib import Path

import pytest
from tools.peers import build


def path(name: str) -> Path:
    """Return the binary of a peer.

    A peer that is not built skips the test; with `CI=true` it fails it, so that nothing is left
    untested unseen.
    """
    if found := build.locate(name):
        return found
    reason = f"{name} is not built: run `make peers`; needs Go 1.26"
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
