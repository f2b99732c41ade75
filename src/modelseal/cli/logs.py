# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""`--debug`: what is done, on stderr, one line a record. Imported only when it is asked for."""

import logging
import sys

from modelseal.cli.render.text import printable


class _Lines(logging.Formatter):
    """Records as they are, but for what would steer the terminal: they quote strangers."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's lines, each printable."""
        return "\n".join(printable(line) for line in super().format(record).split("\n"))

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        """Return the message as one line; a traceback below it keeps its lines."""
        return printable(super().formatMessage(record))


def log_to_stderr() -> None:
    """Send our own records from DEBUG on, and everybody's from INFO on, to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines("%(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    logging.getLogger("modelseal").setLevel(logging.DEBUG)
