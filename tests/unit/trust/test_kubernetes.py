# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A trusted root out of a Kubernetes secret: one GET over TLS, with the pod's own account."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from threading import Thread

import pytest
from tests.support.fake_http import Answer, Recorded, Server
from tests.support.tls import TlsAuthority
from tests.support.virtual_sigstore import VirtualSigstore

from modelseal.errors import UnavailableError, UsageError
from modelseal.trust.trusted_root import TRUSTED_ROOT, load_trusted_root, read_source

ROOT = VirtualSigstore().trusted_root()
SECRET = "k8s://models/sigstore"
TOKEN = "the-token-of-the-pod"


class Cluster:
    """An API server that has one secret."""

    def __init__(self, directory: Path) -> None:
        self.authority = TlsAuthority(directory)
        self.data: object = {TRUSTED_ROOT: base64.b64encode(ROOT).decode()}
        self.answer: Answer | None = None
        self.asked: list[Recorded] = []
        self.server = Server(self._served)
        context = self.authority.server()
        self.server.socket = context.wrap_socket(
            self.server.socket, server_side=True, do_handshake_on_connect=False
        )

    def _served(self, request: Recorded, _body: bytes) -> Answer:
        self.asked.append(request)
        if self.answer is not None:
            return self.answer
        if request.authorization != f"Bearer {TOKEN}":
            return Answer(status=401)
        if request.path != "/api/v1/namespaces/models/secrets/sigstore":
            return Answer(status=404)
        body = json.dumps({"kind": "Secret", "apiVersion": "v1", "data": self.data})
        return Answer(status=200, body=body.encode())


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    made = Cluster(tmp_path)
    Thread(target=made.server.serve_forever, args=(0.05,), daemon=True).start()
    account = tmp_path / "account"
    account.mkdir()
    (account / "token").write_text(f"{TOKEN}\n")
    (account / "ca.crt").write_bytes(made.authority.ca_file.read_bytes())
    monkeypatch.setenv("MODELSEAL_SERVICE_ACCOUNT", str(account))
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(made.server.server_address[1]))
    yield made
    made.server.shutdown()
    made.server.server_close()


def test_the_trusted_root_comes_from_the_secret(cluster: Cluster) -> None:
    assert read_source(SECRET, TRUSTED_ROOT) == ROOT
    assert load_trusted_root(SECRET).get_fulcio_certs()
    assert {request.method for request in cluster.asked} == {"GET"}


def test_a_key_can_be_named(cluster: Cluster) -> None:
    cluster.data = {"root.json": base64.b64encode(ROOT).decode()}
    assert read_source(f"{SECRET}/root.json", TRUSTED_ROOT) == ROOT
    with pytest.raises(UsageError, match="no such key") as caught:
        read_source(SECRET, TRUSTED_ROOT)
    assert "root.json" in caught.value.hint


def test_a_server_with_another_authority_gets_no_token(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = TlsAuthority(tmp_path / "other")
    (tmp_path / "account" / "ca.crt").write_bytes(other.ca_file.read_bytes())
    with pytest.raises(UnavailableError, match="SSLCertVerificationError"):
        read_source(SECRET, TRUSTED_ROOT)
    assert cluster.asked == []


@pytest.mark.parametrize("status", [401, 403, 404, 500, 302])
def test_a_refusal_is_told_without_the_token(cluster: Cluster, status: int) -> None:
    cluster.answer = Answer(status=status, headers={"Location": "https://elsewhere.example"})
    with pytest.raises(UnavailableError, match=f"answered {status}") as caught:
        read_source(SECRET, TRUSTED_ROOT)
    assert TOKEN not in f"{caught.value!r}{caught.value.hint}"


@pytest.mark.parametrize("body", [b"", b"[]x", b'{"data":{"trusted_root.json":"%%"}}'])
def test_an_answer_that_is_no_secret_is_told(cluster: Cluster, body: bytes) -> None:
    cluster.answer = Answer(status=200, body=body)
    with pytest.raises(UnavailableError, match="is no secret"):
        read_source(SECRET, TRUSTED_ROOT)


def test_an_endless_answer_ends(cluster: Cluster) -> None:
    cluster.answer = Answer(status=200, body=b" " * ((4 << 20) + 1))
    with pytest.raises(UnavailableError, match="more than a secret may have"):
        read_source(SECRET, TRUSTED_ROOT)


def test_offline_and_outside_of_a_pod_nobody_is_asked(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(UsageError, match="--offline asks nobody"):
        read_source(SECRET, TRUSTED_ROOT, offline=True)
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    with pytest.raises(UsageError, match="in a pod only"):
        read_source(SECRET, TRUSTED_ROOT)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("MODELSEAL_SERVICE_ACCOUNT", "/nowhere")
    with pytest.raises(UsageError, match="service account"):
        read_source(SECRET, TRUSTED_ROOT)
    assert cluster.asked == []


@pytest.mark.parametrize(
    "source",
    [
        "k8s://",
        "k8s://models",
        "k8s://a/b/c/d",
        "k8s://../x",
        "k8s://a/b?c",
        "k8s://A/b",
        "k8s://a//c",
    ],
)
def test_only_a_secret_is_one(source: str) -> None:
    with pytest.raises(UsageError, match="not a Kubernetes secret"):
        read_source(source, TRUSTED_ROOT)
