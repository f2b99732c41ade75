# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Versions as SemVer 2.0.0 has them: read, and put in order.

Source: https://semver.org/spec/v2.0.0.html; items 9 to 11 for pre-releases, build metadata and
precedence.
"""

import re
from dataclasses import dataclass
from functools import total_ordering

_NUMBER = r"(?:0|[1-9][0-9]*)"
_PRE = rf"(?:{_NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_BUILD = r"[0-9A-Za-z-]+"
_PATTERN = re.compile(
    rf"({_NUMBER})\.({_NUMBER})\.({_NUMBER})"
    rf"(?:-({_PRE}(?:\.{_PRE})*))?(?:\+({_BUILD}(?:\.{_BUILD})*))?"
)

MAX_CHARACTERS = 1024
"""Longest version that is read."""


@total_ordering
@dataclass(frozen=True, slots=True, eq=False)
class SemVer:
    """A version. Two are equal when neither precedes the other: build metadata does not count."""

    major: int
    minor: int
    patch: int
    prerelease: tuple[str, ...] = ()

    @property
    def core(self) -> tuple[int, int, int]:
        """The three numbers."""
        return self.major, self.minor, self.patch

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SemVer) and self._order() == other._order()

    def __lt__(self, other: "SemVer") -> bool:
        return self._order() < other._order()

    def __hash__(self) -> int:
        return hash(self._order())

    def _order(self) -> tuple[object, ...]:
        # A release comes after its pre-releases; numbers before words, fewer words before more.
        words = tuple(
            (0, int(word), "") if word.isdigit() else (1, 0, word) for word in self.prerelease
        )
        return *self.core, not self.prerelease, words


def parse_semver(text: str) -> SemVer | None:
    """Return the version that `text` is; None when it is none."""
    match = _PATTERN.fullmatch(text) if len(text) <= MAX_CHARACTERS else None
    if match is None:
        return None
    prerelease = tuple(match[4].split(".")) if match[4] else ()
    return SemVer(int(match[1]), int(match[2]), int(match[3]), prerelease)
