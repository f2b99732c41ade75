# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What happens while something is signed, as values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class SigningDelayed:
    """A service of Sigstore is asked again after `seconds`; `reason` says what it answered."""

    seconds: float
    reason: str


SigningSink: TypeAlias = Callable[[SigningDelayed], None]
"""It must not raise and not block."""
