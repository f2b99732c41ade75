# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Options that several commands share, declared once as the fields of a dataclass."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any


def with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command` the options that are the fields of its parameters whose types are dataclasses.

    typer reads options from a function's signature; this writes them there once for all commands.
    """
    signature = inspect.signature(command)
    groups: dict[str, tuple[type, list[str]]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        kind = parameter.annotation
        if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
            parameters.append(parameter)
            continue
        fields = dataclasses.fields(kind)
        groups[parameter.name] = kind, [field.name for field in fields]
        parameters += [
            inspect.Parameter(
                field.name,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=field.default,
                annotation=field.type,
            )
            for field in fields
        ]

    @functools.wraps(command)
    def expanded(**values: Any) -> None:  # noqa: ANN401 - whatever the command takes
        made = {
            name: kind(**{field: values.pop(field) for field in fields})
            for name, (kind, fields) in groups.items()
        }
        command(**values, **made)

    expanded.__signature__ = signature.replace(  # type: ignore[attr-defined] # inspect reads it
        parameters=parameters
    )
    expanded.__annotations__ = {item.name: item.annotation for item in parameters}
    return expanded
