# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Heads of answers as the standard library reads them, but believed only when they have an end."""

import http.client
import io
from typing import Any


class _Lines:
    """A file that remembers the last line that was read of it."""

    def __init__(self, file: io.BufferedReader) -> None:
        self.file = file
        self.last: bytes | None = None

    def readline(self, limit: int = -1) -> bytes:
        self.last = self.file.readline(limit)
        return self.last

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - whatever the file has
        return getattr(self.file, name)


class WholeHead(http.client.HTTPResponse):
    """An answer whose head has an end.

    The standard library takes the end of the connection for the end of the head: "201 Created" and
    nothing more would be a blob that was stored.
    """

    def begin(self) -> None:
        """Read the head. Raises `HTTPException` when it is none, or has no end."""
        file: Any = self.fp
        lines: Any = _Lines(file)
        self.fp = lines
        try:
            super().begin()
        finally:
            if self.fp is not None:
                self.fp = file
        if lines.last == b"":
            self.close()
            raise http.client.RemoteDisconnected("the answer ended in its head")
