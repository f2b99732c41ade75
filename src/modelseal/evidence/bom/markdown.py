# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Strangers' text in Markdown and in YAML front matter, so that it stays text.

Source: CommonMark 0.31, 2.4 (any ASCII punctuation can be escaped) and 4 (what begins a block);
GitHub's extensions for tables, strikethrough and math; YAML 1.2, 7.3.1.
"""

import json
import re
import unicodedata

# What means something in the middle of a line. The rest only does at its beginning.
_INLINE = re.compile(r"([\\`*_\[\]<|~$]|&(?=#?[0-9A-Za-z]+;))")
_BLOCK = re.compile(r"^(?:>|#{1,6}(?=\s|$)|[-+](?=\s|$)|[-=]+\s*$|[0-9]{1,9}(?=[.)](?:\s|$))|:)")
_LINK = re.compile(r"https?://[A-Za-z0-9][A-Za-z0-9.-]*(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~/+=-]*)?")
_INVISIBLE = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def inline(text: str) -> str:
    """Return Markdown for the middle of a line, that shows `text` and does nothing."""
    return _INLINE.sub(r"\\\1", " ".join(_visible(text).split()))


def block(text: str) -> str:
    """Return one line of Markdown for where a block may begin: a paragraph, an item of a list."""
    # A digit cannot be escaped: what makes the list is the sign behind it.
    return _BLOCK.sub(_unblock, inline(text), count=1)


def paragraphs(text: str) -> str:
    """Return Markdown that shows `text` with its empty lines between paragraphs."""
    parts = re.split(r"\n\s*\n", text)
    return "\n\n".join(filter(None, map(block, parts)))


def code(text: str, *, cell: bool = False) -> str:
    """Return a code span, with as many backticks as `text` needs; in the cell of a table or not."""
    line = " ".join(_visible(text).split())
    longest = max((len(run) for run in re.findall("`+", line)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if line.startswith("`") or line.endswith("`") else ""
    if cell:  # there, a bar would end the cell even in a code span
        line = line.replace("|", "\\|")
    return f"{fence}{pad}{line}{pad}{fence}" if line else ""


def link(url: str) -> str:
    """Return a link that shows where it leads; anything but a plain web address as code."""
    return f"<{url}>" if _LINK.fullmatch(url) else code(url)


def scalar(text: str) -> str:
    """Return a YAML double-quoted scalar that reads as `text`."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(
        f"\\u{ord(char):04x}"
        if unicodedata.category(char) in _INVISIBLE and ord(char) < 1 << 16
        else f"\\U{ord(char):08x}"
        if unicodedata.category(char) in _INVISIBLE
        else char
        for char in quoted
    )


def _unblock(match: re.Match[str]) -> str:
    found = match.group()
    return f"{found}\\" if found.isdigit() else f"\\{found}"


def _visible(text: str) -> str:
    """Return `text` with white space for line breaks, and a mark for what would not be seen."""
    return "".join(
        char if char in " \t\n" else "\ufffd" if unicodedata.category(char) in _INVISIBLE else char
        for char in text
    )
