# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""A token of an attestation service about a model's machine, through the installed command."""

import json
import time
from pathlib import Path

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from tests.support.cli import Command
from tests.support.model_factory import make_model

SECRET = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}
REF = "oci:./store:1.4.0"
ISSUER = "https://attest.example"
BELIEVED = ("--jwks", "jwks.json", "--issuer", ISSUER)


def test_a_token_is_attached_and_verified_while_it_was_valid(
    modelseal: Command, home: Path
) -> None:
    service = ec.generate_private_key(ec.SECP256R1())
    public = jwt.algorithms.ECAlgorithm.to_jwk(service.public_key(), as_dict=True)
    (home / "jwks.json").write_text(json.dumps({"keys": [{**public, "kid": "k1"}]}))
    modelseal("key", "generate", "--output", "k", env=SECRET).check()
    modelseal("push", make_model(home / "model"), REF).check()

    # The service is asked with the nonce of the model.
    shown = json.loads(modelseal("environment", "nonce", REF, "--output", "json").check().stdout)
    now = int(time.time())
    claims = {"iss": ISSUER, "iat": now, "exp": now + 60, "dbgstat": "disabled"}
    claims["eat_nonce"] = shown["base64url"]
    token = jwt.encode(claims, service, "ES256", headers={"kid": "k1"})
    (home / "token.jwt").write_text(token + "\n")
    (home / "other.jwt").write_text(
        jwt.encode({**claims, "eat_nonce": "00" * 32}, service, "ES256", headers={"kid": "k1"})
    )

    words = ["environment", "token", REF, *BELIEVED, "--key", "k"]
    claim = ("--claim", "dbgstat=disabled")
    refused = modelseal(*words, "--token", "other.jwt", env=SECRET).check(11)
    assert "[wrong-nonce]" in refused.stderr
    done = modelseal(*words, "--token", "token.jwt", *claim, env=SECRET).check()
    assert "token of https://attest.example (experimental)" in done.stdout

    words = ["environment", "verify", REF, *BELIEVED, "--key", "k.pub"]
    held = json.loads(modelseal(*words, *claim, "--output", "json").check().stdout)
    (found,) = held["tokens"]
    assert found["claims"] == {"/dbgstat": "disabled"}
    (attribute,) = found["statement"]["predicate"]["attributes"]
    assert attribute["attribute"] == "EAT_VERIFIED"
    assert attribute["evidence"]["mediaType"] == "application/eat+jwt"
    assert "[other-claims]" in modelseal(*words, "--claim", "dbgstat=enabled").check(11).stderr
    later = modelseal(*words, "--at", "2100-01-01T00:00:00Z").check(11)
    assert "[expired-token]" in later.stderr
    assert (
        "[no-quote]"
        in modelseal("environment", "verify", REF, "--key", "k.pub", "--ak", ak_file(home))
        .check(11)
        .stderr
    )


def ak_file(home: Path) -> Path:
    """Return the file of some attestation key."""
    from tests.support.tpm_quotes import SoftTpm

    path = home / "ak.pub"
    path.write_bytes(SoftTpm().public_area())
    return path
