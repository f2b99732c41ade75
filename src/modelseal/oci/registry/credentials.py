# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Credentials as Docker keeps them; the only module that knows `oras`.

`oras` looks up an entry and runs the `docker-credential-*` program. It is handed one
configuration with one registry in it, because `oras.auth.utils.load_configs` (0.2.43) always
adds `~/.docker/config.json`, merges files in no certain order, and would ask for `localhost`
where `127.0.0.1` is meant. It costs 0.3 s to import, so it is only imported when there is
something to look up.
"""

import base64
import binascii
import logging
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from modelseal.documents import parse_json_object
from modelseal.errors import InvalidDocumentError, LimitExceededError, UsageError

_log = logging.getLogger(__name__)

DOCKER_HUB_KEY = "https://index.docker.io/v1/"
"""Under this key Docker keeps the credentials of Docker Hub, whatever its hosts are called."""

_MAX_CONFIG = 1 << 20
_HELPER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_TOKEN_USER = "<token>"  # noqa: S105 - the user name under which helpers keep identity tokens


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a registry knows somebody by; its `repr` shows no secret.

    `identity_token` is an OAuth2 refresh token; it replaces user name and password.
    """

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)

    @property
    def basic(self) -> str:
        """User name and password as the Basic scheme sends them (RFC 7617)."""
        return base64.b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")


class CredentialSource(Protocol):
    """Knows the credentials of registries."""

    def find(self, registry: str) -> Credentials | None:
        """Return the credentials for `registry` (`host[:port]`), or None.

        Raises:
            UsageError: what should tell cannot be read.
        """
        ...


@dataclass(frozen=True, slots=True)
class NoCredentials:
    """Everything anonymously."""

    def find(self, registry: str) -> Credentials | None:  # noqa: ARG002 - the protocol's
        """Return None."""
        return None


@dataclass(frozen=True, slots=True)
class DockerCredentials:
    """Docker's configuration: `auths`, `credHelpers` and `credsStore`.

    `path` names the file; otherwise it is `$DOCKER_CONFIG/config.json`, or
    `~/.docker/config.json`. The file and the programs are asked again for each `find`.
    """

    path: Path | None = None

    def find(self, registry: str) -> Credentials | None:
        """Return the credentials for `registry`, or None. Raises `UsageError`."""
        path = self.path or config_path()
        config = read_config(path)
        key = key_of(registry)
        entry = _entry(config, key, path)
        if token := entry.get("identitytoken"):
            return Credentials(identity_token=_text(token, "identitytoken", path))
        helper = helper_of(config, key, path)
        if not entry.get("auth") and not helper:
            return None
        found = _look_up(key, entry, helper)
        return None if found is None else _decode(found, path)


def config_path() -> Path:
    """Return where Docker keeps its configuration."""
    directory = os.environ.get("DOCKER_CONFIG")
    if directory:
        return Path(directory) / "config.json"
    home = os.path.expanduser("~")  # noqa: PTH111 - Path.home() raises where there is no home
    return Path(home) / ".docker" / "config.json"


def read_config(path: Path) -> Mapping[str, Any]:
    """Return the configuration; nothing when there is none. Raises `UsageError`."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(_MAX_CONFIG + 1)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    if len(raw) > _MAX_CONFIG:
        raise UsageError(f"{path} is larger than 1 MiB")
    try:
        return parse_json_object(raw, str(path)) if raw.strip() else {}
    except (InvalidDocumentError, LimitExceededError) as error:
        # The parser's words may quote the file, and the file holds passwords.
        raise UsageError(f"{path} is not valid JSON", hint="repair Docker's configuration") from (
            None if isinstance(error, InvalidDocumentError) else error
        )


def key_of(registry: str) -> str:
    """Return under what name Docker keeps the credentials of a registry."""
    if registry in {"docker.io", "index.docker.io", "registry-1.docker.io"}:
        return DOCKER_HUB_KEY
    return registry


def mapping_of(config: Mapping[str, Any], name: str, path: Path) -> dict[str, Any]:
    """Return a mapping of the configuration. Raises `UsageError`."""
    value = config.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise UsageError(f"{path}: {name} is not a mapping")
    return value


def _text(value: object, name: str, path: Path) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{path}: {name} is not text")
    return value


def _entry(config: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    """Return the entry of `auths`; old Dockers wrote keys as URLs (`https://host/v1/`)."""
    auths = mapping_of(config, "auths", path)
    found = auths.get(key)
    if found is None and key != DOCKER_HUB_KEY:
        same = (name for name in auths if host_of_key(name) == key)
        found = auths.get(next(same, ""))
    return found if isinstance(found, dict) else {}


def host_of_key(key: str) -> str:
    """Return the registry that an old key (`https://host/v1/`) is for; nothing if for none."""
    rest = key.removeprefix("https://").removeprefix("http://")
    host, _, path = rest.partition("/")
    return host if path in {"", "v1", "v1/", "v2", "v2/"} else ""


def helper_of(config: Mapping[str, Any], key: str, path: Path) -> str:
    """Return which program keeps the credentials for `key`; nothing for the file itself."""
    helper = mapping_of(config, "credHelpers", path).get(key) or config.get("credsStore") or ""
    if helper and not _HELPER.fullmatch(_text(helper, "a credential helper", path)):
        raise UsageError(f"{path}: {helper!r} is no name of a credential helper")
    return str(helper)


def _look_up(key: str, entry: Mapping[str, Any], helper: str) -> str | None:
    """Let `oras` find the credentials: base64 of user:password, or None."""
    program = f"docker-credential-{helper}"
    if not entry.get("auth") and shutil.which(program) is None:
        _log.warning("%s is not on PATH: no credentials for %s", program, key)
        return None
    from oras.auth.base import AuthBackend

    # It says on stderr what we say in our own words: that a program knows no credentials.
    logging.getLogger("oras.logger").setLevel(logging.CRITICAL)

    class Lookup(AuthBackend):  # type: ignore[misc] # oras has no types
        def find(self) -> str | None:
            self._basic_auth = None
            self._auth_config = {"auths": {key: dict(entry)}, "credHelpers": {key: helper}}
            return self._basic_auth if self._load_auth(key) else None

    try:
        found = Lookup().find()
    except Exception as error:  # noqa: BLE001 - what it raises is nowhere said
        # oras lets through whatever the program's answer provokes: ValueError, KeyError, OSError.
        raise UsageError(
            f"{program} gave no usable answer for {key} ({type(error).__name__})",
            hint=f"try it: echo {key} | {program} get",
        ) from None
    return found if isinstance(found, str) else None


def _decode(encoded: str, path: Path) -> Credentials:
    try:
        username, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise UsageError(f"{path}: an auth entry is not base64 of user:password") from None
    if not colon:
        raise UsageError(f"{path}: an auth entry is not base64 of user:password")
    password = password.rstrip("\0")
    if username == _TOKEN_USER:
        return Credentials(identity_token=password)
    return Credentials(username, password)
