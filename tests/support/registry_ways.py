# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""In what registries differ when they take a blob, as `FakeRegistry` acts it out.

Each difference was read in an issue of a client that met it: docs/registries.md names them.
"""

from dataclasses import dataclass

_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Ways:
    """How uploads differ from what the specification says. Sizes are in bytes.

    Attributes:
        max_body: a proxy answers larger bodies with 413, before it has read them.
        max_patch: larger bodies of a PATCH are answered with 416; 0 answers each PATCH with 405.
        after_patch: the status of a PATCH that was taken.
        tells_status: whether GET tells how much of an upload is there.
        keeps_broken: whether what came of a body that broke off stays.
        least: what `OCI-Chunk-Min-Length` asks for; 0 for nothing.
    """

    max_body: int | None = None
    max_patch: int | None = None
    after_patch: int = 202
    tells_status: bool = True
    keeps_broken: bool = True
    least: int = 0

    def refused(self, method: str, length: int) -> tuple[int, str, str] | None:
        """Return status, code and message for a request that is refused before its body."""
        if self.max_body is not None and length > self.max_body:
            return 413, "", "request entity too large"
        if method == "PATCH" and self.max_patch == 0:
            return 405, "UNSUPPORTED", "no chunked uploads"
        if method == "PATCH" and self.max_patch is not None and length > self.max_patch:
            return 416, "BLOB_UPLOAD_INVALID", "chunk too large"
        return None


AS_SPECIFIED = Ways()
GHCR = Ways(max_patch=4 * _MIB, tells_status=False, keeps_broken=False)
ECR = Ways(after_patch=201, tells_status=False, keeps_broken=False)
GAR = Ways(max_patch=0, tells_status=False, keeps_broken=False)
DISTRIBUTION = AS_SPECIFIED
"""What Harbor, Docker Hub and GitLab run."""
NGINX = Ways(max_body=_MIB)
"""A proxy in front that nobody configured."""
