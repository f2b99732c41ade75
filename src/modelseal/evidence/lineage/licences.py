# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Licences of data in one spelling, so far as an address or a word says which one it is."""

import re
from typing import Final

_CC: Final = re.compile(
    r"https?://creativecommons\.org/(?:licenses/([a-z-]+)/([0-9.]+)|publicdomain/zero/([0-9.]+))"
    r"(?:/(?:legalcode|deed)?(?:\.[a-z]+)?)?/?",
    re.IGNORECASE,
)
_LISTS: Final = re.compile(
    r"https?://(?:www\.)?(?:spdx\.org/licenses|opensource\.org/licenses?|"
    r"choosealicense\.com/licenses)/([A-Za-z0-9.+-]+?)(?:\.html|\.json)?/?",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[A-Za-z0-9.+-]+")
_NO_LICENCES: Final = frozenset({"other", "unknown", "none", "undefined", "public", "custom"})


def licence_id(text: str) -> str:
    """Return the SPDX identifier that a licence is, in small letters; empty when none is told."""
    clean = text.strip()
    found = _CC.fullmatch(clean)
    if found:
        kind, version, zero = found.groups()
        name = f"cc0-{zero}" if zero else f"cc-{kind}-{version}"
        return name.lower()
    listed = _LISTS.fullmatch(clean)
    word = listed[1] if listed else clean
    if not _WORD.fullmatch(word) or word.lower() in _NO_LICENCES:
        return ""
    return word.lower()


def contradict(declared: str, described: tuple[str, ...]) -> bool | None:
    """Tell whether an SPDX expression and a Croissant file's licences name different ones.

    None: it cannot be told, because one of them is an address or a word that names no licence.
    """
    words = set(re.split(r"\s+|[()]", declared)) - {"AND", "OR", "WITH", ""}
    left = {licence_id(word) for word in words}
    right = {licence_id(text) for text in described}
    if declared in described or left == right != {""}:
        return False
    if "" in left or "" in right or not right:
        return None
    return True
