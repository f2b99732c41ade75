# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Who runs this build: read from the CI system's environment.

What stands here is what the environment says; it counts as much as the identity that signs the
provenance. SLSA asks a verifier to accept (signer, builder.id) pairs only. Every variable is one
that the system documents; Tekton and Argo set none, and are told by variables of ours that their
documented template variables fill (docs/ci.md).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from modelseal.documents import nearest
from modelseal.evidence.facts import Basis, Fact, Finding, Level
from modelseal.evidence.source.remotes import public_remote

_BUILDERS: Final = "https://modelseal.dev/builders"
LOCAL_BUILDER: Final = f"{_BUILDERS}/local/v1"

SYSTEM: Final = "MODELSEAL_BUILD_SYSTEM"
"""Says that a build runs in Tekton or Argo, which set no variables: `tekton`, `argo`."""
BUILDER_ID: Final = "MODELSEAL_BUILDER_ID"
"""The URI of the builder, where the system has none of its own."""

_MAX_VALUE: Final = 1024


class BuildSystem(StrEnum):
    """What runs the build."""

    NONE = ""
    GITHUB = "GitHub Actions"
    GITLAB = "GitLab CI"
    JENKINS = "Jenkins"
    TEKTON = "Tekton"
    ARGO = "Argo Workflows"


_DECLARED: Final = {"tekton": BuildSystem.TEKTON, "argo": BuildSystem.ARGO}
_RUNS: Final = {BuildSystem.TEKTON: "taskruns", BuildSystem.ARGO: "workflows"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Builder:
    """The builder's URI, the run's URI, and the source that the CI system checked out."""

    id: str
    invocation_id: str = ""
    source_repository: str = ""
    source_ref: str = ""
    source_commit: str = ""
    system: BuildSystem = BuildSystem.NONE
    details: Mapping[str, str] = field(default_factory=dict)
    """What else the system says, for `internalParameters`."""


def builder_from_environment(environment: Mapping[str, str]) -> Builder:
    """Recognise the CI system; anything that is not recognised is the local builder."""
    said = {name: value for name, value in environment.items() if _is_plain(value)}
    declared = _DECLARED.get(said.get(SYSTEM, "").lower())
    if declared is not None:
        return _in_cluster(said, declared)
    if said.get("GITHUB_ACTIONS") == "true":
        return _github(said)
    if said.get("GITLAB_CI") == "true":
        return _gitlab(said)
    if said.get("JENKINS_URL") or said.get("BUILD_TAG", "").startswith("jenkins-"):
        return _jenkins(said)
    return Builder(id=_uri(said.get(BUILDER_ID, "")) or LOCAL_BUILDER)


def _is_plain(value: str) -> bool:
    return len(value) <= _MAX_VALUE and value.isprintable()


def _github(said: Mapping[str, str]) -> Builder:
    """Source: GitHub Docs, "Variables reference"."""
    server = public_remote(said.get("GITHUB_SERVER_URL", "")) or "https://github.com"
    named = said.get("GITHUB_REPOSITORY", "")
    repository = f"{server}/{named}" if named else ""
    workflow, run = said.get("GITHUB_WORKFLOW_REF", ""), said.get("GITHUB_RUN_ID", "")
    attempt = said.get("GITHUB_RUN_ATTEMPT", "1")
    details = {
        "eventName": "GITHUB_EVENT_NAME",
        "repositoryId": "GITHUB_REPOSITORY_ID",
        "repositoryOwnerId": "GITHUB_REPOSITORY_OWNER_ID",
        "runnerEnvironment": "RUNNER_ENVIRONMENT",
        "workflowSHA": "GITHUB_WORKFLOW_SHA",
    }
    return Builder(
        # An old server does not tell the workflow: then the repository's runners are the builder.
        id=f"{server}/{workflow}" if workflow else repository or server,
        invocation_id=f"{repository}/actions/runs/{run}/attempts/{attempt}"
        if run and repository
        else "",
        source_repository=repository,
        source_ref=said.get("GITHUB_REF", ""),
        source_commit=said.get("GITHUB_SHA", ""),
        system=BuildSystem.GITHUB,
        details=_details(said, details),
    )


def _gitlab(said: Mapping[str, str]) -> Builder:
    """Source: GitLab Docs, "Predefined CI/CD variables reference"."""
    project = public_remote(said.get("CI_PROJECT_URL", ""))
    runner = said.get("CI_RUNNER_ID", "")
    details = {
        "pipelineSource": "CI_PIPELINE_SOURCE",
        "pipelineId": "CI_PIPELINE_ID",
        "projectId": "CI_PROJECT_ID",
        "configPath": "CI_CONFIG_PATH",
        "runnerVersion": "CI_RUNNER_VERSION",
    }
    return Builder(
        id=f"{project}/-/runners/{runner}" if project else f"{_BUILDERS}/gitlab/v1",
        invocation_id=public_remote(said.get("CI_JOB_URL", "")),
        source_repository=project,
        source_ref=said.get("CI_COMMIT_REF_NAME", ""),
        source_commit=said.get("CI_COMMIT_SHA", ""),
        system=BuildSystem.GITLAB,
        details=_details(said, details),
    )


def _jenkins(said: Mapping[str, str]) -> Builder:
    """Source: Jenkins, "Global Variable Reference"; GIT_*: the Git plugin's documentation.

    JENKINS_URL and BUILD_URL are there only when the server's address is configured.
    """
    return Builder(
        id=public_remote(said.get("JENKINS_URL", "")) or f"{_BUILDERS}/jenkins/v1",
        invocation_id=public_remote(said.get("BUILD_URL", "")) or said.get("BUILD_TAG", ""),
        source_repository=public_remote(said.get("GIT_URL", "")),
        source_ref=said.get("GIT_BRANCH", ""),
        source_commit=said.get("GIT_COMMIT", ""),
        system=BuildSystem.JENKINS,
        details=_details(said, {"jobName": "JOB_NAME", "buildNumber": "BUILD_NUMBER"}),
    )


def _in_cluster(said: Mapping[str, str], system: BuildSystem) -> Builder:
    """Tekton and Argo tell a step nothing by themselves: what they fill in is in our variables.

    Source: Tekton, "Variable Substitutions"; Argo Workflows, "Workflow Variables".
    """
    place = [said.get("MODELSEAL_BUILD_NAMESPACE", ""), _RUNS[system]]
    run, uid = said.get("MODELSEAL_BUILD_RUN", ""), said.get("MODELSEAL_BUILD_RUN_UID", "")
    kind = next(name for name, known in _DECLARED.items() if known is system)
    details = {
        "namespace": "MODELSEAL_BUILD_NAMESPACE",
        "run": "MODELSEAL_BUILD_RUN",
        "runUID": "MODELSEAL_BUILD_RUN_UID",
        "pipeline": "MODELSEAL_BUILD_PIPELINE",
    }
    return Builder(
        id=_uri(said.get(BUILDER_ID, "")) or f"{_BUILDERS}/{kind}/v1",
        invocation_id="/".join(filter(None, (*place, run, uid))) if run else "",
        source_repository=public_remote(said.get("MODELSEAL_SOURCE_REPOSITORY", "")),
        source_ref=said.get("MODELSEAL_SOURCE_REF", ""),
        source_commit=said.get("MODELSEAL_SOURCE_COMMIT", ""),
        system=system,
        details=_details(said, details),
    )


def _details(said: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    return {key: said[variable] for key, variable in names.items() if said.get(variable)}


def _uri(text: str) -> str:
    """Return an absolute URI without credentials, or nothing."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return text if parts.scheme and parts.netloc and "@" not in parts.netloc else ""


def facts(builder: Builder) -> Iterator[Fact]:
    """Yield who builds, in words."""
    if builder.system is BuildSystem.NONE:
        yield Fact("builder", f"no CI system that is known: {builder.id}", Basis.INFERRED)
        return
    run = f", run {builder.invocation_id}" if builder.invocation_id else ""
    yield Fact("builder", f"{builder.system}: {builder.id}{run}", Basis.DECLARED)
    if builder.source_repository:
        at = f" at {builder.source_ref}" if builder.source_ref else ""
        commit = f", commit {builder.source_commit}" if builder.source_commit else ""
        text = f"checked out by {builder.system}: {builder.source_repository}{at}{commit}"
        yield Fact("builder", text, Basis.DECLARED)


def findings(
    builder: Builder, environment: Mapping[str, str], root: Path = Path("/")
) -> Iterator[Finding]:
    """Yield what the CI system could tell, and does not."""
    system = environment.get(SYSTEM, "")
    if system and system.lower() not in _DECLARED:
        yield Finding(
            id="unknown-build-system",
            level=Level.ERROR,
            message=f"{SYSTEM} is {system[:40]!r}{nearest(system, _DECLARED)}",
            hint=f"set it to one of {', '.join(_DECLARED)}, or unset it",
        )
    elif builder.system is BuildSystem.NONE and (found := _unnamed(environment, root)):
        yield Finding(
            id="build-system-not-told",
            message=f"the build runs in {found}, which tells a step neither its run nor its source",
            hint=f"set {SYSTEM} and what goes with it in the step's env: docs/ci.md",
        )
    elif builder.system is not BuildSystem.NONE and not (
        builder.source_repository and builder.source_commit
    ):
        yield Finding(
            id="source-not-told",
            message=f"{builder.system} does not say which repository and commit it checked out",
            hint="docs/ci.md lists the variables that are read",
        )
    if environment.get(BUILDER_ID) and not _uri(environment[BUILDER_ID]):
        yield Finding(
            id="builder-id-unusable",
            level=Level.ERROR,
            message=f"{BUILDER_ID} is no absolute URI without credentials",
            hint="write https://… as the policy names the builder",
        )


def _unnamed(environment: Mapping[str, str], root: Path) -> str:
    # Tekton keeps /tekton for itself in every step; Argo's executor names the container.
    if (root / "tekton" / "run").exists():
        return BuildSystem.TEKTON
    return BuildSystem.ARGO if environment.get("ARGO_CONTAINER_NAME") else ""
