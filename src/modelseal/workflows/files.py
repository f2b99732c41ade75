# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Small files that the caller named: policies, keys, predicates."""

from pathlib import Path

from modelseal.errors import StorageError, UsageError

_MAX_BYTES = 1 << 20


def read_file(path: Path, what: str, *, limit: int = _MAX_BYTES) -> bytes:
    """Read at most `limit` bytes.

    Raises:
        UsageError: there is no such file, or it is larger.
        StorageError: the disk refused.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(limit + 1)
    except FileNotFoundError as error:
        raise UsageError(
            f"the {what} file {path} does not exist", hint="check its name, and where you are"
        ) from error
    except OSError as error:
        raise StorageError(f"cannot read the {what} file {path}: {error.strerror}") from error
    if len(raw) > limit:
        raise UsageError(
            f"the {what} file {path} is larger than {limit >> 20} MiB",
            hint=f"is it the {what}, and not the model?",
        )
    return raw
