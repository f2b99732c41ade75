# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Keep the clouds' libraries out where nobody signs with their keys.

sigstore imports `securesystemslib.signer`, for the keys of its TUF metadata, and that imports
`google.cloud.kms`, `azure`, `boto3` and `hvac` where they are installed: 0.7 s of each keyless
command.
"""

import sys
import threading
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

_LIBRARY = "securesystemslib.signer"
_CLOUDS = frozenset({"azure.core.exceptions", "boto3", "google.cloud.kms", "hvac"})


class _WithoutClouds:
    """A finder that refuses them to `securesystemslib.signer`, and to nobody else."""

    wanted = False

    def __init__(self) -> None:
        self._importing = 0  # the thread that imports the library

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG002 - as importlib calls it
        target: ModuleType | None = None,  # noqa: ARG002
    ) -> ModuleSpec | None:
        """Return None, so that others find the module, or raise `ModuleNotFoundError`."""
        if name == _LIBRARY:
            self._importing = threading.get_ident()
        elif name in _CLOUDS and not self.wanted and self._importing == threading.get_ident():
            spec = getattr(sys.modules.get(_LIBRARY), "__spec__", None)
            if getattr(spec, "_initializing", False):
                raise ModuleNotFoundError(f"{name} is not needed here", name=name)
        return None


_FINDER = _WithoutClouds()


def keep_clouds_out() -> None:
    """Do so from now on."""
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def let_clouds_in() -> None:
    """Let the next import of `securesystemslib.signer` have them; whoever has it keeps it."""
    if not _FINDER.wanted:
        _FINDER.wanted = True
        for name in [name for name in sys.modules if f"{name}.".startswith(f"{_LIBRARY}.")]:
            del sys.modules[name]
