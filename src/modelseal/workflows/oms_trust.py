# SPDX-FileCopyrightText: the modelseal authors
# SPDX-License-Identifier: Apache-2.0
"""Settings to the verifier of OMS signatures. OMS takes kinds of keys that cosign does not."""

from collections.abc import Sequence
from pathlib import Path

from modelseal.attest.predicates.oms import check_ignored
from modelseal.attest.predicates.types import OMS
from modelseal.errors import InvalidReferenceError, UsageError, VerificationError
from modelseal.oci.reference import parse_reference
from modelseal.trust.oms import OmsKeyVerifier, OmsVerifier
from modelseal.trust.oms_chain import OmsChainVerifier
from modelseal.trust.oms_keys import EcPublicKey, parse_oms_key
from modelseal.workflows.files import read_file
from modelseal.workflows.oms import (
    STRICT,
    OmsOptions,
    OmsVerification,
    verify_artifact,
    verify_directory,
)
from modelseal.workflows.services import system_clock
from modelseal.workflows.wiring import Settings, name_of, open_reading_store, trust_for


def oms_verifier(settings: Settings) -> OmsVerifier | None:
    """Return whom the settings say to believe about OMS signatures; None when they say nothing.

    OMS knows no subject of a certificate, so a company's authority may be named alone; then
    whomever it vouches for is believed.

    Raises:
        UsageError: they say two things, half of one, or a policy.
        KeyFileError: the key is not one that OMS takes.
    """
    if settings.policy is not None:
        raise UsageError(
            "--oms and --policy exclude each other: policies decide by statements about a manifest",
            hint="verify both: once with --policy, once with --oms and --key or an identity",
        )
    if settings.certificate_identity or settings.certificate_oidc_issuer:
        trust = trust_for(settings, OMS)
        return None if trust is None else OmsVerifier(trust.verifiers[0])
    if settings.ca_roots is not None and settings.key is None:
        return OmsVerifier(_chain(settings.ca_roots, settings.ca_intermediates))
    if settings.key is not None and settings.ca_roots is None:
        return OmsVerifier(OmsKeyVerifier([_key(settings)]))
    trust = trust_for(settings, OMS)  # says what does not go together
    return None if trust is None else OmsVerifier(trust.verifiers[0])


def verify_named(
    reference: str,
    settings: Settings,
    *,
    signature: Path | None = None,
    platform: str = "",
    options: OmsOptions = STRICT,
) -> OmsVerification:
    """Verify an OMS signature of what `reference` names: a model in a store, or a directory.

    Raises:
        InvalidReferenceError: it is neither.
        UsageError, KeyFileError: as `oms_verifier` does; nobody is named.
        Error: as `verify_artifact` and `verify_directory` do.
    """
    verifier = oms_verifier(settings)
    if verifier is None:
        raise UsageError(
            "nobody is named who has to have signed",
            hint="give --certificate-identity and --certificate-oidc-issuer, --key, or --ca-roots",
        )
    try:
        target = parse_reference(reference)
    except InvalidReferenceError as error:
        directory = Path(reference)
        if not directory.exists():
            raise InvalidReferenceError(
                f"{error}, and there is no directory of that name", hint=error.hint
            ) from error
        if platform:
            raise UsageError("a directory has no --platform") from error
        return verify_directory(directory, verifier, signature=signature, options=options)
    return verify_artifact(
        name_of(target),
        verifier,
        open_reading_store(target.location, settings),
        signature=signature,
        platform=platform,
        options=options,
    )


def oms_options(
    *,
    ignore_unsigned_files: bool = False,
    ignore_paths: Sequence[str] = (),
    allow_symlinks: bool = False,
) -> OmsOptions:
    """Return what a caller takes besides what was signed. Raises `UsageError`."""
    return OmsOptions(
        ignore_unsigned_files=ignore_unsigned_files,
        ignored=tuple(_path_to_ignore(path) for path in ignore_paths),
        allow_symlinks=allow_symlinks,
    )


def _path_to_ignore(path: str) -> str:
    try:
        return check_ignored(path)
    except VerificationError as error:
        raise UsageError(
            f"--ignore-path {path!r} is not a path below the model",
            hint="write it as it stands below the model, with /, without patterns",
        ) from error


def _chain(roots: Path, intermediates: Path | None) -> OmsChainVerifier:
    from modelseal.trust.company import load_certificates, require_roots

    trusted = load_certificates(roots)
    require_roots(trusted, roots)
    between = load_certificates(intermediates) if intermediates else ()
    return OmsChainVerifier(trusted, system_clock, between)


def _key(settings: Settings) -> EcPublicKey:
    """Return the key of a file, of all kinds that OMS takes, or of a KMS."""
    assert settings.key is not None
    path = key_file(settings.key)
    if path is not None:
        return parse_oms_key(read_file(path, "key"), str(path))
    from modelseal.workflows.signing_keys import open_public_key

    public = open_public_key(settings.key, pin=settings.pin, offline=settings.offline)
    return parse_oms_key(public.pem, str(settings.key))


def key_file(key: Path | str) -> Path | None:
    """Return the file that `--key` names; None for the URI of a key in a KMS."""
    from modelseal.trust.kms import is_key_uri

    return None if isinstance(key, str) and is_key_uri(key) else Path(key)
