# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Defaults from `~/.config/modelseal/config.yaml`: long option names and their values.

An option on the command line wins over `MODELSEAL_*`, which wins over this file.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from modelseal.documents import nearest, parse_yaml
from modelseal.errors import ContentError, StorageError, UsageError


def path_of(environment: Mapping[str, str]) -> Path:
    """Return where the file stands: `XDG_CONFIG_HOME`, else `~/.config`."""
    home = environment.get("XDG_CONFIG_HOME") or str(
        Path(environment.get("HOME", "/nonexistent")) / ".config"
    )
    return Path(home) / "modelseal" / "config.yaml"


def defaults(environment: Mapping[str, str], group: Any) -> dict[str, Any]:  # noqa: ANN401 - typer's own click
    """Return the defaults of every command below `group`.

    Raises:
        UsageError: the file names an option that no command has, or gives one no value, or is
            no mapping.
    """
    path = path_of(environment)
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StorageError(
            f"cannot read {path}: {error.strerror}", hint="mend its permissions, or remove it"
        ) from error
    try:
        values = parse_yaml(raw, str(path))
    except ContentError as error:
        raise UsageError(str(error), hint=f"mend or remove {path}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UsageError(
            f"{path} has to be a mapping of option names to values",
            hint="write lines such as `trusted-root: /etc/sigstore/trusted_root.json`",
        )
    known = _options(group)
    for name in values:
        if name not in known:
            raise UsageError(
                f"{path}: {name} is no option{nearest(str(name), known)}",
                hint=f"known: {', '.join(sorted(known))}",
            )
        if values[name] is None:  # an empty `policy:` would be no policy
            raise UsageError(f"{path}: {name} has no value", hint="give it one, or remove the line")
    return _spread(group, values)


def _options(command: Any) -> set[str]:  # noqa: ANN401
    found = {name for _, name in _settable(command)}
    for child in getattr(command, "commands", {}).values():
        found |= _options(child)
    return found


def _spread(command: Any, values: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """Return a default map in the form of click: by command, then by parameter name."""
    spread = {parameter: values[name] for parameter, name in _settable(command) if name in values}
    for name, child in getattr(command, "commands", {}).items():
        spread[name] = _spread(child, values)
    return spread


def _settable(command: Any) -> Iterator[tuple[str, str]]:  # noqa: ANN401
    """Yield parameters and the long names of their options: those with a `MODELSEAL_*`.

    The others are about one call: `pull --output DIR` is not the `output` of the file.
    """
    for parameter in command.params:
        if getattr(parameter, "envvar", None):
            for option in parameter.opts:
                if option.startswith("--") and option != "--identity-token":
                    yield parameter.name, option.removeprefix("--")
