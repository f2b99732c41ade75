# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Pickle files: one or several pickles, those of PyTorch and of joblib among them."""

import re
import sys

from modelseal.evidence.scan._pickle_values import Global
from modelseal.evidence.scan._pickle_walk import Walked, walk
from modelseal.evidence.scan.allowed import is_dangerous
from modelseal.evidence.scan.context import Item
from modelseal.evidence.scan.source import Source

MAX_PICKLES = 10_000
"""Most pickles in one file."""

_TORCH_MAGIC = b"\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"  # LONG1 0x1950a86a20f9469cfc6c
_TORCH_PICKLES = 5  # magic number, protocol, system, object, keys of the storages
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")
_UNTOLD = "?"
_SHOWN = 120
_WORD = 16


def is_pickle(head: bytes) -> bool:
    """Tell whether bytes begin as a pickle of protocol 2 or newer."""
    return (len(head) > 1 and head[0] == 0x80 and head[1] <= 5) or head[:1] == b"\x95"  # noqa: PLR2004


def probably_pickle(source: Source, *, text: bool) -> bool:
    """Tell whether a file without the mark of a pickle is one all the same.

    Protocols 0 and 1 have none, and a pickle acts before it breaks off. So whatever imports under
    a possible name and then calls is one, and so is binary data that ends as one. A text that
    imports and does not call, as a list of words may by chance, is one where it ends as one, or
    where the module is one of Python's own.
    """
    walked = walk(source)
    names = [one for one in walked.imports if _possible(one)]
    whole = walked.broken is None
    hidden = any(rule != "pickle-persistent-id" for rule, _ in walked.problems)
    if (names or (hidden and not text)) and walked.calls:
        return True
    if not whole:
        return False
    if not text:
        return walked.end - walked.start > 1
    rest = source.size - walked.end
    ends = rest <= _WORD and not source.read_at(walked.end, rest).strip()
    return bool(names) and (ends or any(_is_of_python(one.module) for one in names))


def _possible(one: Global) -> bool:
    return bool(_NAME.fullmatch(one.module) and _NAME.fullmatch(one.name))


def _is_of_python(module: str) -> bool:
    return is_dangerous(module) or module.partition(".")[0] in sys.stdlib_module_names


def scan_pickles(item: Item, start: int = 0, *, storages: bool = False) -> None:
    """Look at all pickles from `start` to the end."""
    legacy = _is_legacy_torch(item.source, start)
    item.found.formats.add("pickle")
    source, at, count = item.source, start, 0
    while at < source.size:
        walked = walk(source, at, storages=storages or legacy)
        count += 1
        if count > 1 and walked.broken is not None and not walked.imports:
            item.add("pickle-trailing-bytes", f"{source.size - at} bytes stand behind a pickle", at)
            return
        _report(item, walked)
        if walked.broken is not None:
            return
        at = walked.end
        if legacy and count == _TORCH_PICKLES:
            break  # the storages follow: numbers, which no loader takes for anything else
        if count >= MAX_PICKLES:
            item.add("too-much", f"more than {MAX_PICKLES} pickles", at)
            return
    if not any(finding.rule.startswith("pickle-") for finding in item.found.findings):
        item.add("pickle-format", "the pickle imports nothing but what is allowed", start)


def _is_legacy_torch(source: Source, start: int) -> bool:
    head = source.read_at(start, 40)
    body = head[2:] if head[:1] == b"\x80" else head
    return body.startswith(_TORCH_MAGIC + b".")


def _report(item: Item, walked: Walked) -> None:
    for (rule, message), offset in walked.problems.items():
        item.add(rule, message, offset)
    for one, offset in walked.imports.items():
        if _UNTOLD not in (one.module, one.name):
            _import(item, one, offset)
    if walked.broken is not None:
        why = f"the pickle cannot be read: {walked.broken.why}"
        item.add("pickle-broken", why, walked.broken.offset)


def _import(item: Item, one: Global, offset: int) -> None:
    name = f"{one.module}.{one.name}"[:_SHOWN]
    allowed = item.allowed.allows(one.module, one.name)
    item.found.globals[name] = allowed
    if allowed:
        return
    if is_dangerous(one.module):
        message = f"the pickle imports {name}, which can run code when it is loaded"
        item.add("pickle-dangerous-global", message, offset)
    else:
        message = f"the pickle imports {name}, which is not on the allow-list"
        item.add("pickle-unlisted-global", message, offset)
