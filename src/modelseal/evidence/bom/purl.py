# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Package URLs: https://github.com/package-url/purl-spec, types `oci` and `pypi`."""

import re
from collections.abc import Mapping
from urllib.parse import quote

from modelseal.oci.descriptor import Digest
from modelseal.oci.reference import DigestReference, Repository


def oci_purl(name: str, digest: Digest, repository: str = "") -> str:
    """Name content of a registry: by its digest, with the repository if there is one.

    The name is the last part of the repository's, or what the model is called; in lower case.
    """
    last = repository.rpartition("/")[2] or name
    return _purl("oci", last.lower(), str(digest), {"repository_url": repository})


def purl_of(reference: DigestReference, name: str) -> str:
    """Name what a reference points at; where it is on a disk is nobody's business."""
    location = reference.location
    repository = str(location) if isinstance(location, Repository) else ""
    return oci_purl(name, reference.digest, repository)


def pypi_purl(name: str, version: str) -> str:
    """Name a package of PyPI; names are compared in lower case, with `-` for `_` and `.`."""
    return _purl("pypi", re.sub(r"[-_.]+", "-", name).lower(), version, {})


def _purl(kind: str, name: str, version: str, qualifiers: Mapping[str, str]) -> str:
    text = f"pkg:{kind}/{_encoded(name)}@{_encoded(version)}"
    pairs = [f"{key}={_encoded(value, '/')}" for key, value in sorted(qualifiers.items()) if value]
    return f"{text}?{'&'.join(pairs)}" if pairs else text


def _encoded(text: str, also: str = "") -> str:
    return quote(text, safe=f":{also}")  # the specification leaves the colon as it is
