# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Challenges, and tokens from their request to their end."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from urllib.parse import parse_qs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.registry_store import Known

from modelseal.errors import AccessDeniedError, UnavailableError
from modelseal.oci.registry.answers import Answer
from modelseal.oci.registry.auth import Authenticator, Challenge, parse_challenges
from modelseal.oci.registry.credentials import Credentials
from modelseal.oci.registry.hosts import Origin, Reach, Target
from modelseal.oci.registry.options import RegistryOptions
from modelseal.oci.registry.retry import TransientError

HOST = "registry.example.com"
SCOPE = "repository:acme/model:pull"
USER = Credentials("somebody", "pass-word")
BEARER = f'Bearer realm="https://{HOST}/token",service="svc",scope="repository:other:pull,push"'


@dataclass(frozen=True, slots=True)
class Sent:
    method: str
    url: str
    headers: dict[str, str]
    body: bytes | None


@dataclass(slots=True)
class TokenService:
    """Answers with tokens t1, t2, …, or with what a test sets."""

    sent: list[Sent] = field(default_factory=list)
    status: int = 200
    body: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def __call__(
        self, method: str, target: Target, headers: dict[str, str], body: bytes | None, limit: int
    ) -> Answer:
        assert limit <= 64 << 10
        self.sent.append(Sent(method, target.url, headers, body))
        answer = {"token": f"t{len(self.sent)}", "expires_in": 300}
        raw = json.dumps(answer).encode() if self.body is None else self.body
        return Answer(self.status, self.headers, raw, target)


@dataclass(slots=True)
class Clock:
    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def authenticator(
    service: TokenService,
    *,
    credentials: Credentials | None = None,
    registry: Origin | None = None,
    reach: Reach = Reach.PUBLIC,
    token_hosts: frozenset[str] = frozenset(),
    clock: Clock | None = None,
) -> Authenticator:
    known = Known({} if credentials is None else {HOST: credentials})
    return Authenticator(
        registry or Origin("https", HOST, 443),
        HOST,
        RegistryOptions(credentials=known, token_hosts=token_hosts),
        send=service,
        reach=lambda: reach,
        clock=clock or Clock(),
    )


@pytest.mark.parametrize(
    ("value", "challenges"),
    [
        ("", []),
        ("Basic", [Challenge("basic", {})]),
        ('Basic realm="x"', [Challenge("basic", {"realm": "x"})]),
        ("BASIC Realm=x , charset=UTF-8", [Challenge("basic", {"realm": "x", "charset": "UTF-8"})]),
        (
            'Bearer realm="https://a/t",service="s, t",scope="repository:a:pull,push"',
            [
                Challenge(
                    "bearer",
                    {"realm": "https://a/t", "service": "s, t", "scope": "repository:a:pull,push"},
                )
            ],
        ),
        (r'Bearer realm="a\"b\\c"', [Challenge("bearer", {"realm": 'a"b\\c'})]),
        (
            'Negotiate, Basic realm="x", Bearer realm="y"',
            [
                Challenge("negotiate", {}),
                Challenge("basic", {"realm": "x"}),
                Challenge("bearer", {"realm": "y"}),
            ],
        ),
        (
            'Negotiate abc==, Bearer realm="y"',
            [Challenge("negotiate", {}), Challenge("bearer", {"realm": "y"})],
        ),
        ('Bearer realm="one", realm="two"', []),
        ('Bearer realm="unfinished', [Challenge("bearer", {})]),
        ('Bearer realm="x"' + " " * 9000, []),
    ],
)
def test_challenges_are_read_as_rfc_9110_writes_them(
    value: str, challenges: list[Challenge]
) -> None:
    assert parse_challenges(value) == challenges


@given(st.text(alphabet=st.sampled_from('Bearer basic realm="\\,= \tx:/'), max_size=80) | st.text())
def test_any_header_is_read_or_left(value: str) -> None:
    for challenge in parse_challenges(value):
        assert challenge.scheme == challenge.scheme.lower()
        assert all(name == name.lower() for name in challenge.parameters)


def test_nothing_is_sent_before_a_registry_asks() -> None:
    service = TokenService()
    assert authenticator(service, credentials=USER).header(SCOPE) is None
    assert service.sent == []


def test_the_scope_is_ours_and_never_the_challenges() -> None:
    service = TokenService()
    assert authenticator(service).challenged(BEARER, SCOPE, None) == "Bearer t1"
    (sent,) = service.sent
    assert parse_qs(sent.url.partition("?")[2]) == {"scope": [SCOPE], "service": ["svc"]}


def test_a_realm_with_a_query_keeps_it() -> None:
    service = TokenService()
    challenge = f'Bearer realm="https://{HOST}/token?account=a"'
    authenticator(service).challenged(challenge, SCOPE, None)
    assert service.sent[0].url.startswith(f"https://{HOST}/token?account=a&scope=")


def test_basic_is_sent_to_a_registry_that_asks_for_it() -> None:
    auth = authenticator(TokenService(), credentials=USER)
    header = auth.challenged('Basic realm="x"', SCOPE, None)
    assert header == f"Basic {USER.basic}"
    assert auth.header(SCOPE) == header
    assert auth.challenged('Basic realm="x"', SCOPE, header) is None


def test_bearer_goes_before_basic() -> None:
    auth = authenticator(TokenService(), credentials=USER)
    assert auth.challenged(f'Basic realm="x", {BEARER}', SCOPE, None) == "Bearer t1"


@pytest.mark.parametrize(
    "value", ["", "Negotiate", "Bearer", 'Bearer service="x"', 'Basic realm="x"']
)
def test_a_challenge_that_nothing_can_be_done_about(value: str) -> None:
    assert authenticator(TokenService()).challenged(value, SCOPE, None) is None


def test_a_token_is_used_until_shortly_before_its_end() -> None:
    service, clock = TokenService(), Clock()
    auth = authenticator(service, clock=clock)
    auth.challenged(BEARER, SCOPE, None)
    clock.now += 289
    assert auth.header(SCOPE) == "Bearer t1"
    clock.now += 2
    assert auth.header(SCOPE) == "Bearer t2"


@pytest.mark.parametrize(
    ("body", "good_for", "bad_after"),
    [
        (b'{"token":"x"}', 49, 51),
        (b'{"token":"x","expires_in":0}', 49, 51),
        (b'{"token":"x","expires_in":-5}', 49, 51),
        (b'{"token":"x","expires_in":true}', 49, 51),
        (b'{"token":"x","expires_in":"900"}', 49, 51),
        (b'{"token":"x","expires_in":99999999}', 3589, 3591),
        (b'{"access_token":"x","expires_in":4}', 2, 4),
    ],
)
def test_a_life_that_makes_no_sense_is_short(
    body: bytes, good_for: float, bad_after: float
) -> None:
    service, clock = TokenService(body=body), Clock()
    auth = authenticator(service, clock=clock)
    auth.challenged(BEARER, SCOPE, None)
    clock.now += good_for
    auth.header(SCOPE)
    assert len(service.sent) == 1
    clock.now += bad_after - good_for
    auth.header(SCOPE)
    assert len(service.sent) == 2


def test_each_scope_has_its_own_token() -> None:
    service = TokenService()
    auth = authenticator(service)
    auth.challenged(BEARER, SCOPE, None)
    assert auth.header(SCOPE + ",push") == "Bearer t2"
    assert auth.header(SCOPE) == "Bearer t1"


def test_a_refused_token_is_replaced_once_for_all_threads() -> None:
    service = TokenService()
    auth = authenticator(service)
    old = auth.challenged(BEARER, SCOPE, None)
    with ThreadPoolExecutor(8) as pool:
        new = set(pool.map(lambda _: auth.challenged(BEARER, SCOPE, old), range(8)))
    assert new == {"Bearer t2"}
    assert len(service.sent) == 2


def test_a_token_at_its_end_is_not_handed_to_another_thread() -> None:
    service, clock = TokenService(), Clock()
    auth = authenticator(service, clock=clock)
    auth.challenged(BEARER, SCOPE, None)
    clock.now += 1000
    assert auth.challenged(BEARER, SCOPE, "Bearer older") == "Bearer t2"


def test_an_identity_token_is_exchanged_by_post() -> None:
    service = TokenService()
    auth = authenticator(service, credentials=Credentials(identity_token="refresh-me"))
    assert auth.challenged(BEARER, SCOPE, None) == "Bearer t1"
    (sent,) = service.sent
    assert (sent.method, sent.url) == ("POST", f"https://{HOST}/token")
    assert sent.body is not None
    assert parse_qs(sent.body.decode()) == {
        "scope": [SCOPE],
        "service": ["svc"],
        "grant_type": ["refresh_token"],
        "client_id": ["modelseal"],
        "refresh_token": ["refresh-me"],
    }
    assert "Authorization" not in sent.headers


def test_an_identity_token_is_no_password_for_basic() -> None:
    auth = authenticator(TokenService(), credentials=Credentials(identity_token="refresh-me"))
    assert auth.challenged('Basic realm="x"', SCOPE, None) is None


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        b"{}",
        b'{"token":""}',
        b'{"token":7}',
        b'{"token":"with space"}',
        b'{"token":"line\\r\\nX-Header: injected"}',
        b'{"token":"caf\\u00e9"}',
        b'{"token":"pass-word","token":"twice"}',
    ],
)
def test_a_token_that_is_none_is_refused_and_not_quoted(body: bytes) -> None:
    with pytest.raises(UnavailableError) as caught:
        authenticator(TokenService(body=body)).challenged(BEARER, SCOPE, None)
    assert "pass-word" not in str(caught.value)
    assert "injected" not in str(caught.value)


@pytest.mark.parametrize("status", [400, 401, 403])
def test_refused_credentials_are_access_denied_with_a_next_step(status: int) -> None:
    service = TokenService(status=status, body=b'{"errors":[{"code":"DENIED","message":"no"}]}')
    with pytest.raises(AccessDeniedError) as caught:
        authenticator(service, credentials=USER).challenged(BEARER, SCOPE, None)
    assert f"docker login {HOST}" in caught.value.hint
    assert USER.password not in str(caught.value)


def test_a_busy_token_service_is_asked_again_later() -> None:
    service = TokenService(status=429, body=b"", headers={"retry-after": "7"})
    with pytest.raises(TransientError) as caught:
        authenticator(service).challenged(BEARER, SCOPE, None)
    assert caught.value.wait == 7


def test_secrets_are_taken_out_of_what_a_registry_says() -> None:
    auth = authenticator(TokenService(body=b'{"token":"very-secret-token"}'), credentials=USER)
    auth.challenged(BEARER, SCOPE, None)
    said = f"bad: very-secret-token {USER.password} {USER.basic}".encode()
    assert auth.redact(said) == b"bad: *** *** ***"


def test_no_repr_shows_a_secret() -> None:
    service = TokenService(body=b'{"token":"very-secret-token"}')
    auth = authenticator(service, credentials=USER)
    auth.challenged(BEARER, SCOPE, None)
    shown = repr((auth, USER, auth._tokens, auth._credentials))
    assert "very-secret-token" not in shown
    assert USER.password not in shown
    assert USER.basic not in shown


# Security pitfall 8 C 12: the realm.


@pytest.mark.parametrize(
    "realm",
    [
        "http://registry.example.com/token",
        "https://user@registry.example.com/token",
        "https://127.0.0.1/token",
        "https://localhost/token",
        "https://[::1]/token",
        "https://169.254.169.254/latest/meta-data",
        "https://metadata.google.internal/token",
        "https://10.0.0.1/token",
        "https://[::ffff:10.0.0.1]/token",
        "https://2130706433/token",
        "ftp://registry.example.com/token",
        "/token",
        "https://registry.example.com/token\nX: y",
    ],
)
@pytest.mark.parametrize("credentials", [None, USER])
def test_c12_a_realm_that_is_not_safe_is_asked_nothing(
    realm: str, credentials: Credentials | None
) -> None:
    service = TokenService()
    auth = authenticator(service, credentials=credentials)
    with pytest.raises(UnavailableError):
        auth.challenged(f'Bearer realm="{realm}"', SCOPE, None)
    assert service.sent == []


def test_c12_plain_http_is_for_a_registry_that_is_spoken_to_so() -> None:
    service = TokenService()
    plain = Origin("http", HOST, 5000)
    auth = authenticator(service, registry=plain)
    auth.challenged(f'Bearer realm="http://{HOST}:5001/token"', SCOPE, None)
    assert service.sent[0].url.startswith(f"http://{HOST}:5001/token")


def test_c12_a_registry_inside_may_have_its_realm_inside() -> None:
    service = TokenService()
    auth = authenticator(service, reach=Reach.PRIVATE)
    auth.challenged('Bearer realm="https://10.0.0.1/token"', SCOPE, None)
    assert service.sent[0].url.startswith("https://10.0.0.1/token")
    with pytest.raises(UnavailableError, match="inside this network"):
        auth.challenged('Bearer realm="https://169.254.169.254/token"', SCOPE, "Bearer t1")


@pytest.mark.parametrize("credentials", [USER, Credentials(identity_token="refresh-me")])
@pytest.mark.parametrize(
    "realm", ["https://evil.example.net/t", "https://registry.example.com.evil.net/t"]
)
def test_c12_credentials_are_not_told_to_another_owners_host(
    realm: str, credentials: Credentials
) -> None:
    service = TokenService()
    auth = authenticator(service, credentials=credentials)
    with pytest.raises(AccessDeniedError, match="not sent") as caught:
        auth.challenged(f'Bearer realm="{realm}"', SCOPE, None)
    assert service.sent == []
    assert caught.value.reason == "foreign-token-realm"


def test_c12_without_credentials_another_host_may_give_an_anonymous_token() -> None:
    service = TokenService()
    challenge = 'Bearer realm="https://tokens.example.net/t"'
    assert authenticator(service).challenged(challenge, SCOPE, None) == "Bearer t1"
    assert "Authorization" not in service.sent[0].headers


@pytest.mark.parametrize(
    ("registry", "realm", "allowed"),
    [
        (HOST, "https://registry.example.com/t", frozenset[str]()),
        (HOST, "https://auth.example.com/t", frozenset[str]()),
        (HOST, "https://tokens.example.net/t", frozenset({"tokens.example.net"})),
        ("registry-1.docker.io", "https://auth.docker.io/token", frozenset[str]()),
    ],
)
def test_c12_credentials_are_told_to_the_owners_own_hosts(
    registry: str, realm: str, allowed: frozenset[str]
) -> None:
    service = TokenService()
    auth = authenticator(
        service,
        credentials=USER,
        registry=Origin("https", registry, 443),
        token_hosts=allowed,
    )
    auth.challenged(f'Bearer realm="{realm}"', SCOPE, None)
    assert service.sent[0].headers["Authorization"] == f"Basic {USER.basic}"


def test_c12_a_token_service_that_redirects_is_not_followed() -> None:
    service = TokenService(status=307, headers={"location": "https://evil.example.net/"})
    with pytest.raises(UnavailableError, match="not followed"):
        authenticator(service, credentials=USER).challenged(BEARER, SCOPE, None)
    assert len(service.sent) == 1
