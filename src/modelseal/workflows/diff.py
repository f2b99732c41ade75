# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Diff: in what two models differ, and which step of the version that asks for.

No weights are fetched, only `modelseal.yaml` and `config.json` (`contents`). A raw layer's digest
is its file's, so files are compared exactly; an archive is compared as a whole, because only its
bytes tell what is in it. Statements are compared by what they claim: nothing is verified here.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from modelseal.documents import parse_json_object
from modelseal.errors import ContentError
from modelseal.evidence.environment.compare import Difference
from modelseal.evidence.versions import Advice, advise
from modelseal.modelpack.media_types import FILEPATH
from modelseal.modelpack.readers.families import MAX_CONFIG_BYTES, family_of, layers_of
from modelseal.modelpack.readers.layer import Compression, Layer
from modelseal.oci.descriptor import Descriptor, Digest
from modelseal.oci.store import ReadableStore, fetch_bytes
from modelseal.workflows.choose import Chosen, choose
from modelseal.workflows.contents import contents_of
from modelseal.workflows.environments import compare_environments
from modelseal.workflows.inspect import Claim, claims_about

# The digests of the layers once more: they are compared as files.
_REPEATED = ("modelfs.diffIds", "rootfs.diff_ids")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs; an empty side does not have it."""

    name: str
    left: str
    right: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two models, and in what they differ.

    Attributes:
        left: the first manifest.
        right: the second manifest.
        files: by path, with digests; an archive stands for all that it holds.
        config: fields of the configs and annotations of the manifests, and how they are packed.
        statements: how many claims there are of a predicate type and a signer, **not verified**.
        environment: of the builds, as their provenances claim, **not verified**.
        advice: which step of the version the changes ask for, and whether the versions take it.
    """

    left: Descriptor
    right: Descriptor
    files: tuple[Change, ...]
    config: tuple[Change, ...]
    statements: tuple[Change, ...]
    environment: tuple[Difference, ...]
    advice: Advice

    @property
    def equal(self) -> bool:
        """Whether it is one manifest, about which the same is claimed."""
        return self.left.digest == self.right.digest and not self.statements


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of the two: where it is, what it is called, and which of an index.

    `published` is false for a directory: nothing could hang on it, so statements are left out.
    """

    store: ReadableStore
    name: str | Digest
    platform: str = ""
    published: bool = True


def diff(left: Side, right: Side) -> Comparison:
    """Compare two models without fetching their weights; `right` is to follow `left`.

    Raises:
        Error: as `choose`, `layers_of` and `attached_bundles` do.
    """
    chosen = [choose(side.name, side.store, side.platform) for side in (left, right)]
    sides = list(zip((left, right), chosen, strict=True))
    layers = [layers_of(side.store, model.manifest) for side, model in sides]
    files = [dict(_file(layer, n) for n, layer in enumerate(found)) for found in layers]
    config = [_config(side.store, model) for side, model in sides]
    known = [
        contents_of(side.store, model.manifest, layers[n], files[n], config[n])
        for n, (side, model) in enumerate(sides)
    ]
    published = left.published and right.published
    said = [
        list(claims_about(side.store, model.subject)) if published else [] for side, model in sides
    ]
    claims = [_counted(found) for found in said]
    return Comparison(
        left=chosen[0].subject,
        right=chosen[1].subject,
        files=tuple(_changes(*files)),
        config=tuple(_changes(*config)),
        statements=tuple(_changes(*claims)),
        environment=compare_environments(*said),
        advice=advise(*known),
    )


def _changes(left: Mapping[str, str], right: Mapping[str, str]) -> Iterator[Change]:
    for name in sorted(left.keys() | right.keys()):
        change = Change(name, left.get(name, ""), right.get(name, ""))
        if change.left != change.right:
            yield change


def _file(layer: Layer, number: int) -> tuple[str, str]:
    digest = str(layer.descriptor.digest)
    if layer.path is not None:
        how = f" ({layer.compression})" if layer.compression is not Compression.NONE else ""
        return str(layer.path), f"{digest}{how}"
    told = layer.descriptor.annotations.get(FILEPATH, "")
    return f"{told or f'layer {number}'} (archive)", digest


def _config(store: ReadableStore, model: Chosen) -> dict[str, str]:
    manifest = model.manifest
    found = {f"annotation {key}": value for key, value in manifest.annotations.items()}
    found["packed as"] = str(family_of(manifest))
    found["artifact type"] = manifest.artifact_type
    found["config type"] = manifest.config.media_type
    raw = fetch_bytes(store, manifest.config, limit=MAX_CONFIG_BYTES)
    try:
        fields = parse_json_object(raw, "the model's config")
    except ContentError:  # a plain artifact may have any config
        found["config"] = str(manifest.config.digest)
    else:
        found.update(_flat(fields.items(), ""))
    return found


def _flat(items: Iterable[tuple[str, object]], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in items:
        name = f"{prefix}{key}"
        if name in _REPEATED:
            continue
        if isinstance(value, dict):
            yield from _flat(value.items(), f"{name}.")
        else:
            yield name, json.dumps(value, ensure_ascii=False, sort_keys=True)


def _counted(claims: Iterable[Claim]) -> dict[str, str]:
    found: Counter[str] = Counter()
    for claim in claims:
        said = claim.statement
        kind = said.predicate_type or "unreadable"
        found[f"{kind} by {said.signer}" if said.signer else kind] += 1
    return {name: str(count) for name, count in found.items()}
