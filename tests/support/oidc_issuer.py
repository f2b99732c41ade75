"""An OpenID Connect issuer on loopback that gives a token to whoever asks.

It speaks what Sigstore's clients use: discovery, keys, the authorization-code flow with PKCE (also
out of band), and GitHub's endpoint for ambient credentials. It trusts everybody.
"""

import base64
import hashlib
import http.server
import json
import secrets
import threading
import time
import urllib.parse
from typing import Any, Self

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm
from tests.support.processes import LOOPBACK

CLIENT_ID = "sigstore"
"""The audience that Sigstore's clients ask for."""

DEFAULT_EMAIL = "trainer@acme.example"
"""Who signs when a test does not care."""

OUT_OF_BAND = "urn:ietf:wg:oauth:2.0:oob"

_KEY_ID = "test-key"
_TOKEN_SECONDS = 600


class OidcIssuer:
    """The issuer, served by a thread of this process.

    Attributes:
        login_email: Who is signed in when a browser comes to the authorization endpoint.
        url: The issuer, as it stands in tokens and certificates.
    """

    def __init__(self) -> None:
        self.login_email = DEFAULT_EMAIL
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._codes: dict[str, dict[str, str]] = {}
        self._server = _Server((LOOPBACK, 0), _Handler)
        self._server.issuer = self
        self.url = f"http://{LOOPBACK}:{self._server.server_port}"
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, args=(0.05,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def token(
        self,
        email: str = DEFAULT_EMAIL,
        *,
        subject: str | None = None,
        ttl: float = _TOKEN_SECONDS,
        audience: str = CLIENT_ID,
        **claims: Any,  # noqa: ANN401 - claims are any JSON
    ) -> str:
        """Return a signed identity token.

        Args:
            email: The verified address, which Fulcio writes into the certificate.
            subject: The `sub` claim; the address when not given.
            ttl: Seconds until it expires; a negative number makes one that has expired.
            audience: The `aud` claim.
            **claims: More claims, or other values for the usual ones.
        """
        now = int(time.time())
        usual = {
            "iss": self.url,
            "aud": audience,
            "sub": subject or email,
            "email": email,
            "email_verified": True,
            "iat": now + min(0, int(ttl) - 60),
            "nbf": now + min(0, int(ttl) - 60),
            "exp": now + int(ttl),
        }
        return jwt.encode(usual | claims, self._key, algorithm="RS256", headers={"kid": _KEY_ID})

    def workload_token(self, subject: str, **claims: Any) -> str:  # noqa: ANN401 - any JSON
        """Return a token of a workload: no address, and whatever its platform adds."""
        usual = jwt.decode(self.token(subject=subject), options={"verify_signature": False})
        kept = {name: value for name, value in usual.items() if not name.startswith("email")}
        return jwt.encode(kept | claims, self._key, algorithm="RS256", headers={"kid": _KEY_ID})

    def service_account_token(self, namespace: str, name: str) -> str:
        """Return a token as Kubernetes projects it for a service account."""
        bound = {"namespace": namespace, "serviceaccount": {"name": name, "uid": "1-2-3"}}
        pod = {"pod": {"name": f"{name}-0", "uid": "4-5-6"}}
        subject = f"system:serviceaccount:{namespace}:{name}"
        return self.workload_token(subject, **{"kubernetes.io": bound | pod})

    def github_environment(self, email: str = DEFAULT_EMAIL) -> dict[str, str]:
        """Return the variables of a GitHub Actions job whose ambient credential is `email`'s."""
        query = urllib.parse.urlencode({"email": email})
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "anybody",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/ambient?{query}",
        }

    def discovery(self) -> dict[str, Any]:
        """Return the document of `/.well-known/openid-configuration`."""
        return {
            "issuer": self.url,
            "jwks_uri": f"{self.url}/keys",
            "authorization_endpoint": f"{self.url}/auth",
            "token_endpoint": f"{self.url}/token",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
        }

    def keys(self) -> dict[str, Any]:
        """Return the JSON Web Key Set that checks the tokens."""
        key = json.loads(RSAAlgorithm.to_jwk(self._key.public_key()))
        return {"keys": [{**key, "kid": _KEY_ID, "alg": "RS256", "use": "sig"}]}

    def authorize(self, query: dict[str, str]) -> tuple[str, str]:
        """Sign `login_email` in for an authorization request.

        Returns:
            The code, and the address to send the browser to; it is empty for the out-of-band flow.

        Raises:
            ValueError: The request is not one for a code with PKCE.
        """
        wanted = {"response_type": "code", "client_id": CLIENT_ID, "code_challenge_method": "S256"}
        for name, value in wanted.items():
            if query.get(name) != value:
                raise ValueError(f"{name} must be {value}, not {query.get(name)}")
        code = secrets.token_urlsafe(16)
        self._codes[code] = {**query, "email": self.login_email}
        redirect = query["redirect_uri"]
        if redirect == OUT_OF_BAND:
            return code, ""
        return code, f"{redirect}?{urllib.parse.urlencode({'code': code, 'state': query['state']})}"

    def redeem(self, form: dict[str, str]) -> dict[str, Any]:
        """Exchange a code for tokens; a code can be used once.

        Raises:
            ValueError: The code is unknown, or the verifier or redirection is not the request's.
        """
        request = self._codes.pop(form.get("code", ""), None)
        if form.get("grant_type") != "authorization_code" or request is None:
            raise ValueError("unknown code")
        hashed = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if base64.urlsafe_b64encode(hashed).rstrip(b"=").decode() != request["code_challenge"]:
            raise ValueError("the code verifier does not match")
        if form.get("redirect_uri") != request["redirect_uri"]:
            raise ValueError("the redirection does not match")
        claims: dict[str, Any] = {"nonce": request["nonce"]} if "nonce" in request else {}
        token = self.token(request["email"], **claims)
        return {
            "access_token": token,  # what sigstore-python reads
            "token_type": "Bearer",
            "expires_in": _TOKEN_SECONDS,
            "id_token": token,
        }


class _Server(http.server.ThreadingHTTPServer):
    """A server that knows its issuer."""

    daemon_threads = True
    issuer: OidcIssuer


class _Handler(http.server.BaseHTTPRequestHandler):
    """Maps paths to the issuer's methods."""

    server: _Server

    def do_GET(self) -> None:
        """Answer discovery, keys, the authorization endpoint, and ambient credentials."""
        issuer = self.server.issuer
        parts = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(parts.query))
        if parts.path == "/.well-known/openid-configuration":
            self._send(200, issuer.discovery())
        elif parts.path == "/keys":
            self._send(200, issuer.keys())
        elif parts.path == "/ambient":
            audience = query.get("audience", CLIENT_ID)
            self._send(200, {"value": issuer.token(query["email"], audience=audience)})
        elif parts.path == "/auth":
            self._authorize(query)
        else:
            self._send(404, {"error": "not found"})

    def do_POST(self) -> None:
        """Answer the token endpoint."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if urllib.parse.urlsplit(self.path).path != "/token":
            self._send(404, {"error": "not found"})
            return
        try:
            answer = self.server.issuer.redeem(dict(urllib.parse.parse_qsl(body.decode())))
        except ValueError as error:
            self._send(400, {"error": "invalid_grant", "error_description": str(error)})
        else:
            self._send(200, answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base's
        """Say nothing: tests print their own findings."""

    def _authorize(self, query: dict[str, str]) -> None:
        try:
            code, target = self.server.issuer.authorize(query)
        except (KeyError, ValueError) as error:
            self._send(400, {"error": "invalid_request", "error_description": str(error)})
            return
        if target:
            self._send(302, {}, {"Location": target})
        else:
            self._send(200, {"code": code})

    def _send(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
