# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Tokens of attestation services, made by PyJWT: pinned keys, exact claims, this artifact only."""

import base64
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from hypothesis import given
from hypothesis import strategies as st

from modelseal.errors import KeyFileError, UsageError, VerificationError
from modelseal.oci.descriptor import Digest
from modelseal.trust.eat.jws import MAX_TOKEN_BYTES, TokenKey, load_jwks, verify_token
from modelseal.trust.eat.token import TokenPolicy, check_token, parse_claims, parse_pointer
from modelseal.trust.environment import Token, nonce_for

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
STAMP = int(NOW.timestamp())
SUBJECT = Digest.of(b"a model")
ISSUER = "https://attest.example"
P256, P384 = (ec.generate_private_key(curve()) for curve in (ec.SECP256R1, ec.SECP384R1))
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
KEYS: dict[str, Any] = {
    "ES256": P256,
    "ES384": P384,
    "RS256": RSA,
    "RS384": RSA,
    "PS256": RSA,
    "PS384": RSA,
}
CLAIMS = {
    "iss": ISSUER,
    "iat": STAMP - 10,
    "exp": STAMP + 3600,
    "eat_nonce": base64.urlsafe_b64encode(nonce_for(SUBJECT)).rstrip(b"=").decode(),
    "dbgstat": "disabled-since-boot",
    "secboot": True,
    "submods": {"gce": {"zone": "europe-west4-a"}, "a/b": 1},
}


def signed(claims: dict[str, Any], algorithm: str = "ES256", **headers: Any) -> bytes:  # noqa: ANN401
    token = jwt.encode(claims, KEYS[algorithm], algorithm, headers={"kid": "k1", **headers})
    return token.encode()


def pinned(algorithm: str = "ES256", *, kid: str = "k1", alg: str = "") -> TokenKey:
    return TokenKey(KEYS[algorithm].public_key(), kid, alg)


POLICY = TokenPolicy(keys=(pinned(),), issuer=ISSUER)


def check(raw: bytes, policy: TokenPolicy = POLICY, at: datetime = NOW) -> Token:
    return check_token(raw, SUBJECT, policy, at)


def refused(raw: bytes, policy: TokenPolicy = POLICY, at: datetime = NOW) -> str:
    with pytest.raises(VerificationError) as caught:
        check(raw, policy, at)
    return caught.value.reason


@pytest.mark.parametrize("algorithm", sorted(KEYS))
def test_a_token_of_each_algorithm_is_taken(algorithm: str) -> None:
    policy = replace(POLICY, keys=(pinned(algorithm, alg=algorithm),))
    token = check(signed(CLAIMS, algorithm), policy)
    assert (token.algorithm, token.issuer, token.claims["secboot"]) == (algorithm, ISSUER, True)
    assert token.conditions()["nonce"] == nonce_for(SUBJECT).hex()


def test_an_algorithm_has_to_fit_the_pinned_key() -> None:
    rs256 = signed(CLAIMS, "RS256")
    assert refused(rs256) == "untrusted-token"  # the key with this kid is for ECDSA
    only_pss = replace(POLICY, keys=(pinned("RS256", alg="PS256"),))
    assert refused(rs256, only_pss) == "untrusted-token"
    assert refused(signed(CLAIMS, "ES384")) == "untrusted-token"


def _part(value: object) -> bytes:
    raw = json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=")


def with_header(header: dict[str, Any]) -> bytes:
    """Return a good token under another header, its signature made anew."""
    message = _part(header) + b"." + _part(CLAIMS)
    algorithm = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256)
    mark = base64.urlsafe_b64encode(algorithm.sign(message, P256)).rstrip(b"=")
    return message + b"." + mark


def test_no_algorithm_and_symmetric_ones_are_refused() -> None:
    body = _part(CLAIMS)
    for alg in ("none", "None", "", "HS256"):
        assert refused(_part({"alg": alg}) + b"." + body + b".") == "untrusted-token"
    public = P256.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    message = _part({"alg": "HS256", "kid": "k1"}) + b"." + body
    mark = hmac.digest(public, message, "sha256")  # the public key taken for a shared secret
    confused = message + b"." + base64.urlsafe_b64encode(mark).rstrip(b"=")
    assert refused(confused) == "untrusted-token"
    for odd in (1, None, ["ES256"]):
        assert refused(with_header({"alg": odd})) == "broken-token"


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c", "crit", "b64", "anything"])
def test_a_header_that_brings_or_names_a_key_is_refused(name: str) -> None:
    raw = with_header({"alg": "ES256", "kid": "k1", name: "https://evil.example/keys"})
    assert refused(raw) == "broken-token"
    lenient = replace(POLICY, ignored=frozenset({"jku", "x5u", "x5c", "jwk", "crit", "b64"}))
    if name in {"jku", "x5u", "x5c"}:
        assert check(raw, lenient).issuer == ISSUER  # never followed: the pinned key signed it
    else:
        assert refused(raw, lenient) == "broken-token"


@pytest.mark.parametrize("kid", [["k1"], {"k": 1}, 1])
def test_a_key_id_of_another_shape_is_refused(kid: object) -> None:
    assert refused(with_header({"alg": "ES256", "kid": kid})) == "broken-token"


def test_another_key_and_another_key_id_are_refused() -> None:
    stranger = TokenKey(ec.generate_private_key(ec.SECP256R1()).public_key(), "k1", "")
    assert refused(signed(CLAIMS), replace(POLICY, keys=(stranger,))) == "bad-signature"
    assert refused(signed(CLAIMS, kid="k2")) == "untrusted-token"
    both = replace(POLICY, keys=(stranger, pinned(kid="")))
    assert check(signed(CLAIMS), both).key == pinned().identity


WRONG = [
    ({"iss": "https://attest.example/"}, "other-token-issuer"),
    ({"iss": None}, "other-token-issuer"),
    ({"exp": STAMP}, "expired-token"),
    ({"exp": STAMP - 1}, "expired-token"),
    ({"iat": STAMP + 61}, "expired-token"),
    ({"nbf": STAMP + 61}, "expired-token"),
    ({"exp": "never"}, "broken-token"),
    ({"exp": True}, "broken-token"),
    ({"exp": 1e300}, "broken-token"),
    ({"exp": None}, "broken-token"),
    ({"eat_nonce": nonce_for(Digest.of(b"another model")).hex()}, "wrong-nonce"),
    ({"eat_nonce": []}, "wrong-nonce"),
    ({"eat_nonce": 1}, "wrong-nonce"),
    ({"eat_nonce": nonce_for(SUBJECT).hex().upper()}, "wrong-nonce"),
]


def encoded(claims: dict[str, Any]) -> bytes:
    """Sign whatever it is: PyJWT itself looks at times."""
    message = _part({"alg": "ES256", "kid": "k1"}) + b"." + _part(claims)
    algorithm = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256)
    mark = base64.urlsafe_b64encode(algorithm.sign(message, P256)).rstrip(b"=")
    return message + b"." + mark


@pytest.mark.parametrize(("change", "reason"), WRONG)
def test_a_token_that_is_wrong_in_one_claim_is_refused(change: dict[str, Any], reason: str) -> None:
    assert refused(encoded({**CLAIMS, **change})) == reason


@pytest.mark.parametrize("name", ["iss", "exp", "eat_nonce"])
def test_a_claim_that_has_to_be_there_is_missed(name: str) -> None:
    less = {key: value for key, value in CLAIMS.items() if key != name}
    assert refused(signed(less)) in {"other-token-issuer", "broken-token", "wrong-nonce"}


def test_clocks_may_differ_a_minute_at_the_beginning_only() -> None:
    assert check(encoded({**CLAIMS, "nbf": STAMP + 60})).issued is not None


def test_the_nonce_is_taken_as_services_write_it() -> None:
    nonce = nonce_for(SUBJECT)
    padded = base64.urlsafe_b64encode(nonce).decode()
    spellings = [nonce.hex(), padded, base64.b64encode(nonce).decode(), ["other", nonce.hex()]]
    for spelling in spellings:
        check(signed({**CLAIMS, "eat_nonce": spelling}))
    azure = {**CLAIMS, "eat_nonce": "other", "x-ms-runtime": {"nonce": nonce.hex()}}
    policy = replace(POLICY, nonce_claim=parse_pointer("/x-ms-runtime/nonce"))
    assert check(signed(azure), policy).nonce_claim == "/x-ms-runtime/nonce"
    assert refused(signed(azure)) == "wrong-nonce"


RULES = [
    ("dbgstat=disabled-since-boot", True),
    ("dbgstat=disabled", False),
    ("secboot=true", True),
    ('secboot="true"', False),
    ("secboot=1", False),
    ("/submods/gce/zone=europe-west4-a", True),
    ("/submods/gce=europe-west4-a", False),
    ('/submods/gce={"zone":"europe-west4-a"}', True),
    ("/submods/a~1b=1", True),
    ("/submods/a~1b=1.0", False),
    ("/submods/a~1b=true", False),
    ("nothing=there", False),
    ("/dbgstat/0=d", False),
]


@pytest.mark.parametrize(("rule", "holds"), RULES)
def test_claims_are_compared_exactly(rule: str, *, holds: bool) -> None:
    policy = replace(POLICY, claims=parse_claims([rule]))
    if holds:
        assert dict(check(signed(CLAIMS), policy).matched) == dict(policy.claims)
    else:
        assert refused(signed(CLAIMS), policy) == "other-claims"


@pytest.mark.parametrize("text", ["", "=1", "name", "//=1", "/a~2=1"])
def test_a_rule_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_claims([text])
    with pytest.raises(UsageError, match="twice"):
        parse_claims(["a=1", "/a=2"])


def test_each_flipped_byte_of_a_token_is_refused() -> None:
    raw = signed(CLAIMS)
    for place in range(len(raw)):
        changed = bytearray(raw)
        changed[place] ^= 1 << place % 7
        with pytest.raises(VerificationError):
            check(bytes(changed))


@given(st.binary(max_size=100))
def test_no_bytes_crash_the_reader(raw: bytes) -> None:
    for data in (raw, raw + b".e30.", b".".join([base64.urlsafe_b64encode(raw)] * 3)):
        with pytest.raises(VerificationError):
            verify_token(data, (pinned(),))


def test_other_shapes_are_refused() -> None:
    raw = signed(CLAIMS)
    head, body, mark = raw.split(b".")
    assert refused(raw + b"=") == "broken-token"
    assert refused(b" " + raw) == "broken-token"
    assert refused(head + b"." + body) == "broken-token"
    assert refused(raw + b"." + mark) == "broken-token"
    assert refused(b"x" * (MAX_TOKEN_BYTES + 1)) == "broken-token"
    twice = b'{"iss":"https://attest.example","iss":"https://other.example"}'
    message = head + b"." + base64.urlsafe_b64encode(twice).rstrip(b"=")
    algorithm = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256)
    again = base64.urlsafe_b64encode(algorithm.sign(message, P256)).rstrip(b"=")
    assert refused(message + b"." + again) == "broken-token"


def jwks(tmp_path: Path, *keys: object) -> tuple[TokenKey, ...]:
    path = tmp_path / "jwks.json"
    path.write_text(json.dumps({"keys": list(keys)}))
    return load_jwks(path)


def jwk(key: Any, **more: str) -> dict[str, Any]:  # noqa: ANN401
    if isinstance(key, rsa.RSAPublicKey):
        value = jwt.algorithms.RSAAlgorithm.to_jwk(key, as_dict=True)
    else:
        value = jwt.algorithms.ECAlgorithm.to_jwk(key, as_dict=True)
    value.pop("key_ops", None)
    return {**value, **more}


def test_keys_are_read_as_services_publish_them(tmp_path: Path) -> None:
    odd = {"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}
    for_encryption = jwk(RSA.public_key(), use="enc")
    small = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
    keys = jwks(
        tmp_path,
        odd,
        for_encryption,
        jwk(small),
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        jwk(P256.public_key(), kid="k1", use="sig", alg="ES256"),
        jwk(RSA.public_key(), kid="k1"),
    )
    assert [(key.kid, key.alg) for key in keys] == [("k1", "ES256"), ("k1", "")]
    for algorithm in ("ES256", "RS256", "PS384"):
        check(signed(CLAIMS, algorithm), replace(POLICY, keys=keys))


def test_a_key_set_that_cannot_be_pinned_is_refused(tmp_path: Path) -> None:
    private = jwt.algorithms.ECAlgorithm.to_jwk(P256, as_dict=True)
    with pytest.raises(KeyFileError, match="holds a private key"):
        jwks(tmp_path, private)
    for keys in ([], [{"kty": "oct"}], ["x"], [jwk(P256.public_key())] * 33):
        with pytest.raises(KeyFileError):
            jwks(tmp_path, *keys)
    (tmp_path / "jwks.json").write_text("[]")
    with pytest.raises(KeyFileError):
        load_jwks(tmp_path / "jwks.json")
