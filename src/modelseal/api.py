# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""The Python API: what the commands do, as typed functions.

Each takes keyword arguments with the names of the command's options, raises a `modelseal.Error`
when it does not succeed, and stays silent unless it is given `on_event`.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from modelseal.attest.predicates.types import parse_predicate_type
from modelseal.errors import KeyFileError, UsageError
from modelseal.modelpack.selection import Selection
from modelseal.oci.events import (
    BytesMoved,
    TransferFinished,
    TransferNotice,
    TransferPlanned,
    TransferStarted,
    discard,
)
from modelseal.oci.reference import Reference, parse_reference
from modelseal.oci.registry.options import RegistryOptions
from modelseal.trust.events import SigningDelayed
from modelseal.trust.identity import Profile
from modelseal.workflows import copy as copy_workflow
from modelseal.workflows import load as load_workflow
from modelseal.workflows import publish as publish_workflow
from modelseal.workflows import pull as pull_workflow
from modelseal.workflows import verify as verify_workflow
from modelseal.workflows.attest import read_claim
from modelseal.workflows.copy import Copied, IncompleteCopyError, Target
from modelseal.workflows.events import EventSink, StepFinished, StepStarted
from modelseal.workflows.oms import OmsVerification
from modelseal.workflows.oms_trust import oms_options, verify_named
from modelseal.workflows.publish import Publication
from modelseal.workflows.pull import PulledModel
from modelseal.workflows.remembering import services_to_push
from modelseal.workflows.services import Services, system_clock
from modelseal.workflows.trust import Trust
from modelseal.workflows.verify import Verification
from modelseal.workflows.wiring import (
    PASSPHRASE_VARIABLE,
    PIN_VARIABLE,
    Settings,
    cache_at,
    name_of,
    no_pin,
    open_reading_store,
    open_signer,
    open_store,
    tag_of,
    trust_for,
)

__all__ = [
    "Believe",
    "BytesMoved",
    "Copied",
    "IncompleteCopyError",
    "OmsVerification",
    "Publication",
    "PulledModel",
    "RegistryOptions",
    "SigningDelayed",
    "StepFinished",
    "StepStarted",
    "TransferFinished",
    "TransferNotice",
    "TransferPlanned",
    "TransferStarted",
    "Verification",
    "copy",
    "load",
    "publish",
    "pull",
    "verify",
    "verify_oms",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Believe:
    """Whom to believe: exactly one of an identity with its issuer, a public key, or a policy.

    Attributes:
        certificate_identity: the subject that has to have signed keylessly, exactly.
        certificate_oidc_issuer: the issuer that has to vouch for it, exactly.
        key: a file with the public key (PEM) that has to have signed, or the URI of a key in a
            KMS.
        profile: what to insist on: `keyless` (the default for an identity), `keyless-private` (all
            that `trusted_root` names), `key` (the default for a key), or `certificate` (the default
            with `ca_roots`).
        ca_roots: roots (PEM) of a company's authority that has to vouch for
            `certificate_identity`, in place of an issuer.
        ca_intermediates: certificates (PEM) between those and the signer's.
        policy: a policy file that has to allow the model.
        trusted_root: the Sigstore that is believed; None means the public good one.
        offline: open no connection: the model comes from the cache, and the trusted root from its
            file or as it is cached.
    """

    certificate_identity: str = ""
    certificate_oidc_issuer: str = ""
    key: Path | str | None = None
    profile: str | None = None
    ca_roots: Path | str | None = None
    ca_intermediates: Path | str | None = None
    policy: Path | str | None = None
    trusted_root: Path | str | None = None
    offline: bool = False


def publish(
    directory: Path | str,
    reference: str,
    *,
    key: Path | str | None = None,
    passphrase: str | None = None,
    certificate: Path | str | None = None,
    certificate_chain: Path | str | None = None,
    identity_token: str = "",
    trusted_root: Path | str | None = None,
    signing_config: Path | str | None = None,
    attest: Sequence[tuple[str, Path | str]] = (),
    oms: bool = False,
    mount_from: Sequence[str] = (),
    remember: bool = True,
    registry: RegistryOptions | None = None,
    on_event: EventSink = discard,
) -> Publication:
    """Build the model in `directory`, push, sign, attest, verify, and tag it last.

    Args:
        directory: the model directory, with a `modelseal.yaml`.
        reference: `registry/repository:tag` or `oci:PATH[:tag]`.
        key: a private key file, or the URI of a key in a KMS; without it signing is keyless.
        passphrase: of the key; `MODELSEAL_KEY_PASSPHRASE` when None.
        certificate: of the key (PEM), by a company's authority.
        certificate_chain: the certificates above it (PEM), the root last.
        identity_token: an OIDC token or a file that holds it; else the environment's.
        trusted_root: the private Sigstore that is believed; None means the public good one.
        signing_config: where the private Sigstore signs.
        attest: what else to attest: predicate types, each with the file of its predicate.
        oms: sign the files, too, as OpenSSF Model Signing has it, with the same login; the
            signature's bytes are `publication.oms.bundle`.
        mount_from: repositories of the same registry that may have some of the files.
        remember: whether digests of files and open uploads are kept in `~/.cache/modelseal`.
        registry: how to speak to registries: TLS, credentials, time-outs.
        on_event: told about progress, from several threads.

    Raises:
        Error: of the step that failed; the tag stays where it was.
    """
    target = parse_reference(reference)
    settings = Settings(
        registry=registry or RegistryOptions(),
        key=key,
        pin=_pin,
        passphrase=lambda: _passphrase(passphrase, os.environ),
        certificate=_path(certificate),
        certificate_chain=_path(certificate_chain),
        identity_token=identity_token,
        trusted_root=trusted_root,
        signing_config=signing_config,
    )
    claims = [read_claim(parse_predicate_type(kind), Path(path)) for kind, path in attest]
    services = services_to_push(
        target.location,
        settings.registry,
        os.environ,
        mount_from=mount_from,
        remember=remember,
    )
    return publish_workflow.publish(
        Path(directory),
        tag_of(target),
        signer=open_signer(settings),
        services=replace(services, on_event=on_event),
        environment=os.environ,
        claims=claims,
        oms=oms,
    )


def verify(
    reference: str,
    believe: Believe,
    *,
    platform: str = "",
    registry: RegistryOptions | None = None,
) -> Verification:
    """Verify the model that `reference` points at; return only when it holds.

    Args:
        reference: what to verify.
        believe: who has to have signed.
        platform: the one model of an index; without it an index is verified as a whole.
        registry: how to speak to registries: TLS, credentials, time-outs.

    Raises:
        Error: `code` tells why; the tree is in `modelseal.errors`.
    """
    target = parse_reference(reference)
    settings = _believing(believe, registry)
    name, trust = name_of(target), _trust(settings)
    store = open_reading_store(target.location, settings)
    if not platform:
        return verify_workflow.verify(name, trust, store=store, clock=system_clock)
    return verify_workflow.verify_model(
        name, trust, store=store, clock=system_clock, platform=platform
    )[1]


def verify_oms(
    reference: Path | str,
    believe: Believe,
    *,
    signature: Path | str | None = None,
    ignore_unsigned_files: bool = False,
    ignore_paths: Sequence[str] = (),
    allow_symlinks: bool = False,
    platform: str = "",
    registry: RegistryOptions | None = None,
) -> OmsVerification:
    """Verify an OMS signature of a model's files; return only when it holds.

    In a store no file is read: the manifest lists their digests. In a directory all are.

    Args:
        reference: a model in a store, or a directory (or one file).
        believe: who has to have signed; not a policy. `ca_roots` may stand alone.
        signature: the file that the signature is in; without it one that is attached, or
            `model.sig` in the model.
        ignore_unsigned_files: take files that are there and not signed.
        ignore_paths: paths below the model that are not asked about.
        allow_symlinks: follow links in a directory, if the signer did so, too.
        platform: which model of an index, `os/architecture`; else this machine's under Linux.
        registry: how to speak to registries: TLS, credentials, time-outs.

    Raises:
        Error: `code` tells why; the tree is in `modelseal.errors`.
    """
    return verify_named(
        str(reference),
        _believing(believe, registry),
        signature=_path(signature),
        platform=platform,
        options=oms_options(
            ignore_unsigned_files=ignore_unsigned_files,
            ignore_paths=ignore_paths,
            allow_symlinks=allow_symlinks,
        ),
    )


def pull(
    reference: str,
    output: Path | str,
    believe: Believe,
    *,
    overwrite: bool = False,
    platform: str = "",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    cache: Path | str | None = None,
    keep: bool = True,
    registry: RegistryOptions | None = None,
    on_event: EventSink = discard,
) -> PulledModel:
    """Verify the model that `reference` points at, then write its files to `output`.

    Args:
        reference: what to pull.
        output: the directory to write; it has to be new or empty.
        believe: who has to have signed.
        overwrite: take a directory that is not empty, and replace files of the same names.
        platform: which model of an index, `os/architecture`; else this machine's under Linux.
        include: patterns of the files that are wanted, as in `modelseal.yaml`; all when empty.
        exclude: patterns of files that are not.
        cache: where fetched files are kept by digest; `~/.cache/modelseal` when None.
        keep: whether they are kept at all, also to go on with after a kill.
        registry: how to speak to registries: TLS, credentials, time-outs.
        on_event: told about progress, from several threads.

    Raises:
        Error: nothing appears in `output` then.
    """
    target = parse_reference(reference)
    settings = _believing(believe, registry, cache=_path(cache), keep=keep)
    return pull_workflow.pull(
        name_of(target),
        Path(output),
        trust=_trust(settings),
        services=_services(target, settings, on_event),
        overwrite=overwrite,
        platform=platform,
        selection=Selection(tuple(include), tuple(exclude)),
    )


def load(
    reference: str,
    believe: Believe,
    *,
    cache: Path | str | None = None,
    platform: str = "",
    registry: RegistryOptions | None = None,
    on_event: EventSink = discard,
) -> Path:
    """Return a directory with the verified files of a model, for code that serves it.

    Args:
        reference: what to load.
        believe: who has to have signed; it is checked on every call.
        cache: where models are kept by digest; `~/.cache/modelseal/models` when None. Cached
            files are hashed again on every call. Blobs are kept there too, as `pull` does.
        platform: which model of an index, `os/architecture`; else this machine's under Linux.
        registry: how to speak to registries: TLS, credentials, time-outs.
        on_event: told about progress, from several threads.

    Raises:
        Error: nothing may be loaded then.
    """
    target = parse_reference(reference)
    settings = _believing(believe, registry, cache=_path(cache))
    return load_workflow.load(
        name_of(target),
        _path(cache) or load_workflow.default_cache(os.environ),
        trust=_trust(settings),
        services=_services(target, settings, on_event),
        platform=platform,
    )


def copy(
    source: str,
    *destinations: str,
    recursive: bool = False,
    platform: str = "",
    registry: RegistryOptions | None = None,
    on_event: EventSink = discard,
) -> Copied:
    """Copy the model that `source` points at, every byte as it is, with one read for all.

    Args:
        source: a reference.
        destinations: `registry/repository:tag` or `oci:PATH[:tag]`, at least one.
        recursive: with all that speaks about it: signatures, attestations.
        platform: of an index only this one, `os/architecture[/variant]`.
        registry: how to speak to registries: TLS, credentials, time-outs.
        on_event: told about progress, from several threads.

    Raises:
        IncompleteCopyError: some of several destinations failed; it says which and why.
        Error: the source, or the only destination, failed.
    """
    if not destinations:
        raise UsageError("no destination is named", hint="name registry/repository:tag or oci:PATH")
    origin = parse_reference(source)
    settings = Settings(registry=registry or RegistryOptions())
    references = [parse_reference(text) for text in destinations]
    return copy_workflow.copy(
        name_of(origin),
        open_store(origin.location, settings),
        origin.location,
        [Target(reference=one, store=open_store(one.location, settings)) for one in references],
        recursive=recursive,
        platform=platform,
        on_event=on_event,
    )


def _services(target: Reference, settings: Settings, on_event: EventSink) -> Services:
    store = open_reading_store(target.location, settings)
    return Services(store=store, on_event=on_event, cache=settings.cache)


def _believing(
    believe: Believe,
    registry: RegistryOptions | None,
    *,
    cache: Path | None = None,
    keep: bool = True,
) -> Settings:
    return Settings(
        registry=registry or RegistryOptions(),
        key=believe.key,
        pin=_pin,
        profile=_profile(believe.profile),
        ca_roots=_path(believe.ca_roots),
        ca_intermediates=_path(believe.ca_intermediates),
        policy=_path(believe.policy),
        trusted_root=believe.trusted_root,
        certificate_identity=believe.certificate_identity,
        certificate_oidc_issuer=believe.certificate_oidc_issuer,
        offline=believe.offline,
        cache=cache_at(cache, os.environ) if keep else None,
    )


def _trust(settings: Settings) -> Trust:
    trust = trust_for(settings)
    if trust is None:
        raise UsageError(
            "nobody is named who has to have signed",
            hint="give Believe(certificate_identity=…, certificate_oidc_issuer=…), key= or policy=",
        )
    return trust


def _profile(name: str | None) -> Profile | None:
    try:
        return None if name is None else Profile(name)
    except ValueError as error:
        raise UsageError(
            f"there is no profile {name!r}", hint=f"profiles: {', '.join(Profile)}"
        ) from error


def _path(value: Path | str | None) -> Path | None:
    return None if value is None else Path(value)


def _pin() -> str:
    return os.environ.get(PIN_VARIABLE) or no_pin()


def _passphrase(given: str | None, environment: Mapping[str, str]) -> str:
    passphrase = environment.get(PASSPHRASE_VARIABLE) if given is None else given
    if passphrase is None:
        raise KeyFileError(
            "the private key is encrypted and no passphrase is at hand",
            hint=f"give passphrase=…, or set {PASSPHRASE_VARIABLE}",
        )
    return passphrase
