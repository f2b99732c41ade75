# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What a run ended with, for scripts: part of the public contract (docs/cli.md)."""

from enum import IntEnum

from modelseal.errors import (
    ContentMismatchError,
    DeniedError,
    Error,
    UnavailableError,
    UsageError,
    VerificationError,
)


class ExitCode(IntEnum):
    """What happened."""

    OK = 0
    FAILED = 1
    USAGE = 2
    DENIED = 10
    UNVERIFIED = 11
    REVOKED = 12
    UNAVAILABLE = 20
    INTERRUPTED = 130


_CODES: dict[type, ExitCode] = {
    UsageError: ExitCode.USAGE,
    DeniedError: ExitCode.DENIED,
    VerificationError: ExitCode.UNVERIFIED,
    ContentMismatchError: ExitCode.UNVERIFIED,
    UnavailableError: ExitCode.UNAVAILABLE,
}


def exit_code_for(error: Error) -> ExitCode:
    """Return the code of the nearest class that has one."""
    for kind in type(error).__mro__:
        if kind in _CODES:
            return _CODES[kind]
    return ExitCode.FAILED
