# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Text files: secrets in all; configurations, templates, XML and notebooks by what they are."""

import re
from collections.abc import Mapping

from modelseal.documents import parse_json
from modelseal.errors import ContentError
from modelseal.evidence.scan.context import Item
from modelseal.evidence.scan.keras import is_keras, scan_keras
from modelseal.evidence.scan.secrets import scan_secrets
from modelseal.evidence.scan.templates import scan_template

MAX_TEXT_BYTES = 256 << 20
"""Most bytes of one text file that are looked at."""
MAX_DOCUMENT_BYTES = 64 << 20
"""Largest JSON document that is taken apart."""

_PIECE = 8 << 20
_OVERLAP = 4096
_ENTITY = re.compile(r"<!(DOCTYPE|ENTITY)\b[^>\[]{0,2000}(\[|SYSTEM|PUBLIC|>)", re.IGNORECASE)
_HTML = re.compile(r"<!DOCTYPE\s+html\s*(PUBLIC\s+\"[^\"]*\"\s+\"[^\"]*\"\s*)?>", re.IGNORECASE)
_JINJA = re.compile(rb"\{%[-+]?\s*(for|if|set|macro)\b")
_CODE = re.compile(
    r".*\.(py|pyi|sh|bash|js|ts|c|cc|cpp|cu|rs|go|java|r|jl|pl|rb|ps1|bat)", re.IGNORECASE
)


def scan_text(item: Item) -> None:
    """Look at a text file."""
    source = item.source
    stop = min(source.size, MAX_TEXT_BYTES)
    if source.size > stop:
        item.add("partly-read", f"only the first {MAX_TEXT_BYTES >> 20} MiB were looked at", stop)
    head = source.read_at(0, 4096)
    encoding = "utf-16" if head.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8"
    for start in range(0, stop, _PIECE):
        piece = source.read_at(start, min(_PIECE + _OVERLAP, stop - start))
        if encoding == "utf-16":
            piece = (b"" if start == 0 else head[:2]) + piece
            piece = piece.decode("utf-16", "replace").encode()
        scan_secrets(item, piece, start)
    _scan_form(item, head, encoding)


def _scan_form(item: Item, head: bytes, encoding: str) -> None:
    first = head.decode(encoding, "replace").lstrip("\ufeff \t\r\n")
    if first.startswith(("{", "[")) and not first.startswith(("{%", "{{", "{#")):
        _scan_json(item)
    elif first.startswith("<"):
        _scan_xml(item, encoding)
    elif first.startswith("#!") or _CODE.fullmatch(item.member or item.file):
        item.add("code-file", "source code, which was not judged")
    elif _JINJA.search(item.source.read_at(0, _PIECE)):
        scan_template(
            item, item.source.read_at(0, _PIECE).decode("utf-8", "replace"), "the template"
        )


def _scan_xml(item: Item, encoding: str) -> None:
    text = item.source.read_at(0, _PIECE).decode(encoding, "replace")
    match = _ENTITY.search(_HTML.sub("", text, count=1))
    if match is not None:
        item.add("xml-entities", f"the document declares {match[1].upper()}", match.start())


def _scan_json(item: Item) -> None:
    if item.source.size > MAX_DOCUMENT_BYTES:
        item.add("partly-read", "the JSON document is too large to be taken apart")
        return
    try:
        document = parse_json(item.source.read_at(0, item.source.size), "the document")
    except ContentError:
        return  # lines of JSON, a text in brackets: nothing that a loader would take for a config
    if is_keras(document):
        scan_keras(item, document)
    if isinstance(document, Mapping):
        _scan_config(item, document)


def _scan_config(item: Item, document: Mapping[str, object]) -> None:
    if isinstance(document.get("cells"), list) and "nbformat" in document:
        item.add("notebook", "a notebook, whose cells were not judged")
    for key in ("auto_map", "custom_pipelines"):
        if document.get(key):
            named = str(document[key])[:200]
            item.add("remote-code", f"{key} names Python code that the loader runs: {named}")
    for key in ("chat_template", "template"):
        value = document.get(key)
        if isinstance(value, str):
            scan_template(item, value, key)
        elif isinstance(value, list):
            for one in value:
                if isinstance(one, Mapping) and isinstance(one.get("template"), str):
                    scan_template(item, str(one["template"]), f"{key} {str(one.get('name'))[:40]}")
