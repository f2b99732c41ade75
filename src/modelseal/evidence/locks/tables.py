# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""What the readers of lock files share: careful access to tables, and the lines of entries."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from modelseal.errors import InvalidDocumentError, LimitExceededError

MAX_PACKAGES = 20_000
"""Most packages of one lock file."""


class Table:
    """One table of a lock file, or what stands where one has to be.

    Unknown keys are left alone: newer tools add some. A key that is read and has another type than
    it must have makes the whole file invalid.
    """

    def __init__(self, value: object, where: str) -> None:
        """Take the table at `where`."""
        if not isinstance(value, dict):
            raise InvalidDocumentError(f"{where} is not a table")
        self.value: Mapping[str, Any] = value
        self.where = where

    def has(self, key: str) -> bool:
        """Tell whether the key stands there."""
        return key in self.value

    def text(self, key: str) -> str:
        """Return text; empty when it is not there."""
        value = self.value.get(key, "")
        if not isinstance(value, str):
            raise self._wrong(key, "text")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Return a list of texts; one text counts as a list of one."""
        value = self.value.get(key, [])
        items = [value] if isinstance(value, str) else value
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            raise self._wrong(key, "a list of texts")
        return tuple(items)

    def flag(self, key: str) -> bool:
        """Return true or false; false when it is not there."""
        value = self.value.get(key, False)
        if not isinstance(value, bool):
            raise self._wrong(key, "true or false")
        return value

    def table(self, key: str) -> "Table":
        """Return the table below `key`; an empty one when it is not there."""
        return Table(self.value.get(key, {}), f"{self.where}, {key}")

    def tables(self, key: str) -> tuple["Table", ...]:
        """Return a list of tables."""
        value = self.value.get(key, [])
        if not isinstance(value, list):
            raise self._wrong(key, "a list")
        return tuple(Table(item, f"{self.where}, {key}") for item in value)

    def _wrong(self, key: str, what: str) -> InvalidDocumentError:
        return InvalidDocumentError(f"{self.where}: {key} is not {what}")


def packages_of(document: Table, key: str) -> tuple[Table, ...]:
    """Return the packages of a lock.

    Raises:
        LimitExceededError: there are too many.
    """
    found = document.tables(key)
    if len(found) > MAX_PACKAGES:
        raise LimitExceededError(f"{document.where} has more than {MAX_PACKAGES} packages")
    return found


def lines_of(text: str, pattern: str, count: int) -> Sequence[int]:
    """Return the line of each of `count` entries, which begin with `pattern` at a line's start.

    A parser tells no lines. When there are not exactly as many (one stands in a text of several
    lines), no line is known, and each is 0.
    """
    begins = re.compile(pattern)
    found = [number for number, line in enumerate(text.splitlines(), 1) if begins.match(line)]
    return found if len(found) == count else [0] * count
