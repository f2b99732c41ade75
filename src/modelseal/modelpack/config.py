# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The config blob of a ModelPack artifact, and the time that may stand in it.

Source: model-spec v0.0.7, docs/config.md and schema/config-schema.json. The schema allows no other
keys, so nothing of the later drafts (`datasetsURL`, `reward`, `languages`) is written.
"""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from modelseal.documents import canonical_json, rfc3339
from modelseal.errors import UsageError
from modelseal.modelpack.project import Project
from modelseal.oci.descriptor import Digest

SOURCE_DATE_EPOCH = "SOURCE_DATE_EPOCH"
"""https://reproducible-builds.org/specs/source-date-epoch/"""

_EPOCH = re.compile(r"[0-9]{1,12}")
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z, the last that RFC 3339 can write


def source_date(environ: Mapping[str, str]) -> datetime | None:
    """Return the time that `SOURCE_DATE_EPOCH` names; None when it is not set.

    Raises:
        UsageError: it is set to something that is no number of seconds since 1970.
    """
    text = environ.get(SOURCE_DATE_EPOCH)
    if text is None:
        return None
    if not _EPOCH.fullmatch(text) or int(text) > _LAST_SECOND:
        raise UsageError(
            f"{SOURCE_DATE_EPOCH} is {text[:40]!r}",
            hint="set it to whole seconds since 1970, or unset it",
        )
    return datetime.fromtimestamp(int(text), UTC)


def build_config(
    project: Project, diff_ids: Iterable[Digest], *, created: datetime | None
) -> bytes:
    """Return the bytes of the config.

    Args:
        project: what `modelseal.yaml` says.
        diff_ids: the digests of the uncompressed layers, in order; for raw layers their digests.
        created: when; left out unless the build is told, so that equal input gives equal bytes.
    """
    metadata, code = project.metadata, project.training.code
    descriptor = {
        "name": metadata.name,
        "version": metadata.version,
        "description": metadata.description,
        "authors": list(metadata.authors),
        "licenses": list(metadata.licenses),
        "vendor": metadata.vendor,
        "sourceURL": metadata.source_url,
        "revision": code.commit if code else "",
        "family": project.family,
        "createdAt": rfc3339(created) if created else "",
    }
    config = {
        "format": project.format,
        "architecture": project.architecture,
        "paramSize": project.param_size,
        "precision": project.precision,
    }
    return canonical_json(
        {
            "descriptor": _filled(descriptor),
            "config": _filled(config),
            "modelfs": {"type": "layers", "diffIds": [str(digest) for digest in diff_ids]},
        }
    )


def _filled(values: Mapping[str, object]) -> dict[str, object]:
    return {key: value for key, value in values.items() if value}
