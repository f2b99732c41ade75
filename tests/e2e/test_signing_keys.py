# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Every kind of signing key through the installed command, and cosign beside it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from tests.support import cli, kms
from tests.support.cli import Command
from tests.support.forks import ForkedCommand
from tests.support.model_factory import make_model
from tests.support.registries import Registry, RegistryName

OURS = {"MODELSEAL_KEY_PASSPHRASE": "correct horse"}
COSIGNS = {"COSIGN_PASSWORD": "battery staple"}
PEM = serialization.Encoding.PEM


@dataclass(frozen=True)
class Bench:
    """A pushed model without a signature, and the commands."""

    reference: str
    modelseal: Command
    cosign: Command
    home: Path

    def sign(self, key: str | Path, env: dict[str, str], *, code: int = 0) -> cli.Result:
        return self.modelseal("sign", self.reference, "--key", key, "--quiet", env=env).check(code)

    def show(self, key: str | Path, env: dict[str, str]) -> Path:
        """Write the public half of a key where cosign finds it."""
        done = self.modelseal("key", "show", key, "--output", "json", env=env).check()
        answer = json.loads(done.stdout)
        path = self.home / f"{answer['fingerprint'][7:19]}.pub"
        path.write_text(answer["publicKey"])
        return path

    def public(self, key: kms.Key) -> Path:
        """Write the public half of a key that a test made."""
        path = self.home / "made.pub"
        path.write_bytes(kms.spki(key, PEM))
        return path

    def cosign_verifies(self, public: Path) -> bool:
        done = self.cosign(
            "verify", "--allow-http-registry", "--insecure-ignore-tlog", "--key", public,
            self.reference,
        )  # fmt: skip
        return done.returncode == 0

    def cosign_signs(self, key: Path) -> None:
        config = self.home / "no-log.json"
        if not config.exists():
            self.cosign("signing-config", "create", "--out", config).check()
        self.cosign(
            "sign", "--allow-http-registry", "--signing-config", config, "--key", key,
            self.reference, env=COSIGNS,
        ).check()  # fmt: skip

    def both_verify(self, public: Path) -> None:
        assert self.cosign_verifies(public)
        self.modelseal("verify", self.reference, "--key", public).check()


@pytest.fixture(scope="module")
def pushed(
    serve_registry: Callable[[RegistryName], Registry], tmp_path_factory: pytest.TempPathFactory
) -> str:
    home = tmp_path_factory.mktemp("pushed")
    repository = f"{serve_registry('crane').host}/models/keys"
    modelseal = ForkedCommand(cli.modelseal_program(), home)
    modelseal("push", make_model(home / "model"), f"{repository}:1").check()
    done = modelseal("inspect", f"{repository}:1", "--output", "json").check()
    return f"{repository}@{json.loads(done.stdout)['manifest']['digest']}"


@pytest.fixture
def bench(pushed: str, modelseal: Command, cosign: Command, home: Path) -> Bench:
    return Bench(pushed, modelseal, cosign, home)


@pytest.mark.parametrize("algorithm", ["ecdsa-p256", "ed25519", "rsa-3072"])
def test_cosign_verifies_every_algorithm_of_ours(bench: Bench, algorithm: str) -> None:
    key = bench.home / "release.key"
    bench.modelseal("key", "generate", "--output", key, "--algorithm", algorithm, env=OURS).check()
    bench.sign(key, OURS)
    bench.both_verify(Path(f"{key}.pub"))


def test_cosigns_own_key_file_signs_both_ways(bench: Bench) -> None:
    bench.cosign("generate-key-pair", env=COSIGNS).check()
    key, public = bench.home / "cosign.key", bench.home / "cosign.pub"
    assert b"ENCRYPTED SIGSTORE PRIVATE KEY" in key.read_bytes()
    bench.cosign_signs(key)
    bench.modelseal("verify", bench.reference, "--key", public).check()
    bench.sign(key, COSIGNS)
    bench.both_verify(public)
    refused = bench.sign(key, {"MODELSEAL_KEY_PASSPHRASE": "hunter2"}, code=2)
    assert "another passphrase" in refused.stderr
    assert "hunter2" not in refused.stderr


@pytest.mark.parametrize("kind", ["rsa-2048", "ed25519"])
def test_keys_that_cosign_imports_sign_both_ways(bench: Bench, kind: str) -> None:
    made: kms.Key = ed25519.Ed25519PrivateKey.generate()
    if kind == "rsa-2048":
        made = rsa.generate_private_key(65537, 2048)
    (bench.home / "plain.pem").write_bytes(plain(made))
    bench.cosign("import-key-pair", "--key", "plain.pem", env=COSIGNS).check()
    key, public = bench.home / "import-cosign.key", bench.home / "import-cosign.pub"
    bench.cosign_signs(key)
    theirs = bench.modelseal("verify", bench.reference, "--key", public)
    if kind == "ed25519":
        # cosign 3.1 signs with Ed25519ph, which its own verify does not take either.
        assert not bench.cosign_verifies(public)
        theirs.check(11)
    else:
        theirs.check()
    bench.sign(key, COSIGNS)
    bench.both_verify(public)


def plain(key: kms.Key) -> bytes:
    return key.private_bytes(PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def test_what_cosign_refuses_is_not_signed_with(bench: Bench) -> None:
    made = ec.generate_private_key(ec.SECP384R1())
    (bench.home / "plain.pem").write_bytes(plain(made))
    bench.cosign("import-key-pair", "--key", "plain.pem", env=COSIGNS).check()
    public = bench.home / "import-cosign.pub"
    bench.cosign_signs(bench.home / "import-cosign.key")
    assert not bench.cosign_verifies(public)
    for arguments in (
        ("sign", bench.reference, "--key", "import-cosign.key"),
        ("verify", bench.reference, "--key", "import-cosign.pub"),
    ):
        refused = bench.modelseal(*arguments, env=COSIGNS).check(2)
        assert "secp384r1, and cosign would refuse what it signs" in refused.stderr


def test_a_pkcs11_token_signs(bench: Bench, tmp_path: Path) -> None:
    environment = kms.soft_token(tmp_path) | {"MODELSEAL_PKCS11_PIN": kms.PIN}
    uri = "hsm:2?label=release%20team"
    bench.sign(uri, environment)
    bench.both_verify(bench.show(uri, environment))


def test_aws_kms_signs_and_shows_what_to_verify_with(bench: Bench) -> None:
    service = kms.Service(kms.aws, {"alias/release": ec.generate_private_key(ec.SECP256R1())})
    with kms.serve(service):
        environment = kms.aws_environment(service.url)
        bench.sign("awskms:alias/release", environment)
        bench.modelseal(
            "verify", bench.reference, "--key", "awskms:alias/release", env=environment
        ).check()
    bench.both_verify(bench.public(service.keys["alias/release"]))


def test_vault_signs(bench: Bench) -> None:
    service = kms.Service(kms.vault, {"release": ed25519.Ed25519PrivateKey.generate()})
    with kms.serve(service):
        bench.sign("hv:release", {"VAULT_ADDR": service.url, "VAULT_TOKEN": "hvs.test"})
    bench.both_verify(bench.public(service.keys["release"]))


def test_azure_key_vault_signs(bench: Bench, tmp_path: Path) -> None:
    service = kms.Service(kms.azure, {"release": ec.generate_private_key(ec.SECP256R1())})
    with kms.azure_vault(service, tmp_path) as environment:
        bench.sign("azurekms://acme.vault.azure.net/keys/release", environment)
    bench.both_verify(bench.public(service.keys["release"]))
    assert any("/sign" in request for request in service.requests)


def test_google_cloud_kms_signs(bench: Bench, tmp_path: Path) -> None:
    keys: dict[str, kms.Key] = {kms.GOOGLE_KEY: ec.generate_private_key(ec.SECP256R1())}
    with kms.google_kms(keys, tmp_path) as environment:
        bench.sign(f"gcpkms:{kms.GOOGLE_KEY}", environment)
    bench.both_verify(bench.public(keys[kms.GOOGLE_KEY]))


def test_a_missing_extra_is_told_with_the_command_that_installs_it(bench: Bench) -> None:
    hidden = bench.home / "hidden"
    hidden.mkdir()
    (hidden / "securesystemslib.py").write_text("raise ImportError('not here')\n")
    refused = bench.sign("hsm:", {"PYTHONPATH": str(hidden)}, code=2)
    assert "pip install 'modelseal[pkcs11]'" in refused.stderr
    (hidden / "securesystemslib.py").unlink()
    (hidden / "boto3.py").write_text("raise ImportError('not here')\n")
    refused = bench.sign("awskms:x", {"PYTHONPATH": str(hidden)}, code=2)
    assert "pip install 'modelseal[aws]'" in refused.stderr
