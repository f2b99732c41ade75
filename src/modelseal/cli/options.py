# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The options that commands share, each spelled and explained once."""

import dataclasses
import functools
import inspect
import os
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

_REGISTRY = "Registry"
_TRUST = "Whom to believe"
_SIGNING = "Signing"


class OutputFormat(StrEnum):
    """How answers are written to stdout."""

    TEXT = "text"
    JSON = "json"


def _not_empty(ctx: typer.Context, param: typer.CallbackParam, value: Any) -> Any:  # noqa: ANN401 - of any option
    """Refuse who is to be believed when it is given, and empty: `--policy "$UNSET"`.

    Taken for "not given", it would make `pull` write a model that nobody vouches for.
    """
    source = ctx.get_parameter_source(str(param.name))
    named = source is not None and source.name != "DEFAULT"
    if (named and not value) or os.environ.get(str(param.envvar)) == "":
        raise typer.BadParameter(
            f"it is empty, and decides whom to believe; name it, or leave out {param.opts[0]} "
            f"and {param.envvar}"
        )
    return value


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
SigningKey: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="FILE|URI",
        help="Sign with this private key: an encrypted file (passphrase from "
        "MODELSEAL_KEY_PASSPHRASE, or asked for), or a key in a KMS: awskms:, azurekms:, gcpkms:, "
        "hv: (Vault), hsm: (PKCS#11). Without it: keyless.",
        envvar="MODELSEAL_KEY",
        rich_help_panel=_SIGNING,
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
ByDigest: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--by-digest",
        help="Store the predicate beside the model and sign its digest, also when it is small.",
    ),
]
Attestations: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--attest",
        metavar="TYPE=FILE",
        help="Attest this predicate, too, with the same login: a URI or a short name, and a JSON "
        "file; repeatable.",
        show_default=False,
        rich_help_panel=_SIGNING,
    ),
]
SigningCertificate: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--certificate",
        metavar="FILE",
        help="The certificate (PEM) of --key by a company's authority; it goes into the bundle.",
        envvar="MODELSEAL_CERTIFICATE",
        rich_help_panel=_SIGNING,
    ),
]
CertificateChain: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--certificate-chain",
        metavar="FILE",
        help="The certificates (PEM) above --certificate, the root last.",
        envvar="MODELSEAL_CERTIFICATE_CHAIN",
        rich_help_panel=_SIGNING,
    ),
]
CaRoots: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--ca-roots",
        metavar="FILE",
        help="Roots (PEM) of a company's authority that has to vouch for --certificate-identity, "
        "in place of an OIDC issuer.",
        envvar="MODELSEAL_CA_ROOTS",
        callback=_not_empty,
        rich_help_panel=_TRUST,
    ),
]
CaIntermediates: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--ca-intermediates",
        metavar="FILE",
        help="Certificates (PEM) between the roots and the signer's; not trusted themselves.",
        envvar="MODELSEAL_CA_INTERMEDIATES",
        rich_help_panel=_TRUST,
    ),
]
IdentityToken: TypeAlias = Annotated[
    str,
    typer.Option(
        "--identity-token",
        metavar="TOKEN|FILE",
        help="OIDC token, or better a file that holds it (also SIGSTORE_ID_TOKEN). Without it: "
        "the CI system's own, else the browser.",
        envvar="MODELSEAL_IDENTITY_TOKEN",
        show_default=False,
        rich_help_panel=_SIGNING,
    ),
]
SigningConfigFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--signing-config",
        metavar="FILE|URI",
        help="Where a private Sigstore signs (as cosign signing-config create writes it).",
        envvar="MODELSEAL_SIGNING_CONFIG",
        rich_help_panel=_SIGNING,
    ),
]
TrustedRootFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--trusted-root",
        metavar="FILE|URI",
        help="The Sigstore that is believed: a file (as cosign trusted-root create writes it), "
        "tuf+https://HOST/PATH[#ROOT.json], or k8s://NAMESPACE/NAME. Without it: the public good "
        "one.",
        envvar="MODELSEAL_TRUSTED_ROOT",
        rich_help_panel=_TRUST,
    ),
]
CertificateIdentity: TypeAlias = Annotated[
    str,
    typer.Option(
        "--certificate-identity",
        metavar="SUBJECT",
        help="Exactly who has to have signed: an e-mail address, a workflow's URI.",
        envvar="MODELSEAL_CERTIFICATE_IDENTITY",
        show_default=False,
        callback=_not_empty,
        rich_help_panel=_TRUST,
    ),
]
CertificateIssuer: TypeAlias = Annotated[
    str,
    typer.Option(
        "--certificate-oidc-issuer",
        metavar="URL",
        help="Exactly who has to vouch for the signer.",
        envvar="MODELSEAL_CERTIFICATE_OIDC_ISSUER",
        show_default=False,
        callback=_not_empty,
        rich_help_panel=_TRUST,
    ),
]


class TrustProfile(StrEnum):
    """What a verifier insists on (`trust.identity.Profile`)."""

    KEYLESS = "keyless"
    KEYLESS_PRIVATE = "keyless-private"
    KEY = "key"
    CERTIFICATE = "certificate"


VerificationProfile: TypeAlias = Annotated[
    TrustProfile | None,
    typer.Option(
        "--profile",
        help="What to insist on. keyless: certificate, CT log, transparency log and time; "
        "keyless-private: all that --trusted-root names; key: a signature by --key; certificate: "
        "one by --ca-roots. Without it: what the other options are for.",
        envvar="MODELSEAL_PROFILE",
        show_default=False,
        rich_help_panel=_TRUST,
    ),
]
PublicKey: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="FILE|URI",
        help="The public key (PEM) that has to have signed, or the URI of a key in a KMS.",
        envvar="MODELSEAL_PUBLIC_KEY",
        callback=_not_empty,
        rich_help_panel=_TRUST,
    ),
]
PolicyFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--policy",
        metavar="FILE",
        help="A policy that has to allow it; exit 10 when it does not.",
        envvar="MODELSEAL_POLICY",
        callback=_not_empty,
        rich_help_panel=_TRUST,
    ),
]
Offline: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--offline",
        help="Ask no Sigstore service for the trusted root: use the file or what is cached.",
        envvar="MODELSEAL_OFFLINE",
        rich_help_panel=_TRUST,
    ),
]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegistryFlags:
    """How to speak to registries; `with_registry` makes one option of each field."""

    plain_http: PlainHttp = None
    ca_file: CaFile = None
    client_cert: ClientCert = None
    client_key: ClientKey = None
    token_host: TokenHost = None


NO_FLAGS = RegistryFlags()


def with_registry(command: Callable[..., None]) -> Callable[..., None]:
    """Give `command` the options of `RegistryFlags`, in place of its parameter `registry`.

    typer reads options from a function's signature; this writes them there once for all commands.
    """
    flags = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
            default=field.default,
            annotation=field.type,
        )
        for field in dataclasses.fields(RegistryFlags)
    ]
    signature = inspect.signature(command)
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        parameters += flags if parameter.name == "registry" else [parameter]

    @functools.wraps(command)
    def expanded(**values: Any) -> None:  # noqa: ANN401 - whatever the command takes
        given = {flag.name: values.pop(flag.name) for flag in flags}
        command(**values, registry=RegistryFlags(**given))

    expanded.__signature__ = signature.replace(  # type: ignore[attr-defined] # inspect reads it
        parameters=parameters
    )
    expanded.__annotations__ = {item.name: item.annotation for item in parameters}
    return expanded
