# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Logging in: tried first, kept as Docker keeps it, found again, and shown to nobody."""

import base64
import json
import stat
import sys
from pathlib import Path

import pytest
from tests.support.fake_registry import AuthMode, FakeRegistry, Fault
from tests.support.registry_store import Waits

from modelseal.errors import AccessDeniedError, InvalidReferenceError, UnavailableError, UsageError
from modelseal.oci.registry.credentials import Credentials, DockerCredentials
from modelseal.oci.registry.login import Kept, login, logout
from modelseal.oci.registry.options import RegistryOptions, RetryPolicy

OPTIONS = RegistryOptions(retry=RetryPolicy(sleep=Waits(), attempts=2))
GOOD = Credentials("user", "s3cret-of-user")
HELPER = """#!{python}
import json, pathlib, sys
place = pathlib.Path(__file__).with_name("kept.json")
kept = json.loads(place.read_text()) if place.exists() else {{}}
action, said = sys.argv[1], sys.stdin.read()
assert len(sys.argv) == 2
if action == "store":
    entry = json.loads(said)
    if entry["Username"] == "refused":
        sys.exit(f"no room for {{entry['Secret']}}")
    kept[entry["ServerURL"]] = entry
elif said.strip() not in kept:
    print("credentials not found in native keychain")
    sys.exit(1)
elif action == "erase":
    del kept[said.strip()]
else:
    print(json.dumps(kept[said.strip()]))
place.write_text(json.dumps(kept))
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "docker" / "config.json"


@pytest.fixture
def helper(tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set up a credential program that keeps everything in a file."""
    program = tmp_path / "bin" / "docker-credential-test"
    program.parent.mkdir()
    program.write_text(HELPER.format(python=sys.executable))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    config.parent.mkdir()
    config.write_text(json.dumps({"credsStore": "test"}))
    return program.with_name("kept.json")


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_good_credentials_are_kept_and_found_again(config: Path, auth: AuthMode) -> None:
    with FakeRegistry(auth=auth, password=GOOD.password) as it:
        kept = login(it.host, GOOD, OPTIONS, config)
        assert kept == Kept(str(config), encrypted=False, checked=True)
        assert DockerCredentials(config).find(it.host) == GOOD
        assert stat.S_IMODE(config.stat().st_mode) == 0o600
        assert stat.S_IMODE(config.parent.stat().st_mode) == 0o700
        assert all("scope" not in request.path for request in it.requests)


@pytest.mark.parametrize("auth", ["basic", "bearer"])
def test_wrong_credentials_are_not_kept(config: Path, auth: AuthMode) -> None:
    with (
        FakeRegistry(auth=auth, password="other") as it,
        pytest.raises(AccessDeniedError, match="nothing was kept") as caught,
    ):
        login(it.host, GOOD, OPTIONS, config)
    assert GOOD.password not in f"{caught.value} {caught.value.hint}"
    assert not config.exists()


def test_a_registry_that_does_not_answer_keeps_nothing(config: Path) -> None:
    with FakeRegistry(faults=[Fault(status=503)]) as it, pytest.raises(UnavailableError):
        login(it.host, GOOD, OPTIONS, config)
    assert not config.exists()


def test_it_is_said_when_nothing_was_tried(config: Path) -> None:
    with FakeRegistry() as it:
        assert not login(it.host, GOOD, OPTIONS, config).checked


def test_other_entries_and_settings_stay_as_they_are(config: Path) -> None:
    config.parent.mkdir()
    before = {
        "auths": {"ghcr.io": {"auth": "eDp5"}, "https://quay.io/v1/": {"auth": "eDp5", "x": 1}},
        "HttpHeaders": {"Ünï": "cöde"},
        "proxies": {"default": {"httpProxy": "http://proxy"}},
        "psFormat": "table {{.ID}}",
    }
    config.write_text(json.dumps(before, ensure_ascii=False, indent="\t"))
    bytes_before = config.read_bytes()
    with FakeRegistry(auth="basic", password=GOOD.password) as it:
        login(it.host, GOOD, OPTIONS, config)
        after = json.loads(config.read_text())
        assert after["auths"].pop(it.host) == {
            "auth": base64.b64encode(b"user:s3cret-of-user").decode()
        }
        assert after == before
        assert logout(it.host, config)
    assert config.read_bytes() == bytes_before


def test_a_second_login_replaces_the_first(config: Path) -> None:
    with FakeRegistry(auth="basic", password=GOOD.password) as it:
        config.parent.mkdir()
        old = {"auths": {f"https://{it.host}/v1/": {"auth": "eDp5"}, it.host: {"auth": "eDp5"}}}
        config.write_text(json.dumps(old))
        login(it.host, GOOD, OPTIONS, config)
        assert list(json.loads(config.read_text())["auths"]) == [it.host]


def test_a_link_to_the_configuration_stays_a_link(config: Path, tmp_path: Path) -> None:
    real = tmp_path / "dotfiles.json"
    real.write_text("{}")
    config.parent.mkdir()
    config.symlink_to(real)
    with FakeRegistry(auth="basic", password=GOOD.password) as it:
        login(it.host, GOOD, OPTIONS, config)
        assert config.is_symlink()
        assert it.host in real.read_text()


def test_a_program_keeps_them_when_there_is_one(config: Path, helper: Path) -> None:
    with FakeRegistry(auth="basic", password=GOOD.password) as it:
        kept = login(it.host, GOOD, OPTIONS, config)
        assert kept == Kept("docker-credential-test", encrypted=True, checked=True)
        assert json.loads(helper.read_text())[it.host]["Secret"] == GOOD.password
        assert GOOD.password not in config.read_text()
        assert GOOD.basic not in config.read_text()
        assert DockerCredentials(config).find(it.host) == GOOD
        assert logout(it.host, config)
        assert DockerCredentials(config).find(it.host) is None
        assert not logout(it.host, config)


def test_what_a_program_says_shows_no_secret(config: Path, helper: Path) -> None:
    refused = Credentials("refused", GOOD.password)
    with FakeRegistry() as it, pytest.raises(UsageError, match=r"no room for \*\*\*") as caught:
        login(it.host, refused, OPTIONS, config)
    assert GOOD.password not in str(caught.value)
    assert not helper.exists()


def test_a_program_that_is_not_there_is_named(config: Path) -> None:
    config.parent.mkdir()
    config.write_text(json.dumps({"credsStore": "nowhere-to-be-found"}))
    with FakeRegistry() as it, pytest.raises(UsageError, match="not on PATH"):
        login(it.host, GOOD, OPTIONS, config)


def test_a_broken_configuration_is_left_alone(config: Path) -> None:
    config.parent.mkdir()
    config.write_text('{"auths": ')
    with FakeRegistry() as it, pytest.raises(UsageError, match="not valid JSON"):
        login(it.host, GOOD, OPTIONS, config)
    assert config.read_text() == '{"auths": '


@pytest.mark.parametrize("name", ["http://ghcr.io", "ghcr.io/acme", "-x.io", "", "ghcr", "a b.io"])
def test_what_is_no_registry_is_refused(config: Path, name: str) -> None:
    with pytest.raises(InvalidReferenceError):
        login(name, GOOD, OPTIONS, config)
    with pytest.raises(InvalidReferenceError):
        logout(name, config)


@pytest.mark.parametrize("given", [("", "x"), ("a:b", "x"), ("a", "")])
def test_half_a_login_is_refused(config: Path, given: tuple[str, str]) -> None:
    with pytest.raises(UsageError):
        login("ghcr.io", Credentials(*given), OPTIONS, config)


def test_nobody_is_logged_out_twice(config: Path) -> None:
    assert not logout("ghcr.io", config)
    assert not config.exists()
