# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A model directory as if it were published already: built in memory, its weights left on disk."""

from collections.abc import Mapping
from pathlib import Path

from modelseal.modelpack.build import ModelPackage
from modelseal.modelpack.project import FILE_NAME
from modelseal.modelpack.readers.families import MAX_CONFIG_BYTES
from modelseal.oci.events import discard
from modelseal.oci.memory import MemoryStore
from modelseal.oci.store import ReadableStore
from modelseal.workflows.diff import Side
from modelseal.workflows.package import package
from modelseal.workflows.remembering import known_digests


def is_model_directory(text: str) -> bool:
    """Tell whether a text that may be a reference names a directory with a `modelseal.yaml`."""
    return not text.startswith("oci:") and (Path(text) / FILE_NAME).is_file()


def side_of_directory(directory: Path, environment: Mapping[str, str]) -> Side:
    """Return a model directory as one side of a comparison. Raises as `package` does."""
    made = package(directory, environment, discard, digests=known_digests(environment)).package
    return Side(store=store_of(made), name=made.descriptor.digest, published=False)


def store_of(made: ModelPackage) -> ReadableStore:
    """Return a store with the manifest, the config and the small files of a package."""
    store = MemoryStore()
    for target, content in made.contents():
        if target.is_manifest or target.size <= MAX_CONFIG_BYTES:
            store.push(target, content)
    return store
