# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""How each field of a CycloneDX document is known, in its `properties`.

CycloneDX has no field for it, and takes any property. An object with the property
`modelseal:basis` says how all of it is known; `modelseal:basis:POINTER` says otherwise for the
part that the JSON pointer (RFC 6901) leads to from there, and `modelseal:basis:NAME` for the
property of that name beside it. The longest pointer counts, and the innermost object.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from modelseal.evidence.facts import Basis

BASIS: Final = "modelseal:basis"

Property = dict[str, str]


def marked(
    basis: Basis,
    exceptions: Mapping[str, Basis],
    properties: Sequence[tuple[str, str, Basis]] = (),
) -> list[Property]:
    """Return the properties of an object.

    Args:
        basis: how the object is known.
        exceptions: by their JSON pointers, what is known in another way.
        properties: names, values, and how each is known.
    """
    marks = {BASIS: basis}
    told = {**exceptions, **{name: known for name, _, known in properties}}
    marks |= {f"{BASIS}:{key}": told[key] for key in sorted(told) if told[key] is not basis}
    return [
        *({"name": name, "value": value} for name, value, _ in properties),
        *({"name": name, "value": str(value)} for name, value in marks.items()),
    ]


def basis_of(document: Mapping[str, Any], pointer: str) -> Basis | None:
    """Return how the field that `pointer` leads to is known; None if the document does not say."""
    parts = pointer.split("/")[1:]
    found: Basis | None = None
    here: Any = document
    for depth, part in enumerate([*parts, ""]):
        marks = dict(_marks(here))
        if BASIS in marks:
            found = _closest(marks, parts[depth:], here)
        if depth < len(parts):
            here = here[int(part)] if isinstance(here, list) else here[_plain(part)]
    return found


def _marks(value: object) -> Iterator[tuple[str, Basis]]:
    properties = value.get("properties") if isinstance(value, dict) else None
    for item in properties if isinstance(properties, list) else ():
        name = item.get("name", "")
        if name == BASIS or name.startswith(f"{BASIS}:"):
            yield name, Basis(item["value"])


def _closest(marks: Mapping[str, Basis], parts: Sequence[str], owner: Mapping[str, Any]) -> Basis:
    for length in range(len(parts), 0, -1):
        mark = marks.get(f"{BASIS}:/{'/'.join(parts[:length])}")
        if mark is not None:
            return mark
    if len(parts) > 1 and parts[0] == "properties":
        name = owner["properties"][int(parts[1])]["name"]
        return marks.get(f"{BASIS}:{name}", marks[BASIS])
    return marks[BASIS]


def _plain(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")
