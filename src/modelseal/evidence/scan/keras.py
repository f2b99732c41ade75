# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Keras models: the configuration in .keras archives and in HDF5 files.

Loading builds every object that the configuration names by module and class; `Lambda` layers hold
marshalled code. Keras's own `safe_mode` had holes (CVE-2025-1550, -8747, -9905, -9906), so what is
named has to be a layer, an optimizer or the like of Keras itself.
"""

import re
from collections.abc import Mapping

from modelseal.evidence.scan.context import Item
from modelseal.evidence.scan.source import chunks_of

_MAX_OBJECTS = 500_000
_GROUPS = (
    "layers|models|initializers|regularizers|constraints|optimizers|losses|metrics|"
    "activations|dtype_policies|quantizers|ops|distribution|random|saving"
)
_MODULE = re.compile(
    rf"(tf_keras|keras|tensorflow\.keras|tf\.keras)(\.src)?(\.({_GROUPS})(\.\w+)*)?"
)
_CODE_CLASSES = frozenset(
    {"Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer"}
)
_LOOKUPS = frozenset({"StringLookup", "IntegerLookup", "TextVectorization", "IndexLookup"})
_IN_HDF5 = re.compile(
    rb'"class_name"\s*:\s*"(Lambda|__lambda__|TorchModuleWrapper|TFSMLayer|JaxLayer|FlaxLayer)"'
    rb'|"(?:module)"\s*:\s*"([^"]{1,200})"|"registered_name"\s*:\s*"([^"]{1,200}>[^"]{1,200})"'
)
_OVERLAP = 512


def is_keras(document: object) -> bool:
    """Tell whether a JSON document is the configuration of a Keras model."""
    return (
        isinstance(document, Mapping)
        and isinstance(document.get("class_name"), str)
        and isinstance(document.get("config"), Mapping)
    )


def scan_keras(item: Item, document: object) -> None:
    """Look at every object that a configuration names."""
    item.found.formats.add("keras")
    waiting, seen = [document], 0
    while waiting:
        value = waiting.pop()
        seen += 1
        if seen > _MAX_OBJECTS:
            item.add("too-much", f"the configuration has more than {_MAX_OBJECTS} values")
            return
        if isinstance(value, Mapping):
            _object(item, value)
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _object(item: Item, value: Mapping[str, object]) -> None:
    name, module = value.get("class_name"), value.get("module")
    registered, config = value.get("registered_name"), value.get("config")
    if not isinstance(name, str):
        return
    if name in _CODE_CLASSES:
        item.add("keras-lambda", f"the model has a {name}, which runs code that is stored in it")
    if isinstance(module, str) and not _MODULE.fullmatch(module) and not _plain(module, name):
        item.add("keras-foreign-class", f"the model names {module[:100]}.{name[:100]}")
    if isinstance(registered, str) and ">" in registered:
        message = f"the model needs the class {registered[:200]!r} of somebody's own"
        item.add("keras-foreign-class", message)
    if (
        name in _LOOKUPS
        and isinstance(config, Mapping)
        and isinstance(config.get("vocabulary"), str)
    ):
        item.add("keras-reads-files", f"a {name} reads {str(config['vocabulary'])[:200]!r}")


def _plain(module: str, name: str) -> bool:
    return module == "builtins" and name in ("int", "float", "str", "bool", "NoneType", "ellipsis")


def scan_hdf5(item: Item) -> None:
    """Search a file for what a configuration of Keras would name."""
    item.found.formats.add("hdf5")
    item.add("hdf5-searched", "the HDF5 file was searched for code, and not taken apart")
    before, start = b"", 0
    for chunk in chunks_of(item.source):
        window = before + chunk
        for match in _IN_HDF5.finditer(window):
            _in_hdf5(item, match, start - len(before) + match.start())
        start += len(chunk)
        before = window[-_OVERLAP:]


def _in_hdf5(item: Item, match: re.Match[bytes], offset: int) -> None:
    code, module, registered = (part and part.decode("utf-8", "replace") for part in match.groups())
    if code:
        item.add(
            "keras-lambda", f"the model has a {code}, which runs code that is stored in it", offset
        )
    elif module and not _MODULE.fullmatch(module) and module != "builtins":
        item.add("keras-foreign-class", f"the model names the module {module[:100]}", offset)
    elif registered:
        message = f"the model needs the class {registered[:200]!r} of somebody's own"
        item.add("keras-foreign-class", message, offset)
