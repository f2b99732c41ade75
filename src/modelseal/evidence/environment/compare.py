# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""In what two environments differ, named field by field.

Snapshots come out of provenance that strangers may have written: any JSON is taken, and nothing in
it is believed to have the form of ours.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_KINDS: Final = {"packages": "package", "condaPackages": "conda package"}
_DIGEST_CHARACTERS: Final = len("sha256:") + 12


@dataclass(frozen=True, slots=True)
class Difference:
    """A field whose value is another one; an empty side does not have it."""

    name: str
    left: str
    right: str

    def __str__(self) -> str:
        return f"{self.name}: {self.left or 'none'} → {self.right or 'none'}"


def differences(left: Mapping[str, Any], right: Mapping[str, Any]) -> tuple[Difference, ...]:
    """Return what differs between two snapshots, sorted by name.

    Of two lists of words, such as the processor's features, only the words are told that the other
    one does not have.
    """
    one, other = dict(_flat(left)), dict(_flat(right))
    return tuple(
        _difference(name, one.get(name), other.get(name))
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    )


def _difference(name: str, left: object, right: object) -> Difference:
    if isinstance(left, frozenset) and isinstance(right, frozenset):
        return Difference(name, " ".join(sorted(left - right)), " ".join(sorted(right - left)))
    return Difference(name, _told(left), _told(right))


def _told(value: object) -> str:
    if isinstance(value, frozenset):
        return " ".join(sorted(value))
    return "" if value is None else str(value)


def _flat(value: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str | frozenset[str]]]:
    for key, item in value.items():
        name = f"{prefix}{key}"
        if name in _KINDS and isinstance(item, list):
            yield from _packages(_KINDS[name], item)
        elif name == "accelerators.devices" and isinstance(item, list):
            yield name, ", ".join(map(device_in_words, item)) or "none"
        elif isinstance(item, dict):
            yield from _flat(item, f"{name}.")
        elif isinstance(item, list) and all(isinstance(word, str) for word in item):
            yield name, frozenset(item)
        else:
            yield name, item if isinstance(item, str) else json.dumps(item, sort_keys=True)


def _packages(kind: str, items: list[Any]) -> Iterator[tuple[str, str]]:
    told: dict[str, list[str]] = {}
    for item in items:
        fields = item if isinstance(item, dict) else {"name": json.dumps(item)}
        digest = str(fields.get("recordDigest") or fields.get("archiveDigest") or "")
        words = [str(fields.get(key, "")) for key in ("version", "build")]
        words += [digest[:_DIGEST_CHARACTERS], "editable" * bool(fields.get("editable"))]
        told.setdefault(str(fields.get("name", "")), []).append(" ".join(filter(None, words)))
    for name, versions in told.items():
        yield f"{kind} {name}", ", ".join(sorted(versions))


def device_in_words(device: object) -> str:
    """Return one kind of accelerator in words: `2 x NVIDIA A100 (nvidia, …)`."""
    if not isinstance(device, dict):
        return json.dumps(device)
    fields = {str(key): str(value) for key, value in device.items()}
    name = fields.get("name") or fields.get("target") or fields.get("device") or "a device"
    more = [fields["vendor"]] if fields.get("vendor") else []
    if fields.get("computeCapability"):
        more.append(f"compute capability {fields['computeCapability']}")
    if fields.get("memoryMiB"):
        more.append(f"{fields['memoryMiB']} MiB")
    if fields.get("driver"):
        more.append(f"driver {fields['driver']}")
    count = fields.get("count", "1")
    several = "" if count == "1" else f"{count} x "
    details = f" ({', '.join(more)})" if more else ""
    return f"{several}{name}{details}"
