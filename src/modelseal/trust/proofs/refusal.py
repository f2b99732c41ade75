# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""How a proof that does not hold is told."""

from modelseal.errors import VerificationError

OTHER_ROOT = "give the trusted root of the Sigstore that signed it: --trusted-root FILE"
CHANGED = "the bundle was changed; fetch it again, or sign anew"


def refusal(code: str, message: str, hint: str = CHANGED) -> VerificationError:
    """Return the error that a proof is refused with, for the caller to raise."""
    return VerificationError(message, hint=hint, code=code)
