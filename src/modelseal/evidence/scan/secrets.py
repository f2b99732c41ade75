# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Secrets in text: keys and tokens that have a form, and passwords that look like ones.

A found secret is shown by its first four characters only. Tokens with a checksum are only told
when it fits; for the rest the randomness has to.
"""

import math
import re
import zlib
from collections import Counter
from collections.abc import Callable

from modelseal.evidence.scan.context import Item

_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LEAST_ENTROPY = 3.0
_LEAST_GENERIC = 3.7
_SHOWN = 4
_PLACEHOLDER = re.compile(
    rb"example|sample|dummy|changeme|placeholder|your[_-]|xxxx|\*\*\*|<[a-z]|\$\{|\{\{|1234567890|abcdef|test",
    re.IGNORECASE,
)


def entropy(data: bytes) -> float:
    """Return the bits of information in a character, by how often each is there."""
    counts = Counter(data)
    return -sum(n / len(data) * math.log2(n / len(data)) for n in counts.values())


def _random(token: bytes) -> bool:
    return entropy(token) >= _LEAST_ENTROPY and not _PLACEHOLDER.search(token)


def _crc62(token: bytes) -> bool:
    """Tell whether the last six characters are the CRC-32 of those before, as GitHub and npm do."""
    body, check = token.partition(b"_")[2][:-6], token[-6:].decode()
    value, digits = zlib.crc32(body), ""
    while value:
        value, digit = divmod(value, 62)
        digits = _BASE62[digit] + digits
    return digits.rjust(6, "0") == check


_NOT_BEFORE, _NOT_AFTER = rb"(?<![A-Za-z0-9_-])", rb"(?![A-Za-z0-9_-])"


def _any(_: bytes) -> bool:
    return True


_PEM = rb"-----\s*(?:\\n)?[A-Za-z0-9+/=:,\- \r\n\\]{40}"
_FORMS: tuple[tuple[str, re.Pattern[bytes], Callable[[bytes], bool]], ...] = tuple(
    (name, re.compile(pattern), check)
    for name, check, pattern in (
        ("a private key", _any, rb"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?" + _PEM),
        ("a key of AWS", _random, rb"(?<![A-Za-z0-9/+])A(?:KIA|SIA)[A-Z2-7]{16}(?![A-Za-z0-9/+=])"),
        ("a token of GitHub", _crc62, _NOT_BEFORE + rb"gh[pousr]_[A-Za-z0-9]{36}" + _NOT_AFTER),
        ("a token of GitHub", _random, rb"github_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}" + _NOT_AFTER),
        ("a token of npm", _crc62, _NOT_BEFORE + rb"npm_[A-Za-z0-9]{36}" + _NOT_AFTER),
        ("a token of GitLab", _random, _NOT_BEFORE + rb"glpat-[A-Za-z0-9_-]{20}" + _NOT_AFTER),
        ("a token of Hugging Face", _random, _NOT_BEFORE + rb"hf_[A-Za-z]{34}" + _NOT_AFTER),
        ("a token of PyPI", _random, rb"pypi-AgEIcHlwaS5vcmc[A-Za-z0-9_-]{50,}"),
        ("a key of Google", _random, _NOT_BEFORE + rb"AIza[0-9A-Za-z_-]{35}" + _NOT_AFTER),
        ("a token of Slack", _random, rb"xox[abeoprs]-[0-9]{8,14}-[A-Za-z0-9-]{20,}"),
        ("a key of Stripe", _random, _NOT_BEFORE + rb"[rs]k_live_[0-9A-Za-z]{24,}"),
        ("a key of OpenAI", _random,
         _NOT_BEFORE + rb"sk-[A-Za-z0-9_-]{20,}T3BlbkFJ[A-Za-z0-9_-]{20,}"),
        ("a key of Anthropic", _random, _NOT_BEFORE + rb"sk-ant-[a-z]+[0-9]{2}-[A-Za-z0-9_-]{80,}"),
        ("a key of Azure", _random, rb"AccountKey=[A-Za-z0-9+/]{86}=="),
        ("a token of DigitalOcean", _random, _NOT_BEFORE + rb"do[opr]_v1_[a-f0-9]{64}"),
    )
)  # fmt: skip
_GENERIC = re.compile(
    rb"(?i)[\"']?(?:password|passwd|secret|api[_-]?key|access[_-]?key|auth[_-]?token|client[_-]?secret)[\"']?"
    rb"\s{0,4}[:=]\s{0,4}[\"']([^\s\"']{16,200})[\"']"
)
_IN_URL = re.compile(
    rb"\b[a-z][a-z0-9+.-]{1,20}://[^\s/:@\"'<>]{1,64}:([^\s/:@\"'<>]{6,200})@[A-Za-z0-9.-]+"
)


def scan_secrets(item: Item, text: bytes, offset: int = 0) -> None:
    """Look for secrets in a piece of text that begins at `offset`."""
    for name, form, check in _FORMS:
        for match in form.finditer(text):
            if check(match[0]):
                _tell(item, "secret", name, match[0], offset + match.start())
    for what, form in (("a password or key", _GENERIC), ("a password in an address", _IN_URL)):
        for match in form.finditer(text):
            if entropy(match[1]) >= _LEAST_GENERIC - (
                what != "a password or key"
            ) and not _PLACEHOLDER.search(match[1]):
                _tell(item, "possible-secret", what, match[1], offset + match.start(1))


def _tell(item: Item, rule: str, name: str, secret: bytes, offset: int) -> None:
    shown = (
        "" if secret.startswith(b"-----") else f", {secret[:_SHOWN].decode('ascii', 'replace')}…"
    )
    item.add(rule, f"{name} stands there ({len(secret)} characters{shown})", offset)
