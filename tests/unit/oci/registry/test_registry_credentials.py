# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Docker's configuration, and the traps of looking it up (signing.md, 8 C 14)."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import pytest

from modelseal.errors import UsageError
from modelseal.oci.registry.credentials import Credentials, DockerCredentials, NoCredentials

HOST = "registry.example.com"


def encoded(username: str, password: str) -> str:
    return base64.b64encode(f"{username}:{password}".encode()).decode()


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The configuration that DOCKER_CONFIG names, in a home that has none."""
    directory = tmp_path / "docker"
    directory.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(directory))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return directory / "config.json"


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory for credential programs, before all others."""
    directory = tmp_path / "bin"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")
    return directory


def write(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def write_program(path: Path, answer: str, *, status: int = 0) -> None:
    asked = path.with_suffix(".asked")
    path.write_text(f"#!/bin/sh\ncat >> {asked}\necho >> {asked}\necho '{answer}'\nexit {status}\n")
    path.chmod(0o755)


def find(registry: str = HOST) -> Credentials | None:
    return DockerCredentials().find(registry)


def test_without_a_configuration_there_are_none(config: Path) -> None:
    assert not config.exists()
    assert find() is None
    assert NoCredentials().find(HOST) is None


def test_oras_is_not_imported_for_nothing(config: Path) -> None:
    write(config, {"auths": {"other.example.com": {"auth": encoded("u", "p")}}})
    code = (
        "import sys\n"
        "from modelseal.oci.registry.credentials import DockerCredentials\n"
        f"assert DockerCredentials().find({HOST!r}) is None\n"
        "assert not {'oras', 'requests', 'urllib3'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_entry_of_docker_login_is_found(config: Path) -> None:
    write(config, {"auths": {HOST: {"auth": encoded("somebody", "pass:word")}}})
    assert find() == Credentials("somebody", "pass:word")
    assert find("other.example.com") is None


def test_a_path_given_goes_before_the_environment(config: Path, tmp_path: Path) -> None:
    write(config, {"auths": {HOST: {"auth": encoded("wrong", "one")}}})
    other = tmp_path / "other.json"
    write(other, {"auths": {HOST: {"auth": encoded("right", "one")}}})
    assert DockerCredentials(other).find(HOST) == Credentials("right", "one")


def test_the_home_directorys_file_is_read_without_docker_config(
    config: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DOCKER_CONFIG")
    write(tmp_path / "home/.docker/config.json", {"auths": {HOST: {"auth": encoded("u", "p")}}})
    assert not config.exists()
    assert find() == Credentials("u", "p")


@pytest.mark.parametrize("key", [f"https://{HOST}", f"https://{HOST}/v1/", f"http://{HOST}/v2"])
def test_keys_as_old_dockers_wrote_them(config: Path, key: str) -> None:
    write(config, {"auths": {key: {"auth": encoded("u", "p")}}})
    assert find() == Credentials("u", "p")


@pytest.mark.parametrize("key", [f"https://{HOST}/team", f"{HOST}:8443", f"{HOST}.evil.net"])
def test_keys_of_something_else(config: Path, key: str) -> None:
    write(config, {"auths": {key: {"auth": encoded("u", "p")}}})
    assert find() is None


@pytest.mark.parametrize("registry", ["docker.io", "index.docker.io", "registry-1.docker.io"])
def test_docker_hub_has_a_key_of_its_own(config: Path, registry: str) -> None:
    write(config, {"auths": {"https://index.docker.io/v1/": {"auth": encoded("u", "p")}}})
    assert find(registry) == Credentials("u", "p")


def test_an_identity_token_goes_before_a_password(config: Path) -> None:
    write(config, {"auths": {HOST: {"auth": encoded("u", "p"), "identitytoken": "refresh"}}})
    assert find() == Credentials(identity_token="refresh")


def test_a_helper_of_the_registry_is_asked(config: Path, programs: Path) -> None:
    write(config, {"auths": {HOST: {}}, "credHelpers": {HOST: "test"}, "credsStore": "absent"})
    write_program(programs / "docker-credential-test", '{"Username":"u","Secret":"p"}')
    assert find() == Credentials("u", "p")
    assert (programs / "docker-credential-test.asked").read_text() == f"{HOST}\n"


def test_the_store_is_asked_for_every_registry(config: Path, programs: Path) -> None:
    write(config, {"credsStore": "test"})
    write_program(programs / "docker-credential-test", '{"Username":"u","Secret":"p"}')
    assert find() == Credentials("u", "p")


def test_a_helper_may_give_an_identity_token(config: Path, programs: Path) -> None:
    write(config, {"credsStore": "test"})
    write_program(programs / "docker-credential-test", '{"Username":"<token>","Secret":"refresh"}')
    assert find() == Credentials(identity_token="refresh")


def test_a_helper_that_knows_nothing_means_anonymous_and_silent(
    config: Path, programs: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    write(config, {"credsStore": "test"})
    write_program(programs / "docker-credential-test", "credentials not found", status=1)
    assert find() is None
    assert capfd.readouterr() == ("", "")


def test_a_helper_that_is_not_installed_is_said_to_be_so(
    config: Path, programs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert not list(programs.iterdir())
    write(config, {"credsStore": "absent"})
    assert find() is None
    assert "docker-credential-absent is not on PATH" in caplog.text


@pytest.mark.parametrize("answer", ["pass-word", '{"Username":"u"}', '["pass-word"]'])
def test_a_helper_that_talks_nonsense_is_an_error_without_its_words(
    config: Path, programs: Path, answer: str
) -> None:
    write(config, {"credsStore": "test"})
    write_program(programs / "docker-credential-test", answer)
    with pytest.raises(UsageError, match="docker-credential-test") as caught:
        find()
    assert "pass-word" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("helper", ["../evil", "a b", "", 7])
def test_a_helper_is_a_plain_name(config: Path, helper: object) -> None:
    write(config, {"credHelpers": {HOST: helper}})
    if helper == "":
        assert find() is None
        return
    with pytest.raises(UsageError):
        find()


@pytest.mark.parametrize("auth", ["pass-word!", encoded("u", "p")[:-2] + "*", "dXNlcg=="])
def test_an_entry_that_is_no_base64_is_an_error_without_its_words(config: Path, auth: str) -> None:
    write(config, {"auths": {HOST: {"auth": auth}}})
    with pytest.raises(UsageError) as caught:
        find()
    assert auth not in str(caught.value)


@pytest.mark.parametrize(
    "raw", ['{"auths": {"x": "pass-word"', "[]", '{"auths": []}', '{"credsStore": 1}', "\x00"]
)
def test_a_configuration_that_is_none_is_an_error_without_its_words(config: Path, raw: str) -> None:
    config.write_text(raw)
    with pytest.raises(UsageError) as caught:
        find()
    assert str(config) in str(caught.value)
    assert "pass-word" not in str(caught.value)


def test_an_empty_or_odd_configuration_has_no_credentials(config: Path) -> None:
    config.write_text("")
    assert find() is None
    write(config, {"auths": {HOST: None}, "credHelpers": None, "experimental": "enabled"})
    assert find() is None


def test_a_huge_configuration_is_not_read(config: Path) -> None:
    config.write_bytes(b" " * ((1 << 20) + 1))
    with pytest.raises(UsageError, match="1 MiB"):
        find()


def test_c14_the_home_directorys_file_is_not_mixed_in(config: Path, tmp_path: Path) -> None:
    """oras.auth.utils.load_configs adds ~/.docker/config.json to whatever it is given."""
    write(tmp_path / "home/.docker/config.json", {"auths": {HOST: {"auth": encoded("u", "p")}}})
    write(config, {"auths": {"other.example.com": {"auth": encoded("u", "p")}}})
    assert find() is None


def test_c14_credentials_of_localhost_are_not_those_of_127_0_0_1(
    config: Path, programs: Path
) -> None:
    """oras.utils.iter_localhosts asks for the one where the other is meant, in any name."""
    write(config, {"auths": {"localhost:5000": {"auth": encoded("u", "p")}}, "credsStore": "test"})
    write_program(programs / "docker-credential-test", "credentials not found", status=1)
    assert find("127.0.0.1:5000") is None
    asked = (programs / "docker-credential-test.asked").read_text()
    assert asked == "127.0.0.1:5000\n"
