# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""In-toto statements as bytes, to be signed; also wrong ones."""

import json
from typing import Any

from modelseal.oci.descriptor import Digest

SUBJECT = Digest.of(b"the manifest")
"""What statements are about when a test does not care."""

OTHER_SUBJECT = Digest.of(b"another manifest")

PREDICATE_TYPE = "https://example.com/tested/v1"


def statement(about: Digest = SUBJECT, /, **changes: Any) -> bytes:  # noqa: ANN401 - any JSON
    """Return a statement about a digest; `changes` replace its fields, None removes one."""
    value: dict[str, Any] = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "", "digest": {about.algorithm: about.encoded}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {"passed": True},
    }
    value.update(changes)
    kept = {key: item for key, item in value.items() if item is not None}
    return json.dumps(kept).encode()
