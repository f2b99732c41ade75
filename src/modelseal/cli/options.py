# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The options that commands share, each spelled and explained once."""

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

_REGISTRY = "Registry"


class OutputFormat(StrEnum):
    """How answers are written to stdout."""

    TEXT = "text"
    JSON = "json"


ReferenceArgument: TypeAlias = Annotated[
    str,
    typer.Argument(
        metavar="REF",
        help="registry/repository:tag, registry/repository@sha256:…, oci:PATH[:tag] or "
        "oci:PATH@sha256:…",
        show_default=False,
    ),
]
RepositoryArgument: TypeAlias = Annotated[
    str,
    typer.Argument(metavar="REPO", help="registry/repository, or oci:PATH.", show_default=False),
]


class ProfileName(StrEnum):
    """What kind of artifact a model is packed as (`modelpack.build.Profile`)."""

    MODELPACK = "modelpack"
    IMAGE = "image"


ProfileOption: TypeAlias = Annotated[
    ProfileName,
    typer.Option(
        "--profile",
        help="modelpack: a file a layer, for tools that know models; image: an OCI image with "
        "models/, to be mounted.",
    ),
]
ProfileOrAsBefore: TypeAlias = Annotated[
    ProfileName | None,
    typer.Option(
        "--profile",
        help="modelpack (when not given): a file a layer; image: an OCI image with models/, to be "
        "mounted. With --reproduce: what REF is, when not given.",
        show_default=False,
    ),
]
PlatformOption: TypeAlias = Annotated[
    str,
    typer.Option(
        "--platform",
        metavar="OS/ARCH",
        help="Which model of an index; else linux on this machine's architecture.",
        show_default=False,
    ),
]
DirectoryArgument: TypeAlias = Annotated[
    Path,
    typer.Argument(metavar="DIR", help="The model directory.", show_default=False),
]
Output: TypeAlias = Annotated[
    OutputFormat,
    typer.Option("--output", "-o", help="How to answer on stdout.", envvar="MODELSEAL_OUTPUT"),
]
Json: TypeAlias = Annotated[
    bool,
    typer.Option("--json", help="Answer as JSON on stdout (here --output names the directory)."),
]
Quiet: TypeAlias = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress on stderr.", envvar="MODELSEAL_QUIET")
]
MountFrom: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--mount-from",
        metavar="REPO",
        help="Repository of the same registry that may have some of the files: the registry takes "
        "them over from there and nothing is sent; repeatable.",
        envvar="MODELSEAL_MOUNT_FROM",
        rich_help_panel=_REGISTRY,
    ),
]
IgnoreLimits: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--ignore-limits",
        help="Send layers also where they are known to be too large for the registry.",
        envvar="MODELSEAL_IGNORE_LIMITS",
        rich_help_panel=_REGISTRY,
    ),
]
NoMemory: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--no-cache",
        help="Hash every file, also those that did not change since they were hashed, and note "
        "nothing to go on with after a kill.",
        envvar="MODELSEAL_NO_CACHE",
    ),
]
PlainHttp: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--plain-http",
        metavar="HOST",
        help="Speak to this host[:port] without TLS; repeatable. Loopback needs no naming.",
        envvar="MODELSEAL_PLAIN_HTTP",
        rich_help_panel=_REGISTRY,
    ),
]
CaFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--ca-file",
        metavar="FILE",
        help="Certificates (PEM) that registries are trusted by, besides the system's.",
        envvar="MODELSEAL_CA_FILE",
        rich_help_panel=_REGISTRY,
    ),
]
ClientCert: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--client-cert",
        metavar="FILE",
        help="Certificate (PEM) to show to a registry that asks for one (mTLS).",
        envvar="MODELSEAL_CLIENT_CERT",
        rich_help_panel=_REGISTRY,
    ),
]
ClientKey: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--client-key",
        metavar="FILE",
        help="Its private key (PEM), unless it stands in the same file. The passphrase comes from "
        "MODELSEAL_CLIENT_KEY_PASSPHRASE.",
        envvar="MODELSEAL_CLIENT_KEY",
        rich_help_panel=_REGISTRY,
    ),
]
TokenHost: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--token-host",
        metavar="HOST",
        help="Host of another owner that may be told the registry's credentials, to give a "
        "token; repeatable.",
        envvar="MODELSEAL_TOKEN_HOST",
        rich_help_panel=_REGISTRY,
    ),
]
DataPlace: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--data",
        metavar="DIR|NAME=PATH",
        help="Where the data lie that modelseal.yaml names: a directory, or the place of one "
        "dataset; their digests are compared. Repeatable; the place itself is written nowhere.",
        show_default=False,
    ),
]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegistryFlags:
    """How to speak to registries; `with_flags` makes one option of each field."""

    plain_http: PlainHttp = None
    ca_file: CaFile = None
    client_cert: ClientCert = None
    client_key: ClientKey = None
    token_host: TokenHost = None


NO_FLAGS = RegistryFlags()
