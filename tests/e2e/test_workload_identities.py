# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Workloads sign as themselves: a pod's service account, a SPIFFE workload. Fulcio is real."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.support.cli import Command
from tests.support.model_factory import make_model
from tests.support.registries import Registry, RegistryName
from tests.support.sigstore import TRUST_DOMAIN, PrivateSigstore
from tests.support.spiffe_agent import spiffe_agent

POD = "https://kubernetes.io/namespaces/training/serviceaccounts/trainer"
WORKLOAD = f"spiffe://{TRUST_DOMAIN}/train"


@pytest.fixture
def pushed(
    serve_registry: Callable[[RegistryName], Registry], modelseal: Command, home: Path
) -> str:
    repository = f"{serve_registry('crane').host}/models/{home.parent.name.replace('_', '-')}"
    modelseal("push", make_model(home / "model"), f"{repository}:1").check()
    return f"{repository}:1"


def signing(sigstore: PrivateSigstore) -> tuple[str, ...]:
    return (
        *("--trusted-root", str(sigstore.trusted_root)),
        *("--signing-config", str(sigstore.signing_config)),
    )


def believing(sigstore: PrivateSigstore, subject: str, issuer: str) -> tuple[str, ...]:
    return (
        *("--trusted-root", str(sigstore.trusted_root)),
        *("--certificate-identity", subject),
        *("--certificate-oidc-issuer", issuer),
    )


def test_a_pod_signs_as_its_service_account(
    pushed: str, modelseal: Command, cosign: Command, private_sigstore: PrivateSigstore, home: Path
) -> None:
    issuer = private_sigstore.kubernetes
    token = home / "token"
    token.write_text(issuer.service_account_token("training", "trainer"))
    environment = {"MODELSEAL_IDENTITY_TOKEN_FILE": str(token)}
    modelseal("sign", pushed, *signing(private_sigstore), env=environment).check()

    done = modelseal(
        "verify", pushed, *believing(private_sigstore, POD, issuer.url), "--output", "json"
    ).check()
    (statement,) = json.loads(done.stdout)["statements"]
    assert statement["signer"] == {"issuer": issuer.url, "subject": POD}
    cosign(
        "verify", "--allow-http-registry", *believing(private_sigstore, POD, issuer.url), pushed
    ).check()
    for subject, other in (
        (POD.replace("training", "default"), issuer.url),
        (POD, private_sigstore.issuer),
    ):
        modelseal("verify", pushed, *believing(private_sigstore, subject, other)).check(11)


def test_a_workload_signs_as_its_spiffe_id(
    pushed: str, modelseal: Command, cosign: Command, private_sigstore: PrivateSigstore, home: Path
) -> None:
    issuer = private_sigstore.spiffe
    with spiffe_agent(home / "agent.sock", lambda: issuer.workload_token(WORKLOAD)) as endpoint:
        environment = {"SPIFFE_ENDPOINT_SOCKET": endpoint}
        modelseal("sign", pushed, *signing(private_sigstore), env=environment).check()
    believed = believing(private_sigstore, WORKLOAD, issuer.url)
    modelseal("verify", pushed, *believed).check()
    cosign("verify", "--allow-http-registry", *believed, pushed).check()
    # A file that a helper keeps fresh does as well, and another domain gets no certificate.
    for workload, code in ((WORKLOAD, 0), ("spiffe://else.example/train", 1)):
        (home / "svid").write_text(issuer.workload_token(workload))
        environment = {"MODELSEAL_IDENTITY_TOKEN_FILE": str(home / "svid")}
        modelseal("sign", pushed, *signing(private_sigstore), env=environment).check(code)
