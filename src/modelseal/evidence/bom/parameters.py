# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The hyper-parameters file to names and values, with the digits of the file.

The values get published and signed; what is named like a secret is left out.
"""

import re
from collections.abc import Iterator
from typing import Any, Final

from modelseal.documents import parse_json, parse_yaml
from modelseal.errors import InvalidDocumentError, LimitExceededError
from modelseal.evidence.bom.metrics import decimal_text

MAX_HYPERPARAMETER_BYTES: Final = 1 << 20
"""Largest hyper-parameters file that is read for its values."""

MAX_HYPERPARAMETERS: Final = 500
"""Most hyper-parameters that are taken from a file."""

_MAX_VALUE = 1024
_SECRET = re.compile(
    r"password|passphrase|passwd|secret|credential|(?:api|access|private)[_-]?key|"
    r"(?:auth|access|api|bearer|refresh|hf|hub|github|gitlab|wandb)[_-]?token",
    re.IGNORECASE,
)


def read_hyperparameters(raw: bytes, path: str) -> dict[str, str]:
    """Read a YAML or JSON mapping; nested names are joined by points.

    Raises:
        InvalidDocumentError: it is neither, or no mapping.
        LimitExceededError: more than `MAX_HYPERPARAMETERS`.
    """
    parsed = parse_json(raw, path, exact=True) if path.endswith(".json") else parse_yaml(raw, path)
    if not isinstance(parsed, dict):
        raise InvalidDocumentError(f"{path} is not a mapping of names to values")
    found: dict[str, str] = {}
    for name, value in _flat(parsed, ""):
        found[name] = value
        if len(found) > MAX_HYPERPARAMETERS:
            raise LimitExceededError(f"{path} has more than {MAX_HYPERPARAMETERS} values")
    return found


def looks_secret(name: str) -> bool:
    """Tell whether a value under this name is likely to be none of the public's business."""
    return bool(_SECRET.search(name))


def _flat(value: Any, name: str) -> Iterator[tuple[str, str]]:  # noqa: ANN401 - parsed YAML or JSON
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _flat(item, f"{name}[{place}]")
    else:
        text = _text(value)
        if len(text) <= _MAX_VALUE and len(name) <= _MAX_VALUE and name.isprintable():
            yield name, text


def _text(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return decimal_text(value) or str(value)
