# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""SLSA provenance v1: how a model came to be.

Source: https://slsa.dev/spec/v1.2/provenance (the schema is that of v1.0).
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from modelseal.documents import rfc3339

BUILD_TYPE = "https://modelseal.dev/build-types/publish/v1"
"""A model directory became an artifact by `modelseal publish`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceDescriptor:
    """One input or output, by name, place and digest (in-toto, `resource_descriptor.md`)."""

    name: str = ""
    uri: str = ""
    digest: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    """The resource itself, where it is small."""
    media_type: str = ""
    download_location: str = ""
    annotations: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the fields that are set."""
        fields: dict[str, Any] = {
            "name": self.name,
            "uri": self.uri,
            "digest": dict(self.digest),
            "content": base64.b64encode(self.content).decode(),
            "mediaType": self.media_type,
            "downloadLocation": self.download_location,
            "annotations": dict(self.annotations),
        }
        return {key: value for key, value in fields.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """The predicate's fields; times are aware datetimes."""

    builder_id: str
    builder_version: Mapping[str, str]
    external_parameters: Mapping[str, Any]
    internal_parameters: Mapping[str, Any]
    resolved_dependencies: tuple[ResourceDescriptor, ...]
    invocation_id: str
    started_on: datetime
    finished_on: datetime

    def to_json(self) -> dict[str, Any]:
        """Return the predicate."""
        metadata = {
            "invocationId": self.invocation_id,
            "startedOn": rfc3339(self.started_on),
            "finishedOn": rfc3339(self.finished_on),
        }
        definition: dict[str, Any] = {
            "buildType": BUILD_TYPE,
            "externalParameters": dict(self.external_parameters),
            "resolvedDependencies": [item.to_json() for item in self.resolved_dependencies],
        }
        if self.internal_parameters:
            definition["internalParameters"] = dict(self.internal_parameters)
        return {
            "buildDefinition": definition,
            "runDetails": {
                "builder": {"id": self.builder_id, "version": dict(self.builder_version)},
                "metadata": {key: value for key, value in metadata.items() if value},
            },
        }
