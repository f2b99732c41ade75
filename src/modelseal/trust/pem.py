# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""PEM files of keys and certificates: read with a limit, written never over another file.

Source: RFC 7468. Nothing here knows what the bytes mean.
"""

import base64
import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from modelseal.errors import KeyFileError, StorageError

MAX_KEY_FILE_BYTES: Final = 64 << 10
"""Largest key file, in bytes, that is read."""

NEW_KEY: Final = "`modelseal key generate --output K` makes a key that works"

_PEM = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----\s+([A-Za-z0-9+/=\s]+?)-----END \1-----")


def read_key_file(path: Path) -> bytes:
    """Return the bytes of a key file. Raises `KeyFileError`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_KEY_FILE_BYTES + 1)
    except OSError as error:
        hint = "`modelseal key generate --output K` makes one"
        raise KeyFileError(f"cannot read the key {path}: {error.strerror}", hint=hint) from error
    if len(data) > MAX_KEY_FILE_BYTES:
        raise KeyFileError(f"{path} is too large for a key")
    return data


def pem_block(pem: bytes, name: object) -> tuple[str, bytes]:
    """Return the label and the bytes of the one PEM block; `name` names the file in errors.

    Raises:
        KeyFileError: there is none, more than one, or a damaged one.
    """
    blocks = pem_blocks(pem, name)
    if len(blocks) != 1:
        raise KeyFileError(f"{name} has more than one PEM block", hint=NEW_KEY)
    return blocks[0]


def pem_blocks(pem: bytes, name: object) -> list[tuple[str, bytes]]:
    """Return the label and the bytes of every PEM block; `name` names the file in errors.

    Raises:
        KeyFileError: there is none, or a damaged one.
    """
    blocks = _PEM.findall(pem)
    if not blocks:
        raise KeyFileError(f"{name} has no PEM block", hint=NEW_KEY)
    try:
        return [
            (label.decode(), base64.b64decode(b"".join(text.split()), validate=True))
            for label, text in blocks
        ]
    except ValueError as error:
        raise KeyFileError(f"{name} is a damaged PEM file", hint=NEW_KEY) from error


def to_pem(label: str, der: bytes) -> bytes:
    """Return `der` as one PEM block."""
    text = base64.b64encode(der).decode()
    lines = [text[start : start + 64] for start in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


def already_there(path: Path) -> KeyFileError:
    """Return the error about a file that would have to be overwritten."""
    return KeyFileError(
        f"{path} is there already, and keys are never overwritten",
        hint="choose another name for --output",
    )


@contextlib.contextmanager
def new_file(path: Path, data: bytes, mode: int) -> Iterator[None]:
    """Write a new file; it goes again when the block inside fails.

    Raises:
        KeyFileError: there is something under that name.
        StorageError: the disk refused.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    except FileExistsError as error:
        raise already_there(path) from error
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        yield
    except OSError as error:
        path.unlink(missing_ok=True)
        raise StorageError(f"cannot write {path}: {error.strerror}") from error
    except BaseException:
        path.unlink(missing_ok=True)
        raise
