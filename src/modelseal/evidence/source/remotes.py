# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Addresses of repositories as they may be published: never with who logs in there, or how."""

import re
from typing import Final
from urllib.parse import urlsplit

_SCHEMES: Final = frozenset({"https", "http", "ssh", "git"})
# `git clone` takes user@host:path for ssh (gitrepository-layout of git-clone(1), "GIT URLS").
_SCP: Final = re.compile(r"(?:[^@/\s:]+@)?([A-Za-z0-9][A-Za-z0-9.-]+):(?!/?/)([^\s]+)")
_MAX_URL: Final = 1024


def public_remote(url: str) -> str:
    """Return a remote's address without user, password, query and fragment.

    Empty when it is no address of a host: a path on this disk is nobody's business, and a helper
    such as `ext::` is a command.
    """
    if len(url) > _MAX_URL or not url.isprintable():
        return ""
    if "://" not in url:
        short = _SCP.fullmatch(url)
        return f"ssh://{short[1]}/{short[2].lstrip('/')}" if short else ""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if parts.scheme.lower() not in _SCHEMES or not host:
        return ""
    place = f"[{host}]" if ":" in host else host
    at = f":{port}" if port else ""
    return f"{parts.scheme.lower()}://{place}{at}{parts.path}"


def same_repository(one: str, other: str) -> bool:
    """Tell whether two addresses name one repository, however they are written.

    The way to it (ssh, https) does not matter, nor case, nor `.git` at the end.
    """
    keys = [_key(public_remote(url.removeprefix("git+"))) for url in (one, other)]
    return keys[0] == keys[1] != ("", "")


def _key(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    path = parts.path.strip("/").removesuffix(".git").lower()
    return (parts.hostname or "", path)
