import base64
import json
import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.support.oidc_issuer import OidcIssuer
from tests.support.spiffe_agent import spiffe_agent

from modelseal.errors import SigningError, UnavailableError, UsageError
from modelseal.trust.oidc import TOKEN_FILE_VARIABLE, IdentityTokens
from modelseal.trust.spiffe import SOCKET_VARIABLE

PLATFORMS = ("GITHUB_ACTIONS", "GITLAB_CI", "CIRCLECI", "BUILDKITE", "GOOGLE_SERVICE_ACCOUNT_NAME")
_AMBIENT = "id._internal.oidc.ambient"


@pytest.fixture(autouse=True)
def no_platform(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no test find the credentials of the machine that it runs on."""
    for name in PLATFORMS:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def issuer() -> Iterator[OidcIssuer]:
    with OidcIssuer() as running:
        yield running


def never_asked() -> str:
    raise AssertionError("the issuer was not to be asked for")


def unsigned(**claims: Any) -> str:  # noqa: ANN401 - any JSON
    usual = {"iss": "https://i.example", "aud": "sigstore", "sub": "x", "iat": int(time.time())}
    value = usual | {"exp": int(time.time()) + 60} | claims
    parts = [{"alg": "RS256"}, {key: item for key, item in value.items() if item is not None}]
    texts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode() for part in parts]
    return ".".join([*texts, "c2lnbmF0dXJl"]).replace("=", "")


def found(tokens: IdentityTokens) -> str:
    return tokens.find(never_asked).identity


def test_a_token_may_be_given_itself_or_as_a_file(issuer: OidcIssuer, tmp_path: Path) -> None:
    token = issuer.token("a@acme.example")
    path = tmp_path / "token"
    path.write_text(f"{token}\n")
    for explicit in (token, f" {token}\n", str(path)):
        assert found(IdentityTokens(explicit=explicit)) == "a@acme.example"


def test_only_a_token_that_was_given_as_such_grows_old(tmp_path: Path) -> None:
    now = int(time.time())
    given = IdentityTokens(explicit=unsigned(exp=now + 60))
    assert given.good_at(datetime.fromtimestamp(now + 59, UTC))
    assert not given.good_at(datetime.fromtimestamp(now + 61, UTC))
    assert not IdentityTokens(explicit=unsigned(exp=None)).good_at(datetime.now(UTC))
    path = tmp_path / "token"
    path.write_text(unsigned(exp=now + 60))
    for renewed in (IdentityTokens(explicit=str(path)), IdentityTokens(interactive=True)):
        assert renewed.good_at(datetime.fromtimestamp(now + 3600, UTC))


def test_explicit_beats_the_file_beats_the_variables(issuer: OidcIssuer, tmp_path: Path) -> None:
    projected = tmp_path / "token"
    projected.write_text(issuer.token("file@acme.example"))
    environ = {
        "SIGSTORE_ID_TOKEN": issuer.token("last@acme.example"),
        "MODELSEAL_IDENTITY_TOKEN": issuer.token("own@acme.example"),
        TOKEN_FILE_VARIABLE: str(projected),
    }
    explicit = issuer.token("explicit@acme.example")
    assert found(IdentityTokens(explicit=explicit, environ=environ)) == "explicit@acme.example"
    for expected in ("file", "own", "last"):
        assert found(IdentityTokens(environ=environ)) == f"{expected}@acme.example"
        environ.popitem()


def test_named_tokens_beat_the_platforms(
    issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", issuer.token("gitlab@acme.example"))
    assert found(IdentityTokens()) == "gitlab@acme.example"
    explicit = issuer.token("explicit@acme.example")
    assert found(IdentityTokens(explicit=explicit)) == "explicit@acme.example"


def test_the_credential_of_a_github_job_is_found(
    issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in issuer.github_environment("job@acme.example").items():
        monkeypatch.setenv(name, value)
    assert found(IdentityTokens()) == "job@acme.example"


@pytest.mark.parametrize(
    ("variable", "program"), [("BUILDKITE", "buildkite-agent"), ("CIRCLECI", "circleci")]
)
def test_the_program_of_a_platform_is_asked(
    issuer: OidcIssuer,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    variable: str,
    program: str,
) -> None:
    monkeypatch.setenv(variable, "true")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    script = tmp_path / program
    script.write_text(
        "#!/bin/sh\n"
        'case "$*" in *sigstore*) ;; *) exit 3 ;; esac  # the audience is asked for\n'
        f"echo {issuer.token('job@acme.example')}\n"
    )
    script.chmod(0o755)
    assert found(IdentityTokens()) == "job@acme.example"


def test_the_metadata_server_of_google_cloud_is_asked(
    issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    class Metadata(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if self.headers["Metadata-Flavor"] == "Google" else 403)
            self.end_headers()
            self.wfile.write(issuer.token("machine@acme.iam.gserviceaccount.com").encode())

        def log_message(self, *_: object) -> None: ...

    product = tmp_path / "product_name"
    product.write_text("Google Compute Engine\n")
    with HTTPServer(("127.0.0.1", 0), Metadata) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        # Where the machine's name and the server are stands in `id`, which sigstore asks.
        monkeypatch.setattr(f"{_AMBIENT}._GCP_PRODUCT_NAME_FILE", str(product))
        monkeypatch.setattr(
            f"{_AMBIENT}._GCP_IDENTITY_REQUEST_URL", f"http://127.0.0.1:{server.server_port}/id"
        )
        assert found(IdentityTokens()) == "machine@acme.iam.gserviceaccount.com"
    assert asked == ["/id?audience=sigstore&format=full"]


def test_a_platform_beats_the_browser(issuer: OidcIssuer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITLAB_CI", "true")
    monkeypatch.setenv("SIGSTORE_ID_TOKEN", issuer.token("gitlab@acme.example"))
    assert found(IdentityTokens(interactive=True)) == "gitlab@acme.example"


def test_a_platform_without_the_permission_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for name in ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "ACTIONS_ID_TOKEN_REQUEST_URL"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SigningError) as caught:
        IdentityTokens(interactive=True).find(never_asked)
    assert caught.value.reason == "no-identity-token"
    assert "id-token: write" in caught.value.hint


def test_without_any_token_all_the_places_are_named() -> None:
    with pytest.raises(SigningError) as caught:
        IdentityTokens().find(never_asked)
    assert caught.value.reason == "no-identity-token"
    for place in ("--identity-token", "SIGSTORE_ID_TOKEN", TOKEN_FILE_VARIABLE, "GitHub"):
        assert place in str(caught.value)
    assert "--key" in caught.value.hint


@pytest.mark.parametrize(
    ("claims", "reason"),
    [
        ({"exp": 1}, "it has expired"),
        ({"aud": "somebody else"}, "its audience is not sigstore"),
        ({"nbf": int(time.time()) + 3600}, "not within its validity period"),
        ({"iat": int(time.time()) + 3600}, "it is not valid yet"),
        ({"sub": None}, "a claim is missing"),
        ({"iss": None}, "a claim is missing"),
    ],
)
def test_a_token_that_cannot_be_used_says_why(claims: dict[str, Any], reason: str) -> None:
    with pytest.raises(SigningError, match=reason) as caught:
        IdentityTokens(explicit=unsigned(**claims)).find(never_asked)
    assert caught.value.reason == "bad-identity-token"


def test_a_bad_explicit_token_does_not_fall_back(issuer: OidcIssuer) -> None:
    environ = {"SIGSTORE_ID_TOKEN": issuer.token()}
    with pytest.raises(SigningError, match="--identity-token"):
        IdentityTokens(explicit="no such file", environ=environ).find(never_asked)


def test_e_a_broken_token_is_never_shown(tmp_path: Path) -> None:
    secret = "eyJhbGciOi" + "S3cr3t" * 10
    path = tmp_path / "token"
    path.write_text(f"{secret} and more")
    large = tmp_path / "large"
    large.write_text("a.b." + "c" * 100_000)
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    for explicit in (secret, f"{secret}.x", f"{secret}.y.z", str(path), str(large), str(binary)):
        with pytest.raises(SigningError) as caught:
            IdentityTokens(explicit=explicit).find(never_asked)
        shown = f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r}"
        assert "S3cr3t" not in shown
    assert "S3cr3t" not in repr(
        IdentityTokens(explicit=secret, environ={"SIGSTORE_ID_TOKEN": secret})
    )


def test_an_issuer_that_is_not_there_is_unavailable() -> None:
    with OidcIssuer() as issuer:
        url = issuer.url
    with pytest.raises(UnavailableError, match="signing in at"):
        IdentityTokens(interactive=True).find(lambda: url)


def test_the_token_that_kubernetes_projects_is_found(issuer: OidcIssuer, tmp_path: Path) -> None:
    path = tmp_path / "oidc-token"
    tokens = IdentityTokens(projected=path)
    with pytest.raises(SigningError, match="oidc-token"):
        tokens.find(never_asked)
    path.write_text(issuer.service_account_token("training", "trainer"))
    assert found(tokens) == "system:serviceaccount:training:trainer"
    assert tokens.good_at(datetime.now(UTC) + timedelta(days=1))  # the cluster renews it
    named = IdentityTokens(explicit=issuer.token("a@acme.example"), projected=path)
    assert found(named) == "a@acme.example"


SPIFFE_ID = "spiffe://acme.example/train"


def test_the_agent_of_spiffe_is_asked_for_an_identity(issuer: OidcIssuer, tmp_path: Path) -> None:
    with spiffe_agent(tmp_path / "s", lambda: issuer.workload_token(SPIFFE_ID)) as endpoint:
        for spelling in (endpoint, endpoint.replace("unix://", "unix:")):
            assert found(IdentityTokens(environ={SOCKET_VARIABLE: spelling})) == SPIFFE_ID


def test_what_an_agent_refuses_is_told(tmp_path: Path) -> None:
    with spiffe_agent(tmp_path / "s", str) as endpoint:
        with pytest.raises(SigningError, match="does not know this workload") as caught:
            found(IdentityTokens(environ={SOCKET_VARIABLE: endpoint}))
        assert caught.value.reason == "no-identity-token"
    with pytest.raises(UnavailableError, match="did not answer"):
        found(IdentityTokens(environ={SOCKET_VARIABLE: endpoint}))
    for other in ("tcp://127.0.0.1:1", "unix:relative", "agent.sock"):
        with pytest.raises(UsageError, match="does not name a Unix socket"):
            found(IdentityTokens(environ={SOCKET_VARIABLE: other}))


@pytest.mark.parametrize(
    "answer", [b"", b"\x0a", b"\x08\x01", b"\x0a\x05\x0a", b"\xff" * 12, b"\x0a\x02\x0a\x00"]
)
def test_an_agent_that_talks_nonsense_gives_no_identity(tmp_path: Path, answer: bytes) -> None:
    with (
        spiffe_agent(tmp_path / "s", lambda: "x", answer=answer) as endpoint,
        pytest.raises(SigningError, match="gave no JWT-SVID"),
    ):
        found(IdentityTokens(environ={SOCKET_VARIABLE: endpoint}))
