# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What happens during a workflow, as values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from modelseal.oci.events import TransferEvent
from modelseal.trust.events import SigningDelayed


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step begins: a verb of the command line, and what it is done to."""

    step: str
    detail: str


@dataclass(frozen=True, slots=True)
class StepFinished:
    """A step ended well; `detail` says with what."""

    step: str
    detail: str


Event: TypeAlias = StepStarted | StepFinished | SigningDelayed | TransferEvent
EventSink: TypeAlias = Callable[[Event], None]
"""Called from several threads at once; it must not raise and not block."""
