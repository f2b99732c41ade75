# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A file out of a Kubernetes secret, asked for with the service account of the pod.

Only what a pod needs that may not mount the secret: one GET at the API server that the kubelet
names, over TLS by the cluster's own CA. Source: Kubernetes, "Accessing the API from a Pod".
"""

import base64
import http.client
import json
import os
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from modelseal.documents import parse_json_object
from modelseal.errors import ContentError, UnavailableError, UsageError

MAX_SECRET_BYTES: Final = 4 << 20
"""Most bytes of an answer of the API server that are read; a secret has at most 1 MiB."""

SERVICE_ACCOUNT: Final = "MODELSEAL_SERVICE_ACCOUNT"
"""Environment variable with the directory of `token` and `ca.crt`, if it is another."""

_USUAL_PLACE = "/var/run/secrets/kubernetes.io/serviceaccount"
_TIMEOUT = 10.0
_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_KEY = re.compile(r"[A-Za-z0-9._-]{1,253}")


@dataclass(frozen=True, slots=True)
class Secret:
    """One entry of a secret."""

    namespace: str
    name: str
    key: str

    @classmethod
    def parse(cls, text: str, key: str) -> "Secret":
        """Read `k8s://NAMESPACE/NAME[/KEY]`; `key` is taken without one. Raises `UsageError`."""
        parts = text.removeprefix("k8s://").split("/")
        parts += [key] * (len(parts) == 2)  # noqa: PLR2004 - namespace and name
        good = len(parts) == 3 and all(map(_NAME.fullmatch, parts[:2])) and _KEY.fullmatch(parts[2])  # noqa: PLR2004
        if not good:
            raise UsageError(
                f"not a Kubernetes secret: {text[:200]!r}",
                hint="write k8s://NAMESPACE/NAME, or k8s://NAMESPACE/NAME/KEY",
                code="invalid-trust-file",
            )
        return cls(*parts)

    def __str__(self) -> str:
        return f"k8s://{self.namespace}/{self.name}/{self.key}"


def read_secret(secret: Secret, environ: Mapping[str, str] = os.environ) -> bytes:
    """Return what stands under the key of a secret.

    Raises:
        UsageError: this is no pod, or the secret has no such key.
        UnavailableError: the API server did not answer, or does not let us have it.
    """
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT")
    if not host:
        raise UsageError(
            f"{secret} can be read in a pod only: KUBERNETES_SERVICE_HOST is not set",
            hint="mount the secret and name the file: --trusted-root FILE",
            code="invalid-trust-file",
        )
    account = Path(environ.get(SERVICE_ACCOUNT) or _USUAL_PLACE)
    try:
        token = (account / "token").read_text(encoding="ascii").strip()
        context = ssl.create_default_context(cafile=str(account / "ca.crt"))
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        raise UsageError(
            f"the service account in {account} cannot be used: {type(error).__name__}",
            hint="let the pod mount its service account token, or mount the secret",
            code="invalid-trust-file",
        ) from error
    status, body = _get(host, int(port or "443"), secret, token, context)
    if status != http.client.OK:
        raise UnavailableError(
            f"the API server of the cluster answered {status} to {secret}",
            hint="the service account needs the right to get this one secret",
        )
    return _entry(body, secret)


def _get(
    host: str, port: int, secret: Secret, token: str, context: ssl.SSLContext
) -> tuple[int, bytes]:
    connection = http.client.HTTPSConnection(host, port, timeout=_TIMEOUT, context=context)
    try:
        connection.request(
            "GET",
            f"/api/v1/namespaces/{secret.namespace}/secrets/{secret.name}",
            headers={"Authorization": f"Bearer {token}", "Accept": "application/json"},
        )
        response = connection.getresponse()
        return response.status, response.read(MAX_SECRET_BYTES + 1)
    except (OSError, http.client.HTTPException) as error:
        raise UnavailableError(
            f"the API server of the cluster did not answer: {type(error).__name__}",
            hint="mount the secret and name the file: --trusted-root FILE",
        ) from error
    finally:
        connection.close()


def _entry(body: bytes, secret: Secret) -> bytes:
    if len(body) > MAX_SECRET_BYTES:
        raise UnavailableError(f"{secret}: the API server answers more than a secret may have")
    try:
        data = parse_json_object(body, str(secret)).get("data")
        value = data.get(secret.key) if isinstance(data, dict) else None
        if isinstance(value, str):
            return base64.b64decode(value, validate=True)
        known = ", ".join(sorted(map(json.dumps, data))[:10]) if isinstance(data, dict) else ""
    except (ContentError, ValueError) as error:
        raise UnavailableError(f"{secret}: the answer of the API server is no secret") from error
    raise UsageError(
        f"{secret}: there is no such key in the secret",
        hint=f"keys there: {known}" if known else "the secret is empty",
        code="invalid-trust-file",
    )
