# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Ship machine-learning models the way containers are shipped, with proof.

>>> import modelseal
>>> who = modelseal.Believe(key="release.key.pub")
>>> path = modelseal.load("oci:./store:1.4.0", who)  # doctest: +SKIP
"""

from typing import TYPE_CHECKING, Any

from modelseal.errors import Error
from modelseal.version import __version__

if TYPE_CHECKING:
    from modelseal.api import (
        Believe,
        BytesMoved,
        Copied,
        IncompleteCopyError,
        OmsVerification,
        Publication,
        PulledModel,
        RegistryOptions,
        SigningDelayed,
        StepFinished,
        StepStarted,
        TransferFinished,
        TransferNotice,
        TransferPlanned,
        TransferStarted,
        Verification,
        copy,
        load,
        publish,
        pull,
        verify,
        verify_oms,
    )

__all__ = [
    "Believe",
    "BytesMoved",
    "Copied",
    "Error",
    "IncompleteCopyError",
    "OmsVerification",
    "Publication",
    "PulledModel",
    "RegistryOptions",
    "SigningDelayed",
    "StepFinished",
    "StepStarted",
    "TransferFinished",
    "TransferNotice",
    "TransferPlanned",
    "TransferStarted",
    "Verification",
    "__version__",
    "copy",
    "load",
    "publish",
    "pull",
    "verify",
    "verify_oms",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Import the API on first use, so that `modelseal --help` starts quickly."""
    if name in __all__:
        from modelseal import api

        return getattr(api, name)
    raise AttributeError(f"module 'modelseal' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
