# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Which files of a model are wanted, by patterns as in `modelseal.yaml`."""

from collections.abc import Sequence
from dataclasses import dataclass

from modelseal.errors import UsageError
from modelseal.modelpack._patterns import Pattern
from modelseal.modelpack.readers.layer import Layer


@dataclass(frozen=True, slots=True)
class Selection:
    """Patterns of files. Without `include` all are wanted; `exclude` wins.

    As in `modelseal.yaml`, `*` stays in one directory, `**` goes through any number of them, and
    a wildcard of `include` does not mean hidden files.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    def takes(self, path: str) -> bool:
        """Tell whether a file is wanted."""
        if any(Pattern(text).matches(path, hidden=True) for text in self.exclude):
            return False
        included = (Pattern(text).matches(path, hidden=False) for text in self.include)
        return not self.include or any(included)

    def layers(self, layers: Sequence[Layer]) -> tuple[Layer, ...]:
        """Return the layers that may hold something wanted: of an archive only its bytes tell.

        Raises:
            UsageError: nothing is left.
        """
        left = tuple(
            layer for layer in layers if layer.path is None or self.takes(layer.path.as_posix())
        )
        if left or not layers:
            return left
        names = [str(layer.path) for layer in layers]
        shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")  # noqa: PLR2004 - a line
        raise UsageError(
            f"none of the model's {len(names)} files is asked for",
            hint=f"its files are {shown}; patterns are as in modelseal.yaml: ** goes through "
            "directories, * does not",
        )


ALL_FILES = Selection()
