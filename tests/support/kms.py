# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Where keys are kept, on loopback: a PKCS#11 token for real, and the wire of four services.

The token is SoftHSM. AWS KMS, Azure Key Vault, Google Cloud KMS and Vault cannot run here; what
stands for them answers the few requests that their own client libraries make to sign, refuses who
does not show a credential, and signs with real keys. The clients are the real ones.
"""

import base64
import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa, utils
from tests.support.connect_proxy import ConnectProxy
from tests.support.processes import LOOPBACK
from tests.support.tls import TlsAuthority

Key: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
Reply: TypeAlias = tuple[int, dict[str, Any], dict[str, str]]
"""Status, JSON, headers."""

GOOGLE_KEY = "projects/p/locations/l/keyRings/r/cryptoKeys/k/cryptoKeyVersions/1"
PIN = "271828"
TOKEN = "release team"
_MODULES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/lib64/softhsm/libsofthsm.so")


def spki(key: Key, encoding: serialization.Encoding = serialization.Encoding.DER) -> bytes:
    """Return the public half."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(encoding, form)


def sign_digest(key: Key, digest: bytes) -> bytes:
    """Sign a SHA-256 as a KMS does that never sees the data; ECDSA as DER."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))
    assert isinstance(key, rsa.RSAPrivateKey)
    return key.sign(digest, padding.PKCS1v15(), utils.Prehashed(hashes.SHA256()))


@dataclass
class Service:
    """An HTTP service; `answer` gets method, path, headers and JSON body.

    Attributes:
        url: where it listens.
        requests: method and path of every request.
        rogue: sign with another key than the public one it shows.
    """

    answer: Callable[["Service", str, str, dict[str, str], Any], Reply]
    keys: dict[str, Key] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    url: str = ""
    rogue: bool = False

    def key_to_sign(self, name: str) -> Key:
        """Return the private key of that name, or another of its kind."""
        key = self.keys[name]
        if not self.rogue:
            return key
        if isinstance(key, ed25519.Ed25519PrivateKey):
            return ed25519.Ed25519PrivateKey.generate()
        return ec.generate_private_key(ec.SECP256R1())


@contextlib.contextmanager
def serve(service: Service, *, tls: TlsAuthority | None = None, host: str = "") -> Iterator[str]:
    """Serve it on loopback, over TLS as `host` when there is an authority; give the address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            raw = self.rfile.read(size)
            service.requests.append(f"{self.command} {self.path}")
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = json.loads(raw) if raw.startswith(b"{") else raw.decode()
            status, answer, more = service.answer(service, self.command, self.path, headers, body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            for name, value in more.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST = do_PUT = _do  # noqa: N815 - the base's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
            """Say nothing."""

    server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.server(host).wrap_socket(server.socket, server_side=True)
    address = f"{LOOPBACK}:{server.server_address[1]}"
    service.url = f"{'https' if tls else 'http'}://{address}"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield address
    finally:
        server.shutdown()
        server.server_close()


_AWS_SPECS = {"P-256": "ECC_NIST_P256", "P-384": "ECC_NIST_P384", "RSA": "RSA_3072"}
_AWS_ALGORITHMS = {
    "P-256": ["ECDSA_SHA_256"],
    "P-384": ["ECDSA_SHA_384"],
    "RSA": [
        f"RSASSA_{form}_SHA_{bits}" for form in ("PKCS1_V1_5", "PSS") for bits in (256, 384, 512)
    ],
}


def _aws_kind(key: Key) -> str:
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return "P-256" if key.curve.name == "secp256r1" else "P-384"
    return "RSA"


def aws(service: Service, _: str, __: str, headers: dict[str, str], body: Any) -> Reply:  # noqa: ANN401
    """TrentService.GetPublicKey and Sign, protocol aws.json 1.1."""
    if not re.match(r"AWS4-HMAC-SHA256 Credential=AKIATEST/", headers.get("authorization", "")):
        return 400, {"__type": "UnrecognizedClientException", "message": "no such identity"}, {}
    key = service.keys.get(body["KeyId"])
    if key is None:
        return 400, {"__type": "NotFoundException", "message": f"no key {body['KeyId']}"}, {}
    kind = _aws_kind(key)
    answer = {"KeyId": body["KeyId"], "KeyUsage": "SIGN_VERIFY", "KeySpec": _AWS_SPECS[kind]}
    if headers["x-amz-target"] == "TrentService.GetPublicKey":
        encoded = base64.b64encode(spki(key)).decode()
        return 200, answer | {"PublicKey": encoded, "SigningAlgorithms": _AWS_ALGORITHMS[kind]}, {}
    assert headers["x-amz-target"] == "TrentService.Sign"
    assert body["MessageType"] == "DIGEST"
    assert body["SigningAlgorithm"] in {"ECDSA_SHA_256", "RSASSA_PKCS1_V1_5_SHA_256"}
    made = sign_digest(service.key_to_sign(body["KeyId"]), base64.b64decode(body["Message"]))
    return 200, {"KeyId": body["KeyId"], "Signature": base64.b64encode(made).decode()}, {}


def aws_environment(url: str) -> dict[str, str]:
    """Return the variables of somebody who may use it."""
    return {
        "AWS_ENDPOINT_URL_KMS": url,
        "AWS_ACCESS_KEY_ID": "AKIATEST",
        "AWS_SECRET_ACCESS_KEY": "hunter2",
        "AWS_DEFAULT_REGION": "eu-central-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def vault(service: Service, method: str, path: str, headers: dict[str, str], body: Any) -> Reply:  # noqa: ANN401
    """The transit engine: reading a key, and signing with an ed25519 one."""
    if headers.get("x-vault-token") != "hvs.test":
        return 403, {"errors": ["permission denied"]}, {}
    match = re.fullmatch(r"/v1/transit/(keys|sign)/([^/]+)(?:/.*)?", path)
    if match is None or match[2] not in service.keys:
        return 404, {"errors": []}, {}
    key = service.keys[match[2]]
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    if match[1] == "keys" and method == "GET":
        public = base64.b64encode(key.public_key().public_bytes_raw()).decode()
        versions = {"2": {"public_key": public, "name": "ed25519"}}
        return 200, {"data": {"type": "ed25519", "latest_version": 2, "keys": versions}}, {}
    assert body["key_version"] == 2
    signer = service.key_to_sign(match[2])
    assert isinstance(signer, ed25519.Ed25519PrivateKey)
    made = base64.b64encode(signer.sign(base64.b64decode(body["input"]))).decode()
    return 200, {"data": {"signature": f"vault:v2:{made}", "key_version": 2}}, {}


def _b64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


AZURE_LOGIN = "login.microsoftonline.com"


def azure(service: Service, method: str, path: str, headers: dict[str, str], body: Any) -> Reply:  # noqa: ANN401
    """Key Vault's `keys/NAME` and `sign`, and the login that both ask for."""
    tenant = f"https://{AZURE_LOGIN}/11111111-2222-3333-4444-555555555555"
    host, path = headers["host"], path.partition("?")[0]
    if host.startswith(AZURE_LOGIN):
        if path.endswith("/token"):
            assert "client_secret=hunter2" in body
            return 200, {"token_type": "Bearer", "expires_in": 3600, "access_token": "azure"}, {}
        endpoints = {
            f"{name}_endpoint": f"{tenant}/oauth2/v2.0/{name}" for name in ("token", "authorize")
        }
        document = {**endpoints, "authorization_endpoint": f"{tenant}/oauth2/v2.0/authorize"}
        return 200, document | {"issuer": f"{tenant}/v2.0"}, {}
    if headers.get("authorization") != "Bearer azure":
        challenge = f'Bearer authorization="{tenant}", resource="https://vault.azure.net"'
        return 401, {"error": {"code": "Unauthorized"}}, {"WWW-Authenticate": challenge}
    name = path.split("/")[2]
    key = service.keys.get(name)
    if key is None:
        return 404, {"error": {"code": "KeyNotFound", "message": f"no key {name}"}}, {}
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    kid = f"https://{host}/keys/{name}/0a1b2c"
    if method == "GET":
        numbers = key.public_key().public_numbers()
        point = {axis: _b64url(getattr(numbers, axis).to_bytes(32, "big")) for axis in ("x", "y")}
        jwk = {"kid": kid, "kty": "EC", "crv": "P-256", "key_ops": ["sign", "verify"], **point}
        return 200, {"key": jwk, "attributes": {"enabled": True}}, {}
    assert path.endswith("/sign")
    assert body["alg"] == "ES256"
    digest = base64.urlsafe_b64decode(body["value"] + "==")
    r, s = utils.decode_dss_signature(sign_digest(service.key_to_sign(name), digest))
    made = r.to_bytes(32, "big") + s.to_bytes(32, "big")  # JWS: r and s, not DER
    return 200, {"kid": kid, "value": _b64url(made)}, {}


@contextlib.contextmanager
def azure_vault(service: Service, directory: Path) -> Iterator[dict[str, str]]:
    """Serve acme.vault.azure.net and its login; give the variables of who may use it."""
    authority, vault_host = TlsAuthority(directory), "acme.vault.azure.net"
    with (
        serve(service, tls=authority, host=vault_host) as keys,
        serve(service, tls=authority, host=AZURE_LOGIN) as login,
        ConnectProxy({f"{vault_host}:443": keys, f"{AZURE_LOGIN}:443": login}) as proxy,
    ):
        yield {
            "HTTPS_PROXY": f"http://{proxy.address}",
            "REQUESTS_CA_BUNDLE": str(authority.ca_file),
            "AZURE_TENANT_ID": "11111111-2222-3333-4444-555555555555",
            "AZURE_CLIENT_ID": "release",
            "AZURE_CLIENT_SECRET": "hunter2",
        }


@contextlib.contextmanager
def google_kms(keys: dict[str, Key], directory: Path) -> Iterator[dict[str, str]]:
    """Serve cloudkms.googleapis.com; give the variables of who may use it."""
    authority = TlsAuthority(directory)
    with (
        google(authority, keys) as address,
        ConnectProxy({"cloudkms.googleapis.com:443": address}) as proxy,
    ):
        yield {
            "https_proxy": f"http://{proxy.address}",
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(authority.ca_file),
            "GOOGLE_APPLICATION_CREDENTIALS": str(google_account(directory)),
        }


@contextlib.contextmanager
def google(tls: TlsAuthority, keys: dict[str, Key]) -> Iterator[str]:
    """Serve GetPublicKey and AsymmetricSign of cloudkms.googleapis.com; give the address."""
    from concurrent.futures import ThreadPoolExecutor

    import grpc
    from google.cloud import kms

    def allowed(context: grpc.ServicerContext, name: str) -> Key:
        metadata = dict(context.invocation_metadata())
        if not str(metadata.get("authorization", "")).startswith("Bearer "):
            context.abort(grpc.StatusCode.UNAUTHENTICATED, "no credential")
        if name not in keys:
            context.abort(grpc.StatusCode.NOT_FOUND, f"no key {name}")
        return keys[name]

    def get(request: kms.GetPublicKeyRequest, context: grpc.ServicerContext) -> kms.PublicKey:
        key = allowed(context, request.name)
        pem = spki(key, serialization.Encoding.PEM)
        algorithm = "RSA_SIGN_PSS_3072_SHA256"
        if isinstance(key, ec.EllipticCurvePrivateKey):
            algorithm = "EC_SIGN_P256_SHA256"
        return kms.PublicKey(
            name=request.name,
            algorithm=algorithm,
            public_key=kms.ChecksummedData(data=pem),
            public_key_format="PEM",
        )

    def sign(
        request: kms.AsymmetricSignRequest, context: grpc.ServicerContext
    ) -> kms.AsymmetricSignResponse:
        key = allowed(context, request.name)
        made = sign_digest(key, request.digest.sha256)
        return kms.AsymmetricSignResponse(signature=made, name=request.name)

    def method(
        serve_one: Callable[..., Any], request: type[Any], answer: type[Any]
    ) -> grpc.RpcMethodHandler:
        return grpc.unary_unary_rpc_method_handler(serve_one, request.deserialize, answer.serialize)

    server = grpc.server(ThreadPoolExecutor(4))
    handlers = {
        "GetPublicKey": method(get, kms.GetPublicKeyRequest, kms.PublicKey),
        "AsymmetricSign": method(sign, kms.AsymmetricSignRequest, kms.AsymmetricSignResponse),
    }
    service = "google.cloud.kms.v1.KeyManagementService"
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, handlers)])
    pair = tls.issue("cloudkms.googleapis.com")
    credentials = grpc.ssl_server_credentials(
        [(pair.key.read_bytes(), pair.certificate.read_bytes())]
    )
    port = server.add_secure_port(f"{LOOPBACK}:0", credentials)
    server.start()
    try:
        yield f"{LOOPBACK}:{port}"
    finally:
        server.stop(None)


def google_account(directory: Path) -> Path:
    """Write the file of a service account, with a key of its own."""
    key = rsa.generate_private_key(65537, 2048)
    pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    path = directory / "account.json"
    path.write_text(
        json.dumps(
            {
                "type": "service_account",
                "project_id": "p",
                "private_key_id": "k",
                "private_key": key.private_bytes(pem, pkcs8, serialization.NoEncryption()).decode(),
                "client_email": "release@p.iam.gserviceaccount.com",
                "client_id": "1",
                "token_uri": "https://oauth2.googleapis.com/token",
            }
        )
    )
    return path


def soft_token(directory: Path) -> dict[str, str]:
    """Make a PKCS#11 token with an ECDSA P-256 key under the ID 2 and a P-384 one under 3.

    Returns the environment that finds it. SoftHSM comes from `make system-packages`; without it
    the test is skipped, and with `CI=true` it fails.
    """
    module = next((path for path in _MODULES if Path(path).exists()), "")
    if not module:
        missing = "SoftHSM is not there: install the Debian package softhsm2"
        pytest.fail(missing) if os.environ.get("CI") else pytest.skip(missing)
    (directory / "tokens").mkdir()
    config = directory / "softhsm2.conf"
    config.write_text(f"directories.tokendir = {directory / 'tokens'}\nlog.level = ERROR\n")
    environment = {"SOFTHSM2_CONF": str(config), "PYKCS11LIB": module}
    everything = {**os.environ, **environment}
    subprocess.run(
        [
            "softhsm2-util",
            "--init-token",
            "--free",
            "--label",
            TOKEN,
            "--pin",
            PIN,
            "--so-pin",
            PIN,
        ],
        env=everything,
        check=True,
        capture_output=True,
    )
    # In a process of its own: the module reads its configuration once, and it is another's then.
    subprocess.run([sys.executable, "-c", _MAKE_KEYS, module], env=everything, check=True)
    return environment


_MAKE_KEYS = f"""
import sys, pkcs11
from pkcs11.util.ec import encode_named_curve_parameters as curve
token = pkcs11.lib(sys.argv[1]).get_token(token_label={TOKEN!r})
with token.open(user_pin={PIN!r}, rw=True) as session:
    for number, name in ((2, "secp256r1"), (3, "secp384r1")):
        parameters = {{pkcs11.Attribute.EC_PARAMS: curve(name)}}
        made = session.create_domain_parameters(pkcs11.KeyType.EC, parameters, local=True)
        made.generate_keypair(id=bytes([number]), store=True, label=name)
"""
