# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Where one version of a model stands in a repository, as far as that is cheap to know.

A layout is read whole. A registry is asked for the tag that is written and for those that people
and this tool name a version by; to look behind every tag would cost a request for each. A version
that stands in a registry under none of these is not found.
"""

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from modelseal.errors import ContentError, InvalidReferenceError, NotFoundError
from modelseal.modelpack.media_types import TITLE, VERSION
from modelseal.modelpack.project import Metadata
from modelseal.oci.descriptor import INDEX_TYPES
from modelseal.oci.manifest import Manifest
from modelseal.oci.reference import check_tag
from modelseal.oci.store import RangeReader, ReadableStore, fetch_manifest

MAX_TAGS: Final = 1_000
"""Most tags of a layout that are looked at for one version; of more, the last in their order."""


def standing(store: ReadableStore, tag: str, model: Metadata) -> Mapping[str, Manifest]:
    """Return the manifests of one version of one model, by tag; `tag` itself comes first.

    Args:
        store: a repository; other models in it do not count, unless `tag` points at one.
        tag: what will be written.
        model: its name and its version.

    Raises:
        ContentError: what `tag` points at cannot be read.
        UnavailableError, StorageError: it cannot be told.
    """
    names = list(dict.fromkeys([tag, *_others(store, model.version)]))
    with ThreadPoolExecutor(len(names) if isinstance(store, RangeReader) else 1) as pool:
        found = pool.map(lambda name: _manifest(store, name, strict=name == tag), names)
        pairs = zip(names, found, strict=True)
        return {name: one for name, one in pairs if one and _is_it(one, model, named=name == tag)}


def _is_it(manifest: Manifest, model: Metadata, *, named: bool) -> bool:
    said = manifest.annotations
    return said.get(VERSION) == model.version and (named or said.get(TITLE) == model.name)


def _others(store: ReadableStore, version: str) -> Iterator[str]:
    if not isinstance(store, RangeReader):  # it is near: all tags are at hand
        with contextlib.suppress(NotFoundError):
            yield from list(store.tags())[-MAX_TAGS:]
        return
    plain = version.replace("+", "_")
    for name in (plain, f"v{plain}", f"{plain}-image", "latest"):
        with contextlib.suppress(InvalidReferenceError):  # it is too long for a tag
            yield check_tag(name)


def _manifest(store: ReadableStore, name: str, *, strict: bool) -> Manifest | None:
    try:
        target = store.resolve(name)
        if target.media_type in INDEX_TYPES and not strict:
            return None
        return fetch_manifest(store, target)
    except NotFoundError:
        return None
    except ContentError:
        if strict:
            raise
        return None  # what stands beside may be anything
