# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Who builds, by the variables that each CI system documents; nothing is made up."""

from pathlib import Path

import pytest

from modelseal.evidence.builder import (
    LOCAL_BUILDER,
    BuildSystem,
    builder_from_environment,
    facts,
    findings,
)
from modelseal.evidence.facts import Basis

COMMIT = "c" * 40
GITHUB = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "acme/fraud",
    "GITHUB_WORKFLOW_REF": "acme/fraud/.github/workflows/train.yml@refs/heads/main",
    "GITHUB_RUN_ID": "77",
    "GITHUB_RUN_ATTEMPT": "2",
    "GITHUB_REF": "refs/heads/main",
    "GITHUB_SHA": COMMIT,
    "GITHUB_EVENT_NAME": "push",
    "RUNNER_ENVIRONMENT": "github-hosted",
    "GITHUB_TOKEN": "ghs_secret",
}
GITLAB = {
    "GITLAB_CI": "true",
    "CI_PROJECT_URL": "https://gitlab.com/acme/fraud",
    "CI_RUNNER_ID": "12",
    "CI_JOB_URL": "https://gitlab.com/acme/fraud/-/jobs/5",
    "CI_COMMIT_REF_NAME": "main",
    "CI_COMMIT_SHA": COMMIT,
    "CI_PIPELINE_SOURCE": "push",
    "CI_REPOSITORY_URL": "https://gitlab-ci-token:secret@gitlab.com/acme/fraud.git",
    "CI_JOB_TOKEN": "glcbt-secret",
}
JENKINS = {
    "JENKINS_URL": "https://ci.acme.example/",
    "BUILD_URL": "https://ci.acme.example/job/fraud/15/",
    "BUILD_TAG": "jenkins-fraud-15",
    "JOB_NAME": "fraud",
    "BUILD_NUMBER": "15",
    "GIT_URL": "https://ada:secret@git.acme.example/fraud.git",
    "GIT_BRANCH": "origin/main",
    "GIT_COMMIT": COMMIT,
}
IN_CLUSTER = {
    "MODELSEAL_BUILDER_ID": "https://tekton.acme.example/chains",
    "MODELSEAL_BUILD_NAMESPACE": "training",
    "MODELSEAL_BUILD_RUN": "train-fraud-x1",
    "MODELSEAL_BUILD_RUN_UID": "0f7c",
    "MODELSEAL_SOURCE_REPOSITORY": "https://github.com/acme/fraud",
    "MODELSEAL_SOURCE_REF": "refs/heads/main",
    "MODELSEAL_SOURCE_COMMIT": COMMIT,
}
SYSTEMS = {
    BuildSystem.GITHUB: (
        GITHUB,
        "https://github.com/acme/fraud/.github/workflows/train.yml@refs/heads/main",
        "https://github.com/acme/fraud/actions/runs/77/attempts/2",
        "https://github.com/acme/fraud",
    ),
    BuildSystem.GITLAB: (
        GITLAB,
        "https://gitlab.com/acme/fraud/-/runners/12",
        "https://gitlab.com/acme/fraud/-/jobs/5",
        "https://gitlab.com/acme/fraud",
    ),
    BuildSystem.JENKINS: (
        JENKINS,
        "https://ci.acme.example/",
        "https://ci.acme.example/job/fraud/15/",
        "https://git.acme.example/fraud.git",
    ),
    BuildSystem.TEKTON: (
        {"MODELSEAL_BUILD_SYSTEM": "tekton", **IN_CLUSTER},
        "https://tekton.acme.example/chains",
        "training/taskruns/train-fraud-x1/0f7c",
        "https://github.com/acme/fraud",
    ),
    BuildSystem.ARGO: (
        {"MODELSEAL_BUILD_SYSTEM": "argo", **IN_CLUSTER},
        "https://tekton.acme.example/chains",
        "training/workflows/train-fraud-x1/0f7c",
        "https://github.com/acme/fraud",
    ),
}


@pytest.mark.parametrize("system", SYSTEMS, ids=lambda system: system.name)
def test_each_system_is_known_by_its_own_variables(system: BuildSystem, tmp_path: Path) -> None:
    environment, builder_id, invocation, source = SYSTEMS[system]
    found = builder_from_environment(environment)
    assert found.system is system
    assert (found.id, found.invocation_id) == (builder_id, invocation)
    assert (found.source_repository, found.source_commit) == (source, COMMIT)
    assert found.details
    assert "secret" not in repr(found)
    assert all(fact.basis is Basis.DECLARED for fact in facts(found))
    assert not list(findings(found, environment, tmp_path))


def test_nothing_known_is_the_local_builder_and_is_said(tmp_path: Path) -> None:
    found = builder_from_environment({"CI": "true"})
    assert (found.id, found.source_repository) == (LOCAL_BUILDER, "")
    (fact,) = facts(found)
    assert fact.basis is Basis.INFERRED
    assert not list(findings(found, {}, tmp_path))


@pytest.mark.parametrize(
    ("environment", "reserved", "finding"),
    [
        ({}, "tekton/run", "build-system-not-told"),
        ({"ARGO_CONTAINER_NAME": "main"}, "", "build-system-not-told"),
        ({"MODELSEAL_BUILD_SYSTEM": "tektn"}, "", "unknown-build-system"),
        ({"MODELSEAL_BUILDER_ID": "our builder"}, "", "builder-id-unusable"),
        ({"MODELSEAL_BUILDER_ID": "https://a:b@acme.example"}, "", "builder-id-unusable"),
        ({"JENKINS_URL": "https://ci.acme.example/"}, "", "source-not-told"),
        ({"MODELSEAL_BUILD_SYSTEM": "argo"}, "", "source-not-told"),
    ],
)
def test_what_a_system_could_tell_and_does_not_is_a_finding(
    environment: dict[str, str], reserved: str, finding: str, tmp_path: Path
) -> None:
    if reserved:
        (tmp_path / reserved).mkdir(parents=True)
    found = builder_from_environment(environment)
    assert [item.id for item in findings(found, environment, tmp_path)] == [finding]


def test_values_that_are_no_plain_line_are_not_taken() -> None:
    found = builder_from_environment({**GITHUB, "GITHUB_REF": "x\ny", "GITHUB_SHA": "a" * 2000})
    assert (found.source_ref, found.source_commit) == ("", "")


def test_an_old_server_that_does_not_tell_the_workflow_gives_no_half_a_uri() -> None:
    found = builder_from_environment({"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/fraud"})
    assert found.id == "https://github.com/acme/fraud"
    assert found.invocation_id == ""
