# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Who runs this build: read from the CI system's environment.

What stands here is what the environment says; it counts as much as the identity that signs the
provenance. SLSA asks a verifier to accept (signer, builder.id) pairs only.
"""

from collections.abc import Mapping
from dataclasses import dataclass

LOCAL_BUILDER = "https://modelseal.dev/builders/local/v1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """The builder's URI, the run's URI, and the source that the CI system checked out."""

    id: str
    invocation_id: str = ""
    source_repository: str = ""
    source_ref: str = ""
    source_commit: str = ""


def builder_from_environment(environment: Mapping[str, str]) -> Builder:
    """Recognise GitHub Actions and GitLab CI; anything else is the local builder."""
    if environment.get("GITHUB_ACTIONS") == "true":
        return _github(environment)
    if environment.get("GITLAB_CI") == "true":
        return _gitlab(environment)
    return Builder(id=LOCAL_BUILDER)


def _github(environment: Mapping[str, str]) -> Builder:
    """Source: GitHub Docs, "Variables reference"."""
    server = environment.get("GITHUB_SERVER_URL", "https://github.com")
    repository = f"{server}/{environment.get('GITHUB_REPOSITORY', '')}"
    run = environment.get("GITHUB_RUN_ID", "")
    attempt = environment.get("GITHUB_RUN_ATTEMPT", "1")
    return Builder(
        id=f"{server}/{environment.get('GITHUB_WORKFLOW_REF', '')}",
        invocation_id=f"{repository}/actions/runs/{run}/attempts/{attempt}" if run else "",
        source_repository=repository,
        source_ref=environment.get("GITHUB_REF", ""),
        source_commit=environment.get("GITHUB_SHA", ""),
    )


def _gitlab(environment: Mapping[str, str]) -> Builder:
    """Source: GitLab Docs, "Predefined CI/CD variables reference"."""
    project = environment.get("CI_PROJECT_URL", "")
    return Builder(
        id=f"{project}/-/runners/{environment.get('CI_RUNNER_ID', '')}",
        invocation_id=environment.get("CI_JOB_URL", ""),
        source_repository=project,
        source_ref=environment.get("CI_COMMIT_REF_NAME", ""),
        source_commit=environment.get("CI_COMMIT_SHA", ""),
    )
