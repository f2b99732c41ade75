# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Chat templates: Jinja programs that come with a language model.

They are run whenever somebody talks to the model, by llama.cpp's and by Hugging Face's engines.
Those have sandboxes, which had holes (CVE-2024-34359, CVE-2025-27516). No template of a real model
needs an attribute with two underscores, an import, or a name that is put together.
"""

import re

from modelseal.evidence.scan.context import Item

_BLOCK = re.compile(r"\{[{%](.*?)[%}]\}", re.DOTALL)
_DANGER = tuple(
    (re.compile(pattern), what)
    for pattern, what in (
        (r"__", "a name with two underscores"),
        (r"\\x5f|\\u005f|\\137|\\x\{5f", "an underscore that is written as a number"),
        (r"\|\s*attr\b", "the filter `attr`, which reaches any attribute"),
        (r"^[-+]?\s*(import|include|extends|from)\b", "an import of another template"),
        (r"\b(lipsum|cycler|joiner)\b", "a helper that leads to Python's functions"),
        (r"\b(popen|subprocess|builtins|globals|getattr|importlib|eval|exec|compile)\b\s*[\(\[.'\"]",
         "a function that runs code"),
        (r"\.\s*(mro|format_map|gi_frame|f_globals|f_builtins|func_globals|cr_frame|tb_frame)\b",
         "an attribute that leads to Python's insides"),
        (r"['\"]_+['\"]\s*[~+*%]|[~+%]\s*['\"]_+['\"]", "a name that is put together"),
        (r"\bos\s*\.\s*\w+\s*\(|\bself\s*\.\s*_", "an attribute that leads to Python's insides"),
    )
)  # fmt: skip


def scan_template(item: Item, text: str, what: str, offset: int = 0) -> None:
    """Look at a template; `what` says whose it is."""
    for match in _BLOCK.finditer(text):
        code = match[1]
        found = next((reason for pattern, reason in _DANGER if pattern.search(code)), None)
        if found:
            shown = " ".join(code.split())[:80]
            item.add("template-code", f"{what} uses {found}: {shown!r}", offset)
