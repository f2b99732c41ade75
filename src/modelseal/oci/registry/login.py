# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Log in and out: credentials are tried first, then kept where Docker and its kin find them.

Own code: `oras` (0.2.43) stores what was never tried, and its logout leaves the entry in the file.
The format is that of Docker's `config.json`: `auths`, `credHelpers`, `credsStore`; programs speak
the protocol of docker-credential-helpers (`store` and `erase`, on stdin).
"""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from modelseal.errors import AccessDeniedError, InvalidReferenceError, StorageError, UsageError
from modelseal.oci.reference import Repository, parse_repository
from modelseal.oci.registry.answers import expect
from modelseal.oci.registry.client import Client, Request, origin_of
from modelseal.oci.registry.credentials import (
    Credentials,
    config_path,
    helper_of,
    host_of_key,
    key_of,
    mapping_of,
    read_config,
)
from modelseal.oci.registry.hosts import Target
from modelseal.oci.registry.options import RegistryOptions

_HELPER_SECONDS = 60.0
_NOBODY = "login"
"""A client is for one repository; nothing is asked about this one."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Where credentials are kept now.

    Attributes:
        place: the file, or the program.
        encrypted: False for the file, which anybody who may read it can decode.
        checked: False when the registry asks nobody for credentials, so that they prove nothing.
    """

    place: str
    encrypted: bool
    checked: bool


@dataclass(slots=True)
class _Given:
    credentials: Credentials = field(repr=False)
    asked: bool = False

    def find(self, registry: str) -> Credentials:  # noqa: ARG002 - the protocol's
        self.asked = True
        return self.credentials


def login(
    registry: str, credentials: Credentials, options: RegistryOptions, path: Path | None = None
) -> Kept:
    """Try credentials at a registry, and keep them when they are good.

    Args:
        registry: `host` or `host:port`.
        credentials: a user name and a password or token.
        options: how to speak to it.
        path: Docker's configuration; its usual place when None.

    Raises:
        AccessDeniedError: the registry does not take them; nothing is kept.
        UsageError: the name, the credentials or Docker's configuration cannot be used.
        UnavailableError, StorageError.
    """
    name = check_registry(registry)
    if not credentials.username or not credentials.password or ":" in credentials.username:
        raise UsageError(
            "a user name without a colon and a password are needed",
            hint="pipe the password in: modelseal login REGISTRY -u USER --password-stdin < FILE",
        )
    checked = _try(name, credentials, options)
    path = path or config_path()
    config = read_config(path)
    key = key_of(name)
    helper = helper_of(config, key, path)
    if helper:
        secret = {
            "ServerURL": key,
            "Username": credentials.username,
            "Secret": credentials.password,
        }
        _run(helper, "store", json.dumps(secret), credentials.password)
    entry = {} if helper else {"auth": credentials.basic}
    _write(path, config, {**_others(config, key, path), key: entry})
    place = f"docker-credential-{helper}" if helper else str(path)
    return Kept(place, encrypted=bool(helper), checked=checked)


def logout(registry: str, path: Path | None = None) -> bool:
    """Forget the credentials for a registry; tell whether there were any.

    Raises:
        UsageError, StorageError.
    """
    name = check_registry(registry)
    path = path or config_path()
    config = read_config(path)
    key = key_of(name)
    helper = helper_of(config, key, path)
    erased = bool(helper) and _run(helper, "erase", key, "", missing_is_fine=True)
    kept = _others(config, key, path)
    known = len(kept) != len(mapping_of(config, "auths", path))
    if known:
        _write(path, config, kept)
    return known or erased


def check_registry(text: str) -> str:
    """Return a registry's name. Raises `InvalidReferenceError`."""
    if "/" in text:
        raise InvalidReferenceError(f"not a registry: {text!r}", hint="write host or host:port")
    return parse_repository(f"{text}/{_NOBODY}").registry


def _try(registry: str, credentials: Credentials, options: RegistryOptions) -> bool:
    """Ask for the API's root, as Docker does; tell whether credentials were asked for."""
    given = _Given(credentials)
    client = Client(Repository(registry, _NOBODY), replace(options, credentials=given))
    what = f"the login at {registry}"
    try:
        answer = client.call(
            Request(
                method="GET",
                target=Target(origin_of(registry, options), "/v2/"),
                what=what,
                actions="",
            )
        )
    except AccessDeniedError as error:
        if error.reason != "unauthorized":
            raise
        raise _refused(registry) from error
    finally:
        client.close()
    if answer.status == 401:  # noqa: PLR2004 - HTTP
        raise _refused(registry)
    expect(answer, {200}, what, registry)
    return given.asked


def _refused(registry: str) -> AccessDeniedError:
    return AccessDeniedError(
        f"{registry} does not take this user name and password; nothing was kept",
        hint="many registries take only a token made for this, in place of the password",
        code="unauthorized",
    )


def _others(config: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    """Return all other entries of `auths`, as they are."""
    auths = mapping_of(config, "auths", path)
    return {name: value for name, value in auths.items() if key not in {name, host_of_key(name)}}


def _run(
    helper: str, action: str, text: str, secret: str, *, missing_is_fine: bool = False
) -> bool:
    """Run a credential program; what it has to know goes in on stdin."""
    name = f"docker-credential-{helper}"
    program = shutil.which(name)
    if program is None:
        raise UsageError(
            f"{name} is not on PATH", hint="install it, or mend Docker's configuration"
        )
    try:
        done = subprocess.run(  # noqa: S603 - the name has a checked form; no shell
            [program, action],
            input=text.encode(),
            capture_output=True,
            timeout=_HELPER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"{name} {action} did not end well ({type(error).__name__})") from None
    if done.returncode == 0:
        return True
    said = (done.stdout or done.stderr).decode(errors="replace").strip().partition("\n")[0]
    if missing_is_fine and "not found" in said:
        return False
    said = said.replace(secret, "***") if secret else said
    raise UsageError(f"{name} {action} failed: {said[:200]}")


def _write(path: Path, config: Mapping[str, Any], auths: Mapping[str, Any]) -> None:
    """Replace the file whole, readable by its owner only; links are followed, as Docker does."""
    raw = json.dumps({**config, "auths": auths}, indent="\t", ensure_ascii=False).encode()
    target = path.resolve()
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=".config.json-")  # mode 0600
    except OSError as error:
        raise StorageError(f"cannot write to {target.parent}: {error.strerror}") from error
    try:
        with os.fdopen(handle, "wb") as sink:
            sink.write(raw)
            sink.flush()
            os.fsync(sink.fileno())
        Path(name).replace(target)
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            Path(name).unlink(missing_ok=True)
