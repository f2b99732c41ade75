# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Predicate types: their URIs, and the short names that cosign made common."""

import re

from modelseal.documents import nearest
from modelseal.errors import UsageError

SIGNATURE = "https://sigstore.dev/cosign/sign/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
OMS = "https://model_signing/signature/v1.0"
"""A file-level signature (OpenSSF Model Signing): about files, not about a manifest."""
REFERENCE = "https://in-toto.io/attestation/reference/v0.1"
SCAI = "https://in-toto.io/attestation/scai/v0.3"
CYCLONEDX = "https://cyclonedx.org/bom"
SPDX = "https://spdx.dev/Document/v3"
"""SPDX 3 as JSON-LD; earlier versions are `https://spdx.dev/Document`."""

VSA = "https://slsa.dev/verification_summary/v1"
PROJECT = "https://modelseal.dev"
OWN_PREFIX = f"{PROJECT}/attestation/"

ALLOW_LIST = f"{OWN_PREFIX}pickle-allow-list/v0.1"
"""Names that pickles may import; about the list's file, not about a manifest."""
SCAN_REPORT = f"{OWN_PREFIX}scan-report/v0.1"
"""What a scan has found, as a document beside the model that a SCAI statement names by digest."""

SHORT_NAMES = {
    "signature": SIGNATURE,
    "slsaprovenance1": PROVENANCE,
    "slsaprovenance02": "https://slsa.dev/provenance/v0.2",
    "vsa": VSA,
    "cyclonedx": CYCLONEDX,
    "spdx": "https://spdx.dev/Document",
    "spdxjson": "https://spdx.dev/Document",
    "spdx3": SPDX,
    "openvex": "https://openvex.dev/ns",
    "vuln": "https://cosign.sigstore.dev/attestation/vuln/v1",
    "link": "https://in-toto.io/Link/v1",
    "scai": SCAI,
    "reference": REFERENCE,
    "test-result": "https://in-toto.io/attestation/test-result/v0.1",
}
_URI = re.compile(r"[a-z][a-z0-9+.-]*://[^\s\x00-\x1f]{1,2000}")


def parse_predicate_type(text: str) -> str:
    """Return the URI for a URI or a short name.

    Raises:
        UsageError: it is neither. `slsaprovenance` alone is refused because cosign means v0.2
            by it and most people v1 (governance facts: cosign aliases).
    """
    if text in SHORT_NAMES:
        return SHORT_NAMES[text]
    if text == "slsaprovenance":
        raise UsageError(
            "`slsaprovenance` is ambiguous: cosign means SLSA v0.2 by it",
            hint="write slsaprovenance1 or slsaprovenance02",
        )
    if not _URI.fullmatch(text):
        raise UsageError(
            f"{text!r} is not a predicate type{nearest(text, SHORT_NAMES)}",
            hint=f"write a URI, or one of: {', '.join(SHORT_NAMES)}",
        )
    return text
